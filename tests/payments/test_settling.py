"""Whoever hears first settles; whoever hears late, twice or out of order changes nothing."""

import asyncio
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from paylink.config import Settings
from paylink.db import Database
from paylink.payments import service
from paylink.payments.models import Payment, PaymentStatus
from paylink.payments.settle import RELEASE_JOB, settle
from paylink.psp.base import Decline, ProviderPayment, ProviderStatus
from tests.payments.gates import Gates
from tests.payments.races import ACTORS, CARDS, race
from tests.payments.world import World, opened

TIMES = 12
PROVE = os.environ.get("PAYLINK_PROVE") == "1"
RACES = 400 if PROVE else 30


async def test_a_payment_is_settled_once_by_all_who_hear_of_it_at_once(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await asyncio.gather(
        *(service.refresh(world.ctx, started.payment_id) for _ in range(TIMES)),
        *(world.callback(started.payment_id) for _ in range(TIMES)),
    )
    await world.callback(started.payment_id)
    assert (await world.told(link_id))[1:] == [
        "payment.submitted",
        "fraud_check.started",
        "fraud_check.completed",
        "payment.succeeded",
        "link.paid",
    ]
    assert await world.captures(link_id) == [4999]
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid) == ("paid", 4999)


async def test_taking_over_the_same_object_again_changes_nothing(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    theirs = await world.stripe.get_payment(str(paid.psp_payment_id))
    before = await world.told(link_id)
    for _ in range(3):
        await take_over(world, paid.id, theirs)
    assert await world.told(link_id) == before
    assert (await world.link_row(link_id)).amount_paid == 4999


@pytest.mark.parametrize("status", [one for one in ProviderStatus if one is not ProviderStatus.SUCCEEDED])
async def test_what_was_read_before_the_capture_cannot_undo_it(world: World, status: ProviderStatus) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    theirs = await world.stripe.get_payment(str(paid.psp_payment_id))
    before = await world.told(link_id)
    await take_over(world, paid.id, replace(theirs, status=status, decline=Decline("generic_decline")))
    assert (await world.payment(paid.id)).status == PaymentStatus.SUCCEEDED
    assert await world.told(link_id) == before


async def test_a_decline_that_is_told_late_cannot_undo_an_authorisation(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, "chargeDeclined")
    gates = Gates(world.ctx.psp)
    late = asyncio.create_task(world.behind(gates).callback(started.payment_id))
    await gates.parked("get_payment", "answered")
    await world.confirm(started.payment_id)
    holding = Gates(world.ctx.psp)
    page = asyncio.create_task(service.refresh(world.behind(holding).ctx, started.payment_id))
    await holding.parked("capture", "asked")
    gates.open()
    await late
    holding.open()
    await page
    assert (await world.payment(started.payment_id)).status == PaymentStatus.SUCCEEDED
    assert {"payment.failed", "payment.succeeded_late"}.isdisjoint(await world.told(link_id))
    assert (await world.link_row(link_id)).status == "paid"


@pytest.mark.parametrize("given_up", [PaymentStatus.FAILED, PaymentStatus.CANCELED])
async def test_money_held_for_an_attempt_that_was_given_up_is_let_go(world: World, given_up: PaymentStatus) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.db.transact(lambda session: give_up(session, started.payment_id, given_up))
    await world.confirm(started.payment_id)
    await world.callback(started.payment_id)
    assert await world.jobs(RELEASE_JOB, started.payment_id) == [f"{RELEASE_JOB}:{started.payment_id}"]
    await world.release(started.payment_id)
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    assert (await world.link_row(link_id)).status == "active"


async def test_a_payment_captured_at_the_provider_after_it_was_given_up_counts_and_is_told_as_late(
    world: World,
) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.db.transact(lambda session: give_up(session, started.payment_id, PaymentStatus.CANCELED))
    await world.confirm(started.payment_id)
    psp_id = str((await world.payment(started.payment_id)).psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    await world.callback(started.payment_id)
    assert (await world.told(link_id))[-2:] == ["payment.succeeded_late", "link.paid"]
    assert (await world.link_row(link_id)).amount_paid == 4999


async def test_a_link_paid_late_by_one_attempt_is_not_paid_again_by_the_next(world: World) -> None:
    link_id = await world.link()
    first = await world.start(link_id)
    await world.db.transact(lambda session: give_up(session, first.payment_id, PaymentStatus.CANCELED))
    await world.confirm(first.payment_id)
    psp_id = str((await world.payment(first.payment_id)).psp_payment_id)
    second = await world.start(link_id, browser="cks_2")
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    await world.callback(first.payment_id)
    await world.confirm(second.payment_id)
    await world.callback(second.payment_id)
    assert await world.captures(link_id) == [4999]
    assert (await world.payment(second.payment_id)).status == PaymentStatus.CANCELED
    assert (await world.link_row(link_id)).amount_paid == 4999


async def test_a_part_that_was_captured_leaves_the_rest_to_be_paid(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    await world.stripe.capture(str(held.psp_payment_id), amount=3000, currency="GBP", idempotency_key=held.id)
    await world.callback(held.id)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid) == ("partially_paid", 3000)
    rest = await world.pay(link_id)
    assert (rest.status, rest.amount) == (PaymentStatus.SUCCEEDED, 1999)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid) == ("paid", 4999)


@settings(
    max_examples=RACES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=not PROVE,
)
@given(
    card=st.sampled_from(CARDS),
    actors=st.lists(st.sampled_from(ACTORS), min_size=2, max_size=5),
    order=st.lists(st.integers(0, 4), max_size=24),
)
def test_in_whatever_order_they_come_money_moves_once_and_is_told_of_once(
    db: Database, provider: Settings, card: str, actors: list[str], order: list[int]
) -> None:
    async def run() -> None:
        async with opened(db, provider) as world:
            await race(world, card=card, actors=actors, order=order)

    asyncio.run(run())


async def take_over(world: World, payment_id: str, theirs: ProviderPayment) -> None:
    await world.db.transact(lambda session: settle(session, world.ctx.jobs, payment_id, theirs, livemode=False))


def give_up(session: Session, payment_id: str, status: PaymentStatus) -> None:
    session.get_one(Payment, payment_id).status = status.value
