import { Anchor, Text } from "@mantine/core";
import { Link } from "wouter";
import { Page } from "./Page";

export function NotFound({ what = "page" }: { what?: string }) {
  return (
    <Page title="Not found" heading={`There is no such ${what}`}>
      <Text>
        Check the address, or go to{" "}
        <Anchor component={Link} href="/">
          all payment links
        </Anchor>
        .
      </Text>
    </Page>
  );
}
