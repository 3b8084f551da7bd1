import { Alert, Button, Group, List, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { approvePayment, declinePayment } from "../api/payments";
import type { Payment } from "../api/types";
import { useMoney } from "../money/useMoney";
import { inWords, sentenceCase } from "../stream/facts";
import { Confirm } from "../ui/Confirm";
import { Icon } from "../ui/icons";

type Decision = "approve" | "decline";

/** A payment that the fraud check holds waits for the agent. */
export function HeldPayment({ payments }: { payments: Payment[] }) {
  const held = payments.find(({ status }) => status === "in_review");
  return held ? <Held payment={held} /> : null;
}

function Held({ payment }: { payment: Payment }) {
  const money = useMoney();
  const queries = useQueryClient();
  const [asked, setAsked] = useState<Decision | null>(null);
  const [reason, setReason] = useState("");
  const amount = money(payment.amount, payment.currency);

  const decide = (decision: Decision) => async () => {
    await (decision === "approve" ? approvePayment(payment.id) : declinePayment(payment.id, reason.trim()));
    void queries.invalidateQueries({ queryKey: ["link", payment.payment_link] });
  };

  return (
    <Alert
      color="yellow"
      icon={<Icon name="alert" />}
      title={`The fraud check holds this payment of ${amount}`}
    >
      {payment.risk && (
        <>
          {payment.risk.risk_level && <Text size="sm">Risk level: {inWords(payment.risk.risk_level)}</Text>}
          <List size="sm" my={4}>
            {payment.risk.reasons.map((one) => (
              <List.Item key={one}>{sentenceCase(inWords(one))}</List.Item>
            ))}
          </List>
        </>
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
        <TextInput
          label="Reason"
          description="For your records; the customer does not see it."
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
      </Confirm>
    </Alert>
  );
}
