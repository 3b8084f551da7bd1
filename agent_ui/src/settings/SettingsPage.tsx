import { Stack } from "@mantine/core";
import { Page } from "../ui/Page";
import { ApiKeys } from "./ApiKeys";

export function SettingsPage() {
  return (
    <Page title="Settings" heading="Settings">
      <Stack maw={760}>
        <ApiKeys />
      </Stack>
    </Page>
  );
}
