import { Button, Center, Skeleton, Stack, Text } from "@mantine/core";
import { useDisputes } from "../api/queries";
import { byUrgency } from "../money/words";
import { ErrorNote } from "../ui/ErrorNote";
import { Page } from "../ui/Page";
import { DisputeRow } from "./DisputeRow";
import classes from "./disputes.module.css";

/** What customers' banks ask to have back: open ones first, those due soonest at the top. */
export function DisputesPage() {
  const disputes = useDisputes();
  const rows = (disputes.data?.pages.flatMap((page) => page.data) ?? []).toSorted(byUrgency);
  return (
    <Page title="Disputes" heading="Disputes">
      <Stack>
        <Text size="sm" c="dimmed" maw={680}>
          A customer's bank can ask for a payment back. Answer in your payment provider's dashboard before the
          time is over; an unanswered dispute is lost.
        </Text>
        <ErrorNote error={disputes.error} retry={() => void disputes.refetch()} />
        {disputes.isPending && <Skeleton height={160} />}
        {disputes.isSuccess && rows.length === 0 && <Text fw={600}>No disputes</Text>}
        {rows.length > 0 && (
          <ul className={classes.rows} aria-label="Disputes">
            {rows.map((dispute) => (
              <DisputeRow key={dispute.id} dispute={dispute} />
            ))}
          </ul>
        )}
        {disputes.hasNextPage && (
          <Center>
            <Button
              variant="default"
              onClick={() => void disputes.fetchNextPage()}
              loading={disputes.isFetchingNextPage}
            >
              Load more
            </Button>
          </Center>
        )}
      </Stack>
    </Page>
  );
}
