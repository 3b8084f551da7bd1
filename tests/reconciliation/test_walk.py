"""We and the provider, compared both ways: every difference is found and named, what is right by itself is put right,
and nothing else is touched."""

import asyncio
import os
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from paylink.kit.clock import utcnow
from paylink.payments.models import Dispute, Payment, PaymentStatus
from paylink.psp import stripe as stripe_adapter
from paylink.reconciliation import queries, walk
from paylink.reconciliation.differences import QUIET, C, Difference
from paylink.reconciliation.report import Report
from paylink.reconciliation.walk import OutOfTime, ProviderAway, Run
from tests.payments.world import World
from tests.reconciliation.differences import (
    FAST,
    FOR_A_PERSON,
    SEEDS,
    Seeder,
    agree,
    behind_captured,
    behind_declined,
    behind_held,
    change,
    hear_all,
    in_sandbox,
    metadata,
    missing_here_unknown,
    missing_there,
    money,
    plan,
    reconcile,
    refund_unknown,
    told,
    undelivered,
)
from webhooks.inbound.undelivered import FetchedInbox

# What does not depend on the database.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ROUNDS = 1000 // len(SEEDS) + 1 if "PAYLINK_PROVE" in os.environ else 1


async def books_agree(seeder: Seeder) -> None:
    ledger = await money(seeder.world)
    for payment_id in seeder.sound:
        payment = await seeder.world.payment(payment_id)
        assert ledger[str(payment.psp_payment_id)] == (payment.amount_captured, payment.amount_refunded), payment_id


@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_every_difference_is_found_and_put_right_or_told(world: World) -> None:
    seeder = Seeder(world)
    for _ in range(ROUNDS):
        await seeder.plant(*SEEDS, agree)
    # Last, since only what was not heard of by then counts as such.
    await seeder.plant(undelivered)
    before = await money(world)
    dry = await reconcile(world, dry_run=True)
    assert not any(one.repaired for one in dry.differences)
    assert await money(world) == before
    first = await reconcile(world)
    assert told(first.differences) == Counter(seeder.expected)
    await books_agree(seeder)
    hear_all(world)
    second = await reconcile(world)
    assert told(second.differences) == Counter(one for one in seeder.expected if not one[2])


async def test_a_run_in_parts_and_pages_finds_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "WINDOW_PAYMENTS", 3)
    monkeypatch.setattr(queries, "PAGE", 2)
    monkeypatch.setattr(stripe_adapter, "PAGE", 2)
    seeder = Seeder(world)
    # What only the lists can find is the oldest, and in windows of its own: those begin with a whole second.
    await seeder.plant(refund_unknown, missing_here_unknown)
    await asyncio.sleep(1.1)
    await seeder.plant(agree, *[behind_held] * 4, missing_there, metadata)
    found: list[Difference] = []
    cursor, parts = "", 0
    while cursor or not parts:
        run = Run(world.ctx, plan(), FetchedInbox, per_second=FAST)
        cursor = await in_one_step(run, cursor)
        found += run.report.differences
        parts += 1
    assert parts > 5
    heard_of_meanwhile = {one for one in told(found) if one[0] is C.UNDELIVERED_EVENT}
    assert set(told(found)) - heard_of_meanwhile == set(seeder.expected)


async def in_one_step(run: Run, cursor: str) -> str:
    """As if its time were over after the first step."""
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if run.report.compared and checks > 1 and done:
            raise OutOfTime

    done: list[Report] = []
    run.progress = done.append
    run._check_time = check  # type: ignore[method-assign]
    return await run.go(cursor)


@ON_SQLITE
async def test_what_changed_in_the_last_minute_is_left_alone(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(behind_held, missing_here_unknown, refund_unknown, undelivered)
    (payment_id, psp_id) = [one[1] for one in seeder.expected[:2]]
    found = await reconcile(world, quiet=QUIET)
    assert told(found.differences) == Counter()
    assert (await world.payment(payment_id)).status == PaymentStatus.REQUIRES_PAYMENT_METHOD
    await world.age(Payment, payment_id, updated_at=utcnow() - QUIET)
    change_created(world, psp_id, QUIET)
    found = await reconcile(world, quiet=QUIET)
    assert told(found.differences) == Counter(seeder.expected[:2])


@ON_SQLITE
async def test_one_object_that_cannot_be_read_does_not_stop_the_others(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(behind_held, behind_captured, behind_declined)
    payment_id = seeder.expected[1][1]
    psp_id = (await world.payment(payment_id)).psp_payment_id
    await world.order(faults=[{"kind": "error_before", "path": f"/v1/payment_intents/{psp_id}"}])
    found = await reconcile(world)
    assert told(found.differences) == Counter(
        [seeder.expected[0], (C.UNREAD, payment_id, FOR_A_PERSON), seeder.expected[2]]
    )
    await world.order(faults=[])
    hear_all(world)
    assert told((await reconcile(world)).differences) == Counter([seeder.expected[1]])


@ON_SQLITE
async def test_a_provider_that_is_away_ends_the_run(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(*[behind_held] * 16)
    await world.order(faults=[{"kind": "reset_before", "path": "/v1/payment_intents"}])
    run = Run(world.ctx, plan(), FetchedInbox, per_second=FAST)
    with pytest.raises(ProviderAway) as away:
        await run.go()
    assert not away.value.key_refused
    # Those that were under way when it was clear.
    assert len(run.report.differences) < 12
    await world.order(faults=[])
    with pytest.raises(ProviderAway) as away:
        await reconcile(world.behind(world.psp_with_wrong_key()))
    assert away.value.key_refused
    assert told((await reconcile(world)).differences) == Counter(seeder.expected)


@ON_SQLITE
async def test_a_dispute_nobody_told_us_of_is_heard_of_by_the_events(world: World) -> None:
    await world.order(dispute_delay_ms=0)
    paid = await world.pay(await world.link(), "createDispute")
    hear_all(world)

    def disputed() -> int:
        return in_sandbox(
            world,
            "UPDATE outbox SET state = 'dropped' WHERE source IN "
            "(SELECT id FROM objects WHERE kind = 'event' AND body LIKE '%charge.dispute.created%')",
        )

    await world.until(lambda: asyncio.to_thread(disputed))
    await asyncio.sleep(1.1)  # until its second is over: the run looks at what was told before its own
    found = await reconcile(world)
    assert [(one.kind, one.repaired) for one in found.differences] == [(C.UNDELIVERED_EVENT, True)]
    query = sa.select(Dispute.payment_id)
    assert await world.db.read(lambda session: session.scalars(query).all()) == [paid.id]


async def test_customers_may_pay_while_it_runs(world: World) -> None:
    """Nothing is left alone here: the worst that can happen is that both do the same thing."""
    links = [await world.link() for _ in range(5)]

    async def pay(number: int, link_id: str) -> Payment:
        return await world.pay(link_id, "chargeDeclined" if number % 5 == 4 else "visa")

    async def runs() -> None:
        for _ in range(3):
            await reconcile(world)

    paid, _ = await asyncio.gather(asyncio.gather(*(pay(*one) for one in enumerate(links))), runs())
    assert not (await reconcile(world)).open
    assert [payment.status for payment in paid] == ["succeeded"] * 4 + ["failed"]
    for number, link_id in enumerate(links):
        told_of = await world.told(link_id)
        assert await world.captures(link_id) == ([] if number % 5 == 4 else [4999])
        assert told_of.count("payment.succeeded") + told_of.count("payment.failed") == 1


def change_created(world: World, object_id: str, age: timedelta) -> None:
    created = int((utcnow() - age).timestamp()) - 1
    change(world, object_id, created=created)
    in_sandbox(world, "UPDATE objects SET created = ? WHERE id = ?", created, object_id)
