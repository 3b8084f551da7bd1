"""Money that comes when nobody expects it any more: it counts, it is marked, it brings no link back to life, and it can
be given back."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import service
from paylink.payments.closing import cancel_link, expire_due
from paylink.payments.models import Payment, PaymentStatus
from paylink.payments.refunds import refund
from tests.payments.world import World


async def given_up(world: World, link_id: str, *, browser: str = "cks_1") -> str:
    """An attempt that was given up here while the customer's bank still said yes."""
    started = await world.start(link_id, browser=browser)
    await world.confirm(started.payment_id)

    def give_up(session: Session) -> None:
        session.get_one(Payment, started.payment_id).status = PaymentStatus.CANCELED.value

    await world.db.transact(give_up)
    return started.payment_id


async def captured_there(world: World, payment_id: str) -> None:
    psp_id = str((await world.payment(payment_id)).psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=f"{payment_id}:there")


async def end(world: World, link_id: str, how: str) -> None:
    if how == "canceled":
        await cancel_link(world.ctx, world.agent, link_id)
    else:
        await world.age(PaymentLink, link_id, expires_at=utcnow() - timedelta(seconds=1))
        await expire_due(world.ctx)
    assert (await world.link_row(link_id)).status == how


@pytest.mark.parametrize("how", ["expired", "canceled"])
async def test_money_that_settles_after_the_link_has_ended(world: World, how: str) -> None:
    link_id = await world.link()
    payment_id = await given_up(world, link_id)
    await end(world, link_id, how)
    await captured_there(world, payment_id)
    for _ in range(3):
        await world.callback(payment_id)
    late = await world.payment(payment_id)
    assert (late.status, late.late, late.amount_captured) == (PaymentStatus.SUCCEEDED, True, 4999)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid, link.paid_at) == (how, 4999, None)
    assert (await world.told(link_id))[-2:] == [f"link.{how}", "payment.succeeded_late"]
    assert (await world.told_of(link_id, "payment.succeeded_late"))["amount_captured"] == 4999

    made = await refund(world.ctx, world.agent, payment_id, amount=None, reason=None)
    assert (made.status, made.amount) == ("succeeded", 4999)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid, link.amount_refunded) == (how, 4999, 4999)
    assert (await world.payment(payment_id)).late
    (account,) = await world.ledger(link_id)
    assert (account["captured"], account["refunded"]) == (4999, 4999)


async def test_a_second_capture_of_a_paid_link(world: World) -> None:
    link_id = await world.link()
    first = await given_up(world, link_id)
    paid = await world.pay(link_id, browser="cks_2")
    assert (paid.status, paid.late) == (PaymentStatus.SUCCEEDED, False)
    await captured_there(world, first)
    for _ in range(2):
        await world.callback(first)
    late = await world.payment(first)
    assert (late.status, late.late) == (PaymentStatus.SUCCEEDED, True)
    link = await world.link_row(link_id)
    assert (link.status, link.amount, link.amount_paid) == ("paid", 4999, 9998)
    told = await world.told(link_id)
    assert told[-1] == "payment.succeeded_late"
    assert [told.count(kind) for kind in ("payment.succeeded", "payment.succeeded_late", "link.paid")] == [1, 1, 1]

    await refund(world.ctx, world.agent, first, amount=None, reason=None)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid, link.amount_refunded) == ("paid", 9998, 4999)
    assert (await world.payment(paid.id)).amount_refunded == 0


async def test_more_than_the_rest_of_a_link_that_is_paid_in_parts(world: World) -> None:
    link_id = await world.link()
    first = await given_up(world, link_id)
    part = await world.pay(link_id, "riskLevelElevated", browser="cks_2")
    psp_id = str(part.psp_payment_id)
    await world.stripe.capture(psp_id, amount=3000, currency="GBP", idempotency_key=part.id)
    await world.callback(part.id)
    assert (await world.link_row(link_id)).status == "partially_paid"
    await captured_there(world, first)
    await world.callback(first)
    late = await world.payment(first)
    assert (late.status, late.late) == (PaymentStatus.SUCCEEDED, True)
    # Paid it is, by all means.
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid) == ("paid", 7999)
    assert (await world.told(link_id))[-2:] == ["payment.succeeded_late", "link.paid"]


async def test_an_attempt_that_was_given_up_and_pays_its_open_link_is_told_as_late_and_needs_nobody(
    world: World,
) -> None:
    link_id = await world.link()
    payment_id = await given_up(world, link_id)
    await captured_there(world, payment_id)
    await world.callback(payment_id)
    assert (await world.told(link_id))[-2:] == ["payment.succeeded_late", "link.paid"]
    assert not (await world.payment(payment_id)).late


async def test_money_that_comes_in_time_is_not_late(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await service.refresh(world.ctx, started.payment_id)
    paid = await world.payment(started.payment_id)
    assert (paid.status, paid.late) == (PaymentStatus.SUCCEEDED, False)
    assert "payment.succeeded_late" not in await world.told(link_id)
