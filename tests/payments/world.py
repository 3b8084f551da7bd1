"""Payments on a real database, with the sandbox reached over HTTP by the real adapter. Jobs and callbacks are run by
hand, so that a test says what happens when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import stripe
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.config import Settings, StripeSettings
from paylink.context import Context
from paylink.db import Database
from paylink.errors import Conflict
from paylink.events import log
from paylink.events.bus import LocalBell
from paylink.events.hub import Hub
from paylink.events.types import Event
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.limits import Limits
from paylink.links import service as links
from paylink.links.models import PaymentLink
from paylink.links.service import NewLink
from paylink.payments import jobs, service
from paylink.payments.models import Decision, Payment, PaymentStatus, Refund
from paylink.payments.review import decide
from paylink.payments.service import Started
from paylink.psp.base import Psp
from paylink.psp.stripe import StripePsp
from paylink.sandbox.app import create_app
from tests.sandbox.harness import free_socket, served
from webhooks.inbound.handlers import handle
from webhooks.inbound.inbox import store
from webhooks.inbound.models import InboundEvent

NOWHERE = "203.0.113.9"
SECONDS = 20
NEVER = "http://127.0.0.1:9"


@contextmanager
def sandbox(folder: Path) -> Iterator[Settings]:
    """A sandbox that keeps its callbacks to itself."""
    listening = free_socket()
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        sandbox_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
        console_url=NEVER,
        sandbox_database_url=f"sqlite:///{folder / 'sandbox.db'}",
    )
    with served(create_app(settings), listening) as url:
        order(url, webhooks={"paused": True})
        yield settings


def order(url: str, **orders: Any) -> None:
    httpx.post(f"{url}/_control", json=orders, trust_env=False).raise_for_status()


@dataclass
class World:
    ctx: Context
    merchant_id: str
    stripe: StripePsp
    closing: list[StripePsp] = field(default_factory=list)

    @property
    def db(self) -> Database:
        return self.ctx.db

    @property
    def agent(self) -> Principal:
        return Principal(PrincipalKind.AGENT, "agt_1", "Alex Morgan", self.merchant_id, "ses_1")

    def as_merchant(self, merchant_id: str) -> Principal:
        return replace(self.agent, merchant_id=merchant_id)

    def behind(self, psp: Psp) -> "World":
        """The same world, seeing the provider through ``psp``."""
        return replace(self, ctx=replace(self.ctx, psp=psp))

    async def link(self, *, amount: int = 4999, currency: str = "GBP", ends_in_s: float = 3600, **more: Any) -> str:
        new = NewLink(amount=amount, currency=currency, expires_at=utcnow() + timedelta(seconds=ends_in_s), **more)

        def write(session: Session) -> str:
            made = links.create(session, self.agent, new)
            link_id: str = made.row["id"]
            log.append(session, merchant_id=self.merchant_id, link_id=link_id, events=[made.event])
            return link_id

        return await self.db.transact(write)

    async def start(self, link_id: str, *, browser: str = "cks_1", address: str = NOWHERE) -> Started:
        return await service.start(self.ctx, link_id=link_id, session_id=browser, address=address)

    async def confirm(self, payment_id: str, card: str = "visa") -> None:
        """What the provider's script does in the customer's browser."""
        psp_id = (await self.payment(payment_id)).psp_payment_id
        with suppress(stripe.CardError, stripe.InvalidRequestError):
            await self.stripe._intents.confirm_async(str(psp_id), {"payment_method": f"pm_card_{card}"})

    async def pay(self, link_id: str, card: str = "visa", **more: Any) -> Payment:
        """From the click to what the page learns."""
        started = await self.start(link_id, **more)
        await self.confirm(started.payment_id, card)
        await service.refresh(self.ctx, started.payment_id)
        return await self.payment(started.payment_id)

    async def callback(self, payment_id: str) -> None:
        """A callback about this payment, stored and worked on."""
        psp_id = str((await self.payment(payment_id)).psp_payment_id)
        await self.inbound({"subject": "payment", "payment_id": psp_id, "object_id": psp_id})

    async def inbound(self, summary: dict[str, str]) -> None:
        external_id = new_id("evt")

        def write(session: Session) -> str:
            assert store(
                session, self.ctx.jobs, source="psp:sandbox", external_id=external_id, kind="any", summary=summary
            )
            query = sa.select(InboundEvent.id).where(InboundEvent.external_id == external_id)
            return str(session.scalar(query))

        await handle(self.ctx, await self.db.transact(write))

    async def approve(self, payment_id: str, *, reason: str | None = None) -> None:
        await decide(self.ctx, self.agent, payment_id, Decision.CAPTURE, reason=reason)

    async def decline(self, payment_id: str, *, reason: str | None = None) -> None:
        await decide(self.ctx, self.agent, payment_id, Decision.RELEASE, reason=reason)

    async def follow(self, payment_id: str) -> None:
        await jobs.follow(self.ctx, payment_id)

    async def release(self, payment_id: str) -> None:
        await jobs.release(self.ctx, payment_id)

    def psp_with_wrong_key(self) -> Psp:
        """The provider as one meets it on the day a key was changed and not everywhere."""
        wrong = StripeSettings(
            secret_key="sk_test_wrong",
            publishable_key="pk_test_wrong",
            webhook_secrets=(),
            api_base=self.ctx.settings.sandbox_url,
            js_url=self.ctx.settings.stripe.js_url,
        )
        psp = StripePsp(wrong, name="sandbox", try_seconds=5)
        self.closing.append(psp)
        return psp

    async def payment(self, payment_id: str) -> Payment:
        return await self.db.read(lambda session: session.get_one(Payment, payment_id))

    async def attempts(self, link_id: str) -> list[Payment]:
        query = sa.select(Payment).where(Payment.link_id == link_id).order_by(Payment.attempt)
        return await self.db.read(lambda session: list(session.scalars(query)))

    async def refunds(self, payment_id: str) -> list[Refund]:
        query = sa.select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.id)
        return await self.db.read(lambda session: list(session.scalars(query)))

    async def link_row(self, link_id: str) -> PaymentLink:
        return await self.db.read(lambda session: session.get_one(PaymentLink, link_id))

    async def events(self, link_id: str) -> list[Event]:
        """In order, and without a gap."""
        query = sa.select(Event).where(Event.link_id == link_id).order_by(Event.seq)
        found = await self.db.read(lambda session: list(session.scalars(query)))
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return found

    async def told(self, link_id: str) -> list[str]:
        return [event.type for event in await self.events(link_id)]

    async def told_of(self, link_id: str, kind: str) -> dict[str, Any]:
        (found,) = [event.data for event in await self.events(link_id) if event.type == kind]
        return found

    async def age(self, entity: type[Payment | PaymentLink], row_id: str, **values: datetime) -> None:
        """As if it were longer ago."""
        update = sa.update(entity).where(entity.id == row_id).values(values)
        await self.db.transact(lambda session: session.execute(update) and None)

    async def many_tries_from(self, address: str, *, times: int, at: datetime | None = None) -> None:
        """Attempts at as many links, all of them over."""
        link_ids = [await self.link() for _ in range(times)]

        def write(session: Session) -> None:
            for link_id in link_ids:
                session.add(
                    Payment(
                        id=new_id("pay"),
                        link_id=link_id,
                        merchant_id=self.merchant_id,
                        address_hash=self.ctx.keyring.digest(address, purpose=service.ADDRESS_PURPOSE),
                        attempt=1,
                        status=PaymentStatus.FAILED.value,
                        amount=4999,
                        currency="GBP",
                        psp="sandbox",
                        created_at=at or utcnow(),
                    )
                )

        await self.db.transact(write)

    async def merchant(self, **values: Any) -> None:
        update = sa.update(Merchant).where(Merchant.id == self.merchant_id).values(values)
        await self.db.transact(lambda session: session.execute(update) and None)

    async def jobs(self, name: str, payment_id: str) -> list[str]:
        """The keys under which such jobs of this payment were written down."""
        schema = "" if self.db.sqlite else "dbos."
        query = sa.text(f"SELECT workflow_uuid FROM {schema}workflow_status WHERE workflow_uuid LIKE :name")
        rows = await self.db.read(lambda session: session.execute(query, {"name": f"{name}:{payment_id}%"}).all())
        return [row[0] for row in rows]

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(SECONDS):
            while not await check():  # noqa: ASYNC110 - the provider is another process and tells nobody
                await asyncio.sleep(0.05)

    async def order(self, **orders: Any) -> None:
        await asyncio.to_thread(order, self.ctx.settings.sandbox_url, **orders)

    async def ledger(self, link_id: str) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(trust_env=False) as client:
            accounts = (await client.get(f"{self.ctx.settings.sandbox_url}/_ledger")).json()
        return [one for one in accounts if one["metadata"].get("link_id") == link_id]

    async def captures(self, link_id: str) -> list[int]:
        return [capture["amount"] for account in await self.ledger(link_id) for capture in account["captures"]]


@asynccontextmanager
async def opened(db: Database, settings: Settings) -> AsyncIterator[World]:
    queue = JobQueue(db)
    psp = StripePsp(settings.stripe, name="sandbox", try_seconds=20, call_seconds=20)
    ctx = Context(
        settings=settings,
        db=db,
        jobs=queue,
        limits=Limits(enabled=False, redis_url=None),
        hub=Hub(db, LocalBell()),
        psp=psp,
        channels={},
    )
    merchant_id = new_id("mer")
    await db.transact(lambda session: session.add(Merchant(id=merchant_id, name="Acme Heating")))
    closing = [psp]
    try:
        yield World(ctx, merchant_id, psp, closing)
    finally:
        for one in closing:
            await one.close()
        queue.close()


async def conflict(work: Awaitable[object]) -> str:
    """The code of the conflict that this must end in."""
    try:
        await work
    except Conflict as error:
        return error.code
    raise AssertionError("no conflict")
