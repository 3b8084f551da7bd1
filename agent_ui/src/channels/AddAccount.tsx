import { Button, Group, NativeSelect, Stack, TextInput } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { addAccount } from "../api/channels";
import type { Provider } from "../api/types";
import { CHANNELS } from "../ui/channels";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { AccountFields } from "./AccountFields";
import { useAccountForm } from "./useAccountForm";

export function AddAccount({ providers }: { providers: Provider[] }) {
  const [chosen, setChosen] = useState("");
  const provider = providers.find((one) => one.provider === chosen);
  return (
    <Panel title="Add a channel">
      <Stack>
        <NativeSelect
          label="Provider"
          value={chosen}
          onChange={(event) => setChosen(event.currentTarget.value)}
          data={[
            { value: "", label: "Choose…" },
            ...providers.map((one) => ({
              value: one.provider,
              label: `${CHANNELS[one.channel].label}: ${one.title}`,
            })),
          ]}
        />
        {provider && <Form key={chosen} provider={provider} onAdded={() => setChosen("")} />}
      </Stack>
    </Panel>
  );
}

function Form({ provider, onAdded }: { provider: Provider; onAdded: () => void }) {
  const form = useAccountForm(provider.fields, (filled) =>
    addAccount({ provider: provider.provider, ...filled }),
  );
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!form.saving) form.save().then(onAdded, () => undefined);
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label="Name"
          description="What agents see when they choose it"
          placeholder={provider.title}
          withAsterisk
          value={form.name}
          error={form.errors[""]}
          onChange={(event) => form.setName(event.currentTarget.value)}
        />
        <AccountFields fields={provider.fields} typed={form.typed} errors={form.errors} onType={form.type} />
        <ErrorNote error={form.error} />
        <Group>
          <Button type="submit" loading={form.saving} disabled={!form.name.trim()}>
            Add
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
