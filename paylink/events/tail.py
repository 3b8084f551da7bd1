"""Following the log without ever stepping over an event.

PostgreSQL hands out ids when rows are written, and transactions commit in another order: id 7 can become visible
before id 6, and a reader that went on with ``id > 7`` would never see 6. So a tail moves only over a closed prefix: at
a gap it waits until every transaction that was writing to the log when the gap was seen has ended. What is still
missing then was rolled back and never comes. An id therefore stands for all before it, which is what makes
``Last-Event-ID`` exact, on whichever node the reader comes back.

Who is writing is asked of the locks: an INSERT locks the table before it draws its ids, and a transaction lets go of
its locks after it has become visible. A snapshot would not do: its ``xmax`` is one past the newest transaction that
*ended*, so one that is younger and still runs is not below it.

SQLite has one writer; there ids are committed in order and every prefix is closed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.engines import TRANSACTION_TIMEOUT_MS
from paylink.events.types import Event

PAGE = 1000
# No transaction of ours outlives TRANSACTION_TIMEOUT_MS. A foreign one that does (an operator's forgotten session)
# must not stop the stream for ever.
GAP_PATIENCE_S = 2 * TRANSACTION_TIMEOUT_MS / 1000

_events = table(Event)
_WRITERS = sa.text(
    "SELECT virtualtransaction FROM pg_locks "
    "WHERE locktype = 'relation' AND relation = 'events'::regclass AND mode = 'RowExclusiveLock'"
)


@dataclass(slots=True)
class _Gap:
    """Ids up to ``end`` were missing when ``writers`` could still bring them."""

    end: int
    writers: frozenset[str]
    seen_at: float


class Tail:
    """A reader's place in the log. ``cursor`` is the last id handed out; nothing at or below it can appear later.

    Reading does not move it, ``passed`` does, once the rows are in the reader's hands: the connection may break as the
    transaction around the reading ends, and then nobody has them.
    """

    def __init__(self, cursor: int = 0) -> None:
        self.cursor = cursor
        self._gap: _Gap | None = None

    @property
    def waiting(self) -> bool:
        """At a gap: look again soon, no bell will ring for it."""
        return self._gap is not None

    def read(self, session: Session, *, limit: int = PAGE, ids_only: bool = False) -> Sequence[sa.Row[Any]]:
        """The next events of the closed prefix, oldest first; an empty list when there are none yet.

        ``ids_only``: to keep the place while nobody listens.
        """
        # Asked before the rows are read: what was written by those that have ended is among them then.
        decided = self._gap.end if self._gap and _over(session, self._gap) else 0
        wanted = [_events.c.id] if ids_only else _events.c
        rows = session.execute(
            sa.select(*wanted).where(_events.c.id > self.cursor).order_by(_events.c.id).limit(limit)
        ).all()
        return rows if session.get_bind().dialect.name == "sqlite" else self._closed(session, rows, decided)

    def passed(self, rows: Sequence[sa.Row[Any]]) -> None:
        """Goes on after ``rows``, which were read from here."""
        if rows:
            self.cursor = rows[-1].id

    def _closed(self, session: Session, rows: Sequence[sa.Row[Any]], decided: int) -> Sequence[sa.Row[Any]]:
        expected = self.cursor + 1
        for index, row in enumerate(rows):
            if row.id != expected and row.id > decided:
                if self._gap is None or row.id > self._gap.end:
                    self._gap = _Gap(end=rows[-1].id, writers=writers(session), seen_at=time.monotonic())
                return rows[:index]
            expected = row.id + 1
        self._gap = None
        return rows


def _over(session: Session, gap: _Gap) -> bool:
    """Whether what was missing when ``gap`` was seen can no longer come."""
    return gap.writers.isdisjoint(writers(session)) or time.monotonic() - gap.seen_at > GAP_PATIENCE_S


def newest(session: Session) -> int:
    """The highest id that is visible now; not yet a closed prefix."""
    return int(session.execute(sa.select(sa.func.coalesce(sa.func.max(_events.c.id), 0))).scalar_one())


def writers(session: Session) -> frozenset[str]:
    """The transactions that have written to the log and not ended yet."""
    if session.get_bind().dialect.name == "sqlite":
        return frozenset()
    return frozenset(session.execute(_WRITERS).scalars())
