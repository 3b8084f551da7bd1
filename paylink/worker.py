"""Background work: the durable jobs, and the sweeps that look for what is due."""

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from paylink import idempotency
from paylink.accounts.service import prune_sessions
from paylink.channels.polling import LOOK_S as POLL_LOOK_S
from paylink.channels.polling import Poller
from paylink.channels.switchboard import Switchboard
from paylink.chats.service import prune as prune_chats
from paylink.checkout.sessions import prune as prune_checkouts
from paylink.config import Settings
from paylink.context import Context
from paylink.delivery.fallback import FALLBACK_JOB
from paylink.delivery.jobs import Sender
from paylink.delivery.service import SEND_JOB
from paylink.jobs import Handler, Worker
from paylink.kit.claim import Claim
from paylink.payments.closing import expire_due
from paylink.payments.jobs import handlers as payment_handlers
from paylink.payments.receipts import RECEIPT_JOB, ReceiptSender
from paylink.payments.review import watch_holds
from paylink.reconciliation.jobs import LOOK_S, RECONCILE_JOB, Due, Reconciler
from paylink.reconciliation.jobs import prune as prune_reconciliations
from webhooks.inbound import inbox, messaging
from webhooks.inbound.handlers import handle
from webhooks.inbound.inbox import HANDLE_JOB
from webhooks.inbound.undelivered import FetchedInbox

log = structlog.get_logger(__name__)

TIDY_S: Final = 3600
# How late a link may end; the checkout compares the time itself and takes no money in between.
SWEEP_S: Final = 1.0
# How late a held payment may be warned of or let go; both are due an hour or more before it matters.
WATCH_S: Final = 5.0


class Work:
    def __init__(self, ctx: Context, switchboard: Switchboard) -> None:
        self._ctx = ctx
        self._claim = None if ctx.settings.node_id else claim_name(ctx.settings)
        self._worker = Worker(
            ctx.db,
            ctx.jobs,
            _handlers(ctx, switchboard),
            node_id=self._claim.name if self._claim else ctx.settings.node_id,
            concurrency=ctx.settings.job_concurrency,
        )
        self._poller = Poller(ctx.db, switchboard, partial(messaging.take, ctx))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._worker.start()
        self._tasks = [
            asyncio.create_task(_every(SWEEP_S, partial(expire_due, self._ctx)), name="sweep"),
            asyncio.create_task(_every(WATCH_S, partial(watch_holds, self._ctx)), name="watch"),
            asyncio.create_task(_every(LOOK_S, Due(self._ctx).look, first_s=LOOK_S), name="reconcile"),
            asyncio.create_task(_every(POLL_LOOK_S, self._poller.look), name="poll"),
            asyncio.create_task(_every(TIDY_S, self._tidy), name="tidy"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._poller.close()
        await self._worker.close()
        if self._claim is not None:
            self._claim.release()

    async def _tidy(self) -> None:
        for prune in (idempotency.prune, prune_sessions, inbox.prune, prune_reconciliations):
            await self._ctx.db.transact(prune)
        for prune_some in (prune_checkouts, prune_chats):
            while await self._ctx.db.transact(prune_some):
                pass


async def _every(seconds: float, work: Callable[[], Awaitable[object]], *, first_s: float = 0) -> None:
    """``first_s``: what can wait lets a process begin to serve first."""
    await asyncio.sleep(first_s)
    while True:
        try:
            await work()
        except Exception as error:  # the next round tries again; a sweep that died would let links live for ever
            log.warning("sweep_failed", error=type(error).__name__)
        await asyncio.sleep(seconds)


def claim_name(settings: Settings) -> Claim:
    """What this process is called where no ``PAYLINK_NODE_ID`` names it: found again by a restart on the same host and
    database, never shared by two that run at once."""
    topic = f"node-{hashlib.sha256(settings.database_url.encode()).hexdigest()[:12]}"
    return Claim(topic, prefix=socket.gethostname())


def _handlers(ctx: Context, switchboard: Switchboard) -> dict[str, Handler]:
    sender = Sender(ctx.db, ctx.jobs, ctx.keyring, switchboard, checkout_url=ctx.settings.checkout_url)
    return {
        SEND_JOB: sender.send,
        FALLBACK_JOB: sender.fall_back,
        RECEIPT_JOB: ReceiptSender(ctx.db, switchboard).send,
        HANDLE_JOB: partial(handle, ctx),
        RECONCILE_JOB: Reconciler(ctx, FetchedInbox).work,
        **payment_handlers(ctx),
    }
