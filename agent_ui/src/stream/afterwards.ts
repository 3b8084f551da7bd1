/** Events around and after a payment: locks, pauses, deadlines, refunds, disputes, receipts. */
import { disputeReason, disputeStatus, isInquiry, lockReason, refundFailure } from "../money/words";
import { shortTime } from "../ui/time";
import type { Facts } from "./facts";
import {
  ATTEMPT,
  because,
  channel,
  MONEY,
  of,
  type Stale,
  to,
  type Tone,
  who,
  type Wording,
} from "./wording";

const ACCOUNT: Stale[] = ["account"];
const DISPUTE: Stale[] = ["payments", "disputes"];

const status = (facts: Facts) => facts.text("status") ?? "";
const nowIs = (facts: Facts) => (status(facts) ? `: ${disputeStatus(status(facts))}` : "");

/** " until 14:32": the first of these facts that is a time. */
function until(facts: Facts, ...names: string[]): string {
  const at = names.map((name) => facts.text(name)).find((one) => one && !Number.isNaN(Date.parse(one)));
  return at ? ` until ${shortTime(at)}` : "";
}

function disputed(facts: Facts): string {
  const what = isInquiry(status(facts))
    ? `Customer's bank asks about a payment${of(facts)}`
    : `Payment${of(facts)} disputed`;
  return what + because(facts, "reason", disputeReason);
}

const ENDS: Record<string, Tone> = { won: "good", warning_closed: "good", prevented: "good", lost: "bad" };

export const AFTERWARDS: Record<string, Wording> = {
  "link.locked": {
    say: (f) => `Link locked${because(f, "reason", lockReason)}`,
    tone: "bad",
    stale: ["link"],
    icon: "lock",
  },
  "link.unlocked": {
    say: (f) => `More tries allowed${who(f)}`,
    tone: "info",
    stale: ["link"],
    icon: "unlock",
  },
  "payments.paused": {
    say: (f) => `Payments paused on every link${until(f, "until", "paused_until", "payments_paused_until")}`,
    tone: "bad",
    stale: ACCOUNT,
    icon: "pause",
  },
  "payments.resumed": {
    say: (f) => `Payments resumed${who(f)}`,
    tone: "good",
    stale: ACCOUNT,
    icon: "play",
  },
  "review.expiring": {
    say: (f) => `Decide soon: the money is held${until(f, "capture_before")}`,
    tone: "warn",
    stale: ATTEMPT,
    icon: "clock",
  },
  "payment.succeeded_late": {
    say: (f) => `Payment${of(f)} arrived late`,
    tone: "warn",
    stale: MONEY,
    icon: "clock",
  },
  "refund.succeeded": {
    say: (f) => `Refund${of(f)} succeeded`,
    tone: "good",
    stale: MONEY,
    icon: "refund",
  },
  "refund.failed": {
    say: (f) => `Refund${of(f)} failed${because(f, "reason", refundFailure)}`,
    tone: "bad",
    stale: MONEY,
    icon: "refund",
  },
  "dispute.opened": {
    say: disputed,
    tone: (f) => (isInquiry(status(f)) ? "warn" : "bad"),
    stale: DISPUTE,
    icon: "dispute",
  },
  "dispute.updated": {
    say: (f) => `Dispute${of(f)} updated${nowIs(f)}`,
    tone: "warn",
    stale: DISPUTE,
    icon: "dispute",
  },
  "dispute.closed": {
    say: (f) => `Dispute${of(f)} closed${nowIs(f)}`,
    tone: (f) => ENDS[status(f)] ?? "info",
    stale: DISPUTE,
    icon: "dispute",
  },
  "receipt.sent": {
    say: (f) => `Receipt sent${channel(f)}${to(f)}`,
    tone: "info",
    stale: ATTEMPT,
    icon: "receipt",
  },
  "receipt.failed": {
    say: (f) => `Receipt could not be sent${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "warn",
    stale: ATTEMPT,
    icon: "receipt",
  },
};
