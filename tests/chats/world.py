"""A merchant with a web chat, its visitors, and links to send them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import httpx
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.applications import Starlette

from paylink.accounts.models import Agent, Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.channels import service as channels
from paylink.channels.base import DeliveryStatus, Message
from paylink.channels.providers import PROVIDERS
from paylink.chats import service
from paylink.chats.feed import Feed
from paylink.chats.models import Chat
from paylink.chats.widget import create_app
from paylink.config import Settings
from paylink.context import Context
from paylink.db import Database
from paylink.delivery.models import Delivery
from paylink.events.hub import Hub
from paylink.events.types import Event
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.limits import Limits
from paylink.links import tokens
from paylink.links.models import PaymentLink
from paylink.psp.base import Psp

T = TypeVar("T")
SITE = "https://www.shop.example"
ORIGIN = "http://pay.example"
JSON = {"Content-Type": "application/json"}


@dataclass
class World:
    ctx: Context
    app: Starlette
    feed: Feed
    agent: Principal
    account_id: str

    @property
    def db(self) -> Database:
        return self.ctx.db

    def http(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN)

    async def visitor(self, **body: Any) -> "Visitor":
        visitor = Visitor(self, self.http(), self.account_id)
        answer = await visitor.post("chats", {"site": SITE, **body})
        assert answer.status_code == 201, answer.text
        visitor.secret, visitor.code = answer.json()["secret"], answer.json()["code"]
        visitor.chat_id = await self.read(lambda session: session.scalars(_by_code(self, visitor.code)).one())
        return visitor

    async def read(self, fn: Callable[[Session], T]) -> T:
        return await self.db.read(fn)

    async def write(self, fn: Callable[[Session], T]) -> T:
        return await self.db.transact(fn)

    async def change(self, chat_id: str, **values: Any) -> None:
        update = sa.update(Chat).where(Chat.id == chat_id).values(values)
        await self.write(lambda session: session.execute(update) and None)

    async def answer(self, visitor: "Visitor", text: str) -> str:
        found = await self.write(lambda session: service.answer(session, self.agent, visitor.chat_id, text=text))
        return found.id

    async def delivery(self) -> tuple[str, str]:
        """A payment link on its way to a chat: the delivery's id, and the address it carries."""
        link_id, delivery_id, token = new_id("plink"), new_id("dlv"), tokens.mint(self.ctx.keyring)

        def work(session: Session) -> None:
            session.add(
                PaymentLink(
                    id=link_id,
                    merchant_id=self.agent.merchant_id,
                    amount=4999,
                    currency="GBP",
                    link_metadata={},
                    created_by_type="agent",
                    created_by_id=self.agent.id,
                    created_by_name=self.agent.name,
                    expires_at=utcnow() + timedelta(days=1),
                )
            )
            session.flush()
            session.add(
                Delivery(
                    id=delivery_id,
                    link_id=link_id,
                    merchant_id=self.agent.merchant_id,
                    channel="chat",
                    token_hash=token.hash,
                    status=DeliveryStatus.QUEUED.value,
                )
            )

        await self.write(work)
        return delivery_id, tokens.url(ORIGIN, token.text)

    async def post(self, message: Message, *, account_id: str | None = None) -> str:
        return await service.poster(self.db, self.ctx.keyring)(account_id or self.account_id, message)

    async def told(self, delivery_id: str) -> list[str]:
        def look(session: Session) -> list[str]:
            events = session.scalars(sa.select(Event).order_by(Event.id))
            return [event.type for event in events if event.data.get("delivery") == delivery_id]

        return await self.read(look)


@dataclass
class Visitor:
    """A browser with the widget open."""

    world: World
    client: httpx.AsyncClient
    account_id: str
    secret: str = ""
    code: str = ""
    chat_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Paylink-Chat": self.secret} if self.secret else {}

    async def post(self, place: str, body: Any) -> httpx.Response:
        return await self.client.post(f"/chat/{self.account_id}/{place}", json=body, headers=self.headers)

    async def say(self, text: str) -> httpx.Response:
        return await self.post("messages", {"text": text})

    async def look(self, *, after: str = "", wait: bool = False) -> httpx.Response:
        params = {"after": after, "wait": "1" if wait else "0"}
        return await self.client.get(f"/chat/{self.account_id}/messages", params=params, headers=self.headers)

    async def lines(self) -> list[dict[str, Any]]:
        return list((await self.look()).json()["messages"])


def _by_code(world: World, code: str) -> sa.Select[tuple[str]]:
    return sa.select(Chat.id).where(Chat.code == code, Chat.merchant_id == world.agent.merchant_id)


def add_account(session: Session, ctx: Context, principal: Principal, *, origins: str = SITE, **config: Any) -> str:
    provider = PROVIDERS["webchat"]
    values = channels.checked(provider, {"title": "Acme & Sons", "origins": origins, **config})
    return channels.add(session, ctx.keyring, principal, provider=provider, name="Site", config=values).id


def add_merchant(session: Session, name: str) -> Principal:
    merchant_id, agent_id = new_id("mer"), new_id("agt")
    session.add(Merchant(id=merchant_id, name=name))
    session.flush()
    session.add(
        Agent(id=agent_id, merchant_id=merchant_id, email=f"{agent_id}@x.example", name="Ann", password_hash="")
    )
    session.flush()
    return Principal(PrincipalKind.AGENT, agent_id, "Ann", merchant_id, "ses_1")


@asynccontextmanager
async def opened_world(db: Database, *, limited: bool = False) -> AsyncIterator[World]:
    ctx = Context(
        settings=Settings(_env_file=None, checkout_url=ORIGIN),
        db=db,
        jobs=cast(JobQueue, None),
        limits=Limits(enabled=limited, redis_url=None),
        hub=cast(Hub, None),
        psp=cast(Psp, None),
        channels={},
    )
    agent = await db.transact(lambda session: add_merchant(session, "Acme & Sons"))
    account_id = await db.transact(lambda session: add_account(session, ctx, agent))
    feed = Feed(db)
    yield World(ctx, create_app(ctx, feed), feed, agent, account_id)
    await feed.close()
