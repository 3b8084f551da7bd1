import { Skeleton, Stack } from "@mantine/core";
import { useCurrencies } from "../api/queries";
import { ErrorNote } from "../ui/ErrorNote";
import { Page } from "../ui/Page";
import { LinkForm } from "./LinkForm";

export function NewLinkPage() {
  const currencies = useCurrencies();
  return (
    <Page title="New payment link" heading="New payment link">
      <ErrorNote error={currencies.error} retry={() => void currencies.refetch()} />
      {currencies.isPending && (
        <Stack role="status" aria-label="Loading the form">
          <Skeleton height={64} />
          <Skeleton height={64} />
          <Skeleton height={180} />
        </Stack>
      )}
      {currencies.data && <LinkForm currencies={currencies.data.data} />}
    </Page>
  );
}
