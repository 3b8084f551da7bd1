"""Stored once, by the sender's own event id, together with the job that works on it.

What is not meant for us is stored too, as done: its repeats are known, and an operator can see what arrives. An
endpoint of a platform hears of every account connected to it, and one in test mode may point at a live service.
"""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from prometheus_client import Counter
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.psp.base import ProviderEvent, Psp
from webhooks.inbound.models import InboundEvent

HANDLE_JOB: Final = "webhooks.handle"
# Stripe repeats a callback for three days, Adyen for thirty: a repeat must still be known as one.
KEEP_HANDLED: Final = timedelta(days=60)
MAX_ID: Final = 255

_inbox = table(InboundEvent)
ignored = Counter("paylink_webhooks_ignored_total", "Callbacks that are not meant for us, and why", ["source", "why"])


def source_of(psp: Psp) -> str:
    return f"psp:{psp.name}"


def store_event(session: Session, jobs: JobQueue, psp: Psp, event: ProviderEvent) -> bool:
    """``store`` for a provider's event: only ids are kept, for the handler reads the objects anew."""
    known = {"subject": event.subject.value, "payment_id": event.payment_id, "object_id": event.object_id}
    why = foreign(psp, event)
    return store(
        session,
        jobs,
        source=source_of(psp),
        external_id=event.id,
        kind=event.type[:MAX_ID],
        summary={name: value for name, value in known.items() if value is not None},
        ignored_for=why,
    )


def foreign(psp: Psp, event: ProviderEvent) -> str | None:
    """Why the event is not meant for us: another account's, or of the other mode."""
    if event.account != psp.account:
        return "account"
    return "livemode" if event.livemode != psp.livemode else None


def store(
    session: Session,
    jobs: JobQueue,
    *,
    source: str,
    external_id: str,
    kind: str,
    summary: dict[str, str],
    ignored_for: str | None = None,
) -> bool:
    """False when this event was stored before: a repeat is acknowledged and not worked on again.

    ``ignored_for``: why it is never to be worked on at all.
    """
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    inbound_id = new_id("inb")
    row = {
        "id": inbound_id,
        "source": source,
        "external_id": external_id,
        "type": kind,
        "summary": summary | ({"ignored": ignored_for} if ignored_for else {}),
        "received_at": utcnow(),
        "handled_at": utcnow() if ignored_for else None,
    }
    statement = insert(_inbox).values(row).on_conflict_do_nothing(index_elements=["source", "external_id"])
    stored = session.execute(statement.returning(_inbox.c.id)).one_or_none()
    if stored is None:
        return False
    if ignored_for:
        return True
    jobs.enqueue(session, HANDLE_JOB, inbound_id, key=f"{HANDLE_JOB}:{inbound_id}")
    return True


def find(session: Session, inbound_id: str) -> InboundEvent | None:
    return session.get(InboundEvent, inbound_id)


def mark_handled(session: Session, inbound_id: str) -> None:
    session.execute(sa.update(_inbox).where(_inbox.c.id == inbound_id).values(handled_at=utcnow()))


def prune(session: Session) -> None:
    session.execute(sa.delete(_inbox).where(_inbox.c.handled_at < utcnow() - KEEP_HANDLED))
