/** The one table of event types: what each says to an agent, how it looks, and what it makes stale. */
import { channelPhrase } from "../ui/channels";
import { type Facts, inWords } from "./facts";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad";
export type Stale = "link" | "payments";

export interface Wording {
  say: (facts: Facts) => string;
  tone: Tone | ((facts: Facts) => Tone);
  stale: Stale[];
}

const by = (facts: Facts) => {
  const channel = facts.text("channel");
  return channel ? ` ${channelPhrase(channel)}` : "";
};
const to = (facts: Facts) => (facts.text("to") ? ` to ${facts.text("to")}` : "");
const because = (facts: Facts, name: string) => {
  const code = facts.text(name);
  return code ? `: ${inWords(code)}` : "";
};
const of = (facts: Facts) => (facts.amount() ? ` of ${facts.amount()}` : "");
const withCard = (facts: Facts) => (facts.card() ? ` with ${facts.card()}` : "");

function fetched(facts: Facts): string {
  const bot = facts.text("bot");
  return bot ? `Link previewed by ${bot}, not a person` : "Link requested by a browser or a scanner";
}

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

function closed(facts: Facts): string {
  const who = facts.text("by") ? ` by ${facts.text("by")}` : "";
  return `Review closed${because(facts, "decision")}${who}`;
}

const DELIVERY: Stale[] = ["link"];
const MONEY: Stale[] = ["link", "payments"];
const ATTEMPT: Stale[] = ["payments"];

export const WORDINGS: Record<string, Wording> = {
  "link.created": {
    say: (f) => `Link created${f.amount() ? ` for ${f.amount()}` : ""}`,
    tone: "neutral",
    stale: ["link"],
  },
  "delivery.queued": { say: (f) => `Sending${by(f)}${to(f)}`, tone: "neutral", stale: DELIVERY },
  "delivery.sent": { say: (f) => `Sent${by(f)}${to(f)}`, tone: "info", stale: DELIVERY },
  "delivery.delivered": { say: (f) => `Delivered${by(f)}${to(f)}`, tone: "good", stale: DELIVERY },
  "delivery.read": { say: (f) => `Message read${to(f)}`, tone: "good", stale: DELIVERY },
  "delivery.failed": {
    say: (f) => `Could not be delivered${by(f)}${to(f)}${because(f, "reason")}`,
    tone: "bad",
    stale: DELIVERY,
  },
  "link.fetched": { say: fetched, tone: "neutral", stale: [] },
  "link.opened": { say: () => "Customer opened the payment page", tone: "info", stale: [] },
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
  "payment.succeeded_late": {
    say: (f) => `Payment${of(f)} succeeded after the link had ended`,
    tone: "warn",
    stale: MONEY,
  },
  "payment.failed": { say: (f) => `Payment failed${because(f, "decline_code")}`, tone: "bad", stale: MONEY },
  "payment.canceled": { say: (f) => `Payment canceled${because(f, "reason")}`, tone: "warn", stale: MONEY },
  "link.paid": { say: (f) => `Link paid${f.amount() ? `: ${f.amount()}` : ""}`, tone: "good", stale: MONEY },
  "link.expired": { say: () => "Link expired", tone: "warn", stale: MONEY },
  "link.canceled": { say: () => "Link canceled", tone: "warn", stale: MONEY },
  "refund.succeeded": { say: (f) => `Refund${of(f)} succeeded`, tone: "good", stale: MONEY },
  "refund.failed": {
    say: (f) => `Refund${of(f)} failed${because(f, "reason")}`,
    tone: "bad",
    stale: MONEY,
  },
};

export const EVENT_TYPES = Object.keys(WORDINGS);

export interface Told {
  text: string;
  tone: Tone;
  advice: string | null;
  reasons: string[];
}

/** An event in an agent's words, or null for a type this console does not know. */
export function tell(type: string, facts: Facts): Told | null {
  const wording = WORDINGS[type];
  if (!wording) return null;
  const tone = typeof wording.tone === "function" ? wording.tone(facts) : wording.tone;
  return { text: wording.say(facts), tone, advice: facts.text("advice"), reasons: facts.texts("reasons") };
}
