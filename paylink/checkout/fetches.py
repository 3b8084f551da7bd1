"""``link.fetched``: something asked for the page, tagged with what is known of it and never dropped for that. Told
within bounds, so that nobody can flood a timeline.

Two bounds. Per process, one a minute for the same delivery and kind of agent: kept in memory, since a scanner that
comes back at once is no news and must cost no write. Per link, ``PER_LINK`` in all, whatever asks and wherever it
runs: counted in the log itself, in the transaction that would add one.
"""

from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from paylink.checkout.agents import Visitor
from paylink.checkout.pace import Pace
from paylink.db import CommitFailed, Database, table
from paylink.delivery.service import Door
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.events.types import Event, EventType, Origin

QUIET_S: Final = 60.0
PER_LINK: Final = 50

log = structlog.get_logger(__name__)
_events = table(Event)


async def note(db: Database, pace: Pace, door: Door, visitor: Visitor) -> None:
    """Never an error: a page that can be read is shown, noted or not."""
    if not pace.due((door.delivery_id, visitor)):
        return
    try:
        await db.transact(lambda session: append(session, door, visitor))
    except (DBAPIError, CommitFailed) as error:
        log.warning("fetch_not_noted", error=type(error).__name__)


def append(session: Session, door: Door, visitor: Visitor) -> bool:
    query = sa.select(sa.func.count()).where(
        _events.c.link_id == door.link_id, _events.c.type == EventType.LINK_FETCHED.value
    )
    if (session.scalar(query) or 0) >= PER_LINK:
        return False
    facts = {
        "channel": door.channel,
        "delivery": door.delivery_id,
        "by": visitor.by.value,
        "bot": visitor.bot,
        "reason": visitor.reason.value if visitor.reason else None,
    }
    event = NewEvent(EventType.LINK_FETCHED, Origin.PAYER, facts)
    event_log.append(session, merchant_id=door.merchant_id, link_id=door.link_id, events=[event])
    return True
