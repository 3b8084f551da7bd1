import { Alert, Button, Group, Text } from "@mantine/core";
import { messageOf } from "../api/problem";
import { Icon } from "./icons";

interface ErrorNoteProps {
  error: unknown;
  retry?: () => void;
}

/** Says what went wrong; renders nothing when nothing did. */
export function ErrorNote({ error, retry }: ErrorNoteProps) {
  if (!error) return null;
  return (
    <Alert color="red" icon={<Icon name="alert" />} role="alert">
      <Group justify="space-between">
        <Text size="sm">{messageOf(error)}</Text>
        {retry && (
          <Button size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        )}
      </Group>
    </Alert>
  );
}
