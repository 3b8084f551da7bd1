import { Group, Stack, Text } from "@mantine/core";
import type { Dispute } from "../api/types";
import { useMoney } from "../money/useMoney";
import { byUrgency, disputeReason, isInquiry, needsAnswer } from "../money/words";
import { sentenceCase } from "../stream/facts";
import { DisputeBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import { TimeLeft } from "../ui/TimeLeft";
import classes from "./link.module.css";

export function Disputes({ disputes }: { disputes: Dispute[] }) {
  if (disputes.length === 0) return null;
  return (
    <ul className={classes.inner} aria-label="Disputes">
      {disputes.toSorted(byUrgency).map((dispute) => (
        <Row key={dispute.id} dispute={dispute} />
      ))}
    </ul>
  );
}

function Row({ dispute }: { dispute: Dispute }) {
  const money = useMoney();
  const kind = isInquiry(dispute.status) ? "Question from the bank about" : "Dispute of";
  return (
    <li>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={0} miw={0}>
          <Text size="sm" fw={550}>
            {kind} {money(dispute.amount, dispute.currency)}
          </Text>
          {dispute.reason && <Text size="sm">{sentenceCase(disputeReason(dispute.reason))}</Text>}
          <Text size="xs" c="dimmed">
            <RelativeTime at={dispute.closed_at ?? dispute.opened_at} />
          </Text>
        </Stack>
        <DisputeBadge status={dispute.status} />
      </Group>
      {needsAnswer(dispute) && <WhatToDo dispute={dispute} />}
    </li>
  );
}

function WhatToDo({ dispute }: { dispute: Dispute }) {
  return (
    <Text size="sm" mt={4}>
      {dispute.evidence_due_at && (
        <Text span inherit fw={600}>
          Answer by <TimeLeft until={dispute.evidence_due_at} />.{" "}
        </Text>
      )}
      Answer it in your payment provider's dashboard.{" "}
      {isInquiry(dispute.status)
        ? "A full refund settles the question too."
        : "Do not refund it as well: the customer would get the money twice."}
    </Text>
  );
}
