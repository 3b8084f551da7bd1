import { expect, it } from "vitest";
import { actionWords, actorKind, detailsOf, pageOf } from "./audit";

const money = (minor: number, currency: string) => `${minor} ${currency}`;

it("says who and what, also of what it does not know", () => {
  expect(actionWords("link.unlocked")).toBe("Allowed more tries on a link");
  expect(actionWords("webhook.rolled_over")).toBe("Webhook rolled over");
  expect(actorKind("agent:agt_1")).toBe("Agent");
  expect(actorKind("system")).toBe("paylink");
});

it("leads to what the console can show", () => {
  expect(pageOf("plink_1")).toBe("/links/plink_1");
  expect(pageOf("pay_1")).toBe("/payments/pay_1");
  expect(pageOf("mer_1")).toBeNull();
});

it("tells details as they are, and money as money", () => {
  expect(
    detailsOf({ amount: 4999, currency: "GBP", reason: "Known", note: null, codes: [1] }, money),
  ).toEqual([
    ["Amount", "4999 GBP"],
    ["Reason", "Known"],
    ["Codes", "[1]"],
  ]);
});
