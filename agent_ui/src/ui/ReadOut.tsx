import { Text } from "@mantine/core";

/** A sentence that the agent can say to the customer as it stands. */
export function ReadOut({ children }: { children: string }) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        Read out to the customer
      </Text>
      <Text size="lg" fw={600}>
        “{children}”
      </Text>
    </div>
  );
}
