"""What ends by itself or at the provider's own desk: authorisations, reviews, disputes."""

import sqlite3
import time
from contextlib import closing

import httpx
import pytest
import stripe

from .harness import Box, until

WEEK = 7 * 24 * 3600


def capture_before(box: Box, intent: stripe.PaymentIntent) -> int:
    charge = box.stripe.v1.charges.retrieve(str(intent.latest_charge))
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    return int(charge.payment_method_details.card.capture_before or 0)


def test_an_authorisation_holds_for_a_week(box: Box) -> None:
    made = box.pay()
    assert abs(capture_before(box, made) - time.time() - WEEK) < 30


def test_an_authorisation_that_nobody_takes_lapses(box: Box) -> None:
    box.order(authorization_s=1)
    made = box.pay("riskLevelElevated")
    box.order(authorization_s=WEEK)
    taken = box.pay()
    box.stripe.v1.payment_intents.capture(taken.id)
    until(lambda: "review.closed" in box.receiver.types())
    assert box.receiver.types()[-3:] == ["charge.expired", "payment_intent.canceled", "review.closed"]
    gone = box.stripe.v1.payment_intents.retrieve(made.id)
    assert (gone.status, gone.cancellation_reason, gone.amount_capturable) == ("canceled", "automatic", 0)
    ledger = box.ledger(made.id)
    assert (ledger["canceled"], ledger["captured"]) == (True, 0)
    with pytest.raises(stripe.InvalidRequestError):
        box.stripe.v1.payment_intents.capture(made.id)
    assert box.stripe.v1.payment_intents.retrieve(taken.id).status == "succeeded"
    assert box.ledger(taken.id)["captured"] == 4999


def test_its_end_can_be_moved_and_come_at_once(box: Box) -> None:
    made = box.pay()
    box.order(end_authorization={"payment_intent": made.id, "in_s": 3600})
    assert abs(capture_before(box, made) - time.time() - 3600) < 30
    assert box.stripe.v1.payment_intents.retrieve(made.id).status == "requires_capture"
    box.order(end_authorization={"payment_intent": made.id, "in_s": 0})
    assert box.stripe.v1.payment_intents.retrieve(made.id).status == "canceled"
    with pytest.raises(httpx.HTTPStatusError):
        box.order(end_authorization={"payment_intent": made.id, "in_s": 0})


def test_what_was_captured_or_canceled_is_not_watched_any_more(box: Box) -> None:
    made, other, witness = box.pay(), box.pay(), box.pay()
    box.stripe.v1.payment_intents.capture(made.id)
    box.stripe.v1.payment_intents.cancel(other.id)
    with closing(sqlite3.connect(box.settings.sandbox_database_url.removeprefix("sqlite:///"))) as raw:
        watched = raw.execute("SELECT target FROM timers WHERE name = 'expire'").fetchall()
    targets = {target for (target,) in watched}
    assert witness.id in targets
    assert targets.isdisjoint({made.id, other.id})


def test_a_review_is_closed_for_any_reason(box: Box) -> None:
    made = box.pay("riskLevelElevated")
    review_id = str(made.review)
    box.order(close_review={"review_id": review_id, "reason": "refunded_as_fraud"})
    review = box.stripe.v1.reviews.retrieve(review_id)
    assert (review.open, review.closed_reason, review.payment_intent) == (False, "refunded_as_fraud", made.id)
    until(lambda: "review.closed" in box.receiver.types())
    # It says what people thought and moves no money.
    assert box.stripe.v1.payment_intents.retrieve(made.id).status == "requires_capture"


def test_a_dispute_goes_its_way(box: Box) -> None:
    box.order(dispute_delay_ms=1)
    made = box.pay("createDispute")
    box.stripe.v1.payment_intents.capture(made.id)
    dispute = until(lambda: box.stripe.v1.disputes.list({"payment_intent": made.id}).data)[0]
    box.order(set_dispute={"dispute_id": dispute.id, "status": "under_review", "due_in_s": 60})
    found = box.stripe.v1.disputes.retrieve(dispute.id)
    assert found.status == "under_review"
    assert abs((found.evidence_details.due_by or 0) - time.time() - 60) < 30
    until(lambda: "charge.dispute.updated" in box.receiver.types())
    with pytest.raises(stripe.InvalidRequestError) as refused:
        box.stripe.v1.refunds.create({"payment_intent": made.id})
    assert refused.value.code == "charge_disputed"
    box.order(close_dispute={"dispute_id": dispute.id, "status": "won"})
    assert box.stripe.v1.refunds.create({"payment_intent": made.id}).status == "succeeded"
