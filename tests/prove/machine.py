"""The state machine: links, payments, refunds and disputes under whatever may happen to them, in any order.

Hypothesis draws the steps: customers in two browsers, agents, the provider and its callbacks, jobs, time, and processes
that die between a call to the provider and its answer. After each step, and once more when everything has come to rest,
the rows are held against the provider's ledger and against the log (``judge``).
"""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from paylink.errors import PaylinkError
from paylink.payments import customer
from paylink.payments.closing import cancel_link
from paylink.payments.locks import unlock
from paylink.payments.models import Decision
from paylink.payments.refunds import refund
from paylink.payments.review import decide
from paylink.psp.base import PspError
from tests.prove import judge
from tests.prove.clocks import Clocks
from tests.prove.places import KINDS, place
from tests.prove.provider import provider
from tests.prove.run import Figure, Report, Result, scaled
from tests.prove.sets import Part, side_by_side, story
from tests.prove.shop import Died, Shop

# Of each database: RUNS, in sets that share a database and can be drawn side by side.
RUNS: Final = 1000
SET: Final = 100
STEPS: Final = 50
# The contract's, and the two whose refunds do not go well.
GOOD: Final = ("visa", "mastercard", "createDispute", "pendingRefund", "refundFail")
ASKED: Final = ("authenticationRequired", "riskLevelElevated")
DECLINED: Final = (
    *("chargeDeclined", "chargeDeclinedInsufficientFunds", "chargeDeclinedIncorrectCvc", "chargeDeclinedExpiredCard"),
    *("chargeDeclinedProcessingError", "radarBlock", "authenticationRequiredChargeDeclinedInsufficientFunds"),
)
CARDS: Final = (*GOOD, *ASKED, *DECLINED)
BROWSERS: Final = ("cks_a", "cks_b")
ADDRESS: Final = "203.0.113.9"
AMOUNTS: Final = (4999, 300, 25_000)
MAX_LINKS: Final = 4
MOST_LINKS: Final = 8
WAITS: Final = tuple(timedelta(seconds=one) for one in (1, 1, 30, 30, 400, 3600, 86_400))
ENDS_IN: Final = (60, 3600, 30 * 86_400, 30 * 86_400)
# What comes to rest does so in a few; a ring of jobs that never ends would need more.
LAST_ROUNDS: Final = 6
FAILED_LATE: Final = '"type": "refund.failed"'
FOR_GOOD: Final = timedelta(days=31)

some = st.integers(0, 7)
TOLD: Final = st.sampled_from([True, True, True, False])
PARTS: Final = st.sampled_from([None, None, None, 100, 150, 1000, 99])


class Stage:
    """One database and one provider for a whole set of runs, and the loop that all of it lives in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shop: Shop, clocks: Clocks) -> None:
        self.loop = loop
        self.shop = shop
        self.clocks = clocks
        self.counts: Counter[str] = Counter()

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(_awaited(work))


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


@contextmanager
def stage(url: str) -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    with tempfile.TemporaryDirectory(prefix="paylink-prove-") as folder, Clocks(url).ruling() as clocks:
        psp = loop.run_until_complete(stack.enter_async_context(provider(Path(folder), database_url=url)))
        made = Stage(loop, Shop(psp, url), clocks)
        try:
            yield made
        finally:
            loop.run_until_complete(made.shop.close())
            loop.run_until_complete(stack.aclose())
            loop.close()


class Machine(RuleBasedStateMachine):
    """``stage`` is set on a subclass. A step that finds nothing to do is a step of its own, and costs little."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.stage.shop
        self.now = timedelta(0)
        self.links: list[str] = []
        # The provider's ids of the attempts whose secret a customer's browser was given, and the last of these.
        self.known: list[str] = []
        self.at_hand: str | None = None
        self.last: judge.Snapshot | None = None
        self.broken = False
        self.stage.clocks.set(database=self.now)
        self.stage.run(self.shop.new_merchant())
        self.stage.counts["runs"] += 1

    @initialize(amount=st.sampled_from(AMOUNTS), parts=st.booleans(), ends_in=st.sampled_from(ENDS_IN))
    def first_link(self, amount: int, parts: bool, ends_in: int) -> None:
        self._link(amount, parts, ends_in)

    @rule(amount=st.sampled_from(AMOUNTS), parts=st.booleans(), ends_in=st.sampled_from(ENDS_IN))
    def new_link(self, amount: int, parts: bool, ends_in: int) -> None:
        if len(self.links) < MAX_LINKS:
            self._link(amount, parts, ends_in)

    @rule(which=some, browser=st.sampled_from(BROWSERS), part=PARTS)
    def start(self, which: int, browser: str, part: int | None) -> None:
        self.act(self._start(self._payable(which), browser, part))

    @rule(which=some)
    def start_in_both_browsers(self, which: int) -> None:
        self.act(*(self._start(pick(self.links, which), browser, None) for browser in BROWSERS))

    @rule(which=some, card=st.sampled_from(CARDS))
    def confirm(self, which: int, card: str) -> None:
        """With the newest of what a browser knows, or an old one: a tab that was left open."""
        if self.known:
            self.stage.run(self.shop.provider.confirm(recent(self.known, which), card))

    # Customers who go all the way in one go, as most do, so that runs come far.
    @rule(which=some, browser=st.sampled_from(BROWSERS), card=st.sampled_from(GOOD), part=PARTS, told=TOLD)
    def pay(self, which: int, browser: str, card: str, part: int | None, told: bool) -> None:
        self._pay(which, browser, card, part, told=told)

    @rule(which=some, browser=st.sampled_from(BROWSERS), card=st.sampled_from(DECLINED), part=PARTS, told=TOLD)
    def try_to_pay(self, which: int, browser: str, card: str, part: int | None, told: bool) -> None:
        self._pay(which, browser, card, part, told=told)

    @rule(which=some, browser=st.sampled_from(BROWSERS), part=PARTS, told=TOLD)
    def pay_and_be_held(self, which: int, browser: str, part: int | None, told: bool) -> None:
        self._pay(which, browser, "riskLevelElevated", part, told=told)

    @rule(which=some, browser=st.sampled_from(BROWSERS), approve=st.booleans(), told=TOLD, part=PARTS)
    def pay_and_be_asked(self, which: int, browser: str, approve: bool, told: bool, part: int | None) -> None:
        self._pay(which, browser, "authenticationRequired", part, told=told)
        if told:
            self._prove(0, approve=approve)
            self.act(customer.refresh(self.shop.ctx, link_id=self._payable(which)))

    @rule(which=some, approve=st.booleans())
    def prove_who_one_is(self, which: int, approve: bool) -> None:
        self._prove(which, approve=approve)

    def _prove(self, which: int, *, approve: bool) -> None:
        if self.known:
            self.stage.run(self.shop.provider.authenticate(recent(self.known, which), approve=approve))

    @rule(which=some)
    def page_asks(self, which: int) -> None:
        self.act(customer.refresh(self.shop.ctx, link_id=pick(self.links, which)))

    @rule(which=some, copies=st.integers(1, 3))
    def callback(self, which: int, copies: int) -> None:
        """Any that waits, so in any order."""
        self.stage.run(self._callback(which, copies))

    @rule(which=some)
    def callback_is_lost(self, which: int) -> None:
        self.stage.run(self._lose(which))

    @rule(which=some)
    def job(self, which: int) -> None:
        if jobs := self.stage.run(self.shop.jobs()):
            self.act(self.shop.work(pick(jobs, which)))

    @rule()
    def all_jobs(self) -> None:
        self.act(self.shop.work_all())

    @rule()
    def sweep(self) -> None:
        self.act(self.shop.sweep())

    @rule(wait=st.sampled_from(WAITS))
    def time_passes(self, wait: timedelta) -> None:
        self.now += wait
        self.stage.clocks.set(database=self.now)

    @rule()
    def time_passes_at_the_provider(self) -> None:
        self.stage.run(self.shop.provider.time_passes())

    @rule(which=some, sure=st.sampled_from([True, False, False]))
    def cancel(self, which: int, sure: bool) -> None:
        if sure:
            self.act(cancel_link(self.shop.ctx, self.shop.world.agent, pick(self.links, which)))

    @rule(which=some)
    def unlock_link(self, which: int) -> None:
        locked = [one.id for one in self.last.links if one.locked_at] if self.last else []
        if not locked and which:
            return
        link_id, agent = pick(locked or self.links, which), self.shop.world.agent
        self.act(self.shop.db.transact(lambda session: unlock(session, agent, link_id)))

    @rule(which=some, approve=st.booleans())
    def review(self, which: int, approve: bool) -> None:
        if held := self._ids("in_review") or (self._ids() if which == 7 else []):
            self.act(self._decide(pick(held, which), approve=approve))

    @rule(which=some, amount=st.sampled_from([None, 1, 100, 2500, 5000, 30_000]))
    def give_back(self, which: int, amount: int | None) -> None:
        if paid := self._ids("succeeded"):
            self.act(self._refund(pick(paid, which), amount))

    @rule(
        card=st.sampled_from(GOOD), amount=st.sampled_from([None, 1, 100]), death=st.sampled_from([None, True, False])
    )
    def pay_and_be_given_back(self, card: str, amount: int | None, death: bool | None) -> None:
        """Some end in the middle of it: a second refund then comes upon a first that is still at work."""
        self._pay(0, BROWSERS[0], card, None, told=True)
        self.last = self.stage.run(self._snapshot())
        if paid := self._ids("succeeded"):
            if death is not None:
                self.shop.psp.doom(calls=0, answered=death)
            self.act(self._refund(paid[-1], amount))
            self.act(self._refund(paid[-1], None))

    @rule(which=some, amount=st.sampled_from([None, 1, 100, 2500]), times=st.integers(2, 3))
    def give_back_at_once(self, which: int, amount: int | None, times: int) -> None:
        if paid := self._ids("succeeded"):
            self.act(*(self._refund(pick(paid, which), amount) for _ in range(times)))

    @rule(won=st.booleans())
    def dispute_ends(self, won: bool) -> None:
        self.stage.run(self.shop.provider.end_dispute(won=won))

    @rule(calls=st.integers(0, 2), answered=st.booleans())
    def death_is_near(self, calls: int, answered: bool) -> None:
        """The next step that speaks to the provider may not outlive it."""
        self.shop.psp.doom(calls=calls, answered=answered)

    @rule(database=st.booleans())
    def restart(self, database: bool) -> None:
        self.stage.run(self.shop.restart(database=database))

    @invariant()
    def sound(self) -> None:
        if self.broken:
            return
        self.stage.counts["steps"] += 1
        self.last = self.stage.run(self._snapshot())
        self._hold(judge.always(self.last))

    def teardown(self) -> None:
        if not self.broken:
            self.stage.run(self._come_to_rest())
            now = self.stage.run(self._snapshot())
            self._hold(judge.at_rest(now))
            self._count(now)

    def act(self, *works: Awaitable[Any]) -> None:
        """At once, where there are several. The product may refuse, and the process may die of it."""
        died = False
        for result in self.stage.run(_at_once(works)):
            if isinstance(result, Died):
                died = True
            elif isinstance(result, PaylinkError | PspError):
                self.stage.counts["refused"] += 1
                self.stage.counts[f"refused {getattr(result, 'code', type(result).__name__)}"] += 1
            elif isinstance(result, BaseException):
                self.broken = True
                raise result
        if died:
            self.stage.counts["deaths"] += 1
            self.stage.run(self.shop.restart(database=False))

    def _hold(self, wrong: list[str]) -> None:
        self.broken = self.broken or bool(wrong)
        assert not wrong, "; ".join(wrong)

    def _payable(self, which: int) -> str:
        """Mostly a link that nobody pays just now, made where there is none; now and then any link."""
        if self.last is None or which >= 6:
            return str(recent(self.links, which))
        busy = {one.link_id for one in self.last.payments if one.status in judge.LIVE}
        free = [one.id for one in self.last.links if one.status in judge.OPEN and not one.locked_at]
        free = [link_id for link_id in free if link_id not in busy]
        if not free and len(self.links) < MOST_LINKS:
            self._link(AMOUNTS[0], which % 2 == 0, ENDS_IN[-1])
            return self.links[-1]
        return str(recent(free or self.links, which))

    def _pay(self, which: int, browser: str, card: str, part: int | None, *, told: bool) -> None:
        link_id, self.at_hand = self._payable(which), None
        self.act(self._start(link_id, browser, part))
        if self.at_hand is not None:
            self.stage.run(self.shop.provider.confirm(self.at_hand, card))
        if told:
            self.act(customer.refresh(self.shop.ctx, link_id=link_id))

    def _link(self, amount: int, parts: bool, ends_in: int) -> None:
        more: dict[str, Any] = {"minimum_amount": 100} if parts else {}
        self.links.append(self.stage.run(self.shop.world.link(amount=amount, ends_in_s=ends_in, **more)))

    async def _start(self, link_id: str, browser: str, part: int | None) -> None:
        started = await customer.start(self.shop.ctx, link_id=link_id, session_id=browser, address=ADDRESS, amount=part)
        self.at_hand = started.client_secret.partition("_secret_")[0]
        if self.at_hand not in self.known:
            self.known.append(self.at_hand)

    async def _callback(self, which: int, copies: int) -> None:
        if waiting := await self.shop.provider.sent():
            sent = pick(waiting, which)
            for _ in range(copies):
                self.stage.counts["callbacks"] += 1
                status = await self.shop.deliver(sent.body, self.shop.provider.signed(sent.body))
                assert status == 200, status
            await self.shop.provider.mark(sent, "done")

    async def _lose(self, which: int) -> None:
        """Any but the news that a refund has failed after all: nobody asks for that but the reconciler, once a day."""
        if waiting := [one for one in await self.shop.provider.sent() if FAILED_LATE not in one.body]:
            self.stage.counts["callbacks lost"] += 1
            await self.shop.provider.mark(pick(waiting, which), "dropped")

    async def _decide(self, payment_id: str, *, approve: bool) -> None:
        decision = Decision.CAPTURE if approve else Decision.RELEASE
        await decide(self.shop.ctx, self.shop.world.agent, payment_id, decision, reason=None)

    async def _refund(self, payment_id: str, amount: int | None) -> None:
        await refund(self.shop.ctx, self.shop.world.agent, payment_id, amount=amount, reason=None)

    def _ids(self, *states: str) -> list[str]:
        payments = self.last.payments if self.last else []
        return [one.id for one in payments if not states or one.status in states]

    async def _snapshot(self) -> judge.Snapshot:
        accounts = await self.shop.provider.accounts()
        return await self.shop.db.read(lambda session: judge.take(session, self.shop.merchant_id, accounts))

    async def _come_to_rest(self) -> None:
        """Everything arrives but what was lost, every job is done, people decide, and time goes on."""
        await self.shop.restart(database=False)
        for number in range(LAST_ROUNDS):
            await self.shop.provider.time_passes()
            while await self.shop.provider.sent():
                await self._callback(0, 1)
            await self.shop.work_all()
            for payment in (await self._snapshot()).payments:
                if payment.status == "in_review":
                    await _quiet(self._decide(payment.id, approve=number % 2 == 0))
            self.now += FOR_GOOD
            self.stage.clocks.set(database=self.now)
            await self.shop.work_all()
            await self.shop.sweep()
            if number and not await self.shop.jobs() and not await self.shop.provider.sent():
                break

    def _count(self, now: judge.Snapshot) -> None:
        counts = self.stage.counts
        counts["payments"] += len(now.payments)
        counts["captured"] += sum(len(account["captures"]) for account in now.accounts.values())
        counts["refunds"] += len(now.refunds)
        counts["events"] += len(now.events)
        for link in now.links:
            counts[f"links {link.status}"] += 1


async def _at_once(works: Sequence[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*(_outcome(work) for work in works))


async def _outcome(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except (Exception, Died) as error:
        return error


async def _quiet(work: Awaitable[Any]) -> None:
    try:
        await work
    except (PaylinkError, PspError):
        return


def pick(things: Sequence[Any], which: int) -> Any:
    return things[which % len(things)]


def recent(things: Sequence[Any], which: int) -> Any:
    """The newest more often than the others."""
    return things[-1 - min(which // 3, len(things) - 1)]


def explore(on: Stage, *, runs: int, steps: int, seed: int, shrink: bool = True) -> None:
    """Raises what the machine found, told as the shortest story that still shows it."""
    kind = type("PaylinkMachine", (Machine,), {"stage": on})
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(kind), settings=chosen)


def run(scale: float, seed: int, report: Report) -> Result:
    total, dice = scaled(RUNS, scale, least=2), random.Random(seed)
    each = [(kind, size, dice.randrange(2**31)) for size in _sizes(total) for kind in KINDS]
    counts, failures = side_by_side(one_set, each, report, counted="runs", of=total * len(KINDS))
    return Result(_figures(counts), failures)


def one_set(kind: str, runs: int, seed: int) -> Part:
    with place(kind) as url, stage(url) as on:
        try:
            explore(on, runs=runs, steps=STEPS, seed=seed)
        except Exception as error:
            return on.counts, [f"{kind}, set of {runs} with seed {seed}: {story(error)}"]
        return on.counts, []


def _sizes(total: int) -> list[int]:
    whole, rest = divmod(total, SET)
    return [SET] * whole + ([rest] if rest else [])


def _figures(counts: Counter[str]) -> dict[str, Figure]:
    links = [f"{counts[f'links {end}']:,} {end}" for end in ("paid", "expired", "canceled")]
    return {
        "runs, on SQLite and PostgreSQL": counts["runs"],
        "steps, each followed by all comparisons": counts["steps"],
        "links at the end": ", ".join(links),
        "attempts to pay": counts["payments"],
        "captures in the ledger": counts["captured"],
        "refunds asked for": counts["refunds"],
        "callbacks delivered": counts["callbacks"],
        "callbacks lost": counts["callbacks lost"],
        "processes that died between call and answer": counts["deaths"],
        "steps the product refused": counts["refused"],
        "events in the log": counts["events"],
    }
