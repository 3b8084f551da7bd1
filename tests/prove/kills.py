"""``kill -9`` of every process in turn, while links are made, opened, paid and refunded; each is started again.

In rounds: some kills at random moments, then a quiet time in which everything must come to its end. A reader follows
the stream over all of it, coming back with ``Last-Event-ID``. What was acknowledged must be there; what the provider's
ledger says must be what the product says; a message is sent once.
"""

import asyncio
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.events.sse import connect
from tests.prove import books
from tests.prove.books import OVER, Books, Sums
from tests.prove.cluster import Cluster, Shop, cluster, redis
from tests.prove.customers import Agent, Answer, Browser, Fields, NoAnswer, Traffic
from tests.prove.run import Report, Result, scaled

KILLS: Final = 200
# How many of them hit the embedded default: one process on SQLite, and its provider.
ON_SQLITE: Final = 0.2
VICTIMS: Final[dict[str, dict[str, int]]] = {
    "postgresql": {"serve": 3, "worker": 2, "sandbox": 2, "postgresql": 2, "redis": 1},
    "sqlite": {"serve": 3, "sandbox": 1},
}
PER_ROUND: Final = 10
# From one recovery to the next kill, and how long some stay away.
BETWEEN_S: Final = (0.3, 1.8)
AWAY_S: Final = 1.5
CUSTOMERS: Final = 6
SETTLED_S: Final = 30.0
# An Idempotency-Key whose request died is free again after 60 s.
REST_S: Final = 90.0
INSIST: Final = 250
AMOUNT: Final = 4999


@dataclass
class Acknowledged:
    """What was answered with success, and must never be gone."""

    links: dict[str, int] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    shown_paid: set[str] = field(default_factory=set)
    # When the provider said that the money is held: from then on the payment is in flight.
    held_at: dict[str, float] = field(default_factory=dict)


@dataclass
class Reader:
    """An agent's console: the whole stream from the beginning, over every cut."""

    console: str
    api_key: str
    seen: dict[int, tuple[str, int]] = field(default_factory=dict)
    order: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    cursor: int = 0
    returns: int = 0

    async def run(self) -> None:
        while True:
            with suppress(Exception):  # whatever cuts it, it comes back where it was
                await self._read()
            self.returns += 1
            await asyncio.sleep(0.2)

    async def _read(self) -> None:
        key = {"Authorization": f"Bearer {self.api_key}"}
        async with await connect(self.console, key, last_event_id=self.cursor) as stream:
            while stream.status == 200:
                event = await stream.next(within=60)
                self.cursor = event.id
                if event.id not in self.seen:
                    self.seen[event.id] = (event.data["payment_link"], event.data["seq"])
                    self.order[event.data["payment_link"]].append(event.data["seq"])


@dataclass
class Run:
    made: Cluster
    traffic: Traffic
    fields: Fields
    shop: Shop
    dice: random.Random
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    going: asyncio.Event = field(default_factory=asyncio.Event)
    busy: set[int] = field(default_factory=set)
    killed: Counter[str] = field(default_factory=Counter)
    recovered_at: list[float] = field(default_factory=list)
    restart_s: list[float] = field(default_factory=list)
    number: int = 0

    async def customers(self) -> None:
        await asyncio.gather(*(self._customer(lane) for lane in range(CUSTOMERS)))

    async def _customer(self, lane: int) -> None:
        while True:
            await self.going.wait()
            self.number += 1
            self.busy.add(lane)
            with suppress(NoAnswer):  # a customer whose page stays away for a minute gives up
                await self._buy(self.number)
            self.busy.discard(lane)
            await asyncio.sleep(self.dice.random() * 0.5)

    async def _buy(self, number: int) -> None:
        agent = Agent(self.traffic, self.made.consoles[0], self.shop.api_key)
        deliver = [{"channel": "sms", "to": phone(number)}]
        body = {"amount": AMOUNT, "currency": "GBP", "reference": str(number), "deliver": deliver}
        made = await agent.insist("create", "/payment_links", body, key=f"order-{number}", tries=INSIST)
        if not made.ok:
            self.traffic.wrong.append(f"order {number} was refused: {made.status} {made.code}")
            return
        link_id = made.body["id"]
        self.acknowledged.links[link_id] = number
        browser = Browser(self.traffic, self.made.checkouts[0], "/p/" + made.body["url"].rpartition("/p/")[2])
        await self._opened(browser)
        if not await self._paid(link_id, browser) or self.dice.random() < 0.4:
            return  # gone, and the rest is the product's affair
        if await browser.watch("paid", seconds=15, every=0.5) != "paid":
            return
        self.acknowledged.shown_paid.add(link_id)
        if self.dice.random() < 0.5:
            await self._refund(agent, link_id, number)

    async def _opened(self, browser: Browser) -> None:
        for _ in range(60):
            with suppress(NoAnswer):
                if (await browser.open()).ok and browser.base:
                    return
            await asyncio.sleep(0.3)
        raise NoAnswer("open")

    async def _paid(self, link_id: str, browser: Browser) -> bool:
        for _ in range(60):
            with suppress(NoAnswer):
                answer = await browser.begin()
                if answer.ok:
                    return await self._confirmed(link_id, answer)
                if answer.status == 409:
                    return False
            await asyncio.sleep(0.3)
        return False

    async def _confirmed(self, link_id: str, begun: Answer) -> bool:
        payment_id, secret = begun.body["payment_id"], begun.body["client_secret"]
        self.acknowledged.payments[payment_id] = link_id
        held = await self.fields.confirm(secret, "visa", tries=60) in {"requires_capture", "succeeded"}
        if held:
            self.acknowledged.held_at[payment_id] = time.time()
        return held

    async def _refund(self, agent: Agent, link_id: str, number: int) -> None:
        (payment, *_) = await agent.attempts(link_id)
        amount = self.dice.choice((1000, AMOUNT))
        path = f"/payments/{payment['id']}/refunds"
        answer = await agent.insist("refund", path, {"amount": amount}, key=f"refund-{number}", tries=INSIST)
        if answer.ok:
            self.acknowledged.refunds[answer.body["id"]] = amount
        else:
            self.traffic.wrong.append(f"refund {number} was refused: {answer.status} {answer.code}")

    async def round(self, kills: int) -> None:
        """Some kills under load, then rest."""
        weights = VICTIMS["postgresql" if "postgresql" in self.made.servers else "sqlite"]
        self.going.set()
        for _ in range(kills):
            await asyncio.sleep(self.dice.uniform(*BETWEEN_S))
            (victim,) = self.dice.choices(list(weights), list(weights.values()))
            await self._kill(victim)
        self.going.clear()

    async def _kill(self, victim: str) -> None:
        server = self.made.servers[victim]
        await asyncio.to_thread(server.kill)
        self.killed[victim] += 1
        if self.dice.random() < 0.3:
            await asyncio.sleep(self.dice.random() * AWAY_S)
        began = time.time()
        await asyncio.to_thread(server.restart)
        self.recovered_at.append(time.time())
        self.restart_s.append(self.recovered_at[-1] - began)

    async def rest(self) -> tuple[Books, float]:
        """The books when all is at an end, and how long after the last recovery that was found, at most ``REST_S``."""
        while self.busy and time.time() < self.recovered_at[-1] + REST_S:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while True:
            found = await asyncio.to_thread(books.read, self.made.database_url, self.made.sandbox)
            took = time.time() - self.recovered_at[-1]
            if not (books.unsettled(found) or self._unsent(found)) or took > REST_S:
                return found, took
            await asyncio.sleep(0.5)

    def _unsent(self, found: Books) -> list[str]:
        over = {"delivery.sent", "delivery.failed"}
        sent = {link_id for link_id, told in found.events.items() if any(one.type in over for one in told)}
        return [link_id for link_id in self.acknowledged.links if link_id not in sent]


def phone(number: int) -> str:
    """A number of its own per order, none with an end that the carrier treats in a special way."""
    return f"+44770{number // 900:04}{number % 900 + 100:03}"


@dataclass
class Verdict:
    failures: list[str]
    sums: Sums
    killed: Counter[str]
    answers: Counter[str]
    settle_s: list[float]
    in_all_s: list[float]
    restart_s: list[float]
    figures: Counter[str]


async def run(scale: float, seed: int, report: Report) -> Result:
    kills = scaled(KILLS, scale, least=8)
    small = max(3, round(kills * ON_SQLITE))
    verdicts = [
        await on("postgresql", kills - small, seed, report),
        await on("sqlite", small, seed + 1, report),
    ]
    return _result(verdicts)


async def on(database: str, kills: int, seed: int, report: Report, *, mutant: str | None = None) -> Verdict:
    with cluster(database, extra={"PROVE_MUTANT": mutant} if mutant else {}) as made:
        await asyncio.to_thread(_complete, made, database)
        (shop,) = made.shops(1)
        async with Traffic() as traffic:
            fields = Fields(traffic.http, made.sandbox, made.sandbox, made.settings.stripe)
            run = Run(made, traffic, fields, shop, random.Random(seed))
            reader = Reader(made.consoles[0], shop.api_key)
            tasks = [asyncio.create_task(run.customers()), asyncio.create_task(reader.run())]
            try:
                failures, found = await _rounds(run, kills, report)
                failures += await _watched(reader, found, shop)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return _judged(database, failures, found, run, reader)


def _complete(made: Cluster, database: str) -> None:
    if database == "postgresql":
        made.servers["redis"], made.extra["PAYLINK_REDIS_URL"] = redis(made.folder)
    made.add_node("serve")
    if database == "postgresql":
        made.add_worker("worker")


async def _rounds(run: Run, kills: int, report: Report) -> tuple[list[str], Books]:
    failures: list[str] = []
    done = 0
    while True:
        share = min(PER_ROUND, kills - done)
        await run.round(share)
        found, took = await run.rest()
        done += share
        report.step(done, kills, "kills")
        if took > REST_S:
            left = books.unsettled(found)[:3]
            failures.append(f"{REST_S:.0f} s after kill {done} not all was at its end: {left}, busy {run.busy}")
        if done >= kills:
            return failures, found


async def _watched(reader: Reader, found: Books, shop: Shop) -> list[str]:
    """What the stream's reader saw, once it has had the time to see all."""
    there = {
        event.id: (event.link_id, event.seq)
        for events in found.events.values()
        for event in events
        if event.merchant_id == shop.merchant_id
    }
    end = time.monotonic() + 20
    while set(there) - set(reader.seen) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    failures = []
    if lost := set(there) - set(reader.seen):
        failures.append(f"{len(lost)} events never came over the stream, the first is {min(lost)}")
    if wrong := [one for one in there if reader.seen.get(one, there[one]) != there[one]]:
        failures.append(f"events came otherwise than they stand in the log: {wrong[:3]}")
    for link_id, order in reader.order.items():
        if order != list(range(1, len(order) + 1)):
            failures.append(f"{link_id}: the stream told {order}")
    return failures


def _judged(database: str, failures: list[str], found: Books, run: Run, reader: Reader) -> Verdict:
    sums, known = Sums(), run.acknowledged
    failures += books.judge(found, sums)
    failures += run.traffic.wrong
    failures += _lost(known, found)
    failures += _sent(run.made, known, found)
    settle_s, in_all_s = _times(run, found)
    failures += [f"a payment took {took:.0f} s after the last recovery" for took in settle_s if took > SETTLED_S]
    figures = Counter(
        {
            "links": len(found.links),
            "captured": sum(len(one["captures"]) for one in found.ledger.values()),
            "refunds": sum(len(one["refunds"]) for one in found.ledger.values()),
            "events": sum(len(events) for events in found.events.values()),
            "returns": reader.returns,
            "acknowledged": len(known.links) + len(known.payments) + len(known.refunds) + len(known.shown_paid),
        }
    )
    return Verdict(
        [f"{database}: {one}" for one in failures],
        sums,
        run.killed,
        run.traffic.counts,
        settle_s,
        in_all_s,
        run.restart_s,
        figures,
    )


def _lost(known: Acknowledged, found: Books) -> list[str]:
    attempts = {one.id: one for rows in found.attempts.values() for one in rows}
    refunds = {one.id: one for rows in found.refunds.values() for one in rows}
    orders = Counter(link.reference for link in found.links.values())
    return [
        *(f"{link_id} was acknowledged and is gone" for link_id in known.links if link_id not in found.links),
        *(f"{one} was acknowledged and is gone" for one in known.payments if one not in attempts),
        *(f"{one} was acknowledged and is gone" for one in known.refunds if one not in refunds),
        *(
            f"{one} was acknowledged and is {refunds[one].status} of {refunds[one].amount}"
            for one, amount in known.refunds.items()
            if one in refunds and (refunds[one].status, refunds[one].amount) != ("succeeded", amount)
        ),
        *(
            f"{link_id} was shown as paid and is {found.links[link_id].status}"
            for link_id in known.shown_paid
            if link_id in found.links and found.links[link_id].status != "paid"
        ),
        *(f"order {number} made {times} links" for number, times in orders.items() if times > 1),
    ]


def _sent(made: Cluster, known: Acknowledged, found: Books) -> list[str]:
    """Each message once, in the inbox and in the log. A receipt goes to the same number and has no link in it.

    The provider's process is the carrier's as well: while it is away a link can be paid by its first door before its
    message is out, which is then not sent, and told so.
    """
    query = "SELECT recipient, count(*) FROM messages WHERE text LIKE '%/p/%' GROUP BY recipient"
    with closing(sqlite3.connect(f"file:{made.folder / 'sandbox.db'}?mode=ro", uri=True)) as inbox:
        arrived = dict(inbox.execute(query))
    failures = []
    for link_id, number in known.links.items():
        told = Counter(event.type for event in found.events.get(link_id, []))
        too_late = told["delivery.failed"] == 1 and found.links[link_id].status == "paid"
        if (times := arrived.get(phone(number), 0)) != 1 and not (too_late and not times):
            failures.append(f"{link_id}: its message arrived {times} times")
        if told["delivery.sent"] != 1 and not too_late:
            failures.append(f"{link_id}: delivery.sent was told {told['delivery.sent']} times")
    return failures


def _times(run: Run, found: Books) -> tuple[list[float], list[float]]:
    """Per payment in flight: seconds from the last recovery before its end, and from the money being held."""
    quiet, in_all = [], []
    for events in found.events.values():
        for event in events:
            held = run.acknowledged.held_at.get(str(event.data.get("payment")))
            if event.type not in OVER or held is None:
                continue
            ended = event.occurred_at.timestamp()
            recoveries = [one for one in run.recovered_at if one <= ended]
            quiet.append(max(0.0, ended - max(held, *recoveries[-1:], 0.0)))
            in_all.append(max(0.0, ended - held))
    return sorted(quiet) or [0.0], sorted(in_all) or [0.0]


def _result(verdicts: Sequence[Verdict]) -> Result:
    killed: Counter[str] = sum((one.killed for one in verdicts), Counter())
    figures: Counter[str] = sum((one.figures for one in verdicts), Counter())
    quiet = sorted(value for one in verdicts for value in one.settle_s)
    in_all = sorted(value for one in verdicts for value in one.in_all_s)
    restarts = sorted(value for one in verdicts for value in one.restart_s)
    gone = [one for verdict in verdicts for one in verdict.failures if "is gone" in one]
    shown: dict[str, Any] = {
        "kills": sum(killed.values()),
        **{f"kills of {victim}": times for victim, times in sorted(killed.items())},
        "links made": figures["links"],
        "payments captured": figures["captured"],
        "refunds": figures["refunds"],
        "answers that were acknowledgements": figures["acknowledged"],
        "of them lost": len(gone),
        "double charges": sum(one.sums.double_charges for one in verdicts),
        "double refunds": sum(one.sums.double_refunds for one in verdicts),
        "events": figures["events"],
        "times the stream's reader came back": figures["returns"],
        "in flight, settled after the last recovery, p50, s": round(quiet[len(quiet) // 2], 2),
        "in flight, settled after the last recovery, longest, s": round(quiet[-1], 2),
        "from held to settled, kills included, p50, s": round(in_all[len(in_all) // 2], 2),
        "from held to settled, kills included, longest, s": round(in_all[-1], 2),
        "restart of a process, p50, s": round(restarts[len(restarts) // 2], 2),
    }
    return Result(shown, [failure for one in verdicts for failure in one.failures])
