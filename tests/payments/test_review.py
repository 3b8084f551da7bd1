"""Holding a payment for a person: what makes it be held, and what is written down of the decision."""

import asyncio
from datetime import timedelta

import pytest

from paylink.customers.service import Contact
from paylink.errors import NotFound
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import customer
from paylink.payments.models import Decision, PaymentStatus
from paylink.payments.review import decide
from tests.payments.world import World, conflict


async def test_an_approved_payment_is_captured_and_the_decision_is_kept(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    assert (held.status, held.fraud_outcome, held.risk_level) == (PaymentStatus.IN_REVIEW, "review", "elevated")
    await world.approve(held.id, reason="Known customer")
    paid = await world.payment(held.id)
    assert (paid.status, paid.decision, paid.reviewed_by) == (PaymentStatus.SUCCEEDED, "capture", "agent:agt_1")
    assert paid.review_reason == "Known customer"
    closed = await world.told_of(link_id, "review.closed")
    assert closed == {"payment": held.id, "decision": "approved", "by": "Alex Morgan", "reason": "Known customer"}
    assert await world.captures(link_id) == [4999]


async def test_a_declined_payment_is_let_go_and_the_customer_is_told_what_to_do(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.decline(held.id, reason="Stolen card")
    gone = await world.payment(held.id)
    assert (gone.status, gone.decision, gone.reviewed_by) == (PaymentStatus.CANCELED, "release", "agent:agt_1")
    assert (await world.told_of(link_id, "payment.canceled"))["reason"] == "review_declined"
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    assert view.decline
    assert "could not be accepted" in view.decline


async def test_a_held_payment_of_a_link_that_was_paid_meanwhile_can_only_be_declined(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.age(PaymentLink, link_id, status="paid")
    assert await conflict(world.approve(held.id)) == "link_not_active"
    assert await world.captures(link_id) == []
    await world.decline(held.id)
    assert (await world.payment(held.id)).status == PaymentStatus.CANCELED


@pytest.mark.parametrize("again", ["approve", "decline"])
async def test_a_decision_is_made_once(world: World, again: str) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.approve(held.id)
    assert await conflict(getattr(world, again)(held.id)) == "payment_not_in_review"


async def test_two_people_who_decide_at_once_get_one_decision(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    answers = await asyncio.gather(world.approve(held.id), world.decline(held.id), return_exceptions=True)
    assert [answer is None for answer in answers].count(True) == 1
    ended = await world.payment(held.id)
    captured = [4999] if ended.decision == "capture" else []
    assert await world.captures(link_id) == captured
    assert (await world.told(link_id)).count("review.closed") == 1


async def test_nobody_decides_about_another_merchants_payment(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    stranger = world.as_merchant("mer_other")
    with pytest.raises(NotFound):
        await decide(world.ctx, stranger, held.id, Decision.CAPTURE, reason=None)


async def test_a_review_is_closed_when_the_money_moved_at_the_provider(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.stripe.capture(str(held.psp_payment_id), amount=4999, currency="GBP", idempotency_key=link_id)
    await world.callback(held.id)
    assert (await world.told(link_id))[-3:] == ["review.closed", "payment.succeeded", "link.paid"]


async def test_a_review_is_closed_when_the_authorisation_ended(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.stripe.cancel(str(held.psp_payment_id), idempotency_key=link_id)
    await world.callback(held.id)
    assert (await world.told(link_id))[-2:] == ["review.closed", "payment.canceled"]
    assert (await world.link_row(link_id)).status == "active"


async def test_a_payment_above_the_merchants_ceiling_is_held(world: World) -> None:
    await world.merchant(review_above=10_000)
    below, above = await world.link(amount=10_000), await world.link(amount=10_001)
    assert (await world.pay(below)).status == PaymentStatus.SUCCEEDED
    held = await world.pay(above)
    assert (held.status, held.fraud_outcome) == (PaymentStatus.IN_REVIEW, "review")
    assert "100.01" in str(held.risk_reasons)


async def test_the_highest_risk_is_let_go_and_told_as_a_plain_decline(world: World) -> None:
    link_id = await world.link()
    blocked = await world.pay(link_id, "riskLevelHighest")
    assert (blocked.status, blocked.fraud_outcome) == (PaymentStatus.FAILED, "block")
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    assert (await world.told_of(link_id, "payment.failed"))["decline_code"] == "blocked_by_fraud_check"
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    assert view.decline
    assert view.decline.startswith("Your card was declined.")


async def test_the_last_card_before_the_lock_is_looked_at_by_a_person(world: World) -> None:
    link_id = await world.link(contact=Contact(phone="+442079460123"))
    for card in ("chargeDeclined", "chargeDeclinedExpiredCard"):
        assert (await world.pay(link_id, card)).status == PaymentStatus.FAILED
    # Many cards, and one from another country than the phone: two signs.
    held = await world.pay(link_id)
    assert (held.status, held.fraud_outcome) == (PaymentStatus.IN_REVIEW, "review")
    assert len(held.risk_reasons or []) == 2


async def test_one_address_that_tries_link_after_link_is_held(world: World) -> None:
    await world.many_tries_from("81.2.69.142", times=45)
    held = await world.pay(await world.link(), address="81.2.69.142")
    assert "from the same address" in str(held.risk_reasons)
    other = await world.pay(await world.link(), address="81.2.69.143")
    assert other.status == PaymentStatus.SUCCEEDED


async def test_tries_of_yesterday_do_not_count(world: World) -> None:
    await world.many_tries_from("81.2.69.142", times=45, at=utcnow() - timedelta(hours=2))
    paid = await world.pay(await world.link(), address="81.2.69.142")
    assert paid.status == PaymentStatus.SUCCEEDED
