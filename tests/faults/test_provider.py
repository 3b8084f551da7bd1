"""Every fault of the line at every call to the provider, oftener than the adapter tries by itself.

The caller is told the truth (done, or try again; never "failed" of what was done), and once the line is good again the
jobs bring product and provider to the same end. ``make prove`` does this with thousands, in processes of their own.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import cycle

import httpx
import pytest
import stripe

from paylink.config import Settings, StripeSettings
from paylink.db import Database
from paylink.errors import Conflict, Unavailable
from paylink.jobs import TryAgain
from paylink.payments import jobs, refunds, service
from paylink.payments.closing import cancel_link
from paylink.payments.models import PaymentStatus
from paylink.psp.base import PspBusy, PspError, PspOutcomeUnknown
from paylink.psp.stripe import StripePsp
from tests.payments.world import World, opened, sandbox
from tests.prove import books
from tests.prove.books import Sums
from tests.prove.customers import Fields
from tests.prove.faults import SITES, Charge, Line
from tests.prove.proxy import Fault, Proxy, Site

# One more than the adapter's own tries of a call.
TIMES = 4
TRY_S, CALL_S = 0.25, 0.7


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)


class Shop:
    """The product behind the bad line (``bad``) and behind a good one (``good``)."""

    def __init__(self, good: World, bad: World, line: Line, fields: Fields) -> None:
        self.good, self.bad, self.line, self.fields = good, bad, line, fields

    async def charge(self, site: Site, fault: Fault) -> str:
        charge = Charge(0, "", {site: [fault] * TIMES}, random.Random(0))
        charge.link_id = await self.good.link()
        self.line.charges[charge.link_id] = charge
        started = await self._until_told(lambda: self.bad.start(charge.link_id))
        if site is Site.CONFIRM:
            await self.fields.confirm(started.client_secret, "visa")
        else:
            await self.good.confirm(started.payment_id)
        if site is Site.CANCEL:
            with suppress(Conflict):
                await self._until_told(lambda: cancel_link(self.bad.ctx, self.bad.agent, charge.link_id))
        with suppress(PspError):
            await service.refresh(self.bad.ctx, started.payment_id)
        await self._brought_to_its_end(started.payment_id)
        if site in {Site.REFUND, Site.GET_REFUND}:
            await self._refund(started.payment_id)
        return charge.link_id

    async def _until_told(self, call: Callable[[], Awaitable[service.Started | None]]) -> service.Started:
        for _ in range(TIMES * 2):
            with suppress(Unavailable):
                return await call()  # type: ignore[return-value]
        raise AssertionError("away for longer than the line was bad")

    async def _refund(self, payment_id: str) -> None:
        made = await refunds.refund(self.bad.ctx, self.bad.agent, payment_id, amount=2000, reason=None)
        assert made.status != "failed"
        with suppress(TryAgain):
            await jobs.refund(self.bad.ctx, made.id)
        await jobs.refund(self.good.ctx, made.id)

    async def _brought_to_its_end(self, payment_id: str) -> None:
        for _ in range(TIMES):
            with suppress(TryAgain):
                return await jobs.follow(self.good.ctx, payment_id)
        return await jobs.release(self.good.ctx, payment_id)


@pytest.fixture
async def shop(db: Database, provider: Settings) -> AsyncIterator[Shop]:
    line = Line()
    proxy = await Proxy(provider.sandbox_url, line.strike, line.learn).start()
    own = provider.stripe
    settings = StripeSettings(
        secret_key=own.secret_key,
        publishable_key=own.publishable_key,
        webhook_secrets=own.webhook_secrets,
        api_base=proxy.url,
        js_url=own.js_url,
    )
    psp = StripePsp(settings, name="sandbox", try_seconds=TRY_S, call_seconds=CALL_S)
    async with opened(db, provider) as world, httpx.AsyncClient(trust_env=False) as http:
        yield Shop(world, world.behind(psp), line, Fields(http, proxy.url, provider.sandbox_url, own, TRY_S))
    await psp.close()
    await proxy.close()


# The faults are the line's, not the database's: each call is tried on one of the two.
@pytest.mark.parametrize(
    ("site", "database_url"),
    list(zip(SITES, cycle(["sqlite", "postgresql"]), strict=False)),
    indirect=["database_url"],
    ids=SITES,
)
async def test_whatever_the_line_does_product_and_provider_end_alike(
    shop: Shop, db: Database, provider: Settings, site: Site
) -> None:
    links = await asyncio.gather(*(shop.charge(site, fault) for fault in Fault))
    found, sums = await asyncio.to_thread(books.read, db.url, provider.sandbox_url), Sums()
    assert books.judge(found, sums) == []
    assert books.unsettled(found) == []
    ends = {found.attempts[link_id][-1].status for link_id in links}
    assert ends == {PaymentStatus.CANCELED if site is Site.CANCEL else PaymentStatus.SUCCEEDED}
    given = [one.amount for link_id in links for one in found.refunds[found.attempts[link_id][-1].id]]
    assert given == ([2000] * len(Fault) if site in {Site.REFUND, Site.GET_REFUND} else [])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_call_that_may_have_had_its_effect_is_never_called_refused(shop: Shop) -> None:
    await asyncio.gather(*(_asked(shop, fault) for fault in Fault))


async def _asked(shop: Shop, fault: Fault) -> None:
    charge = Charge(0, "", {Site.RETRIEVE: [fault] * TIMES}, random.Random(0))
    charge.link_id = await shop.good.link()
    shop.line.charges[charge.link_id] = charge
    started = await shop.bad.start(charge.link_id)
    intent = str((await shop.good.payment(started.payment_id)).psp_payment_id)
    with pytest.raises(PspError) as raised:
        await shop.bad.ctx.psp.get_payment(intent)
    assert type(raised.value) is (PspBusy if fault is Fault.BUSY else PspOutcomeUnknown)
