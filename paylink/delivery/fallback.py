"""The next channel, when a message did not arrive: once for each delivery, however often its fate is reported."""

from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.channels.base import DeliveryStatus
from paylink.db import table
from paylink.delivery import rows
from paylink.delivery.models import Delivery
from paylink.delivery.states import ENDED_BADLY
from paylink.events import log as event_log
from paylink.events.types import Event, EventType, Origin
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink

log = structlog.get_logger(__name__)

FALLBACK_JOB: Final = "delivery.fallback"
# How a bad end is put where the carrier gave no reason.
ENDED: Final = {
    DeliveryStatus.FAILED: "It could not be delivered",
    DeliveryStatus.BOUNCED: "It came back",
    DeliveryStatus.OPTED_OUT: "They have opted out of this channel",
    DeliveryStatus.EXPIRED: "It could not be delivered in time",
}

_deliveries = table(Delivery)
_links = table(PaymentLink)
_events = table(Event)


def ended(session: Session, jobs: JobQueue, row: Any) -> None:
    """``row`` has just ended badly: what comes next is begun at once."""
    if row.fallback:
        jobs.enqueue(session, FALLBACK_JOB, row.id, key=f"{FALLBACK_JOB}:{row.id}")


def watch(session: Session, jobs: JobQueue, delivery_id: str, *, after_s: int) -> None:
    """It was sent by a carrier that tells of arrival: looked at again when that should have been told."""
    jobs.enqueue(session, FALLBACK_JOB, delivery_id, key=f"{FALLBACK_JOB}:{delivery_id}:late", delay_s=after_s)


def take(session: Session, jobs: JobQueue, keyring: Keyring, delivery_id: str) -> str | None:
    """Adds the next delivery of the list, which carries on the rest of it; its id, or ``None`` if there is no need.

    There is none when it arrived, was withdrawn, or has been stood in for already; nor when a person has opened the
    link, or it has ended.
    """
    row = _held(session, delivery_id)
    why = None if row is None else _why(row)
    if row is None or why is None or not row.fallback or _done_with(session, row):
        return None
    chosen, *rest = (rows.Next(one["channel"], one["to"], one.get("account_id")) for one in row.fallback)
    wanted = rows.Wanted(
        chosen.channel,
        chosen.to,
        account_id=chosen.account_id,
        locale=row.locale,
        fallback=tuple(rest),
        fallback_after_s=row.fallback_after_s if rest else None,
        stands_for=row.id,
        because=why,
    )
    (added,), events = rows.add(
        session,
        jobs,
        keyring,
        link_id=row.link_id,
        merchant_id=row.merchant_id,
        wanted=[wanted],
        origin=Origin.SYSTEM,
    )
    event_log.append(session, merchant_id=row.merchant_id, link_id=row.link_id, events=events)
    return str(added.row["id"])


def _held(session: Session, delivery_id: str) -> Any:
    """The delivery, locked after its open link: whoever ends a link takes them in this order too."""
    link_id = session.scalar(sa.select(_deliveries.c.link_id).where(_deliveries.c.id == delivery_id))
    held = sa.select(_links.c.status, _links.c.expires_at).where(_links.c.id == link_id).with_for_update()
    link = session.execute(held).one_or_none()
    if link is None or link.status not in OPEN or link.expires_at <= utcnow():
        return None
    query = sa.select(_deliveries).where(_deliveries.c.id == delivery_id).with_for_update()
    return session.execute(query).one_or_none()


def _why(row: Any) -> str | None:
    """Why another channel is needed; ``None`` when it is not."""
    status = DeliveryStatus(row.status)
    if row.withdrawn_at is not None:
        return None
    if status in ENDED_BADLY:
        return str(row.failure_reason or ENDED[status])
    return f"Not delivered within {row.fallback_after_s} seconds" if status is DeliveryStatus.SENT else None


def _done_with(session: Session, row: Any) -> bool:
    doors = session.execute(sa.select(_deliveries.c.fallback_of).where(_deliveries.c.link_id == row.link_id)).all()
    if any(door.fallback_of == row.id for door in doors):
        return True
    if len(doors) >= rows.MAX_DELIVERIES:
        log.warning("fallback_not_sent", delivery=row.id, reason="too many deliveries of one link")
        return True
    opened = sa.select(_events.c.id).where(
        _events.c.link_id == row.link_id, _events.c.type == EventType.LINK_OPENED.value
    )
    return session.execute(opened.limit(1)).one_or_none() is not None
