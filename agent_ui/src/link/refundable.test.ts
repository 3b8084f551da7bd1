import { expect, it } from "vitest";
import type { Dispute, Payment, Refund } from "../api/types";
import { latestRefund, refundable } from "./refundable";

const payment = (more: Partial<Payment> = {}) =>
  ({
    status: "succeeded",
    amount_captured: 5000,
    amount_refunded: 1000,
    disputes: [],
    ...more,
  }) as unknown as Payment;

const refund = (status: Refund["status"], amount: number, at: string) =>
  ({ status, amount, created_at: `2026-01-01T${at}Z` }) as Refund;

const disputed = (status: Dispute["status"]) => payment({ disputes: [{ status } as Dispute] });

it("counts a refund on its way as given, a failed one not", () => {
  const refunds = [refund("pending", 500, "10:00:00"), refund("failed", 700, "09:00:00")];
  expect(refundable(payment(), refunds)).toBe(3500);
  expect(refundable(payment({ status: "failed" }), [])).toBe(0);
});

it("gives nothing back that the bank has taken already", () => {
  expect(refundable(disputed("needs_response"), [])).toBe(0);
  expect(refundable(disputed("lost"), [])).toBe(0);
  expect(refundable(disputed("warning_needs_response"), [])).toBe(4000);
  expect(refundable(disputed("won"), [])).toBe(4000);
});

it("knows the last refund whatever the order", () => {
  const [first, last] = [refund("failed", 1, "08:00:00"), refund("pending", 2, "09:00:00")];
  expect(latestRefund([first, last])).toBe(last);
  expect(latestRefund([last, first])).toBe(last);
  expect(latestRefund([])).toBeUndefined();
});
