import { describe, expect, it } from "vitest";
import type { LinkEvent } from "../api/types";
import { factsOf } from "./facts";
import { progressOf, type StepName } from "./progress";
import { tell } from "./sentences";
import { hasGap, mergeEvents, standingAdvice } from "./timeline";

const event = (seq: number, type: string, data: Record<string, unknown> = {}): LinkEvent => ({
  id: `evt_${seq}`,
  type,
  seq,
  payment_link: "plink_1",
  occurred_at: `2026-01-01T00:00:${String(seq).padStart(2, "0")}.000Z`,
  origin: "payer",
  data,
});

const log = (...types: (string | [string, Record<string, unknown>])[]) =>
  types.map((entry, index) =>
    typeof entry === "string" ? event(index + 1, entry) : event(index + 1, ...entry),
  );

const states = (events: LinkEvent[]) =>
  Object.fromEntries(progressOf(events).map(({ name, state }) => [name, state])) as Record<StepName, string>;

describe("the log", () => {
  const all = log("link.created", "delivery.queued", "delivery.sent", "link.opened");

  it("is the same by snapshot, by stream, and by any mix of the two", () => {
    expect(mergeEvents(all.slice(0, 3), all.slice(1))).toEqual(all);
    expect(mergeEvents([], all.toReversed())).toEqual(all);
    expect(mergeEvents(all, all)).toEqual(all);
  });

  it("knows when something is missing", () => {
    expect(hasGap(all)).toBe(false);
    expect(hasGap(all.toSpliced(1, 1))).toBe(true);
    expect(hasGap(all.slice(1))).toBe(true);
  });

  it("keeps advice until the customer tries again", () => {
    const failed = log("payment.submitted", "payment.failed", "card_entry.completed");
    expect(standingAdvice(failed)?.type).toBe("payment.failed");
    expect(standingAdvice([...failed, event(4, "payment.submitted")])).toBeNull();
    expect(standingAdvice(log("link.created"))).toBeNull();
  });
});

describe("after the payment", () => {
  const say = (type: string, data: Record<string, unknown> = {}) =>
    tell(
      type,
      factsOf(data, (minor, currency) => `${minor} ${currency}`),
    );
  const money = { amount: 5, currency: "GBP" };

  it("tells of locks and pauses", () => {
    expect(say("link.locked", { reason: "too_many_cards" }).text).toBe(
      "Link locked: Too many different cards",
    );
    expect(say("link.unlocked", { by: "Alex" }).text).toBe("More tries allowed by Alex");
    expect(say("payments.paused", { until: "2026-01-01T12:00:00Z" }).text).toMatch(
      /^Payments paused on every link until .*2026/,
    );
    expect(say("payments.paused", { until: "soon" }).text).toBe("Payments paused on every link");
  });

  it("tells of disputes and questions", () => {
    expect(say("dispute.opened", { ...money, reason: "fraudulent", status: "needs_response" })).toMatchObject(
      {
        text: "Payment of 5 GBP disputed: the cardholder says they did not make this payment",
        tone: "bad",
      },
    );
    expect(say("dispute.opened", { ...money, status: "warning_needs_response" })).toMatchObject({
      text: "Customer's bank asks about a payment of 5 GBP",
      tone: "warn",
    });
    expect(say("dispute.closed", { ...money, status: "won" })).toMatchObject({
      text: "Dispute of 5 GBP closed: won",
      tone: "good",
    });
    expect(say("dispute.closed", { ...money, status: "lost" }).tone).toBe("bad");
  });

  it("tells what of a link was paid", () => {
    const part = { amount_paid: 20, amount_left: 30, currency: "GBP" };
    expect(say("link.partially_paid", part).text).toBe("Paid in part: 20 GBP paid, 30 GBP to pay");
    expect(say("link.partially_paid").text).toBe("Paid in part");
    expect(say("link.expired", part).text).toBe("Link expired: 20 GBP paid");
    expect(say("link.expired").text).toBe("Link expired");
  });

  it("keeps no advice once the link is locked", () => {
    expect(standingAdvice(log("payment.failed", "link.locked"))).toBeNull();
  });

  it("shows a part as on the way, and late money as no payment of the link", () => {
    const part = log("payment.submitted", "payment.succeeded", "link.partially_paid");
    expect(states(part).paid).toBe("active");
    const late = log("payment.submitted", "link.expired", "payment.succeeded_late");
    expect(states(late)).toMatchObject({ submitted: "done", fraud: "done", paid: "failed" });
  });
});

describe("progress", () => {
  const sent = [
    "link.created",
    "delivery.queued",
    "delivery.sent",
    "link.opened",
    "card_entry.started",
  ] as const;
  const allowed: [string, Record<string, unknown>] = ["fraud_check.completed", { outcome: "allow" }];

  it("goes all the way, passing over a receipt that never came", () => {
    const paid = log(
      ...sent,
      "payment.submitted",
      "fraud_check.started",
      allowed,
      "payment.succeeded",
      "link.paid",
    );
    expect(states(paid)).toEqual({
      created: "done",
      sent: "done",
      delivered: "skipped",
      opened: "done",
      card: "done",
      submitted: "done",
      fraud: "done",
      paid: "done",
    });
  });

  it("shows a decline and clears it on the next attempt", () => {
    const failed = log(...sent, "payment.submitted", "payment.failed");
    expect(states(failed)).toMatchObject({ submitted: "failed", fraud: "waiting", paid: "waiting" });
    expect(states([...failed, event(8, "payment.submitted")])).toMatchObject({
      submitted: "done",
      fraud: "waiting",
    });
  });

  it("holds at the fraud check, which is what a declined review failed", () => {
    const held = log(
      ...sent,
      "payment.submitted",
      ["fraud_check.completed", { outcome: "review" }],
      "review.opened",
    );
    expect(states(held).fraud).toBe("active");
    const closed = (decision: string) =>
      states([...held, event(9, "review.closed", { decision, by: "Alex" })]);
    expect(closed("approved").fraud).toBe("done");
    expect(closed("declined").fraud).toBe("failed");
    expect(states([...held, event(9, "payment.canceled")])).toMatchObject({
      fraud: "failed",
      submitted: "done",
    });
  });

  it("does not lose a good delivery to a later bad one", () => {
    expect(
      states(log("link.created", "delivery.sent", "delivery.delivered", "delivery.failed")),
    ).toMatchObject({
      sent: "done",
      delivered: "done",
    });
    expect(states(log("link.created", "delivery.queued", "delivery.failed")).sent).toBe("failed");
  });
});

describe("sentences", () => {
  const say = (type: string, data: Record<string, unknown> = {}) =>
    tell(
      type,
      factsOf(data, (minor, currency) => `${minor} ${currency}`),
    );

  it("says what is known and nothing of what is not", () => {
    expect(say("delivery.sent", { channel: "sms", to: "+44" }).text).toBe("Sent by SMS to +44");
    expect(say("delivery.sent").text).toBe("Sent");
    expect(say("link.fetched", { bot: "WhatsApp" }).text).toBe("Link previewed by WhatsApp, not a person");
    expect(say("fraud_check.completed", { outcome: "block", risk_level: "highest" }).text).toBe(
      "Fraud check: blocked (highest risk)",
    );
    const card = { brand: "visa", last4: "4242" };
    expect(say("payment.succeeded", { amount: 5, currency: "GBP", card }).text).toBe(
      "Payment of 5 GBP succeeded with Visa ending 4242",
    );
  });

  it("survives data of the wrong shape, and unknown types", () => {
    expect(say("delivery.sent", { channel: 7, to: { a: 1 } }).text).toBe("Sent");
    expect(say("fraud_check.completed", { reasons: "no list", outcome: null }).reasons).toEqual([]);
    expect(say("payment.re_routed")).toMatchObject({
      text: "Payment re routed",
      tone: "neutral",
      icon: null,
    });
  });
});
