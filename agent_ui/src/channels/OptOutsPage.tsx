import { Button, Group, NativeSelect, Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { lift, suppress } from "../api/channels";
import { ApiError } from "../api/problem";
import { keys, useSuppressions } from "../api/queries";
import type { Suppression, SuppressionDraft } from "../api/types";
import { SettingsFrame } from "../settings/SettingsFrame";
import { CHANNELS } from "../ui/channels";
import { Confirm } from "../ui/Confirm";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { RelativeTime } from "../ui/Time";
import classes from "./channels.module.css";

const REASONS: Record<Suppression["reason"], string> = {
  stop: "wrote STOP",
  provider: "opted out with the carrier",
  unsubscribe: "unsubscribed from reminders",
  bounce: "the address does not exist",
  agent: "asked an agent",
};
const SCOPES: Record<Suppression["scope"], string> = { all: "Nothing is sent", reminders: "No reminders" };
const WRITTEN_TO = ["sms", "email", "whatsapp"] as const;

/** Who must not be written to. Checked before every message. */
export function OptOutsPage() {
  const list = useSuppressions();
  return (
    <SettingsFrame title="Opt-outs">
      <Stack maw={760}>
        <Panel title="Opt-outs">
          <Stack>
            <Text size="sm" c="dimmed">
              People who must not be written to by a channel. Who writes STOP is added by itself, and taken
              off again by START.
            </Text>
            <Add />
            <ErrorNote error={list.error} retry={() => void list.refetch()} />
            {list.isPending && <Skeleton height={80} />}
            {list.data?.data.length === 0 && <Text size="sm">Nobody has opted out.</Text>}
            <ul className={classes.rows}>
              {list.data?.data.map((one) => (
                <Row key={one.id} one={one} />
              ))}
            </ul>
          </Stack>
        </Panel>
      </Stack>
    </SettingsFrame>
  );
}

function Add() {
  const queries = useQueryClient();
  const [channel, setChannel] = useState<SuppressionDraft["channel"]>("sms");
  const [address, setAddress] = useState("");
  const add = useMutation({
    mutationFn: () => suppress({ channel, address: address.trim(), scope: "all" }),
    onSuccess: () => {
      setAddress("");
      void queries.invalidateQueries({ queryKey: keys.suppressions });
    },
  });
  const wrong =
    add.error instanceof ApiError
      ? add.error.fields.find(({ field }) => field === "address")?.message
      : undefined;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!add.isPending && address.trim()) add.mutate();
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="xs">
        <Group align="flex-start" gap="xs">
          <NativeSelect
            label="Channel"
            value={channel}
            onChange={(event) => setChannel(event.currentTarget.value as SuppressionDraft["channel"])}
            data={WRITTEN_TO.map((name) => ({ value: name, label: CHANNELS[name].label }))}
          />
          <TextInput
            label="Phone number or email address"
            flex={1}
            miw={200}
            value={address}
            error={wrong}
            onChange={(event) => {
              setAddress(event.currentTarget.value);
              add.reset();
            }}
          />
          <Button type="submit" mt={25} loading={add.isPending} disabled={!address.trim()}>
            Add
          </Button>
        </Group>
        <ErrorNote error={wrong ? null : add.error} />
      </Stack>
    </form>
  );
}

function Row({ one }: { one: Suppression }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();
  const take = async () => {
    await lift(one.id);
    void queries.invalidateQueries({ queryKey: keys.suppressions });
  };
  return (
    <li>
      <Group justify="space-between" gap="xs">
        <Stack gap={2} miw={0}>
          <Text size="sm" fw={600}>
            {one.address}
          </Text>
          <Text size="xs" c="dimmed">
            {CHANNELS[one.channel].label}: {SCOPES[one.scope]}, {REASONS[one.reason]}{" "}
            <RelativeTime at={one.created_at} />
          </Text>
          {one.note && <Text size="xs">{one.note}</Text>}
        </Stack>
        <Button size="xs" variant="default" onClick={dialog.open} aria-label={`Lift for ${one.address}`}>
          Lift
        </Button>
      </Group>
      <Confirm
        opened={opened}
        onClose={dialog.close}
        title={`Write to ${one.address} again?`}
        confirm="Lift the opt-out"
        action={take}
      >
        <Text size="sm">Only if the person has asked for it. It is recorded who lifted it.</Text>
      </Confirm>
    </li>
  );
}
