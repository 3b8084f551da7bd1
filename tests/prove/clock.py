"""Clocks that disagree: what happens to a link at the moment it ends, by the database's clock, on processes whose own
clocks are wrong by up to ten minutes.

The database's clock stands still at a moment within a second of the one that decides, so that it decides and not the
speed of the machine. Each case is played three times: with right clocks, and with two drawn pairs of wrong ones, one
for the process that begins and one for the process that goes on. All must end alike, and as the case says.
"""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from paylink.errors import Conflict
from paylink.jobs import TryAgain
from paylink.links.models import PaymentLink
from paylink.payments import customer
from paylink.payments import jobs as payment_jobs
from paylink.payments.closing import GRACE
from paylink.payments.models import Decision
from paylink.payments.review import decide
from tests.payments.world import World
from tests.prove import judge
from tests.prove.clocks import Clocks
from tests.prove.places import KINDS, place
from tests.prove.provider import provider
from tests.prove.run import Figure, Report, Result, scaled
from tests.prove.sets import Part, side_by_side
from tests.prove.shop import Shop

CASES: Final = 1000
NEAR: Final = timedelta(seconds=1)
WRONG_BY: Final = timedelta(minutes=10)
RIGHT: Final = timedelta(0)
NOON: Final = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
BEFORE: Final = timedelta(seconds=10)
ADDRESS: Final = "203.0.113.9"


@dataclass(frozen=True, slots=True)
class Case:
    """``off``: how far the deciding moment is from the one in question. ``first`` and ``second``: by how much the
    clocks of the two processes are wrong."""

    shop: Shop
    clocks: Clocks
    off: timedelta
    first: timedelta
    second: timedelta

    @property
    def world(self) -> World:
        return self.shop.world

    def at(self, moment: datetime, wrong_by: timedelta) -> None:
        self.clocks.set(database=moment, process=moment + wrong_by)

    async def link(self) -> str:
        """One that ends at noon."""
        self.at(NOON - 2 * GRACE, self.first)
        link_id = await self.world.link()
        await self.world.age(PaymentLink, link_id, expires_at=NOON)
        self.at(NOON - BEFORE, self.first)
        return link_id

    async def start(self, link_id: str) -> str:
        started = await customer.start(self.shop.ctx, link_id=link_id, session_id="cks_1", address=ADDRESS)
        return started.payment_id


# What a case must end as: the link's state, and whether money was taken.
End = tuple[str, int]
PAID: Final[End] = ("paid", 4999)
ENDED: Final[End] = ("expired", 0)
STILL: Final[End] = ("active", 0)


async def begins(case: Case) -> End:
    """A customer presses Pay."""
    link_id = await case.link()
    case.at(NOON + case.off, case.second)
    with suppress(Conflict):
        await case.world.confirm(await case.start(link_id))
        await customer.refresh(case.shop.ctx, link_id=link_id)
    await case.shop.sweep()
    return PAID if case.off < RIGHT else ENDED


async def looks(case: Case) -> End:
    """A customer opens the page: it says what pressing Pay would."""
    link_id = await case.link()
    case.at(NOON + case.off, case.second)
    seen = await case.shop.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    right = customer.PageState.PAYABLE if case.off < RIGHT else customer.PageState.EXPIRED
    assert seen.state is right, f"the page says {seen.state}"
    return STILL


async def is_swept(case: Case) -> End:
    """Nobody pays."""
    await case.link()
    case.at(NOON + case.off, case.second)
    await case.shop.sweep()
    return STILL if case.off < RIGHT else ENDED


async def is_being_paid(case: Case) -> End:
    """A customer has begun in time, and is done when the link has ended."""
    link_id = await case.link()
    payment_id = await case.start(link_id)
    case.at(NOON + case.off, case.second)
    await case.shop.sweep()
    await case.world.confirm(payment_id)
    await case.world.callback(payment_id)
    await case.shop.sweep()
    return PAID


async def is_followed(case: Case) -> End:
    """The same, and the job that looks after the attempt comes by in between."""
    link_id = await case.link()
    payment_id = await case.start(link_id)
    case.at(NOON + case.off, case.second)
    with suppress(TryAgain):
        await payment_jobs.follow(case.shop.ctx, payment_id)
    await case.world.confirm(payment_id)
    await case.world.callback(payment_id)
    return PAID


async def is_left(case: Case) -> End:
    """A customer has begun and goes away: waited for as long as is promised, and no longer."""
    link_id = await case.link()
    case.at(NOON - BEFORE, case.first)
    await case.start(link_id)
    case.at(NOON - BEFORE + GRACE + case.off, case.second)
    await case.shop.sweep()
    return STILL if case.off < RIGHT else ENDED


async def is_captured_late(case: Case) -> End:
    """The attempt was given up and the link has ended; the provider takes the money all the same."""
    link_id = await case.link()
    payment_id = await case.start(link_id)
    psp_id = str((await case.world.payment(payment_id)).psp_payment_id)
    case.at(NOON + case.off + 2 * GRACE + 4 * WRONG_BY, case.second)
    await case.shop.sweep()
    assert (await case.world.link_row(link_id)).status == "expired"
    await case.shop.provider.edit(psp_id, "payment_intent", status="requires_payment_method", canceled_at=None)
    await case.world.confirm(payment_id)
    await case.world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=psp_id)
    await case.world.callback(payment_id)
    assert (await case.world.told(link_id))[-1] == "payment.succeeded_late"
    assert (await case.world.payment(payment_id)).late, "not marked as late"
    return ("expired", 4999)


async def is_held(case: Case) -> End:
    """A review keeps a link open; approved after its end, it is paid."""
    link_id = await case.link()
    payment_id = await case.start(link_id)
    await case.world.confirm(payment_id, "riskLevelElevated")
    await case.world.callback(payment_id)
    case.at(NOON + case.off, case.second)
    await case.shop.sweep()
    await decide(case.shop.ctx, case.world.agent, payment_id, Decision.CAPTURE, reason=None)
    return PAID


Play = Callable[[Case], Awaitable[End]]
PLAYS: Final[tuple[Play, ...]] = (
    *(begins, looks, is_swept, is_being_paid, is_followed, is_left, is_captured_late, is_held),
)


def run(scale: float, seed: int, report: Report) -> Result:
    total, dice = scaled(CASES, scale, least=len(PLAYS)), random.Random(seed)
    each = [(kind, total, dice.randrange(2**31)) for kind in KINDS]
    counts, failures = side_by_side(one_set, each, report, counted="cases", of=total * len(KINDS))
    figures: dict[str, Figure] = {
        "cases, on SQLite and PostgreSQL": counts["cases"],
        "played, with right and with wrong clocks": counts["plays"],
    }
    return Result({**figures, **{f"ended as {end}": counts[end] for end in sorted(counts) if " " in end}}, failures)


def one_set(kind: str, cases: int, seed: int) -> Part:
    with place(kind) as url, tempfile.TemporaryDirectory(prefix="paylink-prove-") as folder:
        counts, broken = asyncio.run(_set(url, Path(folder), cases, random.Random(seed)))
    return counts, [f"{kind}, {cases} cases with seed {seed}: {one}" for one in broken]


async def _set(url: str, folder: Path, cases: int, dice: random.Random) -> Part:
    counts, broken = Counter[str](), list[str]()
    with Clocks(url).ruling() as clocks:
        async with provider(folder, database_url=url) as psp:
            shop = Shop(psp, url)
            try:
                for number in range(cases):
                    play, off = PLAYS[number % len(PLAYS)], _off(dice)
                    counts["cases"] += 1
                    for skews in ((RIGHT, RIGHT), (_wrong(dice), _wrong(dice)), (WRONG_BY, -WRONG_BY)):
                        counts["plays"] += 1
                        wrong, end = await play_once(play, Case(shop, clocks, off, *skews))
                        counts[end] += 1
                        where = f"{play.__name__} {_seconds(off)}, clocks wrong by {' and '.join(map(_seconds, skews))}"
                        broken += [f"{where}: {one}" for one in wrong]
            finally:
                await shop.close()
    return counts, broken


async def play_once(play: Play, case: Case) -> tuple[list[str], str]:
    """What is broken, and how it ended."""
    case.clocks.set(database=NOON - timedelta(days=1))
    await case.shop.new_merchant()
    try:
        right = await play(case)
    except AssertionError as error:
        return [str(error)], "none"
    now = await _snapshot(case.shop)
    (link,) = now.links
    end = (link.status, sum(one["captured"] for one in now.accounts.values()))
    wrong = judge.always(now)
    if end != right:
        wrong.append(f"ended as {end} instead of {right}")
    return wrong, f"{end[0]}, {end[1]} captured"


def _off(dice: random.Random) -> timedelta:
    """On the moment itself, a microsecond beside it, or anywhere near."""
    near = int(NEAR.total_seconds() * 1e6)
    return timedelta(microseconds=dice.choice([0, -1, 1, -near, near, dice.randint(-near, near)]))


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():+g} s"


def _wrong(dice: random.Random) -> timedelta:
    return WRONG_BY * dice.uniform(-1, 1)


async def _snapshot(shop: Shop) -> judge.Snapshot:
    accounts: dict[str, Any] = await shop.provider.accounts()
    return await shop.db.read(lambda session: judge.take(session, shop.merchant_id, accounts))
