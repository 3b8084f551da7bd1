import { Loader } from "@mantine/core";
import { Redirect } from "wouter";
import { ApiError } from "../api/problem";
import { usePayment } from "../api/queries";
import { ErrorNote } from "../ui/ErrorNote";
import { NotFound } from "../ui/NotFound";
import { Page } from "../ui/Page";

/** A payment is shown on its link's page; this address leads there where only the payment is known. */
export function PaymentRedirect({ id }: { id: string }) {
  const payment = usePayment(id);
  if (payment.data) return <Redirect to={`/links/${payment.data.payment_link}`} replace />;
  if (payment.error instanceof ApiError && payment.error.status === 404) return <NotFound what="payment" />;
  return (
    <Page title="Payment" heading="Payment">
      {payment.error ? (
        <ErrorNote error={payment.error} retry={() => void payment.refetch()} />
      ) : (
        <Loader aria-label="Loading the payment" />
      )}
    </Page>
  );
}
