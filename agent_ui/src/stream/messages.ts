/** Events about messages, doors and who walks through them. */
import { channelPhrase } from "../ui/channels";
import type { Facts } from "./facts";
import { because, channel, DELIVERY, to, who, type Wording } from "./wording";

function sending(facts: Facts): string {
  const instead = facts.text("fallback_of") ? " instead" : "";
  return `Sending${channel(facts)}${to(facts)}${instead}${instead && because(facts, "reason")}`;
}

function fetched(facts: Facts): string {
  const bot = facts.text("bot");
  return bot ? `Link previewed by ${bot}, not a person` : "Link requested by a browser or a scanner";
}

function opened(facts: Facts): string {
  const door = facts.text("channel");
  const through = door && door !== "direct" ? `, from the message sent ${channelPhrase(door)}` : "";
  return `Customer opened the payment page${through}`;
}

function switched(facts: Facts): string {
  const by = facts.text("to");
  return `Customer goes on${by ? ` ${channelPhrase(by)}` : " elsewhere"}`;
}

export const MESSAGES: Record<string, Wording> = {
  "delivery.queued": { say: sending, tone: "neutral", stale: DELIVERY },
  "delivery.sent": { say: (f) => `Sent${channel(f)}${to(f)}`, tone: "info", stale: DELIVERY },
  "delivery.retried": {
    say: (f) => `Trying again${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "warn",
    stale: DELIVERY,
  },
  "delivery.delivered": { say: (f) => `Delivered${channel(f)}${to(f)}`, tone: "good", stale: DELIVERY },
  "delivery.read": { say: (f) => `Message read${to(f)}`, tone: "good", stale: DELIVERY },
  "delivery.failed": {
    say: (f) => `Could not be delivered${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "bad",
    stale: DELIVERY,
  },
  "delivery.bounced": {
    say: (f) => `Came back undeliverable${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "bad",
    stale: DELIVERY,
  },
  "delivery.opted_out": {
    say: (f) => `Not sent${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "bad",
    stale: DELIVERY,
  },
  "delivery.expired": {
    say: (f) => `Did not arrive in time${channel(f)}${to(f)}${because(f, "reason")}`,
    tone: "bad",
    stale: DELIVERY,
  },
  "delivery.withdrawn": {
    say: (f) => `Withdrawn${who(f)}: the link sent${channel(f)}${to(f)} opens nothing any more`,
    tone: "warn",
    stale: DELIVERY,
  },
  "link.fetched": { say: fetched, tone: "neutral", stale: [] },
  "link.opened": { say: opened, tone: "info", stale: [] },
  "link.switched": { say: switched, tone: "info", stale: DELIVERY },
  "link.reported": {
    say: (f) => `Customer reported the message as suspicious${because(f, "reason")}`,
    tone: "bad",
    stale: ["link"],
    icon: "alert",
  },
};
