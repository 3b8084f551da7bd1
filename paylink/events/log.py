"""The event log: appended in the transaction that made the fact true, read by everyone who tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.db import signal, table
from paylink.events.types import Event, EventCounter, EventType, Origin
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.prepared import PreparedInsert

# The signal rung after each commit that appended: see Database.listen.
BELL = "events"
PAGE = 500

_counters = table(EventCounter)
_events = table(Event)
_insert = PreparedInsert(_events)
# Where nothing but the link's beginning was told: see ``begin``.
_TOLD = sa.select(sa.func.coalesce(sa.func.max(_events.c.seq), 0)).where(_events.c.link_id == sa.bindparam("link"))


def _upsert(insert: Any) -> Any:
    first = _TOLD.scalar_subquery() + sa.bindparam("count")
    statement = insert(_counters).values(link_id=sa.bindparam("link"), last_seq=first)
    return statement.on_conflict_do_update(
        index_elements=[_counters.c.link_id], set_={"last_seq": _counters.c.last_seq + sa.bindparam("count")}
    ).returning(_counters.c.last_seq)


# Built once: putting the statement together costs several times what running it does.
_ADVANCE = {"sqlite": _upsert(sqlite_insert), "postgresql": _upsert(postgres_insert)}


@dataclass(frozen=True, slots=True)
class NewEvent:
    """``data`` goes to agents, CRMs and logs: ids, states, codes and masked values only."""

    type: EventType
    origin: Origin
    data: dict[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None


def append(session: Session, *, merchant_id: str, link_id: str, events: Sequence[NewEvent]) -> None:
    """Adds facts about one link, in order.

    The counter's row stays locked until the commit, so a later event of the same link gets a later ``seq``, a later
    ``id`` and a later commit: within a link nothing is ever out of order.
    """
    if not events:
        return
    last_seq = _advance(session, link_id, len(events))
    _insert.now(session, _rows(merchant_id, link_id, events, after=last_seq - len(events)))
    signal(session, BELL)


def begin(session: Session, *, merchant_id: str, link_id: str, events: Sequence[NewEvent]) -> None:
    """The first facts about a link that this very transaction makes: nobody else can know it, so there is nothing to
    lock and no counter to keep. The first ``append``, in a later transaction, counts on from here."""
    _insert.later(session, _rows(merchant_id, link_id, events, after=0))
    signal(session, BELL)


def _rows(merchant_id: str, link_id: str, events: Sequence[NewEvent], *, after: int) -> list[dict[str, Any]]:
    now = utcnow()
    return [
        {
            "public_id": new_id("evt"),
            "merchant_id": merchant_id,
            "link_id": link_id,
            "seq": seq,
            "type": event.type.value,
            "origin": event.origin.value,
            "occurred_at": event.occurred_at or now,
            "data": event.data,
        }
        for seq, event in enumerate(events, start=after + 1)
    ]


def _advance(session: Session, link_id: str, count: int) -> int:
    statement = _ADVANCE[session.get_bind().dialect.name]
    return int(session.execute(statement, {"link": link_id, "count": count}).scalar_one())


def timeline(
    session: Session,
    *,
    merchant_id: str,
    link_id: str,
    after_seq: int | None = None,
    before_seq: int | None = None,
    limit: int = PAGE,
) -> Sequence[sa.Row[Any]]:
    """A link's events: newest first, or with ``after_seq`` what came after it, oldest first."""
    query = sa.select(*_events.c).where(_events.c.link_id == link_id, _events.c.merchant_id == merchant_id)
    if before_seq is not None:
        query = query.where(_events.c.seq < before_seq)
    if after_seq is not None:
        return session.execute(query.where(_events.c.seq > after_seq).order_by(_events.c.seq).limit(limit)).all()
    return session.execute(query.order_by(_events.c.seq.desc()).limit(limit)).all()


def seq_of(session: Session, *, merchant_id: str, link_id: str, event_id: str) -> int | None:
    """Where an event stands in its link's timeline."""
    return session.scalar(
        sa.select(_events.c.seq).where(
            _events.c.public_id == event_id, _events.c.link_id == link_id, _events.c.merchant_id == merchant_id
        )
    )


def between(
    session: Session, *, merchant_id: str, link_id: str | None, after: int, up_to: int, limit: int = PAGE
) -> Sequence[sa.Row[Any]]:
    """What a reader of the stream missed: ids in (``after``, ``up_to``], oldest first."""
    query = sa.select(*_events.c).where(
        _events.c.merchant_id == merchant_id, _events.c.id > after, _events.c.id <= up_to
    )
    if link_id is not None:
        query = query.where(_events.c.link_id == link_id)
    return session.execute(query.order_by(_events.c.id).limit(limit)).all()
