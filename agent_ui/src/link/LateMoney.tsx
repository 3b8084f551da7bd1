import { Alert, Button, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useRefunds } from "../api/queries";
import type { Payment } from "../api/types";
import { useMoney } from "../money/useMoney";
import { refundFailure } from "../money/words";
import { Icon } from "../ui/icons";
import { Refund } from "./Refund";
import { latestRefund, refundable, takenByDispute } from "./refundable";

/** Money that came for a link that had ended: to be given back, until it is. */
export function LateMoney({ payments }: { payments: Payment[] }) {
  return payments
    .filter(({ late, amount_captured, amount_refunded }) => late && amount_refunded < amount_captured)
    .filter((payment) => !takenByDispute(payment))
    .map((payment) => <Late key={payment.id} payment={payment} />);
}

function Late({ payment }: { payment: Payment }) {
  const money = useMoney();
  const [opened, dialog] = useDisclosure();
  const refunds = useRefunds(payment);
  const left = refundable(payment, refunds.data ?? []);
  const latest = latestRefund(refunds.data ?? []);
  const failed = latest?.status === "failed" ? latest : null;
  const amount = money(payment.amount_captured, payment.currency);

  return (
    <Alert
      color={failed ? "red" : "yellow"}
      icon={<Icon name={failed ? "alert" : "clock"} />}
      title={failed ? `${amount} arrived late and could not be given back` : `${amount} arrived late`}
    >
      <Stack gap="sm" align="flex-start">
        <Text size="sm">
          Arrived after the link had ended.{" "}
          {left === 0
            ? "It is on its way back to the customer's card."
            : failed
              ? `The refund failed${failed.failure_reason ? `: ${refundFailure(failed.failure_reason)}` : ""}. The money is still with you. Try again, or pay the customer back in another way.`
              : "Give it back, unless you have agreed with the customer to keep it."}
        </Text>
        {left > 0 && (
          <Button variant="default" onClick={dialog.open}>
            Refund {money(left, payment.currency)}
          </Button>
        )}
      </Stack>
      <Refund payment={payment} refundable={left} opened={opened} onClose={dialog.close} />
    </Alert>
  );
}
