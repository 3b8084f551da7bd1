"""How a hold ends without an agent: decided at the provider, about to lapse, or lapsed."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from paylink import worker
from paylink.audit.models import AuditEntry
from paylink.context import Context
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import review, service
from paylink.payments.models import Payment, PaymentStatus
from paylink.psp.base import ProviderReview
from tests.payments.gates import Gates
from tests.payments.world import SECONDS, World, conflict

HOUR = 3600


async def held_for_review(world: World) -> tuple[str, Payment, str]:
    """The link, the payment, and the provider's id of its own review."""
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    assert held.status == PaymentStatus.IN_REVIEW
    return link_id, held, await review_of(world, str(held.psp_payment_id))


async def review_of(world: World, psp_payment_id: str) -> str:
    page = await world.stripe._reviews.list_async({"limit": 100})
    (found,) = [one.id for one in page.data if one.payment_intent == psp_payment_id]
    return str(found)


async def hear(world: World, psp_review_id: str) -> None:
    await world.inbound({"subject": "review", "object_id": psp_review_id, "payment_id": "pi_as_they_say"})


async def audited(world: World, payment_id: str) -> list[tuple[str, str, Any]]:
    query = sa.select(AuditEntry).where(AuditEntry.subject == payment_id).order_by(AuditEntry.seq)
    found = await world.db.read(lambda session: list(session.scalars(query)))
    return [(one.action, one.actor, one.details["reason"]) for one in found]


async def ends_in(world: World, held: Payment, seconds: int) -> None:
    """The provider lets the authorisation end then, and says so when it is asked next."""
    await world.order(end_authorization={"payment_intent": held.psp_payment_id, "in_s": seconds})
    await service.refresh(world.ctx, held.id)


async def test_what_is_approved_at_the_provider_is_captured(world: World) -> None:
    link_id, held, psp_id = await held_for_review(world)
    await world.stripe._reviews.approve_async(psp_id)
    for _ in range(3):
        await hear(world, psp_id)
    paid = await world.payment(held.id)
    assert (paid.status, paid.decision, paid.reviewed_by) == ("succeeded", "capture", "provider")
    assert paid.review_reason == "approved"
    assert await world.captures(link_id) == [4999]
    assert await world.told_of(link_id, "review.closed") == {
        "payment": held.id,
        "decision": "approved",
        "by": "provider",
        "reason": "approved",
    }
    assert await audited(world, held.id) == [("review.approved", "provider", "approved")]


async def test_an_approval_that_is_heard_of_before_the_payment_counts(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, "riskLevelElevated")
    psp_id = await review_of(world, str((await world.payment(started.payment_id)).psp_payment_id))
    await world.stripe._reviews.approve_async(psp_id)
    await hear(world, psp_id)
    assert await world.captures(link_id) == [4999]
    assert (await world.link_row(link_id)).status == "paid"


@pytest.mark.parametrize("reason", ["refunded", "refunded_as_fraud", "disputed", "canceled", "payment_never_settled"])
async def test_what_is_refused_at_the_provider_is_let_go(world: World, reason: str) -> None:
    link_id, held, psp_id = await held_for_review(world)
    await world.order(close_review={"review_id": psp_id, "reason": reason})
    await hear(world, psp_id)
    await hear(world, psp_id)
    gone = await world.payment(held.id)
    assert (gone.status, gone.decision, gone.reviewed_by, gone.review_reason) == (
        "canceled",
        "release",
        "provider",
        reason,
    )
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    closed = await world.told_of(link_id, "review.closed")
    assert (closed["decision"], closed["by"], closed["reason"]) == ("released", "provider", reason)
    assert (await world.told_of(link_id, "payment.canceled"))["reason"] == "review_declined"
    assert (await world.link_row(link_id)).status == "active"
    assert await audited(world, held.id) == [("review.released", "provider", reason)]


@pytest.mark.parametrize("reason", ["acknowledged", "redacted", "a_word_of_tomorrow"])
async def test_a_word_that_says_nothing_of_the_money_leaves_the_decision_here(world: World, reason: str) -> None:
    link_id, held, psp_id = await held_for_review(world)
    await world.order(close_review={"review_id": psp_id, "reason": reason})
    await hear(world, psp_id)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW
    await world.approve(held.id)
    assert await world.captures(link_id) == [4999]


async def test_a_callback_that_says_closed_of_an_open_review_moves_nothing(world: World) -> None:
    _, held, psp_id = await held_for_review(world)
    await hear(world, psp_id)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW


async def test_whoever_decides_first_has_decided(world: World) -> None:
    link_id, held, psp_id = await held_for_review(world)
    gates = Gates(world.ctx.psp)
    agent = asyncio.create_task(world.behind(gates).decline(held.id, reason="Not known to us"))
    await gates.parked("cancel", "asked")
    await world.stripe._reviews.approve_async(psp_id)
    await hear(world, psp_id)
    gates.open()
    await agent
    gone = await world.payment(held.id)
    assert (gone.status, gone.reviewed_by) == ("canceled", "agent:agt_1")
    assert await world.captures(link_id) == []
    assert await audited(world, held.id) == [("review.declined", "agent:agt_1", "Not known to us")]


async def test_an_agent_who_comes_after_the_provider_is_told_so(world: World) -> None:
    _, held, psp_id = await held_for_review(world)
    await world.order(close_review={"review_id": psp_id, "reason": "refunded_as_fraud"})
    await hear(world, psp_id)
    assert await conflict(world.approve(held.id)) == "payment_not_in_review"


async def test_an_approved_payment_of_a_link_that_was_paid_meanwhile_is_let_go(world: World) -> None:
    link_id, held, psp_id = await held_for_review(world)
    await world.age(PaymentLink, link_id, status="paid")  # type: ignore[arg-type]
    await world.stripe._reviews.approve_async(psp_id)
    await hear(world, psp_id)
    assert await world.captures(link_id) == []
    gone = await world.payment(held.id)
    assert (gone.status, gone.decision) == ("canceled", "release")
    assert gone.review_reason == review.PAID_MEANWHILE


class Changed(Gates):
    """The provider, whose reviews are not what they should be."""

    def __init__(self, world: World, changes: dict[str, Any]) -> None:
        super().__init__(world.ctx.psp)
        self.open()
        self._changes = changes

    async def get_review(self, review_id: str) -> ProviderReview:
        return replace(await super().get_review(review_id), **self._changes)


@pytest.mark.parametrize("changes", [{"livemode": True}, {"payment_id": None}], ids=["mode", "no payment"])
async def test_a_review_that_does_not_fit_decides_nothing(world: World, changes: dict[str, Any]) -> None:
    link_id, held, psp_id = await held_for_review(world)
    await world.stripe._reviews.approve_async(psp_id)
    await hear(world.behind(Changed(world, changes)), psp_id)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW
    assert await world.captures(link_id) == []


async def test_how_long_the_money_is_held_is_kept(world: World) -> None:
    _, held, _ = await held_for_review(world)
    theirs = await world.stripe.get_payment(str(held.psp_payment_id))
    assert held.capture_before == theirs.capture_before
    assert held.capture_before
    assert timedelta(days=6, hours=23) < held.capture_before - utcnow() <= timedelta(days=7)


async def test_a_hold_that_has_days_to_go_is_left_alone(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await ends_in(world, held, 25 * HOUR)
    before = await world.told(link_id)
    await review.watch_holds(world.ctx)
    assert await world.told(link_id) == before
    assert (await world.payment(held.id)).review_warned_at is None


async def test_the_agents_are_warned_a_day_before_once(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await ends_in(world, held, 23 * HOUR)
    await asyncio.gather(*(review.watch_holds(world.ctx) for _ in range(4)))
    await review.watch_holds(world.ctx)
    warned = await world.payment(held.id)
    assert warned.status == PaymentStatus.IN_REVIEW
    assert warned.review_warned_at
    told = await world.told_of(link_id, "review.expiring")
    assert told["payment"] == held.id
    assert warned.capture_before
    assert told["capture_before"] == warned.capture_before.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await world.approve(held.id)
    assert await world.captures(link_id) == [4999]


async def test_an_hour_before_the_money_is_let_go(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await ends_in(world, held, HOUR - 60)
    await asyncio.gather(*(review.watch_holds(world.ctx) for _ in range(4)))
    gone = await world.payment(held.id)
    assert (gone.status, gone.decision, gone.reviewed_by) == ("canceled", "release", "system")
    (account,) = await world.ledger(link_id)
    assert (account["canceled"], account["captured"]) == (True, 0)
    closed = await world.told_of(link_id, "review.closed")
    assert (closed["decision"], closed["by"], closed["reason"]) == ("released", "system", review.UNATTENDED)
    assert (await world.told_of(link_id, "payment.canceled"))["reason"] == "review_expired"
    assert gone.decline_code is None
    assert await audited(world, held.id) == [("review.released", "system", review.UNATTENDED)]
    # The customer may pay again.
    assert (await world.pay(link_id)).status == PaymentStatus.SUCCEEDED


async def test_an_authorisation_that_was_extended_is_not_let_go(world: World) -> None:
    _, held, _ = await held_for_review(world)
    await world.age(Payment, held.id, capture_before=utcnow() + timedelta(minutes=30))
    await review.watch_holds(world.ctx)
    kept = await world.payment(held.id)
    assert kept.status == PaymentStatus.IN_REVIEW
    assert kept.capture_before == held.capture_before


async def test_while_the_provider_is_away_nothing_is_decided_and_later_it_is(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await ends_in(world, held, HOUR - 60)
    await world.order(faults=[{"kind": "error_before", "method": "GET"}])
    await review.watch_holds(world.ctx)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW
    await world.order(faults=[{"kind": "error_before", "path": "/cancel"}])
    await review.watch_holds(world.ctx)
    decided = await world.payment(held.id)
    assert (decided.status, decided.decision) == ("requires_capture", "release")
    assert sorted(await world.jobs(service.FOLLOW_JOB, held.id)) == [
        f"{service.FOLLOW_JOB}:{held.id}",
        f"{service.FOLLOW_JOB}:{held.id}:decided",
    ]
    await world.order(faults=[])
    await world.follow(held.id)
    assert (await world.payment(held.id)).status == PaymentStatus.CANCELED
    assert (await world.told(link_id)).count("review.closed") == 1


async def test_a_decision_at_the_last_moment_stands(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await ends_in(world, held, HOUR - 60)
    gates = Gates(world.ctx.psp)
    sweep = asyncio.create_task(review.watch_holds(world.behind(gates).ctx))
    await gates.parked("get_payment", "answered")
    await world.approve(held.id)
    gates.open()
    await sweep
    assert (await world.payment(held.id)).status == PaymentStatus.SUCCEEDED
    assert await world.captures(link_id) == [4999]


async def test_an_authorisation_that_lapsed_ends_the_review_and_frees_the_link(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await world.order(end_authorization={"payment_intent": held.psp_payment_id, "in_s": 0})
    await world.callback(held.id)
    gone = await world.payment(held.id)
    assert (gone.status, gone.decision, gone.reviewed_by) == ("canceled", "release", "provider")
    assert gone.review_reason
    assert (await world.told(link_id))[-2:] == ["review.closed", "payment.canceled"]
    assert (await world.link_row(link_id)).status == "active"


async def test_no_authorisation_is_watched_where_the_provider_says_nothing_of_its_end(world: World) -> None:
    link_id, held, _ = await held_for_review(world)
    await world.age(Payment, held.id, capture_before=None)  # type: ignore[arg-type]
    await review.watch_holds(world.ctx)
    assert "review.expiring" not in await world.told(link_id)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW


class NoJobs:
    """In place of the job system, whose jobs are other tests' too."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        return

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return


async def test_the_worker_keeps_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()

    async def look(ctx: Context) -> None:
        assert ctx is world.ctx
        looked.set()

    async def nothing(_ctx: Context) -> int:
        return 0

    monkeypatch.setattr(worker, "Worker", NoJobs)
    monkeypatch.setattr(worker, "watch_holds", look)
    monkeypatch.setattr(worker, "expire_due", nothing)
    work = worker.Work(world.ctx, {})
    await work.start()
    async with asyncio.timeout(SECONDS):
        await looked.wait()
    await work.close()
