import type { Dispute, Payment, Refund } from "../api/types";

/** The bank has the money, or will have it: a refund on top would pay the customer twice. */
const TAKEN: readonly Dispute["status"][] = ["needs_response", "under_review", "lost"];

export const takenByDispute = ({ disputes }: Payment): boolean =>
  disputes.some(({ status }) => TAKEN.includes(status));

/** What can still be given back, in minor units. A refund on its way counts as given. */
export function refundable(payment: Payment, refunds: readonly Refund[]): number {
  if (payment.status !== "succeeded" || takenByDispute(payment)) return 0;
  const onItsWay = refunds
    .filter(({ status }) => status === "pending")
    .reduce((sum, { amount }) => sum + amount, 0);
  return Math.max(0, payment.amount_captured - payment.amount_refunded - onItsWay);
}

/** The one made last, whatever order they come in. */
export const latestRefund = (refunds: readonly Refund[]): Refund | undefined =>
  refunds.toSorted((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at)).at(-1);
