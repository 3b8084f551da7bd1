"""The product in this process, with everything that happens by itself in our hands: jobs, callbacks, time, death."""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.channels.switchboard import Switchboard
from paylink.console import create_api
from paylink.context import Context
from paylink.events.bus import LocalBell
from paylink.events.hub import Hub
from paylink.events.stream import Rights
from paylink.jobs import JobQueue
from paylink.kit.ids import new_id
from paylink.limits import Limits
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.payments.closing import expire_due
from paylink.payments.models import LIVE, Payment
from paylink.psp.stripe import StripePsp
from paylink.worker import Work
from tests.payments.world import World
from tests.prove.places import opened
from tests.prove.provider import ADDRESS, Provider

ROUTE: Final = "/webhooks/psp/sandbox"
CALLS: Final = {"create_payment", "get_payment", "capture", "cancel", "refund", "get_refund", "get_dispute"}
# A job that asks to come back for ever would keep the end from coming.
ROUNDS: Final = 40


class Died(BaseException):
    """The process ends here: nothing of the product may catch it."""


class Mortal:
    """The adapter, through which a death can be ordered: at the next call, or some calls later."""

    def __init__(self, psp: StripePsp) -> None:
        self._psp = psp
        self._left: int | None = None
        self._answered = False

    def doom(self, *, calls: int, answered: bool) -> None:
        """``answered``: the provider has done it, and nobody will ever read its answer."""
        self._left, self._answered = calls, answered

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._psp, name)
        return self._mortal(found) if name in CALLS else found

    def _mortal(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def once(*args: Any, **more: Any) -> Any:
            if self._left is None:
                return await call(*args, **more)
            self._left -= 1
            if self._left >= 0:
                return await call(*args, **more)
            if self._answered:
                with suppress(Exception):
                    await call(*args, **more)
            raise Died

        return once


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    args: list[str]
    key: str
    attempt: int


class Shop:
    """One merchant's world. ``restart`` gives it a new process over the same database."""

    def __init__(self, provider: Provider, url: str) -> None:
        self.provider = provider
        self._url = url
        self.merchant_id = ""
        self._open()

    def _open(self) -> None:
        self.db = opened(self._url)
        self._boot()

    def _boot(self) -> None:
        self.psp = Mortal(self.provider.adapter)
        self._queue = JobQueue(self.db)
        self.ctx = Context(
            settings=self.provider.settings.model_copy(update={"node_id": "prove"}),
            db=self.db,
            jobs=self._queue,
            limits=Limits(enabled=False, redis_url=None),
            hub=Hub(self.db, LocalBell()),
            psp=self.psp,
            channels={},
        )
        switchboard = Switchboard(self.db, self.ctx.keyring)
        self._worker = Work(self.ctx, switchboard)._worker
        rights = Rights(self.db)
        app = create_api(self.ctx, switchboard=switchboard, readiness=_ready, rights=rights, callbacks_only=True)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ADDRESS)

    @property
    def world(self) -> World:
        return World(self.ctx, self.merchant_id, self.provider.adapter)

    async def new_merchant(self) -> None:
        """From here on nothing is left of what was before: neither jobs nor the provider's memory."""
        self.merchant_id = new_id("mer")
        await self.provider.wipe()

        def write(session: Session) -> None:
            session.execute(sa.text(f"DELETE FROM {self._jobs}workflow_status"))
            # An attempt that the provider has forgotten cannot be given up, and would be tried again for ever.
            live = sa.update(Payment).where(Payment.status.in_([s.value for s in LIVE]))
            session.execute(live.values(status="canceled"))
            session.execute(sa.update(PaymentLink).where(PaymentLink.status.in_(OPEN)).values(status="expired"))
            session.add(Merchant(id=self.merchant_id, name="Acme Heating"))

        await self.db.transact(write)

    async def restart(self, *, database: bool) -> None:
        """``database``: with connections of its own, too, which takes a little."""
        await self._http.aclose()
        self._queue.close()
        if database:
            self.db.close()
            self._open()
        else:
            self._boot()

    async def close(self) -> None:
        await self._http.aclose()
        self._queue.close()
        self.db.close()

    async def deliver(self, body: str | bytes, headers: dict[str, str]) -> int:
        """A callback through the real route; the status of its answer."""
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        return (await self._http.post(ROUTE, content=body, headers=raw)).status_code

    async def jobs(self) -> list[Job]:
        """What waits, due or not: the product's delays are courtesy and must not be what makes it right."""
        query = sa.text(
            f"SELECT i.inputs FROM {self._jobs}workflow_status s JOIN {self._jobs}workflow_input i "
            "ON i.workflow_uuid = s.workflow_uuid WHERE s.status IN ('ENQUEUED', 'DELAYED') ORDER BY s.workflow_uuid"
        )
        rows = await self.db.read(lambda session: session.execute(query).all())
        return [Job(*json.loads(row[0])["positionalArgs"]) for row in rows]

    async def work(self, job: Job) -> None:
        """As a worker does, retries included. A death on the way leaves the job where it was."""
        await self._worker._handle(job.name, job.args, job.key, job.attempt)
        query = sa.text(f"UPDATE {self._jobs}workflow_status SET status = 'SUCCESS' WHERE workflow_uuid = :key")
        await self.db.transact(lambda session: session.execute(query, {"key": job.key}) and None)

    async def work_all(self) -> None:
        """Every job there is, once, and what they make necessary; retries wait for the next call."""
        seen: set[str] = set()
        for _ in range(ROUNDS):
            fresh = [job for job in await self.jobs() if job.key.partition("#")[0] not in seen]
            if not fresh:
                return
            for job in fresh:
                seen.add(job.key.partition("#")[0])
                await self.work(job)

    async def sweep(self) -> int:
        return await expire_due(self.ctx)

    @property
    def _jobs(self) -> str:
        return "" if self.db.sqlite else "dbos."


async def _ready() -> dict[str, bool]:
    return {}
