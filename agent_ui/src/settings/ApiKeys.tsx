import { Badge, Button, Code, Group, Skeleton, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { revokeApiKey } from "../api/account";
import { keys, useApiKeys } from "../api/queries";
import type { ApiKey } from "../api/types";
import { Confirm } from "../ui/Confirm";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { RelativeTime } from "../ui/Time";
import { NewApiKey } from "./NewApiKey";
import classes from "./settings.module.css";

export function ApiKeys() {
  const list = useApiKeys();
  return (
    <Panel title="API keys">
      <Stack>
        <Text size="sm" c="dimmed">
          For a CRM or a bot that makes payment links by itself. A key can do all that an agent can: keep it
          secret.
        </Text>
        <NewApiKey />
        <ErrorNote error={list.error} retry={() => void list.refetch()} />
        {list.isPending && <Skeleton height={80} />}
        {list.data?.data.length === 0 && <Text size="sm">There are no keys yet.</Text>}
        <ul className={classes.keys}>
          {list.data?.data.map((key) => (
            <Row key={key.id} apiKey={key} />
          ))}
        </ul>
      </Stack>
    </Panel>
  );
}

function Row({ apiKey }: { apiKey: ApiKey }) {
  return (
    <li>
      <Group justify="space-between" gap="xs">
        <Stack gap={2} miw={0}>
          <Text size="sm" fw={600}>
            {apiKey.name}
          </Text>
          <Code>
            {apiKey.prefix}…{apiKey.last4}
          </Code>
          <Text size="xs" c="dimmed">
            Created <RelativeTime at={apiKey.created_at} /> ·{" "}
            {apiKey.last_used_at ? (
              <>
                used <RelativeTime at={apiKey.last_used_at} />
              </>
            ) : (
              "never used"
            )}
          </Text>
        </Stack>
        {apiKey.revoked_at ? (
          <Badge color="gray" variant="light" tt="none">
            Revoked
          </Badge>
        ) : (
          <Revoke apiKey={apiKey} />
        )}
      </Group>
    </li>
  );
}

function Revoke({ apiKey }: { apiKey: ApiKey }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();
  const revoke = async () => {
    await revokeApiKey(apiKey.id);
    void queries.invalidateQueries({ queryKey: keys.apiKeys });
  };
  return (
    <>
      <Button size="xs" variant="default" onClick={dialog.open} aria-label={`Revoke ${apiKey.name}`}>
        Revoke
      </Button>
      <Confirm
        opened={opened}
        onClose={dialog.close}
        title={`Revoke ${apiKey.name}?`}
        confirm="Revoke the key"
        color="red"
        action={revoke}
      >
        <Text size="sm">Whatever uses this key stops working at once. This cannot be undone.</Text>
      </Confirm>
    </>
  );
}
