"""Ending a link that somebody is paying: the provider decides, and paid wins."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from paylink.errors import Unavailable
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import service
from paylink.payments.closing import GRACE, cancel_link, expire_due, resolve
from paylink.payments.models import Payment, PaymentStatus
from tests.payments.gates import Gates
from tests.payments.world import World, conflict


async def test_a_link_that_nobody_pays_is_canceled_at_once(world: World) -> None:
    link_id = await world.link()
    await cancel_link(world.ctx, world.agent, link_id)
    assert (await world.link_row(link_id)).status == "canceled"
    assert await world.told_of(link_id, "link.canceled") == {"by": "Alex Morgan"}
    assert await conflict(cancel_link(world.ctx, world.agent, link_id)) == "link_not_active"


@pytest.mark.parametrize("card", [None, "authenticationRequired", "riskLevelElevated"])
async def test_an_attempt_at_hand_is_ended_at_the_provider_first(world: World, card: str | None) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    if card:
        await world.confirm(started.payment_id, card)
        await service.refresh(world.ctx, started.payment_id)
    await cancel_link(world.ctx, world.agent, link_id)
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED
    told = await world.told(link_id)
    assert told[-2:] == ["payment.canceled", "link.canceled"]
    assert told.count("review.opened") == told.count("review.closed")
    await world.confirm(started.payment_id)
    assert await world.captures(link_id) == []


async def test_a_payment_that_is_captured_first_wins_over_the_cancellation(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    gates = Gates(world.ctx.psp)
    cancellation = asyncio.create_task(cancel_link(world.behind(gates).ctx, world.agent, link_id))
    await gates.parked("cancel", "asked")
    await world.callback(started.payment_id)
    gates.open()
    assert await conflict(cancellation) == "link_not_active"
    assert (await world.link_row(link_id)).status == "paid"
    assert await world.captures(link_id) == [4999]


async def test_a_cancellation_that_is_first_wins_over_the_capture(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    gates = Gates(world.ctx.psp)
    page = asyncio.create_task(service.refresh(world.behind(gates).ctx, started.payment_id))
    await gates.parked("capture", "asked")
    await cancel_link(world.ctx, world.agent, link_id)
    gates.open()
    await page
    assert (await world.link_row(link_id)).status == "canceled"
    assert await world.captures(link_id) == []
    assert "payment.succeeded" not in await world.told(link_id)


async def test_what_was_approved_before_the_cancellation_is_captured(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    gates = Gates(world.ctx.psp)
    approval = asyncio.create_task(world.behind(gates).approve(held.id))
    await gates.parked("capture", "asked")
    assert await conflict(cancel_link(world.ctx, world.agent, link_id)) == "link_not_active"
    gates.open()
    await approval
    assert (await world.link_row(link_id)).status == "paid"
    assert await world.captures(link_id) == [4999]


async def test_whoever_approves_after_the_cancellation_is_told_so(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    gates = Gates(world.ctx.psp)
    cancellation = asyncio.create_task(cancel_link(world.behind(gates).ctx, world.agent, link_id))
    await gates.parked("cancel", "asked")
    assert await conflict(world.approve(held.id)) == "payment_not_in_review"
    gates.open()
    await cancellation
    assert await world.captures(link_id) == []
    closed = await world.told_of(link_id, "review.closed")
    assert (closed["decision"], closed["by"]) == ("declined", "Alex Morgan")


async def test_a_browser_that_gets_its_attempt_while_the_link_is_canceled_leaves_no_money_held(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    unborn = await world.payment(started.payment_id)
    # As the cancellation saw it a moment before the provider's answer was stored.
    unborn.psp_payment_id = None
    await resolve(world.ctx, unborn)
    await world.confirm(started.payment_id)
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["authorized"]) == (True, 0)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED


async def test_a_provider_that_does_not_answer_leaves_the_link_as_it_is(world: World) -> None:
    link_id = await world.link()
    await world.start(link_id)
    await world.order(faults=[{"kind": "error_before", "path": "/cancel"}])
    with pytest.raises(Unavailable):
        await cancel_link(world.ctx, world.agent, link_id)
    assert (await world.link_row(link_id)).status == "active"
    await world.order(faults=[])
    await cancel_link(world.ctx, world.agent, link_id)


async def test_the_sweep_ends_what_is_due_and_nothing_else(world: World) -> None:
    await expire_due(world.ctx)
    due, later = await world.link(), await world.link()
    await past(world, due)
    assert await expire_due(world.ctx) == 1
    assert (await world.told(due))[-1] == "link.expired"
    assert [(await world.link_row(one)).status for one in (due, later)] == ["expired", "active"]
    assert await expire_due(world.ctx) == 0


async def test_a_customer_who_is_paying_when_time_is_over_may_finish(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await past(world, link_id)
    assert await expire_due(world.ctx) == 0
    await world.confirm(started.payment_id)
    await world.callback(started.payment_id)
    assert (await world.link_row(link_id)).status == "paid"
    assert "payment.succeeded_late" not in await world.told(link_id)


async def test_a_customer_who_left_is_not_waited_for(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await past(world, link_id)
    await world.age(Payment, started.payment_id, updated_at=utcnow() - GRACE * 2)
    assert await expire_due(world.ctx) == 1
    (account,) = await world.ledger(link_id)
    assert account["canceled"]
    assert (await world.told(link_id))[-2:] == ["payment.canceled", "link.expired"]


async def test_a_review_keeps_a_link_open_until_it_is_decided(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await past(world, link_id)
    await world.age(Payment, held.id, updated_at=utcnow() - GRACE * 2)
    assert await expire_due(world.ctx) == 0
    await world.approve(held.id)
    assert (await world.link_row(link_id)).status == "paid"


async def test_links_that_wait_for_a_review_do_not_keep_others_from_ending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paylink.payments.closing.SWEEP_PAGE", 2)
    for minutes in (30, 20):
        waiting = await world.link()
        await world.pay(waiting, "riskLevelElevated")
        await past(world, waiting, minutes=minutes)
    due = await world.link()
    await past(world, due)
    assert await expire_due(world.ctx) == 1
    assert (await world.link_row(due)).status == "expired"


async def test_attempts_beyond_giving_up_do_not_keep_others_from_ending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paylink.payments.closing.SWEEP_PAGE", 2)
    monkeypatch.setattr("paylink.payments.closing.GIVE_UP_PAGE", 1)
    left = [await world.link() for _ in range(3)]
    for minutes, link_id in zip((30, 20, 10), left, strict=True):
        started = await world.start(link_id)
        await past(world, link_id, minutes=minutes)
        if link_id != left[-1]:  # of another account of the provider's, say
            foreign = sa.update(Payment).where(Payment.id == started.payment_id).values(psp_payment_id=f"pi_{link_id}")
            await world.db.transact(lambda session, foreign=foreign: session.execute(foreign) and None)
        await world.age(Payment, started.payment_id, updated_at=utcnow() - GRACE * 2)
    due = await world.link()
    await past(world, due)
    assert await expire_due(world.ctx) >= 1
    assert (await world.link_row(due)).status == "expired"
    sweeps = 0
    while (await world.link_row(left[-1])).status == "active":
        assert (sweeps := sweeps + 1) < 60
        await expire_due(world.ctx)
    assert [(await world.link_row(one)).status for one in left] == ["active", "active", "expired"]
    # The tests share a database.
    over = sa.update(Payment).where(Payment.link_id.in_(left)).values(status="canceled")
    await world.db.transact(lambda session: session.execute(over) and None)


async def past(world: World, link_id: str, *, minutes: int = 1) -> None:
    await world.age(PaymentLink, link_id, expires_at=utcnow() - timedelta(minutes=minutes))
