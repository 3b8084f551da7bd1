"""The link's state machine: one table of legal moves, one door.

::

    active ──► partially_paid ──► paid
      │            ↺ │   another part, and still not all
      ├──────────────┼──► expired
      └──────────────┴──► canceled
"""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.links.models import LinkStatus, PaymentLink

OPEN: Final = (LinkStatus.ACTIVE, LinkStatus.PARTIALLY_PAID)

_links = table(PaymentLink)


@dataclass(frozen=True, slots=True)
class Move:
    to: LinkStatus
    event: EventType
    stamp: str | None = None
    frm: tuple[LinkStatus, ...] = OPEN


MOVES: Final = {
    # From itself too: the next part is told of like the first.
    LinkStatus.PARTIALLY_PAID: Move(LinkStatus.PARTIALLY_PAID, EventType.LINK_PARTIALLY_PAID),
    LinkStatus.PAID: Move(LinkStatus.PAID, EventType.LINK_PAID, "paid_at"),
    LinkStatus.EXPIRED: Move(LinkStatus.EXPIRED, EventType.LINK_EXPIRED),
    LinkStatus.CANCELED: Move(LinkStatus.CANCELED, EventType.LINK_CANCELED, "canceled_at"),
}


def move(
    session: Session,
    link_id: str,
    *,
    merchant_id: str,
    to: LinkStatus,
    origin: Origin,
    data: dict[str, Any] | None = None,
) -> bool:
    """Moves the link and says so in the log. False when it was no longer where the move begins."""
    step = MOVES[to]
    values: dict[str, Any] = {"status": step.to.value}
    if step.stamp:
        values[step.stamp] = utcnow()
    moved = session.execute(
        sa.update(_links)
        .where(_links.c.id == link_id, _links.c.merchant_id == merchant_id, _links.c.status.in_(step.frm))
        .values(values)
        .returning(_links.c.id)
    ).one_or_none()
    if moved is None:
        return False
    log.append(session, merchant_id=merchant_id, link_id=link_id, events=[NewEvent(step.event, origin, data or {})])
    return True
