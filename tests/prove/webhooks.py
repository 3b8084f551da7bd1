"""Hostile callbacks, through the real route: late, many times over, in any order, among forged ones, and about objects
that do not fit.

The callbacks are those of payments that really happen at the sandbox. They are the only news the product gets: no page
asks, and the jobs that would ask by themselves wait until all is told.
"""

import asyncio
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from paylink.errors import PaylinkError
from paylink.payments import customer
from paylink.payments.models import Decision
from paylink.payments.refunds import refund
from paylink.payments.review import decide
from paylink.psp.base import PspError
from tests.prove import forgery, judge
from tests.prove.clocks import Clocks
from tests.prove.places import KINDS, place
from tests.prove.provider import Provider, Sent, provider
from tests.prove.run import Figure, Report, Result, scaled
from tests.prove.sets import Part, side_by_side
from tests.prove.shop import Shop
from webhooks.inbound.inbox import HANDLE_JOB
from webhooks.inbound.models import InboundEvent

# True events; each is delivered one to five times.
EVENTS: Final = 20_000
SET: Final = 1000
FORGED: Final = 0.10
ODD: Final = 0.05
NEW_PAYMENTS: Final = 25
WAVE: Final = timedelta(hours=9)
# Eight waves are three days, as long as Stripe goes on trying.
LATEST: Final = 8
LATE: Final = 0.3
AT_ONCE: Final = 8
CARDS: Final = (
    *("visa", "visa", "visa", "mastercard", "createDispute", "pendingRefund", "refundFail"),
    *("chargeDeclined", "radarBlock", "riskLevelElevated", "riskLevelElevated", "authenticationRequired"),
)
ADDRESS: Final = "203.0.113.9"


@dataclass
class Campaign:
    """One set: its world, its dice, and what has been found so far."""

    shop: Shop
    clocks: Clocks
    dice: random.Random
    wave: int = 0
    due: "defaultdict[int, list[Sent]]" = field(default_factory=lambda: defaultdict(list))
    events: set[str] = field(default_factory=set)
    # The provider's ids of the payments whose objects do not fit ours.
    odd: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def provider(self) -> Provider:
        return self.shop.provider


def run(scale: float, seed: int, report: Report) -> Result:
    total, dice = scaled(EVENTS, scale, least=400), random.Random(seed)
    sets = max(len(KINDS), round(total / SET))
    each = [(KINDS[number % 2], -(-total // sets), dice.randrange(2**31)) for number in range(sets)]
    counts, failures = side_by_side(one_set, each, report, counted="true events", of=total)
    return Result(_figures(counts), failures)


def one_set(kind: str, events: int, seed: int) -> Part:
    with place(kind) as url, tempfile.TemporaryDirectory(prefix="paylink-prove-") as folder:
        found = asyncio.run(_set(url, Path(folder), events, random.Random(seed)))
    where = f"{kind}, set of {events} with seed {seed}"
    return found.counts, [f"{where}: {one}" for one in found.broken]


async def _set(url: str, folder: Path, events: int, dice: random.Random) -> Campaign:
    with Clocks(url).ruling() as clocks:
        async with provider(folder, database_url=url) as psp:
            shop = Shop(psp, url)
            try:
                await shop.new_merchant()
                campaign = Campaign(shop, clocks, dice)
                await fight(campaign, events)
            finally:
                await shop.close()
    return campaign


async def fight(on: Campaign, events: int) -> None:
    """Waves of payments and callbacks until there were as many, then until everything is told and at rest."""
    while len(on.events) < events or on.due or await on.provider.sent():
        if len(on.events) < events:
            for _ in range(NEW_PAYMENTS):
                await _customer(on)
        await _people(on)
        await on.provider.time_passes()
        await _post(on)
        await _deliver(on)
        await _work(on)
        on.wave += 1
        on.clocks.set(database=on.wave * WAVE)
        await on.shop.sweep()
        on.broken += judge.always(await snapshot(on))
        if on.broken:
            return
    await _come_to_rest(on)


async def snapshot(on: Campaign) -> judge.Snapshot:
    accounts = await on.provider.accounts()
    return await on.shop.db.read(lambda session: judge.take(session, on.shop.merchant_id, accounts))


async def _customer(on: Campaign) -> None:
    """One goes all the way to the bank, and closes the browser before anybody has told us."""
    ends_in = on.dice.choice([600, 3600, 4 * 86_400])
    link_id = await on.shop.world.link(amount=on.dice.choice([4999, 120, 30_000]), ends_in_s=ends_in)
    started = await customer.start(on.shop.ctx, link_id=link_id, session_id="cks_1", address=ADDRESS)
    psp_id = started.client_secret.partition("_secret_")[0]
    if on.dice.random() < ODD:
        on.odd.add(psp_id)
        on.counts["payments whose object was altered"] += 1
        await on.provider.edit(psp_id, "payment_intent", **_alteration(len(on.odd), started.amount))
    # An altered one is paid with a good card: there must be money that could be taken for ours.
    await on.provider.confirm(psp_id, "visa" if psp_id in on.odd else on.dice.choice(CARDS))
    await on.provider.authenticate(psp_id, approve=on.dice.random() < 0.7)
    on.counts["payments"] += 1


def _alteration(number: int, amount: int) -> dict[str, Any]:
    """Each kind in its turn, so that none is left out."""
    another = {"payment_id": "pay_another", "link_id": "plink_another", "merchant_id": "mer_another"}
    kinds: list[dict[str, Any]] = [
        *({"amount": amount + 1}, {"currency": "usd"}, {"livemode": True}),
        *({"metadata": {}}, {"metadata": another}, {"amount": 1}),
    ]
    return kinds[(number - 1) % len(kinds)]


async def _people(on: Campaign) -> None:
    """Agents decide what is held and give back what was paid."""
    now = await snapshot(on)
    asked = Counter(one.payment_id for one in now.refunds)
    for payment in now.payments:
        if payment.status == "in_review" and on.dice.random() < 0.5:
            decision = on.dice.choice([Decision.CAPTURE, Decision.RELEASE])
            await _quiet(decide(on.shop.ctx, on.shop.world.agent, payment.id, decision, reason=None))
        elif payment.status == "succeeded" and asked[payment.id] < 2 and on.dice.random() < 0.1:
            amount = on.dice.choice([None, 1, 60, payment.amount])
            await _quiet(refund(on.shop.ctx, on.shop.world.agent, payment.id, amount=amount, reason=None))


async def _post(on: Campaign) -> None:
    """What the provider has to say is put on its way: some of it at once, some of it takes days."""
    for sent in await on.provider.sent():
        on.events.add(sent.event_id)
        on.counts["true events"] += 1
        for _ in range(on.dice.randint(1, 5)):
            late = on.dice.random() < LATE
            on.due[on.wave + (on.dice.randint(1, LATEST) if late else 0)].append(sent)
            on.counts["of these a wave or more late"] += late
    await on.provider.all_sent()


async def _deliver(on: Campaign) -> None:
    """In any order, several at once, each signed anew as it leaves, as Stripe does; and the forged among them."""
    letters: list[Callable[[], Awaitable[None]]] = [
        lambda sent=sent: _true(on, sent)  # type: ignore[misc]
        for sent in on.due.pop(on.wave, [])
    ]
    kinds = list(forgery.KINDS)
    for _ in range(round(len(letters) * FORGED / (1 - FORGED))):
        letters.append(lambda kind=on.dice.choice(kinds): _forged(on, kind))  # type: ignore[misc]
    on.dice.shuffle(letters)
    for start in range(0, len(letters), AT_ONCE):
        await asyncio.gather(*(letter() for letter in letters[start : start + AT_ONCE]))


async def _true(on: Campaign, sent: Sent) -> None:
    status = await on.shop.deliver(sent.body, on.provider.signed(sent.body))
    on.counts["deliveries"] += 1
    if status != 200:
        on.broken.append(f"{sent.event_id}: answered {status}")


async def _forged(on: Campaign, kind: str) -> None:
    letter = forgery.KINDS[kind](on.dice, on.provider.settings.stripe.webhook_secrets[0])
    status = await on.shop.deliver(letter.body, letter.headers)
    on.counts["forged deliveries"] += 1
    on.counts[f"forged: {kind}"] += 1
    if status != 400:
        on.broken.append(f"forged ({kind}): answered {status}")


async def _work(on: Campaign) -> None:
    """The callbacks' jobs, in any order and several at once."""
    jobs = [job for job in await on.shop.jobs() if job.name == HANDLE_JOB]
    on.dice.shuffle(jobs)
    on.counts["callbacks worked on"] += sum("#" not in job.key for job in jobs)
    for start in range(0, len(jobs), AT_ONCE):
        await asyncio.gather(*(on.shop.work(job) for job in jobs[start : start + AT_ONCE]))


async def _come_to_rest(on: Campaign) -> None:
    told = await snapshot(on)
    on.broken += [
        f"{one.id}: {one.status} although all was told and it was captured"
        for one in told.payments
        if one.status in judge.LIVE and told.accounts.get(one.psp_payment_id or "", {}).get("captured")
    ]
    await _inbox(on)
    # Nobody decides any more, and what customers left behind is given up.
    for payment in told.payments:
        if payment.status == "in_review":
            await _quiet(decide(on.shop.ctx, on.shop.world.agent, payment.id, Decision.RELEASE, reason=None))
    for days in (30, 60, 90):
        on.clocks.set(database=on.wave * WAVE + timedelta(days=days))
        await on.shop.work_all()
        await on.shop.sweep()
        for sent in await on.provider.sent():
            await _true(on, sent)
            on.events.add(sent.event_id)
        await on.provider.all_sent()
    await on.shop.work_all()
    while await on.shop.sweep():
        pass
    now = await snapshot(on)
    on.broken += judge.at_rest(now, odd=on.odd)
    ours = {one.psp_payment_id for one in now.payments}
    on.broken += [f"{psp_id}: altered, and captured" for psp_id in on.odd if now.accounts[psp_id]["captured"]]
    on.counts["captures in the ledger"] += sum(len(one["captures"]) for one in now.accounts.values())
    on.counts["altered ones called paid"] += sum(
        1 for one in now.payments if one.psp_payment_id in on.odd and one.status == "succeeded"
    )
    assert on.odd <= ours


async def _inbox(on: Campaign) -> None:
    """Stored is what was true, once, and nothing else; each was worked on once."""
    rows = await on.shop.db.read(lambda session: session.scalars(sa.select(InboundEvent)).all())
    ids = [row.external_id for row in rows]
    on.counts["forged ones stored"] += sum(one not in on.events for one in ids)
    if sorted(ids) != sorted(on.events):
        on.broken.append(f"the inbox holds {len(ids)} rows of {len(on.events)} events")
    if left := [row.external_id for row in rows if row.handled_at is None]:
        on.broken.append(f"{len(left)} callbacks were never worked on, among them {left[0]}")
    if on.counts["callbacks worked on"] != len(on.events):
        on.broken.append(f"{on.counts['callbacks worked on']} pieces of work for {len(on.events)} events")


async def _quiet(work: Awaitable[Any]) -> None:
    try:
        await work
    except (PaylinkError, PspError):
        return


def _figures(counts: Counter[str]) -> dict[str, Figure]:
    plain = (
        *("true events", "deliveries", "of these a wave or more late", "forged deliveries", "payments"),
        *("payments whose object was altered", "captures in the ledger", "callbacks worked on"),
    )
    found: dict[str, Figure] = {name: counts[name] for name in plain}
    return found | {name: counts[name] for name in ("forged ones stored", "altered ones called paid")}
