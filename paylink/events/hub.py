"""One reader of the log per process, and the streams it feeds.

The hub alone follows the log; an open stream costs a bounded queue and no database connection. A stream whose client
does not read is cut off when its queue is full: the client comes back with ``Last-Event-ID`` and misses nothing.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.db import Database
from paylink.events import log as event_log
from paylink.events.bus import Bell
from paylink.events.tail import GAP_PATIENCE_S, PAGE, Tail, newest, writers
from paylink.events.types import public_form

POLL_S = 1.0
GAP_POLL_S = 0.005
START_POLL_S = 0.05
# How far a stream that just begins may look back, at most: the place is kept this often while nobody listens.
UNHEARD_S = 0.02
# A stream holds this many frames for a client that does not read; at some hundred bytes each that is little memory,
# and far more than a human-paced stream ever has waiting.
QUEUE_LIMIT = 512
# So many are handed out at once: a client that reads must not be cut off because much happened in one moment.
SLICE = QUEUE_LIMIT // 4

log = structlog.get_logger(__name__)
streams_open = Gauge("paylink_streams_open", "Event streams that are open")
streams_cut = Counter("paylink_streams_cut_total", "Event streams cut off because their client did not read")


def frame(row: sa.Row[Any]) -> bytes:
    """One server-sent event. JSON escapes line ends, so data is always one line."""
    data = json.dumps(public_form(row), separators=(",", ":"), ensure_ascii=False)
    return f"id: {row.id}\nevent: {row.type}\ndata: {data}\n\n".encode()


class Subscription:
    """One open stream's end of the hub.

    ``start`` is where its queue begins; what is before it a stream that came back reads from the log. It moves on until
    the stream has caught up, so that what happens meanwhile fills no queue that nobody empties yet.
    """

    def __init__(self, *, merchant_id: str, link_id: str | None, start: int) -> None:
        self.merchant_id = merchant_id
        self.link_id = link_id
        self.start = start
        self.live = False
        self.closed = False
        self._frames: deque[tuple[int, bytes]] = deque()
        self._ready = asyncio.Event()

    def push(self, event_id: int, data: bytes) -> None:
        if self.closed:
            return
        if not self.live:
            self.start = max(self.start, event_id)
            return
        if len(self._frames) >= QUEUE_LIMIT:
            streams_cut.inc()
            self.close()
            return
        self._frames.append((event_id, data))
        self._ready.set()

    def close(self) -> None:
        self.closed = True
        self._frames.clear()
        self._ready.set()

    async def take(self) -> list[tuple[int, bytes]]:
        """Everything that waits, at least one frame; an empty list once the stream is over."""
        await self._ready.wait()
        self._ready.clear()
        if self.closed:
            return []
        frames = list(self._frames)
        self._frames.clear()
        return frames


class Hub:
    def __init__(self, db: Database, bell: Bell) -> None:
        self._db = db
        self._bell = bell
        self._tail = Tail()
        self._by_merchant: dict[str, set[Subscription]] = {}
        self._by_link: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        db.listen(event_log.BELL, bell.ring)

    @property
    def cursor(self) -> int:
        return self._tail.cursor

    async def start(self) -> None:
        await self._bell.start()
        self._tail = Tail(await self._closed_end())
        self._task = asyncio.create_task(self._follow(), name="event-hub")

    async def close(self) -> None:
        """Ends every stream, and any that still comes; their clients come back elsewhere with what they saw last."""
        self._closed = True
        for subscription in list(self.subscriptions()):
            subscription.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._bell.close()

    async def healthy(self) -> bool:
        """Whether it follows the log and the bell rings; without the bell it still follows, by the clock."""
        following = self._task is None or not self._task.done()
        return following and await self._bell.healthy()

    def subscribe(self, *, merchant_id: str, link_id: str | None = None) -> Subscription:
        subscription = Subscription(merchant_id=merchant_id, link_id=link_id, start=self.cursor)
        self._room(subscription).add(subscription)
        streams_open.inc()
        if self._closed:
            subscription.close()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        index, key = self._place(subscription)
        if (room := index.get(key)) and subscription in room:
            room.discard(subscription)
            streams_open.dec()
            if not room:
                del index[key]

    def subscriptions(self) -> Iterable[Subscription]:
        for index in (self._by_merchant, self._by_link):
            for room in index.values():
                yield from room

    async def missed(self, subscription: Subscription, *, after: int, up_to: int) -> Sequence[sa.Row[Any]]:
        """The next page of what was stored in (``after``, ``up_to``]; the last one is not full."""

        def read(session: Session) -> Sequence[sa.Row[Any]]:
            return event_log.between(
                session,
                merchant_id=subscription.merchant_id,
                link_id=subscription.link_id,
                after=after,
                up_to=up_to,
            )

        return await self._db.read(read)

    def _place(self, subscription: Subscription) -> tuple[dict[str, set[Subscription]], str]:
        if subscription.link_id is None:
            return self._by_merchant, subscription.merchant_id
        return self._by_link, subscription.link_id

    def _room(self, subscription: Subscription) -> set[Subscription]:
        index, key = self._place(subscription)
        return index.setdefault(key, set())

    async def _follow(self) -> None:
        while True:
            try:
                rows = await self._next()
            except SQLAlchemyError as error:
                log.warning("event_log_not_read", error=type(error).__name__)
                await asyncio.sleep(POLL_S)
                continue
            self._tail.passed(rows)
            for row in rows:
                self._hand_out(row)
            if len(rows) < SLICE:
                await self._bell.wait(GAP_POLL_S if self._tail.waiting else POLL_S)

    async def _next(self) -> Sequence[sa.Row[Any]]:
        """What comes next in the log. While nobody listens only the place is kept, and not at every ring."""
        while not self._heard:
            skipped = await self._db.read(partial(self._tail.read, ids_only=True))
            if self._heard:
                break  # somebody came meanwhile, and is owed what was only counted
            self._tail.passed(skipped)
            if len(skipped) < PAGE:
                await asyncio.sleep(UNHEARD_S)
                await self._bell.wait(POLL_S)
        return await self._db.read(partial(self._tail.read, limit=SLICE))

    @property
    def _heard(self) -> bool:
        return bool(self._by_merchant or self._by_link)

    def _hand_out(self, row: sa.Row[Any]) -> None:
        rooms = self._by_merchant.get(row.merchant_id), self._by_link.get(row.link_id)
        if not any(rooms):
            return
        data = frame(row)
        for subscription in [s for room in rooms if room for s in room]:
            if subscription.merchant_id == row.merchant_id:
                subscription.push(row.id, data)

    async def _closed_end(self) -> int:
        """The end of the log once nothing that could still add to what is before it runs."""

        def look(session: Session) -> tuple[int, frozenset[str]]:
            return newest(session), writers(session)

        end, before = await self._db.read(look)
        for _ in range(int(GAP_PATIENCE_S / START_POLL_S)):
            if before.isdisjoint(await self._db.read(writers)):
                break
            await asyncio.sleep(START_POLL_S)
        return end
