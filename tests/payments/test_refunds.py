"""Giving money back: never more than was taken, whoever asks, and told truly however late the news."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from paylink.errors import Conflict, Invalid
from paylink.jobs import TryAgain
from paylink.kit.clock import utcnow
from paylink.payments import jobs
from paylink.payments.models import Payment, Refund
from paylink.payments.refunds import KEY_LIFE, REFUND_JOB, refund
from paylink.psp.base import ProviderRefund
from tests.payments.gates import Gates
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


async def given_back_there(world: World, paid: Payment, amount: int) -> str:
    """By somebody at the provider's own desk."""
    made = await world.stripe._refunds.create_async({"payment_intent": str(paid.psp_payment_id), "amount": amount})
    return made.id


async def hear(world: World, psp_refund_id: str) -> None:
    await world.inbound({"subject": "refund", "object_id": psp_refund_id, "payment_id": "pi_as_they_say"})


async def test_a_refund_that_was_made_at_the_provider_is_taken_over_once(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    psp_id = await given_back_there(world, paid, 1500)
    await asyncio.gather(*(hear(world, psp_id) for _ in range(4)))
    await hear(world, psp_id)
    (made,) = await world.refunds(paid.id)
    assert (made.status, made.amount, made.created_by, made.psp_refund_id) == ("succeeded", 1500, "provider", psp_id)
    assert (await world.payment(paid.id)).amount_refunded == 1500
    assert (await world.link_row(link_id)).amount_refunded == 1500
    told = await world.told_of(link_id, "refund.succeeded")
    assert (told["refund"], told["amount"]) == (made.id, 1500)
    # What is left is known by that.
    with pytest.raises(Invalid):
        await give_back(world, paid, 3500)
    assert (await give_back(world, paid)).amount == 3499


async def test_a_refund_of_the_provider_that_is_heard_of_before_the_payment_settles_it_first(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    waiting = await world.payment(started.payment_id)
    psp_id = str(waiting.psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    await hear(world, await given_back_there(world, waiting, 4999))
    assert (await world.told(link_id))[-3:] == ["payment.succeeded", "link.paid", "refund.succeeded"]
    assert (await world.payment(started.payment_id)).amount_refunded == 4999


async def test_a_refund_of_the_provider_that_is_still_pending_is_asked_about(world: World) -> None:
    await world.order(refund_delay_ms=1500)
    paid = await world.pay(await world.link(), "pendingRefund")
    await hear(world, await given_back_there(world, paid, 1000))
    (made,) = await world.refunds(paid.id)
    assert made.status == "pending"
    assert await world.jobs(REFUND_JOB, made.id) == [f"{REFUND_JOB}:{made.id}"]
    # Until it is over it counts as given.
    with pytest.raises(Invalid):
        await give_back(world, paid, 4000)
    await over_at_provider(world, made.id, "succeeded")
    await jobs.refund(world.ctx, made.id)
    assert (await world.payment(paid.id)).amount_refunded == 1000


async def test_a_refund_of_the_provider_that_fails_late_is_taken_back_too(world: World) -> None:
    await world.order(refund_delay_ms=1500)
    link_id = await world.link()
    paid = await world.pay(link_id, "refundFail")
    psp_id = await given_back_there(world, paid, 1000)
    await hear(world, psp_id)
    assert (await world.payment(paid.id)).amount_refunded == 1000
    (made,) = await world.refunds(paid.id)
    await over_at_provider(world, made.id, "failed")
    await hear(world, psp_id)
    assert (await world.payment(paid.id)).amount_refunded == 0
    assert (await world.link_row(link_id)).amount_refunded == 0
    assert (await world.told(link_id))[-2:] == ["refund.succeeded", "refund.failed"]
    # And what came back can be given back again.
    assert (await give_back(world, paid)).amount == 4999


async def test_a_callback_that_overtakes_our_own_answer_is_about_our_own_refund(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    gates = Gates(world.ctx.psp)
    asking = asyncio.create_task(give_back(world.behind(gates), paid, 1000))
    await gates.parked("refund", "answered")
    page = await world.stripe._refunds.list_async({"payment_intent": str(paid.psp_payment_id)})
    (theirs,) = page.data
    await hear(world, theirs.id)
    gates.open()
    made = await asking
    (found,) = await world.refunds(paid.id)
    assert (found.id, found.status, found.created_by) == (made.id, "succeeded", "agent:agt_1")
    assert (await world.payment(paid.id)).amount_refunded == 1000
    assert (await world.told(link_id)).count("refund.succeeded") == 1


class Changed(Gates):
    """The provider, whose refunds are not what they should be."""

    def __init__(self, world: World, changes: dict[str, Any]) -> None:
        super().__init__(world.ctx.psp)
        self.open()
        self._changes = changes

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        return replace(await super().get_refund(refund_id), **self._changes)


@pytest.mark.parametrize(
    "changes",
    [{"amount": 5000}, {"amount": 0}, {"currency": "EUR"}, {"payment_id": None}],
    ids=["more than was taken", "nothing", "currency", "no payment"],
)
async def test_a_refund_that_does_not_fit_is_not_taken_over(world: World, changes: dict[str, Any]) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    psp_id = await given_back_there(world, paid, 1000)
    await hear(world.behind(Changed(world, changes)), psp_id)
    assert await world.refunds(paid.id) == []
    assert (await world.payment(paid.id)).amount_refunded == 0
    assert "refund.succeeded" not in await world.told(link_id)


async def test_together_they_never_exceed_what_was_taken(world: World) -> None:
    """Ours is unknown, theirs took the money it was for: ours is refused in the end."""
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": "reset_before", "method": "POST", "path": "/v1/refunds"}])
    ours = await give_back(world, paid, 3000)
    assert ours.status == "pending"
    await world.order(faults=[])
    psp_id = await given_back_there(world, paid, 4999)
    await hear(world, psp_id)
    assert (await world.payment(paid.id)).amount_refunded == 4999
    await jobs.refund(world.ctx, ours.id)
    assert sorted(one.status for one in await world.refunds(paid.id)) == ["failed", "succeeded"]
    assert (await world.payment(paid.id)).amount_refunded == 4999
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 4999


async def test_an_answer_that_would_give_back_more_than_was_taken_is_not_believed(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": "reset_before", "method": "POST", "path": "/v1/refunds"}])
    ours = await give_back(world, paid, 3000)
    await world.order(faults=[])
    psp_id = await given_back_there(world, paid, 2999)
    await hear(world, psp_id)
    claims = {"id": "re_elsewhere", "amount": 3000, "metadata": {"refund_id": ours.id}}
    await hear(world.behind(Changed(world, claims)), psp_id)
    assert (await world.payment(paid.id)).amount_refunded == 2999
    assert (await world.link_row(link_id)).amount_refunded == 2999


async def over_at_provider(world: World, refund_id: str, status: str) -> None:
    """Until the provider has made up its mind; nobody here has heard of it yet."""

    made = await world.db.read(lambda session: session.get_one(Refund, refund_id))

    async def stands() -> bool:
        return (await world.stripe.get_refund(str(made.psp_refund_id))).status.value == status

    await world.until(stands)


async def test_a_failure_the_provider_keeps_under_the_key_holds_up_no_refund(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": "error_saved", "method": "POST", "path": "/v1/refunds", "times": 1}])
    made = await give_back(world, paid, 1000)
    assert (made.status, (await refund_row(world, made.id)).psp_key) == ("pending", 2)
    await jobs.refund(world.ctx, made.id)
    assert (await refund_row(world, made.id)).status == "succeeded"
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 1000


async def test_one_that_had_its_effect_before_the_provider_failed_is_found_and_not_made_again(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": "error_after", "method": "POST", "path": "/v1/refunds", "times": 1}])
    made = await give_back(world, paid, 1000)
    await jobs.refund(world.ctx, made.id)
    assert (await refund_row(world, made.id)).status == "succeeded"
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 1000


async def test_one_older_than_the_providers_memory_of_keys_is_looked_for_first(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    await world.order(faults=[{"kind": "reset_after", "method": "POST", "path": "/v1/refunds"}])
    made = await give_back(world, paid, 1000)
    await world.order(faults=[], prune_idempotency=True)
    await world.age(Refund, made.id, created_at=utcnow() - KEY_LIFE * 2)
    await jobs.refund(world.ctx, made.id)
    assert (await refund_row(world, made.id)).status == "succeeded"
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 1000


async def refund_row(world: World, refund_id: str) -> Refund:
    return await world.ctx.db.read(lambda session: session.get_one(Refund, refund_id))
