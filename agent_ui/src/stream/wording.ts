/** What a sentence about an event is made of. */
import { channelPhrase } from "../ui/channels";
import type { IconName } from "../ui/icons";
import { type Facts, inWords } from "./facts";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad";

/** What an event makes stale: the link, its payments, the account's own state, or the list of disputes. */
export type Stale = "link" | "payments" | "account" | "disputes";

export interface Wording {
  say: (facts: Facts) => string;
  tone: Tone | ((facts: Facts) => Tone);
  stale: Stale[];
  /** For what an agent must not overlook. */
  icon?: IconName;
}

export const channel = (facts: Facts) => {
  const name = facts.text("channel");
  return name ? ` ${channelPhrase(name)}` : "";
};
export const to = (facts: Facts) => (facts.text("to") ? ` to ${facts.text("to")}` : "");
export const who = (facts: Facts) => (facts.text("by") ? ` by ${facts.text("by")}` : "");
export const of = (facts: Facts) => (facts.amount() ? ` of ${facts.amount()}` : "");
export const withCard = (facts: Facts) => (facts.card() ? ` with ${facts.card()}` : "");

export const because = (facts: Facts, name: string, words = inWords) => {
  const code = facts.text(name);
  return code ? `: ${words(code)}` : "";
};

export const DELIVERY: Stale[] = ["link"];
export const MONEY: Stale[] = ["link", "payments"];
export const ATTEMPT: Stale[] = ["payments"];
