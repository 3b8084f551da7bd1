import { Group, Stack, Text } from "@mantine/core";
import type { Refund } from "../api/types";
import { useMoney } from "../money/useMoney";
import { refundFailure } from "../money/words";
import { sentenceCase } from "../stream/facts";
import { RefundBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import classes from "./link.module.css";

export function Refunds({ refunds }: { refunds: Refund[] }) {
  if (refunds.length === 0) return null;
  return (
    <ul className={classes.inner} aria-label="Refunds">
      {refunds.map((refund) => (
        <Row key={refund.id} refund={refund} />
      ))}
    </ul>
  );
}

function Row({ refund }: { refund: Refund }) {
  const money = useMoney();
  return (
    <li>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={0} miw={0}>
          <Text size="sm" fw={550}>
            Refund of {money(refund.amount, refund.currency)}
          </Text>
          {refund.reason && (
            <Text size="sm" style={{ overflowWrap: "anywhere" }}>
              {refund.reason}
            </Text>
          )}
          <Text size="xs" c="dimmed">
            <RelativeTime at={refund.created_at} />
          </Text>
        </Stack>
        <RefundBadge status={refund.status} />
      </Group>
      {refund.failure_reason && (
        <Text size="sm" c="var(--mantine-color-error)">
          {sentenceCase(refundFailure(refund.failure_reason))}
        </Text>
      )}
    </li>
  );
}
