"""Stored once, by the sender's own event id, together with the job that works on it."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from webhooks.inbound.models import InboundEvent

HANDLE_JOB: Final = "webhooks.handle"
# Stripe repeats a callback for three days, Adyen for thirty: a repeat must still be known as one.
KEEP_HANDLED: Final = timedelta(days=60)

_inbox = table(InboundEvent)


def store(
    session: Session, jobs: JobQueue, *, source: str, external_id: str, kind: str, summary: dict[str, str]
) -> bool:
    """False when this event was stored before: a repeat is acknowledged and not worked on again."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    inbound_id = new_id("inb")
    row = {
        "id": inbound_id,
        "source": source,
        "external_id": external_id,
        "type": kind,
        "summary": summary,
        "received_at": utcnow(),
    }
    statement = insert(_inbox).values(row).on_conflict_do_nothing(index_elements=["source", "external_id"])
    stored = session.execute(statement.returning(_inbox.c.id)).one_or_none()
    if stored is None:
        return False
    jobs.enqueue(session, HANDLE_JOB, inbound_id, key=f"{HANDLE_JOB}:{inbound_id}")
    return True


def find(session: Session, inbound_id: str) -> InboundEvent | None:
    return session.get(InboundEvent, inbound_id)


def mark_handled(session: Session, inbound_id: str) -> None:
    session.execute(sa.update(_inbox).where(_inbox.c.id == inbound_id).values(handled_at=utcnow()))


def prune(session: Session) -> None:
    session.execute(sa.delete(_inbox).where(_inbox.c.handled_at < utcnow() - KEEP_HANDLED))
