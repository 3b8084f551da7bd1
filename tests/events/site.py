"""Nodes of the console's API in this process, each with a real server, a database of its own handle, and a merchant."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from paylink import main
from paylink.accounts import service as accounts
from paylink.accounts.models import Agent, Merchant
from paylink.config import Settings
from paylink.context import Context
from paylink.db import Database
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from tests.services import free_port


@dataclass
class Site:
    """One node: its address and what it is made of."""

    base: str
    ctx: Context
    stack: AsyncExitStack


@dataclass
class Who:
    """A merchant, an API key and a signed-in agent of theirs."""

    merchant_id: str
    key_id: str
    key: dict[str, str]
    agent_id: str
    session: dict[str, str]


@asynccontextmanager
async def site(database_url: str, **settings: Any) -> AsyncIterator[Site]:
    port = free_port()
    chosen = Settings(database_url=database_url, console_bind=f"127.0.0.1:{port}", rate_limits=False, **settings)
    found: list[Context] = []

    def keep(settings: Settings, stack: AsyncExitStack) -> Context:
        found.append(build(settings, stack))
        return found[0]

    build, main.build_context = main.build_context, keep
    async with AsyncExitStack() as stack:
        try:
            await main._start(chosen, main.Role.API, stack)
        finally:
            main.build_context = build
        yield Site(f"http://127.0.0.1:{port}", found[0], stack)


async def plant(ctx: Context) -> Who:
    def work(session: Session) -> Who:
        merchant = Merchant(id=new_id("mer"), name="Harbour Books")
        session.add(merchant)
        session.flush()
        key, secret = accounts.create_api_key(
            session, merchant_id=merchant.id, name="tests", live=False, keyring=ctx.keyring
        )
        agent = Agent(
            id=new_id("agt"), merchant_id=merchant.id, email=f"{merchant.id}@x.test", name="Ada", password_hash="-"
        )
        session.add(agent)
        session.flush()
        cookie = accounts.start_session(session, agent, ctx.keyring)
        return Who(
            merchant.id,
            key.id,
            {"Authorization": f"Bearer {secret}"},
            agent.id,
            {"Cookie": f"paylink_console={cookie}"},
        )

    return await ctx.db.transact(work)


async def link(db: Database, who: Who) -> str:
    def work(session: Session) -> str:
        made = PaymentLink(
            id=new_id("plink"),
            merchant_id=who.merchant_id,
            amount=4999,
            currency="GBP",
            link_metadata={},
            created_by_type="api_key",
            created_by_id=who.key_id,
            created_by_name="tests",
            expires_at=utcnow() + timedelta(hours=1),
        )
        session.add(made)
        return made.id

    return await db.transact(work)


def happen(session: Session, who: Who, link_id: str, *, count: int = 1, **data: Any) -> None:
    """Something happens to a link; ``data`` goes into the event."""
    event = NewEvent(EventType.LINK_FETCHED, Origin.PAYER, data)
    log.append(session, merchant_id=who.merchant_id, link_id=link_id, events=[event] * count)
