"""Giving money back: never more than was taken, whoever asks, and told truly however late the news."""

import asyncio

import pytest

from paylink.errors import Conflict, Invalid
from paylink.jobs import TryAgain
from paylink.payments import jobs
from paylink.payments.models import Payment, Refund
from paylink.payments.refunds import refund
from tests.payments.world import World, conflict

MANY = 12


async def give_back(world: World, payment: Payment, amount: int | None = None) -> Refund:
    return await refund(world.ctx, world.agent, payment.id, amount=amount, reason=None)


async def test_all_is_given_back_by_default(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    made = await give_back(world, paid)
    assert (made.status, made.amount, made.created_by) == ("succeeded", 4999, "agent:agt_1")
    assert (await world.payment(paid.id)).amount_refunded == 4999
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid, link.amount_refunded) == ("paid", 4999, 4999)
    assert (await world.told(link_id))[-1] == "refund.succeeded"
    assert await conflict(give_back(world, paid, 1)) == "already_refunded"


async def test_many_who_refund_at_once_never_give_back_more_than_was_taken(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    answers = await asyncio.gather(*(give_back(world, paid, 1000) for _ in range(MANY)), return_exceptions=True)
    made = [one for one in answers if isinstance(one, Refund)]
    assert len(made) == 4
    assert {type(one) for one in answers if not isinstance(one, Refund)} <= {Invalid, Conflict}
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == (await world.payment(paid.id)).amount_refunded == 4000
    assert (await world.told(link_id)).count("refund.succeeded") == 4
    await give_back(world, paid)
    assert (await world.payment(paid.id)).amount_refunded == 4999


@pytest.mark.parametrize("kind", ["error_before", "reset_before", "reset_after", "truncate"])
async def test_a_refund_whose_answer_was_lost_is_made_once(world: World, kind: str) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": kind, "method": "POST", "path": "/v1/refunds"}])
    made = await give_back(world, paid, 1000)
    assert made.status == "pending"
    # While it is unknown it counts as given.
    with pytest.raises(Invalid):
        await give_back(world, paid, 4000)
    await world.order(faults=[])
    await jobs.refund(world.ctx, made.id)
    await jobs.refund(world.ctx, made.id)
    (found,) = await world.refunds(paid.id)
    assert found.status == "succeeded"
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 1000


async def test_a_pending_refund_is_asked_about_until_it_is_over(world: World) -> None:
    await world.order(refund_delay_ms=1500)
    link_id = await world.link()
    paid = await world.pay(link_id, "pendingRefund")
    made = await give_back(world, paid, 1000)
    assert made.status == "pending"
    assert (await world.payment(paid.id)).amount_refunded == 0
    with pytest.raises(TryAgain) as again:
        await jobs.refund(world.ctx, made.id)
    assert again.value.after_s
    await over_at_provider(world, made.id, "succeeded")
    await jobs.refund(world.ctx, made.id)
    assert (await world.payment(paid.id)).amount_refunded == 1000
    assert (await world.told(link_id)).count("refund.succeeded") == 1


async def test_a_refund_that_fails_late_is_taken_back_from_the_sums(world: World) -> None:
    await world.order(refund_delay_ms=1500)
    link_id = await world.link()
    paid = await world.pay(link_id, "refundFail")
    made = await give_back(world, paid, 1000)
    assert made.status == "succeeded"
    assert (await world.payment(paid.id)).amount_refunded == 1000
    await over_at_provider(world, made.id, "failed")
    for _ in range(2):
        await world.inbound({"subject": "refund", "object_id": str(made.psp_refund_id)})
    (found,) = await world.refunds(paid.id)
    assert found.status == "failed"
    assert found.failure_reason
    assert (await world.payment(paid.id)).amount_refunded == 0
    assert (await world.link_row(link_id)).amount_refunded == 0
    assert (await world.told(link_id))[-2:] == ["refund.succeeded", "refund.failed"]
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 0


async def test_only_what_was_paid_can_be_given_back(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    assert await conflict(give_back(world, held)) == "payment_not_refundable"
    paid = await world.pay(await world.link())
    with pytest.raises(Invalid):
        await give_back(world, paid, 5000)


async def over_at_provider(world: World, refund_id: str, status: str) -> None:
    """Until the provider has made up its mind; nobody here has heard of it yet."""

    made = await world.db.read(lambda session: session.get_one(Refund, refund_id))

    async def stands() -> bool:
        return (await world.stripe.get_refund(str(made.psp_refund_id))).status.value == status

    await world.until(stands)
