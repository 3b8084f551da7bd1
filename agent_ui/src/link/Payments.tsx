import { Button, Group, Skeleton, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useRefunds } from "../api/queries";
import type { Payment } from "../api/types";
import { useMoney } from "../money/useMoney";
import { brandName, inWords, sentenceCase } from "../stream/facts";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { PaymentBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import { Disputes } from "./Disputes";
import classes from "./link.module.css";
import { ReceiptNote } from "./ReceiptNote";
import { Refund } from "./Refund";
import { refundable } from "./refundable";
import { Refunds } from "./Refunds";

interface PaymentsProps {
  payments: Payment[] | undefined;
  error: Error | null;
}

export function Payments({ payments, error }: PaymentsProps) {
  return (
    <Panel title="Payments">
      <ErrorNote error={error} />
      {!payments && !error && <Skeleton height={48} />}
      {payments?.length === 0 && !error && (
        <Text size="sm" c="dimmed">
          The customer has not tried to pay yet.
        </Text>
      )}
      <ul className={classes.rows}>
        {payments?.map((payment) => (
          <Row key={payment.id} payment={payment} />
        ))}
      </ul>
    </Panel>
  );
}

function Row({ payment }: { payment: Payment }) {
  const money = useMoney();
  const [opened, dialog] = useDisclosure();
  const refunds = useRefunds(payment);
  const left = refundable(payment, refunds.data ?? []);
  return (
    <li>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={0} miw={0}>
          <Text size="sm" fw={550}>
            {money(payment.amount, payment.currency)}
          </Text>
          <Text size="sm">{cardOf(payment)}</Text>
          <Text size="xs" c="dimmed">
            Attempt {payment.attempt} · <RelativeTime at={payment.updated_at} />
          </Text>
        </Stack>
        <PaymentBadge status={payment.status} />
      </Group>
      {payment.decline_code && (
        <Text size="sm" c="dimmed" mt={4}>
          {sentenceCase(inWords(payment.decline_code))}
        </Text>
      )}
      {payment.late && (
        <Text size="sm" mt={4}>
          Arrived after the link had ended
        </Text>
      )}
      {payment.amount_refunded > 0 && (
        <Text size="sm" mt={4}>
          {money(payment.amount_refunded, payment.currency)} refunded
        </Text>
      )}
      {payment.receipt && <ReceiptNote receipt={payment.receipt} />}
      <Refunds refunds={refunds.data ?? []} />
      <Disputes disputes={payment.disputes} />
      <ErrorNote error={refunds.error} retry={() => void refunds.refetch()} />
      {left > 0 && (
        <Button size="compact-sm" variant="default" mt={6} onClick={dialog.open}>
          Refund
        </Button>
      )}
      <Refund payment={payment} refundable={left} opened={opened} onClose={dialog.close} />
    </li>
  );
}

function cardOf({ card }: Payment): string {
  if (!card?.last4) return "";
  const country = card.country ? `, ${card.country}` : "";
  return `${brandName(card.brand) ?? "Card"} ending ${card.last4}${country}`;
}
