import { Skeleton, Stack, Text } from "@mantine/core";
import { useAccounts, useProviders } from "../api/queries";
import { SettingsFrame } from "../settings/SettingsFrame";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { AccountRow } from "./AccountRow";
import { AddAccount } from "./AddAccount";
import classes from "./channels.module.css";

/** The accounts that messages go out by. The first enabled one of a channel is used unless an agent chooses. */
export function ChannelsPage() {
  const accounts = useAccounts();
  const providers = useProviders();
  const known = providers.data?.data ?? [];
  const list = accounts.data?.data ?? [];
  return (
    <SettingsFrame title="Channels">
      <Stack maw={760}>
        <Panel title="Channels">
          <Stack>
            <Text size="sm" c="dimmed">
              Your accounts with those who carry messages. A channel can have several; the first one is used
              unless an agent chooses another. Passwords and keys are kept encrypted and never shown again.
            </Text>
            <ErrorNote error={accounts.error ?? providers.error} retry={() => void accounts.refetch()} />
            {(accounts.isPending || providers.isPending) && <Skeleton height={80} />}
            {accounts.isSuccess && list.length === 0 && <Text size="sm">No account is set up yet.</Text>}
            <ul className={classes.rows}>
              {list.map((account) => (
                <AccountRow
                  key={account.id}
                  account={account}
                  provider={known.find(({ provider }) => provider === account.provider)}
                />
              ))}
            </ul>
          </Stack>
        </Panel>
        {known.length > 0 && <AddAccount providers={known} />}
      </Stack>
    </SettingsFrame>
  );
}
