import { Button, Center, Skeleton, Stack, Text } from "@mantine/core";
import { Link } from "wouter";
import { useLinks } from "../api/queries";
import { ErrorNote } from "../ui/ErrorNote";
import { Icon } from "../ui/icons";
import { Page } from "../ui/Page";
import { LinkFilters } from "./LinkFilters";
import { LinkRow } from "./LinkRow";
import classes from "./links.module.css";
import { useLinkFilter } from "./useLinkFilter";

export function LinksPage() {
  const { filter } = useLinkFilter();
  const links = useLinks(filter);
  const rows = links.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Page title="Payment links" heading="Payment links" actions={<NewLinkButton />}>
      <Stack>
        <LinkFilters />
        <ErrorNote error={links.error} retry={() => void links.refetch()} />
        {links.isPending && <Loading />}
        {links.isSuccess && rows.length === 0 && (
          <Empty filtered={filter.status.length > 0 || filter.q !== ""} />
        )}
        {rows.length > 0 && (
          <div className={classes.list} aria-busy={links.isPlaceholderData}>
            <div className={classes.head} aria-hidden="true">
              <span>Amount</span>
              <span>Customer</span>
              <span>Reference</span>
              <span>Latest</span>
              <span>Status</span>
              <span>Created</span>
            </div>
            <ul className={classes.rows} aria-label="Payment links">
              {rows.map((link) => (
                <LinkRow key={link.id} link={link} />
              ))}
            </ul>
          </div>
        )}
        {links.hasNextPage && (
          <Center>
            <Button
              variant="default"
              onClick={() => void links.fetchNextPage()}
              loading={links.isFetchingNextPage}
            >
              Load more
            </Button>
          </Center>
        )}
      </Stack>
    </Page>
  );
}

function NewLinkButton() {
  return (
    <Button component={Link} href="/links/new" leftSection={<Icon name="plus" />}>
      New payment link
    </Button>
  );
}

function Empty({ filtered }: { filtered: boolean }) {
  return (
    <Stack align="center" py={64} gap="xs">
      <Text fw={600}>{filtered ? "No link matches" : "No payment links yet"}</Text>
      <Text c="dimmed" ta="center" maw={420}>
        {filtered
          ? "Try other words, or show every status."
          : "Make one and send it while the customer is on the line. You will see here how far they are."}
      </Text>
    </Stack>
  );
}

function Loading() {
  return (
    <Stack gap="xs" aria-label="Loading links" role="status">
      {["a", "b", "c", "d", "e", "f"].map((name) => (
        <Skeleton key={name} height={56} />
      ))}
    </Stack>
  );
}
