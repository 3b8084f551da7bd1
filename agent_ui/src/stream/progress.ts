import type { LinkEvent } from "../api/types";

export const STEPS = [
  "created",
  "sent",
  "delivered",
  "opened",
  "card",
  "submitted",
  "fraud",
  "paid",
] as const;
export type StepName = (typeof STEPS)[number];
export type StepState = "waiting" | "active" | "done" | "failed" | "skipped";

export interface Step {
  name: StepName;
  state: StepState;
  at: string | null;
}

type Moves = Partial<Record<StepName, StepState>>;

const OUTCOMES: Record<string, StepState> = { allow: "done", review: "active", block: "failed" };

/** What each event does to the picture. A new attempt clears what the last one left behind. */
const MOVES: Record<string, Moves | ((event: LinkEvent) => Moves)> = {
  "link.created": { created: "done" },
  "delivery.queued": { sent: "active" },
  "delivery.sent": { sent: "done" },
  "delivery.delivered": { sent: "done", delivered: "done" },
  "delivery.read": { sent: "done", delivered: "done" },
  "link.opened": { opened: "done" },
  "card_entry.started": { card: "active" },
  "card_entry.invalid": { card: "active" },
  "card_entry.completed": { card: "done" },
  "payment.submitted": { card: "done", submitted: "done", fraud: "waiting", paid: "waiting" },
  "authentication.required": { submitted: "active" },
  "authentication.succeeded": { submitted: "done" },
  "authentication.failed": { submitted: "failed" },
  "fraud_check.started": { submitted: "done", fraud: "active" },
  "fraud_check.completed": (event) => ({ fraud: OUTCOMES[String(event.data.outcome)] ?? "done" }),
  "review.opened": { fraud: "active" },
  "review.closed": (event) => ({
    fraud: String(event.data.decision).startsWith("approve") ? "done" : "failed",
  }),
  "payment.succeeded": { submitted: "done", fraud: "done", paid: "active" },
  // The link has ended and stays so, whatever becomes of this money.
  "payment.succeeded_late": { submitted: "done", fraud: "done" },
  "link.partially_paid": { paid: "active" },
  "link.paid": { paid: "done" },
  "link.expired": { paid: "failed" },
  "link.canceled": { paid: "failed" },
};

/** A second message on its way does not undo the first one's arrival, nor does its failure. */
const LOST = new Set(["delivery.failed", "delivery.bounced", "delivery.opted_out", "delivery.expired"]);
const KEEPS_DONE = new Set(["delivery.queued", ...LOST, "card_entry.started"]);

const ENDED = new Set(["payment.failed", "payment.canceled"]);

function movesOf(event: LinkEvent, stateOf: (step: StepName) => StepState): Moves {
  if (LOST.has(event.type)) {
    return stateOf("sent") === "done" ? { delivered: "failed" } : { sent: "failed" };
  }
  if (ENDED.has(event.type)) {
    const stoppedByCheck = stateOf("fraud") === "failed" || stateOf("fraud") === "active";
    return stoppedByCheck ? { fraud: "failed", paid: "waiting" } : { submitted: "failed", paid: "waiting" };
  }
  const moves = MOVES[event.type] ?? {};
  return typeof moves === "function" ? moves(event) : moves;
}

/** Steps that were passed over, such as a receipt that a channel never gives, are not shown as still to come. */
function skipPassed(steps: Step[]): Step[] {
  const reached = steps.findLastIndex(({ state }) => state === "done" || state === "active");
  return steps.map((step, index) =>
    index < reached && step.state === "waiting" ? { ...step, state: "skipped" } : step,
  );
}

export function progressOf(events: readonly LinkEvent[]): Step[] {
  const steps = new Map<StepName, Step>(STEPS.map((name) => [name, { name, state: "waiting", at: null }]));
  const stateOf = (name: StepName) => steps.get(name)?.state ?? "waiting";
  for (const event of events) {
    const moves = movesOf(event, stateOf);
    for (const name of STEPS) {
      const state = moves[name];
      if (!state || (stateOf(name) === "done" && KEEPS_DONE.has(event.type))) continue;
      steps.set(name, { name, state, at: state === "waiting" ? null : event.occurred_at });
    }
  }
  return skipPassed([...steps.values()]);
}
