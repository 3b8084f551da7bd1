/** The codes that providers and card networks give, in words an agent can use. What is not listed is told as it is. */
import type { Dispute, LinkLock } from "../api/types";
import { inWords } from "../stream/facts";

const wordsFrom = (table: Record<string, string>) => (code: string) => table[code] ?? inWords(code);

/** After "because": why the customer's bank wants the money back. */
export const disputeReason = wordsFrom({
  bank_cannot_process: "the bank could not process the payment",
  credit_not_processed: "a promised refund or credit did not arrive",
  customer_initiated: "the customer asked their bank for it",
  debit_not_authorized: "the customer says they did not authorise it",
  duplicate: "the customer says they paid twice",
  fraudulent: "the cardholder says they did not make this payment",
  general: "the bank gives no particular reason",
  noncompliant: "the bank says a card network rule was broken",
  product_not_received: "the customer says nothing was delivered",
  product_unacceptable: "the customer says it was not as described",
  subscription_canceled: "the customer says they had canceled",
  unrecognized: "the cardholder does not recognise the payment",
});

/** Why a refund did not reach the customer. */
export const refundFailure = wordsFrom({
  charge_disputed: "the payment is disputed, so the customer's bank already has the money",
  charge_for_pending_refund_disputed: "the payment is disputed, so the customer's bank already has the money",
  declined: "the customer's bank refused it",
  expired_or_canceled_card: "the card has expired or was canceled",
  insufficient_funds: "there is not enough money in your account at the payment provider",
  lost_or_stolen_card: "the card was reported lost or stolen",
  merchant_request: "it was canceled at your request",
  unknown: "the payment provider gives no reason",
});

export const LOCK_REASON: Record<LinkLock["reason"], string> = {
  too_many_attempts: "Too many declined tries",
  too_many_cards: "Too many different cards",
};

export const lockReason = wordsFrom(LOCK_REASON);

type DisputeStatus = Dispute["status"];

/** A `warning` is a question from the bank, before any money has moved. */
export const DISPUTE_STATUS: Record<DisputeStatus, { label: string; color: string }> = {
  warning_needs_response: { label: "Question to answer", color: "yellow" },
  warning_under_review: { label: "Bank is looking", color: "petrol" },
  warning_closed: { label: "Question settled", color: "green" },
  needs_response: { label: "Answer needed", color: "red" },
  under_review: { label: "Bank is deciding", color: "petrol" },
  won: { label: "Won", color: "green" },
  lost: { label: "Lost", color: "red" },
  prevented: { label: "Prevented", color: "green" },
};

const isStatus = (status: string): status is DisputeStatus => status in DISPUTE_STATUS;

export const disputeStatus = (status: string): string =>
  isStatus(status) ? DISPUTE_STATUS[status].label.toLowerCase() : inWords(status);

const NEEDS_ANSWER: readonly DisputeStatus[] = ["needs_response", "warning_needs_response"];
const OPEN: readonly DisputeStatus[] = [...NEEDS_ANSWER, "under_review", "warning_under_review"];

export const needsAnswer = ({ status }: Dispute) => NEEDS_ANSWER.includes(status);
export const isOpen = ({ status }: Dispute) => OPEN.includes(status);

export const isInquiry = (status: string) => status.startsWith("warning_");

const dueAt = ({ evidence_due_at: due }: Dispute) => (due ? Date.parse(due) : Number.POSITIVE_INFINITY);

const rank = (dispute: Dispute) => (needsAnswer(dispute) ? 0 : isOpen(dispute) ? 1 : 2);

/** Those to answer first, due soonest at the top; then what the bank decides; then the closed ones. */
export function byUrgency(a: Dispute, b: Dispute): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (needsAnswer(a) && dueAt(a) !== dueAt(b)) return dueAt(a) - dueAt(b);
  return Date.parse(b.opened_at) - Date.parse(a.opened_at);
}
