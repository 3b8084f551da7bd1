"""A payer's bank takes the money back: told once per step, in whatever order and however often we hear of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from paylink.payments.models import Dispute, Payment, PaymentStatus
from paylink.payments.refunds import refund
from paylink.psp.base import NewPayment, ProviderDispute
from tests.payments.gates import Gates
from tests.payments.world import World, conflict

TIMES = 6


async def disputed_at(world: World, psp_payment_id: str) -> str:
    """The provider's id of the dispute, once there is one; nobody here has heard of it."""
    found: list[str] = []

    async def opened() -> bool:
        page = await world.stripe._disputes.list_async({"payment_intent": psp_payment_id})
        found.extend(one.id for one in page.data)
        return bool(found)

    await world.until(opened)
    return found[0]


async def disputed(world: World) -> tuple[str, Payment, str]:
    await world.order(dispute_delay_ms=0)
    link_id = await world.link()
    paid = await world.pay(link_id, "createDispute")
    assert paid.status == PaymentStatus.SUCCEEDED
    return link_id, paid, await disputed_at(world, str(paid.psp_payment_id))


async def hear(world: World, psp_dispute_id: str) -> None:
    await world.inbound({"subject": "dispute", "object_id": psp_dispute_id, "payment_id": "pi_as_they_say"})


async def rows(world: World, payment_id: str) -> list[Dispute]:
    query = sa.select(Dispute).where(Dispute.payment_id == payment_id)
    return await world.db.read(lambda session: list(session.scalars(query)))


async def told(world: World, link_id: str) -> list[str]:
    return [kind for kind in await world.told(link_id) if kind.startswith("dispute.")]


async def test_a_dispute_is_written_down_and_told_of_once(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    for _ in range(3):
        await hear(world, psp_id)
    (row,) = await rows(world, paid.id)
    assert (row.status, row.amount, row.currency, row.reason) == ("needs_response", 4999, "GBP", "fraudulent")
    assert row.merchant_id == world.merchant_id
    assert row.evidence_due_at
    assert row.closed_at is None
    assert await told(world, link_id) == ["dispute.opened"]
    theirs = await world.stripe.get_dispute(psp_id)
    assert theirs.evidence_due_at == row.evidence_due_at
    assert await world.told_of(link_id, "dispute.opened") == {
        "dispute": row.id,
        "payment": paid.id,
        "amount": 4999,
        "currency": "GBP",
        "reason": "fraudulent",
        "status": "needs_response",
        "evidence_due_at": row.evidence_due_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    (event,) = [one for one in await world.events(link_id) if one.type == "dispute.opened"]
    assert (event.origin, event.occurred_at) == ("provider", theirs.opened_at)


async def test_many_who_hear_of_it_at_once_write_it_down_once(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    await asyncio.gather(*(hear(world, psp_id) for _ in range(TIMES)))
    assert len(await rows(world, paid.id)) == 1
    assert await told(world, link_id) == ["dispute.opened"]


async def test_another_state_and_another_deadline_are_told(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    await hear(world, psp_id)
    await world.order(set_dispute={"dispute_id": psp_id, "status": "under_review"})
    await hear(world, psp_id)
    await hear(world, psp_id)
    await world.order(set_dispute={"dispute_id": psp_id, "status": "under_review", "due_in_s": 60})
    await hear(world, psp_id)
    assert await told(world, link_id) == ["dispute.opened", "dispute.updated", "dispute.updated"]
    (row,) = await rows(world, paid.id)
    assert row.status == "under_review"
    assert row.evidence_due_at == (await world.stripe.get_dispute(psp_id)).evidence_due_at


@pytest.mark.parametrize("outcome", ["won", "lost", "warning_closed", "prevented"])
async def test_the_end_is_told_with_its_outcome(world: World, outcome: str) -> None:
    link_id, paid, psp_id = await disputed(world)
    await hear(world, psp_id)
    await world.order(close_dispute={"dispute_id": psp_id, "status": outcome})
    await hear(world, psp_id)
    await hear(world, psp_id)
    (row,) = await rows(world, paid.id)
    assert row.status == outcome
    assert row.closed_at
    assert await told(world, link_id) == ["dispute.opened", "dispute.closed"]
    closed = await world.told_of(link_id, "dispute.closed")
    assert (closed["dispute"], closed["outcome"], closed["status"]) == (row.id, outcome, outcome)


async def test_an_end_that_is_heard_of_first_tells_the_beginning_too(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    await world.order(close_dispute={"dispute_id": psp_id, "status": "lost"})
    await hear(world, psp_id)
    await hear(world, psp_id)
    assert await told(world, link_id) == ["dispute.opened", "dispute.closed"]
    (row,) = await rows(world, paid.id)
    assert (row.status, row.closed_at is not None) == ("lost", True)


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known yet"])
async def test_an_answer_that_grew_old_on_the_way_does_not_reopen_it(world: World, known: bool) -> None:
    link_id, paid, psp_id = await disputed(world)
    if known:
        await hear(world, psp_id)
    gates = Gates(world.ctx.psp)
    slow = asyncio.create_task(hear(world.behind(gates), psp_id))
    await gates.parked("get_dispute", "answered")
    await world.order(close_dispute={"dispute_id": psp_id, "status": "lost"})
    await hear(world, psp_id)
    gates.open()
    await slow
    (row,) = await rows(world, paid.id)
    assert row.status == "lost"
    assert await told(world, link_id) == ["dispute.opened", "dispute.closed"]


async def test_what_the_provider_itself_reopens_is_open_again(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    await world.order(close_dispute={"dispute_id": psp_id, "status": "warning_closed"})
    await hear(world, psp_id)
    await world.order(set_dispute={"dispute_id": psp_id, "status": "needs_response"})
    await hear(world, psp_id)
    (row,) = await rows(world, paid.id)
    assert (row.status, row.closed_at) == ("needs_response", None)
    await world.order(close_dispute={"dispute_id": psp_id, "status": "lost"})
    await hear(world, psp_id)
    assert await told(world, link_id) == ["dispute.opened", "dispute.closed", "dispute.updated", "dispute.closed"]


class Changed(Gates):
    """The provider, whose disputes are not what they should be."""

    def __init__(self, world: World, changes: dict[str, Any]) -> None:
        super().__init__(world.ctx.psp)
        self.open()
        self._changes = changes

    async def get_dispute(self, dispute_id: str) -> ProviderDispute:
        return replace(await super().get_dispute(dispute_id), **self._changes)


@pytest.mark.parametrize(
    "changes",
    [{"amount": 0}, {"livemode": True}, {"payment_id": None}],
    ids=["nothing", "mode", "no payment"],
)
async def test_a_dispute_that_does_not_fit_is_not_ours(world: World, changes: dict[str, Any]) -> None:
    link_id, paid, psp_id = await disputed(world)
    await hear(world.behind(Changed(world, changes)), psp_id)
    assert await rows(world, paid.id) == []
    assert await told(world, link_id) == []


async def test_the_amount_and_the_currency_are_the_banks(world: World) -> None:
    _, paid, psp_id = await disputed(world)
    await hear(world.behind(Changed(world, {"amount": 5123, "currency": "eur"})), psp_id)
    (row,) = await rows(world, paid.id)
    assert (row.amount, row.currency) == (5123, "EUR")


async def test_a_dispute_of_another_payment_is_written_down_with_that_one(world: World) -> None:
    link_id, paid, psp_id = await disputed(world)
    other = await world.pay(await world.link())
    await hear(world.behind(Changed(world, {"payment_id": other.psp_payment_id})), psp_id)
    assert await rows(world, paid.id) == []
    assert len(await rows(world, other.id)) == 1
    # And it stays there: the same dispute cannot be of two payments.
    await world.order(set_dispute={"dispute_id": psp_id, "status": "under_review"})
    await hear(world, psp_id)
    assert await rows(world, paid.id) == []
    assert await told(world, link_id) == []


async def test_a_dispute_of_another_system_on_the_same_account_is_left_alone(world: World) -> None:
    await world.order(dispute_delay_ms=0)
    made = await world.stripe.create_payment(
        NewPayment(amount=4999, currency="GBP", description="x", metadata={}, idempotency_key=await world.link())
    )
    await world.stripe._intents.confirm_async(made.id, {"payment_method": "pm_card_createDispute"})
    await world.stripe.capture(made.id, amount=4999, currency="GBP", idempotency_key=f"{made.id}:capture")
    psp_id = await disputed_at(world, made.id)
    await hear(world, psp_id)
    query = sa.select(Dispute).where(Dispute.psp_dispute_id == psp_id)
    assert await world.db.read(lambda session: session.scalars(query).all()) == []


async def test_a_dispute_that_is_heard_of_before_the_payment_settles_it_first(world: World) -> None:
    await world.order(dispute_delay_ms=0)
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, "createDispute")
    psp_id = str((await world.payment(started.payment_id)).psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    await hear(world, await disputed_at(world, psp_id))
    assert (await world.told(link_id))[-3:] == ["payment.succeeded", "link.paid", "dispute.opened"]


@pytest.mark.parametrize("status", ["needs_response", "under_review", "lost"])
async def test_money_that_the_bank_has_is_not_given_back_as_well(world: World, status: str) -> None:
    link_id, paid, psp_id = await disputed(world)
    await world.order(set_dispute={"dispute_id": psp_id, "status": status})
    await hear(world, psp_id)
    given = refund(world.ctx, world.agent, paid.id, amount=None, reason=None)
    assert await conflict(given) == "payment_disputed"
    assert await world.refunds(paid.id) == []
    (account,) = await world.ledger(link_id)
    assert account["refunded"] == 0


async def test_a_dispute_that_only_the_provider_knows_of_refuses_the_refund_too(world: World) -> None:
    link_id, paid, _ = await disputed(world)
    given = refund(world.ctx, world.agent, paid.id, amount=None, reason=None)
    assert await conflict(given) == "payment_disputed"
    assert [one.status for one in await world.refunds(paid.id)] == ["failed"]
    assert (await world.payment(paid.id)).amount_refunded == 0
    assert "refund.failed" in await world.told(link_id)


@pytest.mark.parametrize("status", ["warning_needs_response", "won"])
async def test_where_the_bank_only_asks_or_has_lost_money_can_be_given_back(world: World, status: str) -> None:
    _, paid, psp_id = await disputed(world)
    await world.order(set_dispute={"dispute_id": psp_id, "status": status})
    await hear(world, psp_id)
    made = await refund(world.ctx, world.agent, paid.id, amount=1000, reason=None)
    assert made.status == "succeeded"


async def test_a_dispute_is_not_dated_by_when_we_heard_of_it(world: World) -> None:
    _, paid, psp_id = await disputed(world)
    await hear(world.behind(Changed(world, {"opened_at": datetime(2026, 1, 2, tzinfo=UTC)})), psp_id)
    (row,) = await rows(world, paid.id)
    assert row.opened_at == datetime(2026, 1, 2, tzinfo=UTC)
