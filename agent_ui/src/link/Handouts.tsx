import { Group, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { preview } from "../api/deliveries";
import { useHandouts } from "../api/queries";
import type { Delivery, Link, PreviewRequest } from "../api/types";
import { LINK_ITSELF } from "../create/useCreate";
import { CopyButton } from "../ui/CopyButton";
import { Panel } from "../ui/Panel";
import { withAddress } from "./message";
import { isOpen } from "./open";
import { QrImage } from "./Qr";

const PASTED = new Set(["chat", "other"]);

/** What the agent hands over: addresses to paste and codes to scan. An address is known only where it was just made. */
export function Handouts({ link }: { link: Link }) {
  const urls = useHandouts(link.id).data ?? {};
  if (!isOpen(link)) return null;
  const chat = link.deliveries.findLast(({ id, channel }) => PASTED.has(channel) && urls[id]);
  const qr = link.deliveries.findLast(({ id, channel }) => channel === "qr" && urls[id]);
  const url = chat ? urls[chat.id] : link.deliveries.length === 0 ? urls[LINK_ITSELF] : undefined;
  if (!url && !qr) return null;
  return (
    <Panel title="Hand over">
      <Stack>
        {url && <Address link={link} url={url} delivery={chat} />}
        {qr && <QrImage link={link.id} delivery={qr.id} />}
      </Stack>
    </Panel>
  );
}

interface AddressProps {
  link: Link;
  url: string;
  /** What carries it; without one it is the link's own address. */
  delivery: Delivery | undefined;
}

function Address({ link, url, delivery }: AddressProps) {
  const message = useMessage(link, url, delivery?.locale);
  return (
    <Stack gap="xs">
      <TextInput
        label="Link to paste"
        description="Shown once. Send by chat again for a new one."
        readOnly
        value={url}
        onFocus={(event) => event.currentTarget.select()}
      />
      <Group gap="xs">
        <CopyButton text={url} label="Copy link" />
        {message && <CopyButton text={message} label="Copy message" />}
      </Group>
      {message && (
        <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap" }}>
          {message}
        </Text>
      )}
    </Stack>
  );
}

/** The words of a chat message about this link, with its address. */
function useMessage(link: Link, url: string, locale: string | null | undefined): string | null {
  const body: PreviewRequest = {
    channel: "chat",
    amount: link.amount - link.amount_paid,
    currency: link.currency,
    description: link.description,
    reference: link.reference,
    name: link.customer?.name,
    language: locale ?? link.locale ?? link.customer?.locale,
    words: link.session_words,
    expires_at: link.expires_at,
  };
  const words = useQuery({
    queryKey: ["preview", JSON.stringify(body)],
    queryFn: () => preview(body),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return words.data ? withAddress(words.data.text, url) : null;
}
