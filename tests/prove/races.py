"""Fifty ask at once for what cannot all be had of one link: pay, cancel, expire, refund, decide, unlock, on every side.

Over HTTP, against running nodes: two on PostgreSQL, one on SQLite. Judged by the provider's ledger, and by
``history``: every answer must be one that some serial order gives.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from stripe import WebhookSignature

from paylink.db import Database, table
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from tests.prove import books
from tests.prove.books import Books, Sums
from tests.prove.cluster import Cluster, Shop, cluster
from tests.prove.customers import Agent, Answer, Browser, Fields, NoAnswer, Traffic
from tests.prove.history import Op, unexplained
from tests.prove.run import Report, Result, scaled

ROUNDS: Final = 500
ACTORS: Final = 50
# Rounds that run at the same time, per database: while one is being set up the other is at its height.
AT_ONCE: Final = 3
NODES: Final = {"postgresql": 2, "sqlite": 1}
SHARE: Final = {"postgresql": 0.6, "sqlite": 0.4}
REST_S: Final = 60.0
AMOUNT: Final = 4999
DEVICES: Final = 4
# How the link stands when they all come, and who comes, by weight.
SCENES: Final[dict[str, dict[str, int]]] = {
    "nobody yet": {"begin": 12, "pay": 12, "cancel": 3, "expire": 1, "read": 6, "status": 4, "deliver": 2, "unlock": 1},
    "being paid": {
        "begin": 6, "confirm": 10, "refresh": 10, "webhook": 8, "cancel": 4, "expire": 1, "read": 6, "unlock": 1,
    },
    "authorised": {"begin": 6, "refresh": 12, "webhook": 12, "cancel": 6, "expire": 1, "read": 8, "refund": 6},
    "held": {"approve": 8, "decline": 6, "cancel": 4, "begin": 6, "webhook": 8, "refresh": 6, "read": 6, "refund": 4},
    "paid": {"refund": 24, "webhook": 8, "cancel": 4, "begin": 4, "read": 10},
}  # fmt: skip
CARDS: Final = ("visa", "visa", "visa", "chargeDeclined", "riskLevelElevated", "riskLevelHighest")


@dataclass
class Round:
    """One link and all who come to it."""

    made: Cluster
    traffic: Traffic
    fields: Fields
    db: Database
    shop: Shop
    number: int
    dice: random.Random
    scene: str
    link_id: str = ""
    payment_id: str = ""
    secret: str = ""
    devices: list[Browser] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    ended_at: float | None = None

    async def run(self) -> None:
        await self._set()
        weights = SCENES[self.scene]
        drawn = self.dice.choices(list(weights), list(weights.values()), k=ACTORS)
        await asyncio.gather(*(self._act(kind, number) for number, kind in enumerate(drawn)))

    async def _set(self) -> None:
        agent = self.agent(0)
        link = (await agent.call("create", "/payment_links", {"amount": AMOUNT, "currency": "GBP"})).body
        self.link_id = link["id"]
        path = "/p/" + link["url"].rpartition("/p/")[2]
        self.devices = [Browser(self.traffic, self.made.checkouts[n % self.nodes], path) for n in range(DEVICES)]
        for device in self.devices:
            await device.open()
        if self.scene == "nobody yet":
            return
        begun = (await self.devices[0].begin()).body
        self.payment_id, self.secret = begun["payment_id"], begun["client_secret"]
        if self.scene == "being paid":
            return
        await self.fields.confirm(self.secret, "riskLevelElevated" if self.scene == "held" else "visa")
        if self.scene != "authorised":
            state = "checking" if self.scene == "held" else "paid"
            if await self.devices[0].watch(state, seconds=40, every=0.3) != state:
                self.traffic.wrong.append(f"{self.link_id} did not become {state} in 40 s")

    @property
    def nodes(self) -> int:
        return len(self.made.consoles)

    def agent(self, number: int) -> Agent:
        return Agent(self.traffic, self.made.consoles[number % self.nodes], self.shop.api_key)

    async def _act(self, kind: str, number: int) -> None:
        # Not all in one packet, and never two rounds alike.
        await asyncio.sleep(self.dice.random() * 0.05)
        try:
            await _DOES[kind](self, number)
        except NoAnswer as lost:
            self.traffic.wrong.append(f"{self.link_id}: {lost}, though nobody killed it")

    async def asked(self, kind: str, about: Any, call: Callable[[], Awaitable[Answer]]) -> Answer:
        began = time.time()
        answer = await call()
        self.ops.append(Op(kind, about, began, time.time(), answer))
        return answer


async def _begin(one: Round, number: int) -> None:
    await one.asked("begin", None, one.devices[number % DEVICES].begin)


async def _pay(one: Round, number: int) -> None:
    """The whole way of a customer."""
    device, card = one.devices[number % DEVICES], one.dice.choice(CARDS)
    answer = await one.asked("begin", None, device.begin)
    if answer.ok:
        await one.fields.confirm(answer.body["client_secret"], card, tries=1)
        await one.asked("refresh", None, device.refresh)


async def _confirm(one: Round, _number: int) -> None:
    """The same attempt in another tab."""
    await one.fields.confirm(one.secret, one.dice.choice(CARDS), tries=1)


async def _refresh(one: Round, number: int) -> None:
    await one.asked("refresh", None, one.devices[number % DEVICES].refresh)


async def _status(one: Round, number: int) -> None:
    await one.asked("status", None, one.devices[number % DEVICES].status)


async def _webhook(one: Round, number: int) -> None:
    """A callback of the provider's, with its signature; each says no more than that something has changed."""
    intent = one.secret.partition("_secret_")[0]
    event = {
        "id": new_id("evt"),
        "object": "event",
        "type": one.dice.choice(("payment_intent.succeeded", "payment_intent.canceled", "charge.captured")),
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": intent, "object": "payment_intent"}},
    }
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, one.made.settings.stripe.webhook_secrets[0])
    url = f"{one.made.consoles[number % one.nodes]}/webhooks/psp/sandbox"
    headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
    began = time.time()
    # The very bytes that were signed, which ``json.dumps`` of the same event makes again.
    answer = await one.traffic.send("webhook", "POST", url, headers=headers, body=event)
    one.ops.append(Op("webhook", None, began, time.time(), answer))


async def _expire(one: Round, _number: int) -> None:
    """The link's time is over, as of now."""
    links = table(PaymentLink)
    ended = utcnow() - timedelta(milliseconds=1)
    one.ended_at = min(one.ended_at or ended.timestamp(), ended.timestamp())
    update = sa.update(links).where(links.c.id == one.link_id, links.c.expires_at > ended).values(expires_at=ended)
    await one.db.transact(lambda session: session.execute(update) and None)


async def _agent_call(kind: str, path: str, one: Round, number: int) -> None:
    about = one.payment_id if kind in {"approve", "decline"} else None
    where = path.format(link=one.link_id, payment=one.payment_id)
    body = {"channel": "chat"} if kind == "deliver" else None
    await one.asked(kind, about, partial(one.agent(number).call, kind, where, body))


async def _refund(one: Round, number: int) -> None:
    amount = one.dice.choice((None, 1000, 2499, AMOUNT, AMOUNT + 1))
    body = {} if amount is None else {"amount": amount}
    call = partial(one.agent(number).call, "refund", f"/payments/{one.payment_id}/refunds", body)
    await one.asked("refund", amount, call)


async def _read(one: Round, number: int) -> None:
    await one.asked("read", None, partial(one.agent(number).call, "read", f"/payment_links/{one.link_id}", get=True))


_DOES: Final[dict[str, Callable[[Round, int], Awaitable[None]]]] = {
    "begin": _begin,
    "pay": _pay,
    "confirm": _confirm,
    "refresh": _refresh,
    "status": _status,
    "webhook": _webhook,
    "expire": _expire,
    "cancel": partial(_agent_call, "cancel", "/payment_links/{link}/cancel"),
    "approve": partial(_agent_call, "approve", "/payments/{payment}/approve"),
    "decline": partial(_agent_call, "decline", "/payments/{payment}/decline"),
    "unlock": partial(_agent_call, "unlock", "/payment_links/{link}/unlock"),
    "deliver": partial(_agent_call, "deliver", "/payment_links/{link}/deliveries"),
    "refund": _refund,
    "read": _read,
}


@dataclass
class Verdict:
    failures: list[str]
    sums: Sums
    rounds: int
    ops: Counter[str]
    answers: Counter[str]
    ends: Counter[str]
    captured: int
    refunded: int


async def run(scale: float, seed: int, report: Report) -> Result:
    shares = {name: scaled(round(ROUNDS * part), scale, least=len(SCENES)) for name, part in SHARE.items()}
    verdicts = await asyncio.gather(*(on(name, rounds, seed, report) for name, rounds in shares.items()))
    return _result(shares, verdicts)


async def on(database: str, rounds: int, seed: int, report: Report, *, mutant: str | None = None) -> Verdict:
    with cluster(database, extra={"PROVE_MUTANT": mutant} if mutant else {}) as made:
        for number in range(NODES[database]):
            await asyncio.to_thread(made.add_node, f"node-{number + 1}")
        shops = await asyncio.to_thread(made.shops, rounds)
        db = Database(made.database_url)
        async with Traffic() as traffic:
            fields = Fields(traffic.http, made.sandbox, made.sandbox, made.settings.stripe)
            played = [
                Round(made, traffic, fields, db, shop, number, random.Random(f"{seed}:{database}:{number}"), scene)
                for number, shop in enumerate(shops)
                for scene in [list(SCENES)[number % len(SCENES)]]
            ]
            await _play(played, report)
            report.say(f"{database}: played")
            found = await _at_rest(made)
        await asyncio.to_thread(db.close)
        report.say(f"{database}: at rest")
        return _judged(database, found, played, traffic, made.errors())


async def _play(played: Sequence[Round], report: Report) -> None:
    queue, done = iter(played), Counter[str]()

    async def one_after_the_other() -> None:
        for one in queue:
            await one.run()
            done["rounds"] += 1
            report.step(done["rounds"], len(played), "rounds")

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


async def _at_rest(made: Cluster) -> Books:
    end = time.monotonic() + REST_S
    while True:
        found = await asyncio.to_thread(books.read, made.database_url, made.sandbox)
        if not books.unsettled(found) or time.monotonic() > end:
            return found
        await asyncio.sleep(1)


def _judged(database: str, found: Books, played: Sequence[Round], traffic: Traffic, errors: Sequence[str]) -> Verdict:
    sums = Sums()
    failures = [f"{database}: {one}" for one in (*books.judge(found, sums), *traffic.wrong, *errors)]
    failures += [f"{database}: after {REST_S:.0f} s {one}" for one in books.unsettled(found)]
    for one in played:
        wrong = unexplained(one.link_id, found, one.ops, ended_at=one.ended_at)
        failures += [f"{database}: round {one.number} ({one.scene}): {sentence}" for sentence in wrong]
    ledger = found.ledger.values()
    return Verdict(
        failures,
        sums,
        len(played),
        Counter(op.kind for one in played for op in one.ops),
        traffic.counts,
        Counter(found.links[one.link_id].status for one in played),
        sum(len(one["captures"]) for one in ledger),
        sum(len(one["refunds"]) for one in ledger),
    )


def _result(shares: dict[str, int], verdicts: Sequence[Verdict]) -> Result:
    ends: Counter[str] = sum((one.ends for one in verdicts), Counter())
    answers: Counter[str] = sum((one.answers for one in verdicts), Counter())
    figures: dict[str, int | float | str] = {
        "rounds on PostgreSQL, two nodes": shares["postgresql"],
        "rounds on SQLite, one node": shares["sqlite"],
        "at once in each": ACTORS,
        "answers held against the log": sum(sum(one.ops.values()) for one in verdicts),
        "links that ended paid · canceled · expired · open": " · ".join(
            f"{ends[name]:,}" for name in ("paid", "canceled", "expired", "active")
        ),
        "captured": sum(one.captured for one in verdicts),
        "refunds": sum(one.refunded for one in verdicts),
        "answers 503 with Retry-After": sum(count for name, count in answers.items() if " 503 " in f"{name} "),
        "double charges": sum(one.sums.double_charges for one in verdicts),
        "double refunds": sum(one.sums.double_refunds for one in verdicts),
    }
    return Result(figures, [failure for one in verdicts for failure in one.failures])
