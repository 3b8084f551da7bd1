import type { LinkEvent } from "../api/types";

/** Two views of one link's log as one, in order: `seq` counts per link without a gap, ids name each event once. */
export function mergeEvents(known: readonly LinkEvent[], more: readonly LinkEvent[]): LinkEvent[] {
  const byId = new Map(known.map((event) => [event.id, event]));
  for (const event of more) byId.set(event.id, event);
  return [...byId.values()].sort((a, b) => a.seq - b.seq);
}

/** True when the log has a hole, so something happened that this browser has not heard of. */
export const hasGap = (events: readonly LinkEvent[]): boolean =>
  events.some((event, index) => event.seq !== index + 1);

/** The advice to read out after a failed payment, until the customer tries again or the link ends. */
export function standingAdvice(events: readonly LinkEvent[]): LinkEvent | null {
  const last = events.findLast((event) => ADVICE_ENDS.has(event.type) || event.type === "payment.failed");
  return last?.type === "payment.failed" ? last : null;
}

const ADVICE_ENDS = new Set([
  "link.locked",
  "payment.submitted",
  "payment.succeeded",
  "link.partially_paid",
  "link.paid",
  "link.canceled",
  "link.expired",
]);
