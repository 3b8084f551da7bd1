import { Button, Center, Skeleton, Stack, Text } from "@mantine/core";
import { useAudit } from "../api/queries";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { AuditRow } from "./AuditRow";
import { SettingsFrame } from "./SettingsFrame";
import classes from "./settings.module.css";

/** Who did what, newest first. Entries are only ever added. */
export function AuditPage() {
  const audit = useAudit();
  const entries = audit.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <SettingsFrame title="Audit">
      <Panel title="Audit">
        <Stack>
          <Text size="sm" c="dimmed">
            Who signed in, decided, refunded and changed something, newest first. Entries cannot be changed.
          </Text>
          <ErrorNote error={audit.error} retry={() => void audit.refetch()} />
          {audit.isPending && <Skeleton height={160} />}
          {audit.isSuccess && entries.length === 0 && <Text size="sm">Nothing is recorded yet.</Text>}
          {entries.length > 0 && (
            <ol className={classes.entries} aria-label="Audit">
              {entries.map((entry) => (
                <AuditRow key={entry.id} entry={entry} />
              ))}
            </ol>
          )}
          {audit.hasNextPage && (
            <Center>
              <Button
                variant="default"
                onClick={() => void audit.fetchNextPage()}
                loading={audit.isFetchingNextPage}
              >
                Load more
              </Button>
            </Center>
          )}
        </Stack>
      </Panel>
    </SettingsFrame>
  );
}
