import { Stack } from "@mantine/core";
import { ApiKeys } from "./ApiKeys";
import { SettingsFrame } from "./SettingsFrame";

export function SettingsPage() {
  return (
    <SettingsFrame title="API keys">
      <Stack maw={760}>
        <ApiKeys />
      </Stack>
    </SettingsFrame>
  );
}
