import { Button, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { SubmitKey } from "../api/keys";
import { refundPayment } from "../api/payments";
import { ApiError } from "../api/problem";
import { useCurrencies } from "../api/queries";
import type { Payment } from "../api/types";
import { formatAmount, parseAmount, toDecimal } from "../money/money";
import { Confirm } from "../ui/Confirm";
import { ReasonInput } from "../ui/ReasonInput";

interface RefundProps {
  payment: Payment;
  /** What is left to give back, in minor units. */
  refundable: number;
  opened: boolean;
  onClose: () => void;
}

export function Refund({ payment, refundable, opened, onClose }: RefundProps) {
  const queries = useQueryClient();
  const exponent = useCurrencies().data?.data.find(({ code }) => code === payment.currency)?.exponent;
  const [key] = useState(() => new SubmitKey());
  const [typed, setTyped] = useState<string | null>(null);
  const [reason, setReason] = useState("");
  if (exponent === undefined) return null;

  const text = typed ?? toDecimal(refundable, exponent);
  const parsed = parseAmount(text, { code: payment.currency, exponent, max_amount: refundable });
  const most = formatAmount(refundable, payment.currency, exponent);
  const fault = parsed.ok ? null : parsed.message.startsWith("The most") ? `At most ${most}` : parsed.message;

  const refund = async () => {
    if (!parsed.ok) throw new Error(fault ?? parsed.message);
    const body = { amount: parsed.minor, reason: reason.trim() || undefined };
    try {
      await refundPayment(payment.id, body, key.for(body));
    } catch (error) {
      if (error instanceof ApiError && error.status < 500) key.settled();
      throw error;
    }
    key.settled();
    setTyped(null);
    void queries.invalidateQueries({ queryKey: ["link", payment.payment_link] });
  };

  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title="Refund this payment?"
      confirm={parsed.ok ? `Refund ${formatAmount(parsed.minor, payment.currency, exponent)}` : "Refund"}
      color="red"
      action={refund}
    >
      <TextInput
        label="Amount to refund"
        description={`Up to ${most}, back to the customer's card`}
        inputMode={exponent > 0 ? "decimal" : "numeric"}
        value={text}
        error={fault}
        onChange={(event) => setTyped(event.currentTarget.value)}
        inputWrapperOrder={["label", "description", "input", "error"]}
        rightSectionWidth={72}
        rightSection={
          <Button
            size="compact-xs"
            variant="light"
            onClick={() => setTyped(null)}
            aria-label={`Full amount, ${most}`}
          >
            Full
          </Button>
        }
      />
      <ReasonInput value={reason} onChange={setReason} />
    </Confirm>
  );
}
