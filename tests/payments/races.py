"""A payment that several hear of at once, in an order that is drawn: every call to the provider is one step before it
goes out and one more before its answer is used, so that answers grow old in somebody's hands."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from paylink.errors import PaylinkError
from paylink.payments import jobs, service
from paylink.payments.closing import cancel_link
from paylink.payments.models import LIVE, Decision, PaymentStatus
from paylink.payments.review import decide
from paylink.psp.base import PspError
from tests.payments.gates import SECONDS, Gates
from tests.payments.world import World

CARDS: Final = ["visa", "visa", "riskLevelElevated", "riskLevelHighest", "chargeDeclined", "radarBlock"]
# What is told at most once of one attempt, and of one link.
ONCE: Final = {
    "payment.submitted",
    "fraud_check.started",
    "fraud_check.completed",
    "review.opened",
    "review.closed",
    "payment.succeeded",
    "payment.failed",
    "payment.canceled",
}
ENDS: Final = {"link.paid", "link.canceled", "link.expired"}


async def _page(world: World, _link_id: str, payment_id: str) -> None:
    await service.refresh(world.ctx, payment_id)


async def _callback(world: World, _link_id: str, payment_id: str) -> None:
    await world.callback(payment_id)


async def _job(world: World, _link_id: str, payment_id: str) -> None:
    await jobs.follow(world.ctx, payment_id)


async def _confirm(world: World, _link_id: str, payment_id: str) -> None:
    """The customer again, with a good card, in another tab."""
    await world.confirm(payment_id)


async def _cancel(world: World, link_id: str, _payment_id: str) -> None:
    await cancel_link(world.ctx, world.agent, link_id)


async def _approve(world: World, _link_id: str, payment_id: str) -> None:
    await decide(world.ctx, world.agent, payment_id, Decision.CAPTURE, reason=None)


async def _decline(world: World, _link_id: str, payment_id: str) -> None:
    await decide(world.ctx, world.agent, payment_id, Decision.RELEASE, reason=None)


async def _again(world: World, link_id: str, _payment_id: str) -> None:
    """Another device that tries its luck."""
    await world.pay(link_id, browser="cks_2")


_DOES: Final[dict[str, Callable[[World, str, str], Awaitable[None]]]] = {
    "page": _page,
    "callback": _callback,
    "job": _job,
    "confirm": _confirm,
    "cancel": _cancel,
    "approve": _approve,
    "decline": _decline,
    "again": _again,
}
ACTORS: Final = list(_DOES)


async def race(world: World, *, card: str, actors: list[str], order: list[int]) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, card)
    gates = Gates(world.ctx.psp)
    held = world.behind(gates)
    running = {
        asyncio.create_task(_quiet(_DOES[actor](held, link_id, started.payment_id)), name=f"{actor}-{number}")
        for number, actor in enumerate(actors)
    }
    await _play(gates, running, order)
    await asyncio.gather(*running)
    for attempt in await world.attempts(link_id):
        # What nobody has heard of by then, the jobs see to.
        await _quiet(jobs.follow(world.ctx, attempt.id))
        await _quiet(jobs.release(world.ctx, attempt.id))
    await _assert_sound(world, link_id)


async def _play(gates: Gates, running: set["asyncio.Task[None]"], order: list[int]) -> None:
    """Lets one through at a time: whose turn it is, ``order`` says."""
    async with asyncio.timeout(SECONDS):
        for turn in order:
            await _settled(gates, running)
            if not gates.waiting:
                break
            waiting = sorted(gates.waiting, key=lambda parked: parked.actor)
            gates.let(waiting[turn % len(waiting)])
    gates.open()


async def _settled(gates: Gates, running: set["asyncio.Task[None]"]) -> None:
    """Until everybody who still runs waits at a gate."""
    while True:
        gates.changed.clear()
        busy = {task for task in running if not task.done()}
        if len(gates.waiting) >= len(busy):
            return
        changed = asyncio.create_task(gates.changed.wait())
        await asyncio.wait({changed, *busy}, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()


async def _quiet(work: Awaitable[None]) -> None:
    try:
        await work
    except (PaylinkError, PspError, jobs.TryAgain):
        return


async def _assert_sound(world: World, link_id: str) -> None:
    ledger = await world.ledger(link_id)
    captures = [capture["amount"] for account in ledger for capture in account["captures"]]
    told = await world.events(link_id)
    assert len(captures) <= 1
    assert captures in ([], [4999])
    per_attempt: Counter[tuple[str, Any]] = Counter(
        (event.type, event.data.get("payment")) for event in told if event.type in ONCE
    )
    assert [found for found, times in per_attempt.items() if times > 1] == []
    ends = [event.type for event in told if event.type in ENDS]
    assert len(ends) <= 1
    link = await world.link_row(link_id)
    attempts = await world.attempts(link_id)
    if captures:
        assert (link.status, link.amount_paid, ends) == ("paid", 4999, ["link.paid"])
        assert [one.status for one in attempts].count(PaymentStatus.SUCCEEDED) == 1
        assert "payment.succeeded" in [event.type for event in told]
    else:
        assert (link.amount_paid, "link.paid" in ends) == (0, False)
    # Nothing stays held for an attempt that is over.
    over = {one.psp_payment_id for one in attempts if one.status not in LIVE}
    held = [one for one in ledger if one["payment_intent"] in over and one["status"] == "requires_capture"]
    assert held == []
