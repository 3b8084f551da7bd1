"""The sandbox as an ASGI app: a provider, a carrier and an inbox behind one address."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paylink.config import Settings, UnsafeSettings
from paylink.sandbox import disputes, idempotency, intents, refunds, reviews
from paylink.sandbox.control import Control, Orders
from paylink.sandbox.elements import Elements
from paylink.sandbox.errors import StripeError
from paylink.sandbox.inbox import Inbox
from paylink.sandbox.ledger import read_ledger
from paylink.sandbox.outbox import Outbox
from paylink.sandbox.pages import page
from paylink.sandbox.server import StripeApi
from paylink.sandbox.store import TABLES, Store, Tx, savepoint

log = structlog.get_logger(__name__)

# What happens at a provider without a call of ours: at its own desk, at a bank, or by the passing of time.
DEEDS: Final[dict[str, Callable[..., object]]] = {
    "close_dispute": disputes.close,
    "set_dispute": disputes.set_status,
    "close_review": reviews.close,
    "end_authorization": intents.set_authorization_end,
}


def create_app(settings: Settings) -> Starlette:
    """Raises ``UnsafeSettings`` in production: here are a card form and a ledger of no money at all."""
    if settings.production:
        raise UnsafeSettings("the sandbox must not run in production")
    return Sandbox(settings).app()


class Sandbox:
    """The parts, put together over one store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.sandbox_database)
        self.control = Control(self.store)
        self.stripe = StripeApi(settings, self.store, self.control)
        self.elements = Elements(settings, self.store, self.stripe)
        self.inbox = Inbox(settings, self.store)

    def app(self) -> Starlette:
        routes = [
            Route("/", self._index),
            Route("/healthz", _healthz),
            Route("/_ledger", self._ledger),
            Route("/_control", self._show_control, methods=["GET"]),
            Route("/_control", self._order, methods=["POST"]),
            *self.stripe.routes(),
            *self.elements.routes(),
            *self.inbox.routes(),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        await self.store.open()
        outbox = Outbox(self._settings, self.store, self.control, run_timers=self._run_timers)
        self.store.on_wake = outbox.ring
        await self.control.load()
        await self.store.run(idempotency.prune)
        sender = asyncio.create_task(outbox.run(), name="sandbox-outbox")
        try:
            yield
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender
            await self.store.close()

    def _run_timers(self, tx: Tx) -> None:
        """What was to happen some time after a payment or a refund."""
        actions = {
            "dispute": disputes.open_for,
            "refund_pending": refunds.settle_pending,
            "refund_failed": refunds.fail,
            "expire": intents.expire,
        }
        for row in tx.all("SELECT * FROM timers WHERE due <= ? ORDER BY due, seq", time.time()):
            tx.do("DELETE FROM timers WHERE seq = ?", row["seq"])
            try:
                with savepoint(tx):
                    actions[row["name"]](self.stripe.call(tx), row["target"])
            except (StripeError, KeyError):
                # Its object is gone, by ``wipe``: the other timers must still run.
                log.warning("sandbox.timer_dropped", name=row["name"], target=row["target"])

    async def _index(self, _request: Request) -> Response:
        return page("index.html", console_url=self._settings.console_url)

    async def _ledger(self, request: Request) -> Response:
        wanted = request.query_params.get("payment_intent")
        return JSONResponse(await self.store.run(lambda tx: read_ledger(tx, payment_intent=wanted)))

    def _do(self, deed: Callable[..., object], given: dict[str, Any], tx: Tx) -> None:
        deed(self.stripe.call(tx), **given)

    async def _show_control(self, _request: Request) -> Response:
        return JSONResponse(self.control.orders.model_dump(mode="json"))

    async def _order(self, request: Request) -> Response:
        """Orders and deeds, see ``control``. JSON only, which a foreign page cannot send."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": "send application/json"}, 415)
        wanted: dict[str, Any] = await request.json()
        if wanted.pop("wipe", False):
            await self.store.run(_wipe)
            self.control.orders = Orders()
        if wanted.pop("reset", False):
            await self.control.save(Orders())
        if wanted.pop("prune_idempotency", False):
            await self.store.run(lambda tx: idempotency.prune(tx, older_than=-1))
        try:
            for name, deed in DEEDS.items():
                if given := wanted.pop(name, None):
                    await self.store.run(partial(self._do, deed, given))
            await self.control.save(self.control.merged(wanted))
        except (ValidationError, StripeError, TypeError) as wrong:
            return JSONResponse({"error": str(wrong)}, 400)
        return await self._show_control(request)


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _wipe(tx: Tx) -> None:
    for table in TABLES:
        tx.do(f"DELETE FROM {table}")  # noqa: S608 - own names
