"""News from providers that call nobody: each of their accounts is asked again and again, by every worker.

No worker holds a lease. What two of them hear twice is stored once, by its id; how far an account has been heard is
kept at its provider after the news are stored, so that a worker that starts goes on there, and one that ends, however
it ends, loses nothing. If another worker has come further meanwhile, a few news are heard again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Protocol, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.channels.base import Channel, ChannelError, Parsed, TemporaryFault
from paylink.channels.models import ChannelAccount
from paylink.channels.outside import Guarded
from paylink.channels.switchboard import NoSuchChannel, Switchboard
from paylink.db import Database

log = structlog.get_logger(__name__)

POLLED: Final = frozenset({"matrix"})
# How soon a new account is listened to, and one that was switched off no more.
LOOK_S: Final = 5.0
# After a fault, doubled with each further one; an account whose token has ended is not asked all the time.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
# Between two questions, also to a provider that answers at once, whether there are news or not.
BREATH_S: Final = 0.2

# Takes provider, account and news, and has stored them, each once, when it returns.
Store = Callable[[str, str, Parsed], Awaitable[object]]


class Polled(Protocol):
    """What an adapter has that is asked for news."""

    async def poll(self, since: str | None) -> tuple[str, Parsed]:
        """Waits for news for some seconds; returns where they end, and them. Raises ``ChannelError``."""

    async def resume(self) -> str | None: ...

    async def keep(self, since: str) -> None: ...


class Poller:
    """``look`` is to be called every ``LOOK_S``; the asking goes on between."""

    def __init__(self, db: Database, switchboard: Switchboard, store: Store) -> None:
        self._db = db
        self._switchboard = switchboard
        self._store = store
        # By account, and when it was last changed: with other settings it is asked anew.
        self._tasks: dict[tuple[str, datetime], asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Begins with accounts that are new, and ends with those that are gone or switched off."""
        wanted = await self._db.read(_accounts)
        for known in [*self._tasks]:
            if known not in wanted or self._tasks[known].done():
                self._tasks.pop(known).cancel()
        for one in wanted:
            if one not in self._tasks:
                self._tasks[one] = asyncio.create_task(self._follow(one[0]), name=f"poll-{one[0]}")

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _follow(self, account_id: str) -> None:
        since, pause_s = None, FIRST_PAUSE_S
        while True:
            try:
                since = await self._once(account_id, since)
                wait_s, pause_s = BREATH_S, FIRST_PAUSE_S
            except NoSuchChannel:
                return
            except ChannelError as fault:
                log.warning("poll_failed", account=account_id, reason=fault.reason, code=fault.code)
                asked_s = fault.retry_after_s if isinstance(fault, TemporaryFault) else None
                wait_s, pause_s = max(pause_s, asked_s or 0.0), 2 * pause_s
            except Exception as error:  # the next round tries again; an account that is not asked hears no STOP
                log.warning("poll_failed", account=account_id, error=type(error).__name__)
                wait_s, pause_s = pause_s, 2 * pause_s
            await asyncio.sleep(min(wait_s, LONGEST_PAUSE_S))

    async def _once(self, account_id: str, since: str | None) -> str:
        """One question for news. They are stored before it is kept that they were heard."""
        account = await self._db.read(lambda session: session.get(ChannelAccount, account_id))
        if account is None or account.disabled_at is not None:
            raise NoSuchChannel
        async with inside(await self._switchboard.of(account)) as channel:
            since = since or await channel.resume()
            after, news = await channel.poll(since)
            something = bool(news.reports or news.replies)
            if something:
                await self._store(account.provider, account.id, news)
            if something or since is None:
                await channel.keep(after)
            return after


@asynccontextmanager
async def inside(channel: Channel) -> AsyncIterator[Polled]:
    """The adapter behind its guard, guarded."""
    if isinstance(channel, Guarded):
        async with channel.within() as guarded:
            yield cast(Polled, guarded)
    else:
        yield cast(Polled, channel)


def _accounts(session: Session) -> list[tuple[str, datetime]]:
    query = sa.select(ChannelAccount.id, ChannelAccount.updated_at).where(
        ChannelAccount.provider.in_(POLLED), ChannelAccount.disabled_at.is_(None)
    )
    return [(row.id, row.updated_at) for row in session.execute(query)]
