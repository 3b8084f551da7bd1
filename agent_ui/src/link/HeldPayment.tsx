import { Alert, Button, Group, List, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Decision, decidePayment } from "../api/payments";
import type { LinkEvent, Payment } from "../api/types";
import { useMoney } from "../money/useMoney";
import { inWords, sentenceCase } from "../stream/facts";
import { Confirm } from "../ui/Confirm";
import { Icon } from "../ui/icons";
import { ReasonInput } from "../ui/ReasonInput";
import { TimeLeft } from "../ui/TimeLeft";
import { DAY_MS } from "../ui/time";
import { useNow } from "../ui/useNow";

interface HeldPaymentProps {
  payments: Payment[];
  events: LinkEvent[];
}

/** A payment that the fraud check holds waits for the agent, but not for ever. */
export function HeldPayment({ payments, events }: HeldPaymentProps) {
  const held = payments.find(({ status }) => status === "in_review");
  if (!held) return null;
  const warned = events.some(({ type, data }) => type === "review.expiring" && data.payment === held.id);
  return <Held payment={held} warned={warned} />;
}

function Held({ payment, warned }: { payment: Payment; warned: boolean }) {
  const money = useMoney();
  const queries = useQueryClient();
  const now = useNow();
  const [asked, setAsked] = useState<Decision | null>(null);
  const [reason, setReason] = useState("");
  const amount = money(payment.amount, payment.currency);
  const lapses = payment.capture_before ?? null;
  const urgent = warned || (lapses !== null && Date.parse(lapses) - now < DAY_MS);

  const decide = (decision: Decision) => async () => {
    await decidePayment(payment.id, decision, reason.trim());
    void queries.invalidateQueries({ queryKey: ["link", payment.payment_link] });
  };

  return (
    <Alert
      color={urgent ? "red" : "yellow"}
      icon={<Icon name={urgent ? "clock" : "alert"} />}
      title={`${urgent ? "Decide soon: the" : "The"} fraud check holds this payment of ${amount}`}
    >
      <Risk payment={payment} />
      {lapses && (
        <Text size="sm" fw={urgent ? 650 : undefined}>
          Decide before <TimeLeft until={lapses} />. After that the customer's bank lets the money go and it
          can no longer be taken.
        </Text>
      )}
      <Group mt="sm">
        <Button onClick={() => setAsked("approve")}>Approve</Button>
        <Button variant="default" onClick={() => setAsked("decline")}>
          Decline
        </Button>
      </Group>
      <Confirm
        opened={asked === "approve"}
        onClose={() => setAsked(null)}
        title="Approve this payment?"
        confirm={`Take ${amount}`}
        action={decide("approve")}
      >
        <Text size="sm">
          The money is taken from the customer's card although the fraud check has doubts.
        </Text>
        <ReasonInput value={reason} onChange={setReason} />
      </Confirm>
      <Confirm
        opened={asked === "decline"}
        onClose={() => setAsked(null)}
        title="Decline this payment?"
        confirm="Decline the payment"
        color="red"
        action={decide("decline")}
      >
        <Text size="sm">No money is taken. The customer sees that the payment did not go through.</Text>
        <ReasonInput value={reason} onChange={setReason} />
      </Confirm>
    </Alert>
  );
}

function Risk({ payment: { risk } }: { payment: Payment }) {
  if (!risk) return null;
  return (
    <>
      {risk.risk_level && <Text size="sm">Risk level: {inWords(risk.risk_level)}</Text>}
      <List size="sm" my={4}>
        {risk.reasons.map((one) => (
          <List.Item key={one}>{sentenceCase(inWords(one))}</List.Item>
        ))}
      </List>
    </>
  );
}
