"""Background work: the durable jobs, and the sweeps that look for what is due."""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from paylink.config import Settings
from paylink.context import Context
from paylink.delivery.base import Carrier
from paylink.delivery.jobs import Sender
from paylink.delivery.service import SEND_JOB
from paylink.jobs import Handler, Worker
from paylink.payments.closing import expire_due
from paylink.payments.jobs import handlers as payment_handlers
from webhooks.inbound.handlers import handle
from webhooks.inbound.inbox import HANDLE_JOB

log = structlog.get_logger(__name__)

# How late a link may end; the checkout compares the time itself and takes no money in between.
SWEEP_S: Final = 1.0


class Work:
    """``carriers`` by channel name."""

    def __init__(self, ctx: Context, carriers: Mapping[str, Carrier]) -> None:
        self._ctx = ctx
        self._worker = Worker(
            ctx.db,
            ctx.jobs,
            _handlers(ctx, carriers),
            node_id=node_id(ctx.settings),
            concurrency=ctx.settings.job_concurrency,
        )
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._worker.start()
        self._sweep = asyncio.create_task(self._sweep_forever(), name="sweep")

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweep
        await self._worker.close()

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await expire_due(self._ctx)
            except Exception as error:  # the next round tries again; a sweep that died would let links live for ever
                log.warning("sweep_failed", error=type(error).__name__)
            await asyncio.sleep(SWEEP_S)


def node_id(settings: Settings) -> str:
    """Stays the same over a restart on the same host and address, and differs between processes that run at once."""
    return settings.node_id or f"{socket.gethostname()}:{settings.console_bind}:{os.environ.get('PAYLINK_ROLE', '')}"


def _handlers(ctx: Context, carriers: Mapping[str, Carrier]) -> dict[str, Handler]:
    sender = Sender(ctx.db, ctx.keyring, carriers, checkout_url=ctx.settings.checkout_url)
    return {
        SEND_JOB: sender.send,
        HANDLE_JOB: partial(handle, ctx),
        **payment_handlers(ctx),
    }
