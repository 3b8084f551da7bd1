import { Badge, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { changeAccount, removeAccount } from "../api/channels";
import { keys } from "../api/queries";
import type { ChannelAccount, Provider } from "../api/types";
import { CHANNELS } from "../ui/channels";
import { Confirm } from "../ui/Confirm";
import { AccountFields } from "./AccountFields";
import { TestSend } from "./TestSend";
import { useAccountForm } from "./useAccountForm";

interface AccountRowProps {
  account: ChannelAccount;
  /** Missing for one that a newer server knows. */
  provider: Provider | undefined;
}

export function AccountRow({ account, provider }: AccountRowProps) {
  const queries = useQueryClient();
  const [removing, remove] = useDisclosure();
  const [testing, test] = useDisclosure();
  const [editing, edit] = useDisclosure();
  const changed = () => {
    for (const queryKey of [keys.accounts, keys.channels, keys.me])
      void queries.invalidateQueries({ queryKey });
  };
  const toggle = () => changeAccount(account.id, { enabled: !account.enabled }).then(changed);
  return (
    <li>
      <Group justify="space-between" gap="xs">
        <Stack gap={2} miw={0}>
          <Group gap="xs">
            <Text size="sm" fw={600}>
              {account.name}
            </Text>
            {!account.enabled && (
              <Badge color="gray" variant="light" tt="none">
                Off
              </Badge>
            )}
          </Group>
          <Text size="xs" c="dimmed">
            {CHANNELS[account.channel].label} by {provider?.title ?? account.provider}
          </Text>
        </Stack>
        <Group gap={6}>
          <Button size="xs" variant="light" onClick={test.open} aria-label={`Test ${account.name}`}>
            Test
          </Button>
          {provider && (
            <Button size="xs" variant="default" onClick={edit.open} aria-label={`Change ${account.name}`}>
              Change
            </Button>
          )}
          <Button
            size="xs"
            variant="default"
            onClick={() => void toggle()}
            aria-label={`Turn ${account.name} ${account.enabled ? "off" : "on"}`}
          >
            Turn {account.enabled ? "off" : "on"}
          </Button>
          <Button size="xs" variant="default" onClick={remove.open} aria-label={`Remove ${account.name}`}>
            Remove
          </Button>
        </Group>
      </Group>
      <TestSend account={account} opened={testing} onClose={test.close} />
      {provider && editing && <Change account={account} provider={provider} onClose={edit.close} />}
      <Confirm
        opened={removing}
        onClose={remove.close}
        title={`Remove ${account.name}?`}
        confirm="Remove"
        color="red"
        action={() => removeAccount(account.id).then(changed)}
      >
        <Text size="sm">
          Nothing can be sent by it any more, and reports on what was sent are not understood any more. Turn
          it off instead to keep those.
        </Text>
      </Confirm>
    </li>
  );
}

interface ChangeProps {
  account: ChannelAccount;
  provider: Provider;
  onClose: () => void;
}

function Change({ account, provider, onClose }: ChangeProps) {
  const form = useAccountForm(provider.fields, (filled) => changeAccount(account.id, filled), account);
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Change ${account.name}`}
      confirm="Save"
      action={() => form.save()}
    >
      <TextInput
        label="Name"
        value={form.name}
        error={form.errors[""]}
        onChange={(event) => form.setName(event.currentTarget.value)}
      />
      <AccountFields
        fields={provider.fields}
        typed={form.typed}
        errors={form.errors}
        account={account}
        onType={form.type}
      />
    </Confirm>
  );
}
