/** The audit in an agent's words. What is not listed is told as it is. */
import { type Money, nameInWords } from "../stream/facts";

const ACTIONS: Record<string, string> = {
  "agent.signed_in": "Signed in",
  "agent.signed_out": "Signed out",
  "agent.sign_in_failed": "Sign-in failed",
  "agent.added": "Added an agent",
  "agent.disabled": "Disabled an agent",
  "agent.password_set": "Set a new password",
  "api_key.created": "Made an API key",
  "api_key.revoked": "Revoked an API key",
  "link.canceled": "Canceled a link",
  "link.unlocked": "Allowed more tries on a link",
  "payments.resumed": "Resumed payments",
  "review.approved": "Approved a held payment",
  "review.declined": "Declined a held payment",
  "review.released": "Let a held payment go: nobody decided in time",
  "refund.requested": "Refunded a payment",
  "channel.added": "Added a channel",
  "channel.changed": "Changed a channel",
  "channel.removed": "Removed a channel",
  "suppression.added": "Noted an opt-out",
  "suppression.lifted": "Lifted an opt-out",
  "template.changed": "Changed a message",
  "delivery.withdrawn": "Withdrew a sent link",
  "reconcile.repaired": "Repaired a difference with the payment provider",
};

export const actionWords = (action: string): string => ACTIONS[action] ?? nameInWords(action);

const KINDS: Record<string, string> = {
  agent: "Agent",
  api_key: "API key",
  operator: "Operator",
  system: "paylink",
  nobody: "Not signed in",
};

/** "agent:agt_…" is an agent; the rest of it is an id that nobody reads. */
export const actorKind = (actor: string): string => {
  const kind = actor.split(":", 1)[0] ?? actor;
  return KINDS[kind] ?? nameInWords(kind);
};

/** Where the console shows this, or null. */
export function pageOf(subject: string): string | null {
  if (subject.startsWith("plink_")) return `/links/${subject}`;
  if (subject.startsWith("pay_")) return `/payments/${subject}`;
  if (subject.startsWith("key_")) return "/settings";
  if (subject.startsWith("dp_")) return "/disputes";
  if (subject.startsWith("chn_")) return "/settings/channels";
  if (subject.startsWith("sup_")) return "/settings/opt-outs";
  return null;
}

type Detail = [name: string, value: string];

/** What else is told, in the order it came; an amount with its currency is money. */
export function detailsOf(details: Record<string, unknown>, money: Money): Detail[] {
  const { amount, currency } = details;
  const priced = typeof amount === "number" && typeof currency === "string";
  return Object.entries(details).flatMap(([name, value]): Detail[] => {
    if (priced && name === "currency") return [];
    const text = priced && name === "amount" ? money(amount, currency) : plain(value);
    return text ? [[nameInWords(name), text]] : [];
  });
}

function plain(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  return JSON.stringify(value);
}
