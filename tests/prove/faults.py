"""The line to the provider fails: the real adapter against the sandbox, with ``proxy`` between the two.

Each charge has its own faults, drawn from the seed, at one or two of the calls that are made for it. When they are used
up, its line is good again: from then on there are 60 s in which product and provider must come to agree. Most of the
provider's callbacks are lost as well, so that it is not them who save the day.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product as every
from typing import Any, Final

from tests.prove import books
from tests.prove.books import OVER, Books, Sums
from tests.prove.cluster import Cluster, Shop, cluster
from tests.prove.customers import Agent, Browser, Fields, NoAnswer, Traffic
from tests.prove.proxy import Asked, Fault, Proxy, Site
from tests.prove.run import Report, Result, scaled

CHARGES: Final = 5000
DATABASES: Final = ("sqlite", "postgresql")
AT_ONCE: Final = 12
SETTLED_S: Final = 60.0
# A person counts as gone after a while; everything else must be over long before.
PATIENCE_S: Final = 90.0
# Of the adapter, in the nodes under test: how long a try and a call wait.
TRY_S, CALL_S = 1.0, 4.0
LOST_CALLBACKS: Final = 0.7
# The SDK tries three times by itself: one fault is its affair, three are ours.
TIMES: Final = (1, 2, 3, 3, 4, 6)
SITES: Final = tuple(site for site in Site if site not in {Site.LIST, Site.OTHER})
AMOUNT: Final = 4999
CHARGES_PER_SHOP: Final = 25
# Stories that end without money. A link that is canceled while it is paid may end either way.
UNPAID: Final = frozenset({"blocked", "refused by the agent", "link canceled"})
# What nobody may be told here: the provider refuses nothing, its line is bad.
REFUSALS: Final = ("payment_refused", "refund_refused")


@dataclass
class Charge:
    """One link and what happens to it. ``plan``: the faults that still wait, by call."""

    number: int
    story: str
    plan: dict[Site, list[Fault]]
    dice: random.Random
    link_id: str = ""
    last_act: float = 0.0
    struck: list[float] = field(default_factory=list)
    # The provider has told the customer's browser that the money is held.
    held: bool = False

    def act(self) -> None:
        self.last_act = time.time()

    def __str__(self) -> str:
        return f"charge {self.number} ({self.story}, {self.link_id})"


def draw(number: int, seed: int) -> Charge:
    """Every fault at every call in turn, and by chance a second one elsewhere."""
    dice = random.Random(f"{seed}:{number}")
    site, fault = list(every(SITES, Fault))[number % (len(SITES) * len(Fault))]
    plan: dict[Site, list[Fault]] = {site: [fault] * dice.choice(TIMES)}
    if dice.random() < 0.3:
        plan.setdefault(dice.choice(SITES), [dice.choice(list(Fault))] * dice.choice(TIMES))
    return Charge(number, dice.choice(_stories(site)), plan, dice)


def _stories(site: Site) -> Sequence[str]:
    match site:
        case Site.CANCEL:
            return ("refused by the agent", "link canceled", "blocked")
        case Site.REFUND | Site.GET_REFUND:
            return ("refunded", "refunded in parts", "refunded slowly")
    return ("paid", "paid", "paid", "declined first", "3-D Secure", "approved by the agent", "refunded")


@dataclass
class Line:
    """What the proxy asks: which charge a request belongs to, and whether it is struck."""

    charges: dict[str, Charge] = field(default_factory=dict)
    objects: dict[str, Charge] = field(default_factory=dict)
    lists: int = 0

    def strike(self, asked: Asked) -> Fault | None:
        charge = self._charge(asked)
        if charge is None:
            return self._list(asked)
        waiting = charge.plan.get(asked.site)
        if not waiting:
            return None
        charge.struck.append(time.time())
        return waiting.pop()

    def learn(self, asked: Asked, answer: dict[str, Any]) -> None:
        charge = self._charge(asked)
        if charge is not None and asked.site in {Site.CREATE, Site.REFUND} and "id" in answer:
            self.objects[str(answer["id"])] = charge

    def _charge(self, asked: Asked) -> Charge | None:
        if asked.site is Site.CREATE:
            return self.charges.get(asked.form.get("metadata[link_id]", ""))
        if asked.site is Site.REFUND:
            return self.objects.get(asked.form.get("payment_intent", ""))
        return self.objects.get(asked.object_id)

    def _list(self, asked: Asked) -> Fault | None:
        """Lists are of no charge: every third one is struck, by each fault in turn."""
        if asked.site is not Site.LIST:
            return None
        self.lists += 1
        return list(Fault)[self.lists // 3 % len(Fault)] if self.lists % 3 == 0 else None


@dataclass
class Run:
    """One database's share."""

    made: Cluster
    traffic: Traffic
    fields: Fields
    line: Line
    shops: list[Shop]
    charges: list[Charge]
    done: int = 0

    async def drive(self, report: Report) -> None:
        queue = iter(self.charges)

        async def one_after_the_other() -> None:
            for charge in queue:
                try:
                    await self._live(charge)
                except NoAnswer as lost:
                    self.traffic.wrong.append(f"{charge}: {lost}, though nobody killed it")
                charge.act()
                self.done += 1
                report.step(self.done, len(self.charges), "charges")

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))

    async def _live(self, charge: Charge) -> None:
        shop = self.shops[charge.number // CHARGES_PER_SHOP % len(self.shops)]
        agent = Agent(self.traffic, self.made.consoles[0], shop.api_key)
        body = {"amount": AMOUNT, "currency": "GBP", "reference": str(charge.number)}
        link = (await agent.insist("create", "/payment_links", body, key=f"charge-{charge.number}")).body
        charge.link_id = link["id"]
        self.line.charges[charge.link_id] = charge
        browser = Browser(self.traffic, self.made.checkouts[0], "/p/" + link["url"].rpartition("/p/")[2])
        await browser.open()
        await _STORIES[charge.story](self, charge, agent, browser)

    async def pay(self, charge: Charge, browser: Browser, card: str, *, stay: bool = True) -> str:
        """From the click on: what the page shows in the end."""
        for _ in range(5):
            secret = await self._begun(browser)
            if not secret:
                return ""
            status = await self.fields.confirm(secret, card)
            if status == "requires_action":
                await self.fields.authenticate(secret)
            charge.act()
            charge.held = charge.held or status in {"requires_action", "requires_capture", "succeeded"}
            if status and status != "canceled":
                break
        if not stay and charge.dice.random() < 0.5:
            return ""  # closes the page at once
        return await browser.watch("paid", "checking", "payable", seconds=3)

    async def _begun(self, browser: Browser) -> str:
        for _ in range(25):
            answer = await browser.begin()
            if answer.ok:
                return str(answer.body["client_secret"])
            if answer.status != 503 and answer.code != "payment_in_progress":
                return ""
            await asyncio.sleep(0.5)
        return ""

    async def paid(self, charge: Charge, browser: Browser, agent: Agent) -> dict[str, Any] | None:
        """The payment, once it has succeeded."""
        if await browser.watch("paid", seconds=PATIENCE_S) != "paid":
            return None
        (last, *_) = await agent.attempts(charge.link_id)
        return last


async def _paid(run: Run, charge: Charge, _agent: Agent, browser: Browser) -> None:
    await run.pay(charge, browser, "visa", stay=False)


async def _declined_first(run: Run, charge: Charge, _agent: Agent, browser: Browser) -> None:
    await run.pay(charge, browser, "chargeDeclined")
    await run.pay(charge, browser, "visa", stay=False)


async def _secure(run: Run, charge: Charge, _agent: Agent, browser: Browser) -> None:
    await run.pay(charge, browser, "authenticationRequired", stay=False)


async def _approved(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    await _reviewed(run, charge, agent, browser, "approve")


async def _refused(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    await _reviewed(run, charge, agent, browser, "decline")


async def _reviewed(run: Run, charge: Charge, agent: Agent, browser: Browser, decision: str) -> None:
    await run.pay(charge, browser, "riskLevelElevated")
    if await browser.watch("checking", seconds=PATIENCE_S) == "checking":
        (held, *_) = await agent.attempts(charge.link_id)
        await agent.insist(decision, f"/payments/{held['id']}/{decision}")


async def _blocked(run: Run, charge: Charge, _agent: Agent, browser: Browser) -> None:
    await run.pay(charge, browser, "riskLevelHighest")


async def _link_canceled(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    secret = await run._begun(browser)
    if secret and charge.dice.random() < 0.5:
        await run.fields.confirm(secret, "visa")
    charge.act()
    await agent.insist("cancel", f"/payment_links/{charge.link_id}/cancel")


async def _refunded(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    await _give_back(run, charge, agent, browser, "visa", [None])


async def _refunded_in_parts(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    await _give_back(run, charge, agent, browser, "visa", [1000, 2500, None])


async def _refunded_slowly(run: Run, charge: Charge, agent: Agent, browser: Browser) -> None:
    await _give_back(run, charge, agent, browser, "pendingRefund", [2000])


async def _give_back(
    run: Run, charge: Charge, agent: Agent, browser: Browser, card: str, parts: list[int | None]
) -> None:
    await run.pay(charge, browser, card)
    payment = await run.paid(charge, browser, agent)
    for number, amount in enumerate(parts if payment else []):
        assert payment is not None
        body = {} if amount is None else {"amount": amount}
        await agent.insist("refund", f"/payments/{payment['id']}/refunds", body, key=f"{charge.number}-{number}")


_STORIES: Final = {
    "paid": _paid,
    "declined first": _declined_first,
    "3-D Secure": _secure,
    "approved by the agent": _approved,
    "refused by the agent": _refused,
    "blocked": _blocked,
    "link canceled": _link_canceled,
    "refunded": _refunded,
    "refunded in parts": _refunded_in_parts,
    "refunded slowly": _refunded_slowly,
}


@dataclass
class Verdict:
    """What came of one database's share."""

    failures: list[str]
    sums: Sums
    settle_s: list[float]
    struck: Counter[str]
    answers: Counter[str]
    captured: int
    refunded: int


async def run(scale: float, seed: int, report: Report) -> Result:
    total = scaled(CHARGES, scale, least=2 * len(SITES) * len(Fault))
    shares = {"sqlite": range(total // 2), "postgresql": range(total // 2, total)}
    began = time.monotonic()
    verdicts = await asyncio.gather(*(on(database, numbers, seed, report) for database, numbers in shares.items()))
    return _result(verdicts, total, time.monotonic() - began)


async def on(database: str, numbers: Sequence[int], seed: int, report: Report, *, mutant: str | None = None) -> Verdict:
    charges = [draw(number, seed) for number in numbers]
    with cluster(database) as made:
        line = Line()
        proxy = await Proxy(made.sandbox, line.strike, line.learn).start()
        made.extra |= {"PAYLINK_STRIPE_API_BASE": proxy.url, "PROVE_TRY_S": str(TRY_S), "PROVE_CALL_S": str(CALL_S)}
        made.extra |= {"PROVE_MUTANT": mutant} if mutant else {}
        await asyncio.to_thread(made.add_node, "node-1")
        await asyncio.to_thread(made.order, webhooks={"drop": LOST_CALLBACKS}, refund_delay_ms=1000)
        shops = await asyncio.to_thread(made.shops, len(numbers) // CHARGES_PER_SHOP + 1)
        async with Traffic() as traffic:
            fields = Fields(traffic.http, proxy.url, made.sandbox, made.settings.stripe)
            share = Run(made, traffic, fields, line, shops, charges)
            await share.drive(report)
            found = await _at_rest(made, charges)
        await proxy.close()
        return _judged(database, found, share, proxy)


async def _at_rest(made: Cluster, charges: Sequence[Charge]) -> Books:
    """The books when product and provider agree about everything, or when the time for it is over."""
    while True:
        last = max(max(charge.struck, default=0.0) for charge in charges)
        over = time.time() > max(last, *(charge.last_act for charge in charges)) + PATIENCE_S
        found = await asyncio.to_thread(books.read, made.database_url, made.sandbox)
        if over or not books.unsettled(found):
            return found
        await asyncio.sleep(2)


def _judged(database: str, found: Books, share: Run, proxy: Proxy) -> Verdict:
    sums, times = Sums(), []
    failures = [f"{database}: {one}" for one in (*books.judge(found, sums), *share.traffic.wrong)]
    failures += [f"{database}: after {PATIENCE_S:.0f} s {one}" for one in books.unsettled(found)]
    told = [what for what in share.traffic.counts if what.endswith(REFUSALS)]
    failures += [f"{database}: the provider never refused, and yet: {what}" for what in told]
    for charge in share.charges:
        settled = settle_s(charge, found)
        times.append(settled)
        if settled > SETTLED_S:
            failures.append(f"{database}: {charge} took {settled:.0f} s after its line was good again")
        if (wrong := _untrue(charge, found)) is not None:
            failures.append(f"{database}: {charge}: {wrong}")
    struck = Counter({f"{site} · {fault}": times for (site, fault), times in proxy.struck.items()})
    accounts = found.ledger.values()
    captures = sum(len(one["captures"]) for one in accounts)
    return Verdict(
        failures, sums, times, struck, share.traffic.counts, captures, sum(len(one["refunds"]) for one in accounts)
    )


def _untrue(charge: Charge, found: Books) -> str | None:
    """What this story must not end in, whatever the line did."""
    captured = sum(one["captured"] for one in found.accounts(charge.link_id)) if charge.link_id else 0
    if charge.story in UNPAID - {"link canceled"} and captured:
        return "money was taken that was to be released"
    if charge.held and charge.story not in UNPAID and captured != AMOUNT:
        return f"the card was good, and {captured} was taken"
    return None


def settle_s(charge: Charge, found: Books) -> float:
    """From the last fault, or the last that a person did, to the last payment's or refund's end; at least 0."""
    ends = [
        event.occurred_at.timestamp()
        for event in found.events.get(charge.link_id, [])
        if event.type in OVER or event.type.startswith("refund.")
    ]
    if not ends:
        return 0.0
    last: float = max(ends)
    begins = [one for one in (*charge.struck, charge.last_act) if one <= last]
    return max(0.0, last - max(begins, default=last))


def _result(verdicts: Sequence[Verdict], total: int, seconds: float) -> Result:
    struck: Counter[str] = sum((one.struck for one in verdicts), Counter())
    answers: Counter[str] = sum((one.answers for one in verdicts), Counter())
    times = sorted(value for one in verdicts for value in one.settle_s)
    away = sum(count for name, count in answers.items() if " 503 " in f"{name} ")
    figures: dict[str, int | float | str] = {
        "charges": total,
        "at once": AT_ONCE * len(verdicts),
        "faults struck": sum(struck.values()),
        "kinds of fault × calls struck": len(struck),
        "captured": sum(one.captured for one in verdicts),
        "refunds": sum(one.refunded for one in verdicts),
        "double charges": sum(one.sums.double_charges for one in verdicts),
        "double captures": sum(one.sums.double_captures for one in verdicts),
        "double refunds": sum(one.sums.double_refunds for one in verdicts),
        "called failed and paid": sum(one.sums.called_failed for one in verdicts),
        "answers 503 with Retry-After": away,
        "answers": sum(answers.values()),
        "settled after the line was good, p50, s": round(times[len(times) // 2], 2),
        "settled after the line was good, p99, s": round(times[int(len(times) * 0.99)], 2),
        "settled after the line was good, longest, s": round(times[-1], 2),
        "charges per second": round(total / seconds, 1),
    }
    return Result(figures, [failure for one in verdicts for failure in one.failures])
