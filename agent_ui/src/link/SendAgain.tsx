import { NativeSelect, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { sendAgain } from "../api/deliveries";
import { SubmitKey } from "../api/keys";
import { ApiError } from "../api/problem";
import { keys, useChannels } from "../api/queries";
import type { ChannelName, Link } from "../api/types";
import { useSession } from "../session/session";
import { AddressInput } from "../ui/AddressInput";
import { Confirm } from "../ui/Confirm";
import { CHANNELS, choicesFor } from "../ui/channels";

interface SendAgainProps {
  link: Link;
  opened: boolean;
  onClose: () => void;
}

export function SendAgain({ link, opened, onClose }: SendAgainProps) {
  const queries = useQueryClient();
  const usable = choicesFor(useSession().me).filter(({ available }) => available);
  const [key] = useState(() => new SubmitKey());
  const [channel, setChannel] = useState<ChannelName>(
    link.deliveries.at(-1)?.channel ?? usable[0]?.name ?? "chat",
  );
  const [typed, setTyped] = useState<string | null>(null);
  const [via, setVia] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const ways = useChannels().data?.data.find((one) => one.channel === channel)?.accounts ?? [];

  const kind = CHANNELS[channel].address;
  const to = typed ?? addressKnown(link, channel);

  const choose = (next: ChannelName) => {
    setChannel(next);
    setTyped(null);
    setVia("");
    setFault(null);
  };

  const send = async () => {
    const body = { channel, ...(kind && { to: to.trim() }), ...(via && { via }) };
    try {
      const { id, url } = await sendAgain(link.id, body, key.for(body));
      if (url)
        queries.setQueryData<Record<string, string>>(keys.handouts(link.id), (urls) => ({
          ...urls,
          [id]: url,
        }));
    } catch (error) {
      if (error instanceof ApiError && error.status < 500) key.settled();
      setFault(
        error instanceof ApiError
          ? (error.fields.find(({ field }) => field === "to")?.message ?? null)
          : null,
      );
      throw error;
    }
    key.settled();
    setTyped(null);
    void queries.invalidateQueries({ queryKey: keys.link(link.id) });
  };

  return (
    <Confirm opened={opened} onClose={onClose} title="Send again" confirm="Send" action={send}>
      <NativeSelect
        label="Channel"
        value={channel}
        onChange={(event) => choose(event.currentTarget.value as ChannelName)}
        data={usable.map(({ name }) => ({ value: name, label: CHANNELS[name].label }))}
      />
      {ways.length > 1 && (
        <NativeSelect
          label="By"
          value={via}
          onChange={(event) => setVia(event.currentTarget.value)}
          data={[
            { value: "", label: "As usual" },
            ...ways.map(({ id, name }) => ({ value: id, label: name })),
          ]}
        />
      )}
      {kind && (
        <AddressInput
          label="To"
          kind={kind}
          channel={channel}
          value={to}
          error={fault}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            setFault(null);
          }}
        />
      )}
      <Text size="sm" c="dimmed">
        The customer gets a new address to the same payment; what they have done so far is kept.
      </Text>
    </Confirm>
  );
}

function addressKnown(link: Link, channel: ChannelName): string {
  const before = link.deliveries.findLast((delivery) => delivery.channel === channel)?.to;
  const kind = CHANNELS[channel].address;
  return before ?? (kind && link.customer?.[kind]) ?? "";
}
