import { expect, it } from "vitest";
import type { Dispute } from "../api/types";
import { byUrgency, disputeReason, disputeStatus, refundFailure } from "./words";

const dispute = (id: string, status: Dispute["status"], opened: number, due: number | null) =>
  ({
    id,
    status,
    opened_at: `2026-01-0${opened}T00:00:00Z`,
    evidence_due_at: due === null ? null : `2026-02-0${due}T00:00:00Z`,
  }) as Dispute;

it("puts those to answer first, due soonest at the top, then those the bank decides, then the closed ones", () => {
  const all = [
    dispute("lost", "lost", 2, 1),
    dispute("won", "won", 3, 1),
    dispute("later", "needs_response", 1, 5),
    dispute("undated", "needs_response", 4, null),
    dispute("decided", "under_review", 4, 1),
    dispute("soon", "warning_needs_response", 1, 2),
  ];
  expect(all.toSorted(byUrgency).map(({ id }) => id)).toEqual([
    "soon",
    "later",
    "undated",
    "decided",
    "won",
    "lost",
  ]);
});

it("has words for the networks' codes, and tells the others as they are", () => {
  expect(disputeReason("fraudulent")).toBe("the cardholder says they did not make this payment");
  expect(disputeReason("some_new_reason")).toBe("some new reason");
  expect(refundFailure("lost_or_stolen_card")).toBe("the card was reported lost or stolen");
  expect(disputeStatus("needs_response")).toBe("answer needed");
  expect(disputeStatus("some_new_state")).toBe("some new state");
});
