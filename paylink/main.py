"""The composition root: builds what a process needs for its role, serves it, and takes it down in order."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from paylink.channels.base import ChannelName
from paylink.channels.outside import Allowed
from paylink.channels.sandbox import SandboxChannel
from paylink.channels.service import BY_HAND
from paylink.channels.switchboard import SANDBOX_CARRIES, Switchboard
from paylink.chats.feed import Feed
from paylink.chats.service import poster
from paylink.config import Settings, UnsafeSettings
from paylink.console import create_api
from paylink.context import Context
from paylink.db import Database
from paylink.events.bus import make_bell
from paylink.events.hub import Hub
from paylink.events.stream import Rights
from paylink.jobs import JobQueue
from paylink.kit.claim import alone
from paylink.limits import Limits
from paylink.psp.stripe import StripePsp
from paylink.schema import is_current
from paylink.worker import Work

log = structlog.get_logger(__name__)

# Streams end at once on a stop; this is for requests that are under way.
DRAIN_S: Final = 8
# Longer than proxies and clients keep an idle connection (60 s and less): whoever closes first must not be the one who
# is being asked, or a request is lost on the way.
KEEP_ALIVE_S: Final = 75
# The kernel drops a connection whose peer has taken nothing of what waits for it for so long.
UNREAD_MS: Final = 20_000


class Role(StrEnum):
    ALL = "all"
    API = "api"
    CHECKOUT = "checkout"
    WEBHOOKS = "webhooks"
    SANDBOX = "sandbox"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Running:
    """What is served: a name for people, and by what."""

    name: str
    server: uvicorn.Server
    task: asyncio.Task[None]

    async def close(self) -> None:
        """Listens no more and finishes the requests that are under way."""
        self.server.should_exit = True
        with suppress(asyncio.CancelledError):
            await self.task


class Server(uvicorn.Server):
    """One of several in a process: the process handles the signals, once, for all."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.listening.set()


def build_context(settings: Settings, stack: AsyncExitStack) -> Context:
    """The database, the bell, the provider; closed again when the stack is."""
    db = Database(settings.database_url)
    stack.callback(db.close)
    jobs = JobQueue(db)
    stack.callback(jobs.close)
    redis = settings.redis_url.get_secret_value() if settings.redis_url else None
    psp = StripePsp(settings.stripe, name=settings.psp.value)
    stack.push_async_callback(psp.close)
    carried = frozenset() if settings.production else SANDBOX_CARRIES
    return Context(
        settings=settings,
        db=db,
        jobs=jobs,
        limits=Limits(enabled=settings.rate_limits, redis_url=redis),
        hub=Hub(db, make_bell(redis)),
        psp=psp,
        channels={name.value: name in carried or name in BY_HAND for name in ChannelName},
    )


def build_switchboard(ctx: Context, stack: AsyncExitStack) -> Switchboard:
    """Closed again when the stack is. In development the sandbox carries what no account does."""
    settings = ctx.settings
    sandbox = None
    if not settings.production:
        sandbox = SandboxChannel(settings.sandbox_url, settings.sandbox_messaging_secret)
    try:
        allowed = Allowed.of(settings.private_channel_hosts, everything=not settings.production)
    except ValueError as error:
        raise UnsafeSettings(f"PAYLINK_PRIVATE_CHANNEL_HOSTS: {error}") from error
    switchboard = Switchboard(
        ctx.db,
        ctx.keyring,
        console_url=settings.console_url,
        allowed=allowed,
        sandbox=sandbox,
        poster=poster(ctx.db, ctx.keyring),
    )
    stack.push_async_callback(switchboard.close)
    return switchboard


async def serve(settings: Settings, role: Role, *, ready: Callable[[], None] | None = None) -> None:
    """Runs until SIGINT or SIGTERM, then drains: streams end, requests finish, jobs at hand are done."""
    refuse_unsafe(settings, role)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        running = await _start(settings, role, stack)
        # What was made while starting stays: the collector need not walk through all of it again and again, which
        # stops everything for a tenth of a second each time.
        gc.collect()
        gc.freeze()
        if ready is not None:
            ready()
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([stopped, *(one.task for one in running)], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("stopping", role=role.value)


def refuse_unsafe(settings: Settings, role: Role) -> None:
    reasons = []
    if settings.production and settings.sqlite and role is not Role.ALL:
        reasons.append("SQLite serves one process: several need PAYLINK_DATABASE_URL=postgresql://…")
    if settings.production and role is Role.SANDBOX:
        reasons.append("The sandbox never runs in production")
    if role is Role.ALL:
        parts = ("console", "checkout") if settings.production else ("console", "checkout", "sandbox")
        binds = {f"PAYLINK_{part.upper()}_BIND": getattr(settings, f"{part}_bind") for part in parts}
        for (one, bind), (other, same) in combinations(binds.items(), 2):
            if bind == same:
                reasons.append(f"{one} and {other} are both {bind}: each needs a port of its own")
    if reasons:
        raise UnsafeSettings(*reasons)


async def _start(settings: Settings, role: Role, stack: AsyncExitStack) -> list[Running]:
    # All of them before the first one serves: whoever hears of one that it is ready is let in by the others as well.
    listeners = {name: _listen(bind, stack) for name, bind in _binds(settings, role).items()}
    if role is Role.SANDBOX:
        return [await _serve_app("sandbox", _sandbox_app(settings), listeners, settings, stack)]
    if settings.production and settings.sqlite_path is not None:
        _serve_alone(settings.sqlite_path, stack)
    ctx = build_context(settings, stack)
    switchboard = build_switchboard(ctx, stack)
    running: list[Running] = []
    console: Running | None = None
    if role in {Role.ALL, Role.API, Role.WEBHOOKS}:
        await ctx.hub.start()
        stack.push_async_callback(ctx.hub.close)
        api = create_api(
            ctx,
            switchboard=switchboard,
            readiness=readiness(ctx),
            rights=Rights(ctx.db),
            callbacks_only=role is Role.WEBHOOKS,
        )
        console = await _serve_app("console", api, listeners, settings, stack)
        running.append(console)
    if role in {Role.ALL, Role.CHECKOUT}:
        chats = Feed(ctx.db)
        customers = _checkout_app(ctx, chats)
        running.append(await _serve_app("checkout", customers, listeners, settings, stack))
        # Visitors who wait for a message would keep the server from draining.
        stack.push_async_callback(chats.close)
    if role is Role.ALL and not settings.production:
        running.append(await _serve_app("sandbox", _sandbox_app(settings), listeners, settings, stack))
    if role in {Role.ALL, Role.WORKER}:
        work = Work(ctx, switchboard)
        await work.start()
        stack.push_async_callback(work.close)
    if console is not None:
        # Pushed last, so ended first: agents watch elsewhere while jobs finish here. An open stream would keep its
        # server from draining, so the streams come before the server.
        stack.push_async_callback(console.close)
        stack.push_async_callback(ctx.hub.close)
    return running


def _binds(settings: Settings, role: Role) -> dict[str, str]:
    binds = {}
    if role in {Role.ALL, Role.API, Role.WEBHOOKS}:
        binds["console"] = settings.console_bind
    if role in {Role.ALL, Role.CHECKOUT}:
        binds["checkout"] = settings.checkout_bind
    if role is Role.SANDBOX or (role is Role.ALL and not settings.production):
        binds["sandbox"] = settings.sandbox_bind
    return binds


def _serve_alone(database: Path, stack: AsyncExitStack) -> None:
    try:
        stack.enter_context(alone(database.with_name(f"{database.name}.lock")))
    except BlockingIOError:
        raise UnsafeSettings(
            f"Another process serves {database}, and SQLite serves one: several need PAYLINK_DATABASE_URL=postgresql://…"
        ) from None


async def _serve_app(
    name: str, app: ASGIApp, listeners: dict[str, socket.socket], settings: Settings, stack: AsyncExitStack
) -> Running:
    listener = listeners[name]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=16 * 1024,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=f"server-{name}")

    running = Running(name, server, task)
    stack.push_async_callback(running.close)
    await server.listening.wait()
    if task.done():
        await task
    host, port, *_ = listener.getsockname()
    log.info("serving", app=name, address=f"http://{host}:{port}")
    return running


def _listen(bind: str, stack: AsyncExitStack) -> socket.socket:
    """Bound here and not by uvicorn, whose way of failing is to end the process."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol named, or asyncio leaves Nagle's delay on in what it accepts: 40 ms for each answer.
    listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; inherited by every connection
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        listener.bind((host.strip("[]"), int(port)))
    except OSError as error:
        raise UnsafeSettings(f"Cannot listen on {host}:{port}: {error.strerror}") from error
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def readiness(ctx: Context) -> Callable[[], Any]:
    async def check() -> dict[str, bool]:
        try:
            await ctx.db.read(lambda session: session.execute(text("SELECT 1")).one())
            migrated = await ctx.db.read(is_current)
            database = True
        except SQLAlchemyError:
            database = migrated = False
        return {"database": database, "migrations": migrated, "bus": await ctx.hub.healthy()}

    return check


def _checkout_app(ctx: Context, chats: Feed) -> ASGIApp:
    """Two applications that know nothing of each other, told apart by the address."""
    from paylink.chats.widget import create_app as create_widget  # noqa: PLC0415 - a process without this role
    from paylink.checkout.app import create_app  # noqa: PLC0415 - need not load them

    checkout, widget = create_app(ctx), create_widget(ctx, chats)

    async def by_address(scope: Scope, receive: Receive, send: Send) -> None:
        chatting = scope["type"] == "http" and scope["path"].startswith("/chat/")
        await (widget if chatting else checkout)(scope, receive, send)

    return by_address


def _sandbox_app(settings: Settings) -> ASGIApp:
    from paylink.sandbox.app import create_app  # noqa: PLC0415 - never loaded in production

    return create_app(settings)
