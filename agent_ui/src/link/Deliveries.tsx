import { Anchor, Button, Group, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Link as RouteLink } from "wouter";
import { useHandouts } from "../api/queries";
import type { Delivery, Link } from "../api/types";
import { inWords, sentenceCase } from "../stream/facts";
import { CopyButton } from "../ui/CopyButton";
import { CHANNELS } from "../ui/channels";
import { Panel } from "../ui/Panel";
import { DeliveryBadge, WithdrawnBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import classes from "./link.module.css";
import { isOpen } from "./open";
import { QrButton } from "./Qr";
import { SendAgain } from "./SendAgain";
import { WithdrawButton } from "./WithdrawButton";

export function Deliveries({ link }: { link: Link }) {
  const [opened, dialog] = useDisclosure();
  const action = isOpen(link) && (
    <Button size="compact-sm" variant="light" onClick={dialog.open}>
      Send again
    </Button>
  );
  return (
    <Panel title="Deliveries" action={action}>
      {link.deliveries.length === 0 && (
        <Text size="sm" c="dimmed">
          Not sent yet.
        </Text>
      )}
      <ul className={classes.rows}>
        {link.deliveries.map((delivery) => (
          <Row key={delivery.id} delivery={delivery} link={link} />
        ))}
      </ul>
      <SendAgain link={link} opened={opened} onClose={dialog.close} />
    </Panel>
  );
}

function Row({ delivery, link }: { delivery: Delivery; link: Link }) {
  return (
    <li>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={0} miw={0}>
          <Text size="sm" fw={550}>
            {CHANNELS[delivery.channel].label}
          </Text>
          {delivery.to && (
            <Text size="sm" truncate>
              {delivery.to}
            </Text>
          )}
          <Text size="xs" c="dimmed">
            <RelativeTime at={delivery.delivered_at ?? delivery.sent_at ?? delivery.created_at} />
          </Text>
        </Stack>
        {delivery.withdrawn_at ? <WithdrawnBadge /> : <DeliveryBadge status={delivery.status} />}
      </Group>
      {delivery.failure_reason && (
        <Text size="sm" c="var(--mantine-color-error)" mt={4}>
          {sentenceCase(inWords(delivery.failure_reason))}
        </Text>
      )}
      <Notes delivery={delivery} />
      {isOpen(link) && !delivery.withdrawn_at && <Actions link={link.id} delivery={delivery} />}
    </li>
  );
}

function Actions({ link, delivery }: { link: string; delivery: Delivery }) {
  const url = useHandouts(link).data?.[delivery.id];
  return (
    <Group mt={6} gap="xs">
      {delivery.channel === "qr" && <QrButton link={link} delivery={delivery.id} />}
      {url && delivery.channel !== "qr" && <CopyButton text={url} label="Copy link" size="compact-sm" />}
      {delivery.status === "opted_out" ? (
        <Anchor component={RouteLink} href="/settings/opt-outs" size="sm">
          See opt-outs
        </Anchor>
      ) : (
        <WithdrawButton link={link} delivery={delivery} />
      )}
    </Group>
  );
}

/** What is tried again, what stands in for what, and what comes next. */
function Notes({ delivery }: { delivery: Delivery }) {
  const next = delivery.fallback.map(({ channel }) => CHANNELS[channel].label).join(", then ");
  const notes = [
    delivery.status === "queued" && delivery.last_fault && `Trying again: ${inWords(delivery.last_fault)}`,
    delivery.fallback_reason && `Sent instead: ${inWords(delivery.fallback_reason)}`,
    next && delivery.status !== "delivered" && delivery.status !== "read" && `If it does not arrive: ${next}`,
  ].filter(Boolean);
  return notes.map((note) => (
    <Text key={String(note)} size="xs" c="dimmed" mt={2}>
      {note}
    </Text>
  ));
}
