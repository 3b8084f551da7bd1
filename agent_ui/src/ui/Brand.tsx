import { Group, Text } from "@mantine/core";
import icon from "../icon.svg";

export function Brand() {
  return (
    <Group gap={8} wrap="nowrap">
      <img src={icon} alt="" width={26} height={26} />
      <Text fw={700} size="lg" lh={1} span>
        paylink
      </Text>
    </Group>
  );
}
