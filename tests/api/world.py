"""The API as clients reach it: a real server in a thread of its own, two merchants, and a look behind the curtain."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import structlog
import uvicorn
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from paylink.accounts import service as accounts
from paylink.accounts.models import Agent, Merchant
from paylink.config import Settings
from paylink.console import create_api
from paylink.context import Context
from paylink.db import Base, Database
from paylink.events.stream import Rights
from paylink.kit import logs
from paylink.kit.ids import new_id
from paylink.main import build_context, build_switchboard, readiness
from tests.services import free_port, wait_until

PASSWORD = "correct horse battery staple"
CARD = "4242424242424242"


@dataclass(frozen=True)
class Shop:
    """A merchant, an agent of theirs, and a key."""

    merchant_id: str
    agent_id: str
    email: str
    key: str


class Server(uvicorn.Server):
    """In a thread: the test process keeps its signals."""

    def install_signal_handlers(self) -> None:
        return None


@dataclass
class Api:
    url: str
    settings: Settings
    ctx: Context
    shop: Shop
    other: Shop
    log: StringIO

    @property
    def db(self) -> Database:
        return self.ctx.db

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """With the first shop's key unless another is given; ``""`` for none."""
        key = self.shop.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("headers", {})
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, **options)

    def create(self, http: httpx.Client, **changes: Any) -> dict[str, Any]:
        answer = http.post("/v1/payment_links", json={"amount": 4999, "currency": "GBP"} | changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def counts(self) -> dict[str, int]:
        """How many rows each of the product's tables has."""

        def work(session: Session) -> dict[str, int]:
            tables = Base.metadata.sorted_tables
            return {t.name: session.scalar(sa.select(sa.func.count()).select_from(t)) or 0 for t in tables}

        return self.db.read_sync(work)

    def stored(self) -> bytes:
        """Everything the database holds: its files on SQLite, every row of every table on PostgreSQL."""
        return everything_in(self.db)


def everything_in(db: Database) -> bytes:
    if db.sqlite:
        path = Path(sa.make_url(db.url).database or "")
        return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")))
    with db.engine.connect() as connection:
        found = sa.inspect(connection)
        parts: list[bytes] = []
        for schema in found.get_schema_names():
            if schema in {"information_schema", "pg_catalog"}:
                continue
            for name in found.get_table_names(schema):
                for row in connection.execute(sa.text(f'SELECT * FROM "{schema}"."{name}"')):
                    parts += [value if isinstance(value, bytes) else str(value).encode() for value in row]
        return b"\n".join(parts)


@contextmanager
def api_on(database_url: str, **settings: Any) -> Iterator[Api]:
    port = free_port()
    made = Settings(
        _env_file=None,
        **{
            "database_url": database_url,
            "rate_limits": False,
            "console_url": f"http://127.0.0.1:{port}",
            "checkout_url": "http://checkout.test",
            "sandbox_url": "http://127.0.0.1:9",
        }
        | settings,
    )
    started: dict[str, Any] = {}

    async def run() -> None:
        async with AsyncExitStack() as stack:
            ctx = build_context(made, stack)
            await ctx.hub.start()
            switchboard = build_switchboard(ctx, stack)
            app = create_api(ctx, switchboard=switchboard, readiness=readiness(ctx), rights=Rights(ctx.db))
            config = uvicorn.Config(app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
            server = Server(config)
            stack.push_async_callback(ctx.hub.close)
            started.update(ctx=ctx, server=server)
            await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    try:
        wait_until(lambda: ((s := started.get("server")) and s.started) or not thread.is_alive(), what="the API")
        ctx: Context = started["ctx"]
        shops = add_shop(ctx, "One"), add_shop(ctx, "Two")
        with written_log() as log:
            yield Api(f"http://127.0.0.1:{port}", made, ctx, *shops, log)
    finally:
        if "server" in started:
            started["server"].should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def written_log() -> Iterator[StringIO]:
    """What the product would write to its log, redacted as there."""
    file = StringIO()
    steps = [structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, logs._redact_event]
    structlog.configure(
        processors=[*steps, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger("DEBUG"),
        logger_factory=structlog.PrintLoggerFactory(file),
        cache_logger_on_first_use=False,
    )
    yield file
    structlog.reset_defaults()


# Argon2 is slow by design. A stored hash says itself how much work it takes.
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)


def add_shop(ctx: Context, name: str) -> Shop:
    def work(session: Session) -> Shop:
        merchant_id, agent_id, email = new_id("mer"), new_id("agt"), f"agent@{name.lower()}.example"
        session.add(Merchant(id=merchant_id, name=f"Shop {name}"))
        session.flush()
        agent = {"id": agent_id, "merchant_id": merchant_id, "email": email, "name": f"Agent {name}"}
        session.add(Agent(**agent, password_hash=PASSWORD_HASH))
        session.flush()
        _row, key = accounts.create_api_key(
            session, merchant_id=merchant_id, name="Tests", live=False, keyring=ctx.keyring
        )
        return Shop(merchant_id, agent_id, email, key)

    return ctx.db.transact_sync(work)


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Checks that an answer is an RFC 9457 problem as the contract words it, and returns it."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    fields = {"type", "title", "status", "detail", "code"} | ({"errors"} if status == 422 else set())
    assert set(body) == fields
    assert body["status"] == status
    assert all(isinstance(body[name], str) and body[name] for name in fields - {"status", "errors"})
    if status == 422:
        assert body["errors"]
        assert all(set(error) == {"field", "code", "message"} for error in body["errors"])
        assert all(isinstance(value, str) and value for error in body["errors"] for value in error.values())
    if code is not None:
        assert code in codes(body), body
    return body


def codes(body: Mapping[str, Any]) -> set[str]:
    return {body["code"], *(error["code"] for error in body.get("errors", ()))}


@contextmanager
def sign_in(api: Api, shop: Shop | None = None) -> Iterator[httpx.Client]:
    """A browser signed in to the console: its cookie, and the headers it sends."""
    headers = {"Origin": api.settings.console_url, "Sec-Fetch-Site": "same-origin"}
    with api.client("", headers=headers) as http:
        answer = http.post("/v1/sessions", json={"email": (shop or api.shop).email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        yield http
