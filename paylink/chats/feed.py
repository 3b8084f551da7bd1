"""Tells those who wait that their chat has something new.

A visitor's browser waits in one request after another; none of them holds a connection to the database. One query
serves all who wait in this process: which chats have had a message lately. It runs when a message was written here
(the bell), and every ``POLL_S`` for what other processes wrote. Who missed even that looks again when the wait ends.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.chats.models import ChatMessage
from paylink.db import Database, table
from paylink.events.bus import LocalBell
from paylink.kit.clock import utcnow
from paylink.kit.ids import lowest_id

BELL: Final = "chats"
POLL_S: Final = 1.5
# Many messages in one moment are looked for once.
PAUSE_S: Final = 0.05
# How far a round looks back: longer than any commit takes, and than the clocks of two nodes are apart.
LATELY: Final = timedelta(seconds=30)

log = structlog.get_logger(__name__)
_messages = table(ChatMessage)


class Waiting:
    """One request that waits for news of one chat later than the message ``after``."""

    def __init__(self, after: str) -> None:
        self.after = after
        self._rang = asyncio.Event()

    def ring(self) -> None:
        self._rang.set()

    async def wait(self, timeout_s: float) -> None:
        """Returns when there may be news, or after ``timeout_s``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rang.wait()


class Feed:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._bell = LocalBell()
        self._waiting: dict[str, set[Waiting]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        db.listen(BELL, self._bell.ring)

    @contextmanager
    def waiting(self, chat_id: str, *, after: str) -> Iterator[Waiting]:
        """Begin it before looking: what is written between the look and the wait then rings too."""
        one = Waiting(after)
        self._waiting.setdefault(chat_id, set()).add(one)
        if self._closed:
            one.ring()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="chat-feed")
        try:
            yield one
        finally:
            room = self._waiting[chat_id]
            room.discard(one)
            if not room:
                del self._waiting[chat_id]

    async def close(self) -> None:
        """Lets everybody go, and whoever still comes: their browsers ask again, elsewhere."""
        self._closed = True
        for room in self._waiting.values():
            for one in room:
                one.ring()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        """Ends when nobody waits any more; the next who comes begins it again."""
        while self._waiting:
            await self._bell.wait(POLL_S)
            try:
                newest = await self._db.read(_lately)
            except SQLAlchemyError as error:
                log.warning("chats_not_read", error=type(error).__name__)
                await asyncio.sleep(POLL_S)
                continue
            for chat_id, newest_id in newest.items():
                for one in self._waiting.get(chat_id, ()):
                    if newest_id > one.after:
                        one.ring()
            await asyncio.sleep(PAUSE_S)


def _lately(session: Session) -> dict[str, str]:
    """The newest message of each chat that has a new one. Ids sort by time, so the primary key's index serves this."""
    query = sa.select(_messages.c.chat_id, sa.func.max(_messages.c.id)).group_by(_messages.c.chat_id)
    rows = session.execute(query.where(_messages.c.id >= lowest_id("msg", utcnow() - LATELY)))
    return {row[0]: row[1] for row in rows}
