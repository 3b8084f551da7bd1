/** The one table of event types: what each says to an agent, how it looks, and what it makes stale. */
import type { IconName } from "../ui/icons";
import { AFTERWARDS } from "./afterwards";
import { type Facts, inWords, nameInWords } from "./facts";
import { MESSAGES } from "./messages";
import { ATTEMPT, because, MONEY, of, type Tone, who, withCard, type Wording } from "./wording";

const OUTCOMES: Record<string, { say: string; tone: Tone }> = {
  allow: { say: "Fraud check passed", tone: "good" },
  review: { say: "Fraud check: held for a decision", tone: "warn" },
  block: { say: "Fraud check: blocked", tone: "bad" },
};

function checked(facts: Facts): string {
  const outcome = OUTCOMES[facts.text("outcome") ?? ""]?.say ?? "Fraud check completed";
  const level = facts.text("risk_level");
  return level ? `${outcome} (${inWords(level)} risk)` : outcome;
}

const withPart = (facts: Facts) => {
  const paid = facts.amount("amount_paid");
  return paid ? `: ${paid} paid` : "";
};

function closed(facts: Facts): string {
  return `Review closed${because(facts, "decision")}${who(facts)}`;
}

export const WORDINGS: Record<string, Wording> = {
  "link.created": {
    say: (f) => `Link created${f.amount() ? ` for ${f.amount()}` : ""}`,
    tone: "neutral",
    stale: ["link"],
  },
  ...MESSAGES,
  "card_entry.started": { say: () => "Customer is entering card details", tone: "info", stale: [] },
  "card_entry.completed": {
    say: (f) => `Card details complete${f.card() ? ` (${f.card()})` : ""}`,
    tone: "info",
    stale: [],
  },
  "card_entry.invalid": {
    say: (f) => `Card details need correcting${because(f, f.text("code") ? "code" : "field")}`,
    tone: "warn",
    stale: [],
  },
  "payment.submitted": {
    say: (f) => `Payment${of(f)} submitted${withCard(f)}`,
    tone: "info",
    stale: ATTEMPT,
  },
  "authentication.required": {
    say: () => "Customer's bank asks for confirmation (3-D Secure)",
    tone: "info",
    stale: ATTEMPT,
  },
  "authentication.succeeded": {
    say: () => "Customer confirmed with their bank",
    tone: "good",
    stale: ATTEMPT,
  },
  "authentication.failed": { say: () => "Confirmation with the bank failed", tone: "bad", stale: ATTEMPT },
  "fraud_check.started": { say: () => "Fraud check started", tone: "info", stale: ATTEMPT },
  "fraud_check.completed": {
    say: checked,
    tone: (f) => OUTCOMES[f.text("outcome") ?? ""]?.tone ?? "info",
    stale: ATTEMPT,
  },
  "review.opened": { say: () => "Payment held: approve or decline it", tone: "warn", stale: MONEY },
  "review.closed": { say: closed, tone: "info", stale: MONEY },
  "payment.succeeded": { say: (f) => `Payment${of(f)} succeeded${withCard(f)}`, tone: "good", stale: MONEY },
  "payment.failed": { say: (f) => `Payment failed${because(f, "decline_code")}`, tone: "bad", stale: MONEY },
  "payment.canceled": { say: (f) => `Payment canceled${because(f, "reason")}`, tone: "warn", stale: MONEY },
  "link.partially_paid": {
    say: (f) =>
      `Paid in part${withPart(f)}${f.amount("amount_left") ? `, ${f.amount("amount_left")} to pay` : ""}`,
    tone: "good",
    stale: MONEY,
  },
  "link.paid": { say: (f) => `Link paid${f.amount() ? `: ${f.amount()}` : ""}`, tone: "good", stale: MONEY },
  "link.expired": { say: (f) => `Link expired${withPart(f)}`, tone: "warn", stale: MONEY },
  "link.canceled": { say: (f) => `Link canceled${withPart(f)}`, tone: "warn", stale: MONEY },
  ...AFTERWARDS,
};

export const EVENT_TYPES = Object.keys(WORDINGS);

export interface Told {
  text: string;
  tone: Tone;
  icon: IconName | null;
  advice: string | null;
  reasons: string[];
}

/** A newer server may tell of things this console has no words for: "link.archived" is then "Link archived". */
const unknown = (type: string): Wording => ({
  say: () => nameInWords(type),
  tone: "neutral",
  stale: [],
});

/** An event in an agent's words. */
export function tell(type: string, facts: Facts): Told {
  const { say, tone, icon } = WORDINGS[type] ?? unknown(type);
  return {
    text: say(facts),
    tone: typeof tone === "function" ? tone(facts) : tone,
    icon: icon ?? null,
    advice: facts.text("advice"),
    reasons: facts.texts("reasons"),
  };
}
