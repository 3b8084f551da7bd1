"""Following the log without ever stepping over an event.

PostgreSQL hands out ids when rows are written, and transactions commit in another order: id 7 can become visible
before id 6, and a reader that went on with ``id > 7`` would never see 6. So a tail moves only over a closed prefix: at
a gap it waits until every transaction that was running when the gap was seen has ended. What is still missing then was
rolled back and never comes. An id therefore stands for all before it, which is what makes ``Last-Event-ID`` exact, on
whichever node the reader comes back.

SQLite has one writer; there ids are committed in order and every prefix is closed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import TRANSACTION_TIMEOUT_MS, table
from paylink.events.types import Event

PAGE = 1000
# No transaction of ours outlives TRANSACTION_TIMEOUT_MS. A foreign one that does (a backup that writes) must not stop
# the stream for ever.
GAP_PATIENCE_S = 2 * TRANSACTION_TIMEOUT_MS / 1000

_events = table(Event)
_SNAPSHOT: tuple[sa.ColumnElement[int], ...] = (
    sa.literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint").label("xmin"),
    sa.literal_column("pg_snapshot_xmax(pg_current_snapshot())::text::bigint").label("xmax"),
)


@dataclass(slots=True)
class _Gap:
    """Ids before ``ends_at`` were missing when transactions below ``xmax`` could still bring them."""

    ends_at: int
    xmax: int
    seen_at: float


class Tail:
    """A reader's place in the log. ``cursor`` is the last id handed out; nothing at or below it can appear later."""

    def __init__(self, cursor: int = 0) -> None:
        self.cursor = cursor
        self._gap: _Gap | None = None

    @property
    def waiting(self) -> bool:
        """At a gap: look again soon, no bell will ring for it."""
        return self._gap is not None

    def read(self, session: Session, *, limit: int = PAGE) -> Sequence[sa.Row[Any]]:
        """The next events of the closed prefix, oldest first; an empty list when there are none yet."""
        postgres = session.get_bind().dialect.name == "postgresql"
        columns = (*_events.c, *(_SNAPSHOT if postgres else ()))
        rows = session.execute(
            sa.select(*columns).where(_events.c.id > self.cursor).order_by(_events.c.id).limit(limit)
        ).all()
        closed = self._closed(rows) if postgres else rows
        if closed:
            self.cursor = closed[-1].id
        return closed

    def _closed(self, rows: Sequence[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
        expected = self.cursor + 1
        for index, row in enumerate(rows):
            if row.id != expected and not self._passable(row):
                return rows[:index]
            expected = row.id + 1
        return rows

    def _passable(self, row: sa.Row[Any]) -> bool:
        """Whether the ids missing right before ``row`` can no longer come."""
        if self._gap is None or self._gap.ends_at != row.id:
            self._gap = _Gap(ends_at=row.id, xmax=row.xmax, seen_at=time.monotonic())
            return False
        if row.xmin < self._gap.xmax and time.monotonic() - self._gap.seen_at < GAP_PATIENCE_S:
            return False
        self._gap = None
        return True


def newest(session: Session) -> int:
    """The highest id that is visible now; not yet a closed prefix."""
    return int(session.execute(sa.select(sa.func.coalesce(sa.func.max(_events.c.id), 0))).scalar_one())


def running_before(session: Session, xmax: int | None = None) -> tuple[bool, int]:
    """Whether transactions below ``xmax`` (default: any that runs now) still run, and the newest ``xmax``."""
    if session.get_bind().dialect.name != "postgresql":
        return False, 0
    row = session.execute(sa.select(*_SNAPSHOT)).one()
    return row.xmin < (row.xmax if xmax is None else xmax), row.xmax
