"""The peer: how a payment link is made in plain FastAPI with SQLAlchemy, a session per request, as the tutorials do.

Three rows per request, committed before the answer: link, token, event. No sign-in, no log, no counter, no keyed hash:
less than the product does. ``PEER_DATABASE_URL`` says where (``sqlite+aiosqlite:///…``, ``postgresql+psycopg://…``),
``PEER_STYLE`` whether by the unit of work (``orm``) or by statements (``core``). On SQLite it has the product's own
durability: WAL, ``synchronous=FULL``.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench.floor import LinkIn, LinkOut

POOL = 8
Values = dict[str, Any]

engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=POOL, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: sa.JSON, datetime: sa.DateTime(timezone=True)}  # noqa: RUF012


class Link(Base):
    __tablename__ = "links"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    reference: Mapped[str | None]
    details: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Token(Base):
    __tablename__ = "tokens"
    hash: Mapped[bytes] = mapped_column(primary_key=True)
    link_id: Mapped[str] = mapped_column(sa.ForeignKey("links.id"), index=True)
    created_at: Mapped[datetime]


class Event(Base):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    link_id: Mapped[str] = mapped_column(index=True)
    type: Mapped[str]
    occurred_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


INSERT_LINK, INSERT_TOKEN, INSERT_EVENT = (sa.insert(Base.metadata.tables[n]) for n in ("links", "tokens", "events"))


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/payment_links", status_code=201)
async def create(body: LinkIn) -> LinkOut:
    now, link_id, token = datetime.now(UTC), f"plink_{uuid4().hex}", secrets.token_urlsafe(16)
    link = {"id": link_id, "status": "active", "created_at": now, "expires_at": now + timedelta(days=1)}
    link |= {"amount": body.amount, "currency": body.currency, "reference": body.reference}
    await write(
        {**link, "details": body.metadata},
        {"hash": sha256(token.encode()).digest(), "link_id": link_id, "created_at": now},
        {"link_id": link_id, "type": "link.created", "occurred_at": now, "data": {"amount": body.amount}},
    )
    return LinkOut(**link, metadata=body.metadata, url=f"http://127.0.0.1:8001/p/{token}")


async def with_unit_of_work(link: Values, token: Values, event: Values) -> None:
    async with sessions() as session:
        session.add(Link(**link))
        await session.flush()
        session.add_all([Token(**token), Event(**event)])
        await session.commit()


async def with_statements(link: Values, token: Values, event: Values) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT_LINK, link)
        await connection.execute(INSERT_TOKEN, token)
        await connection.execute(INSERT_EVENT, event)


write = with_statements if os.environ.get("PEER_STYLE") == "core" else with_unit_of_work


@app.get("/healthz")
async def healthz() -> str:
    return "ok"


if engine.dialect.name == "sqlite":

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _durable(connection: Any, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")
