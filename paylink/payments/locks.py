"""A link that was tried too often takes no more cards until somebody at the merchant says so.

Whoever tests stolen cards needs many tries and many cards; a person needs a few of each. What counts are the declined
attempts since the last unlocking, and those that were given up after a card was known. One that was left at the bank's
question counts for nothing: no bank was asked for money.
"""

from enum import StrEnum
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.db import table
from paylink.errors import Conflict
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.links import service as links
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.payments.models import Payment, PaymentStatus

log = structlog.get_logger(__name__)

# GOV.UK Pay and most banks' own pages stop about here; the agent is told and can open the link again.
MAX_TRIES: Final = 5
# One's own, one's partner's, and the one that is at hand when both fail.
MAX_CARDS: Final = 3

_links = table(PaymentLink)
_payments = table(Payment)


class LockReason(StrEnum):
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TOO_MANY_CARDS = "too_many_cards"


def hold(session: Session, link_id: str) -> PaymentLink:
    """The link, and on PostgreSQL its row until the commit.

    To be taken before the attempt's end is written to the log: whoever holds a link wants the log next, and two who
    take them crosswise would wait for each other.
    """
    query = sa.select(PaymentLink).where(PaymentLink.id == link_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def lock_if_due(session: Session, link: PaymentLink) -> None:
    """To be called in the transaction that ended an attempt, with the link held."""
    if link.status not in OPEN or link.locked_at is not None:
        return
    tries, cards = _tried(session, link)
    if cards >= MAX_CARDS:
        reason = LockReason.TOO_MANY_CARDS
    elif tries >= MAX_TRIES:
        reason = LockReason.TOO_MANY_ATTEMPTS
    else:
        return
    values = {"locked_at": utcnow(), "lock_reason": reason.value}
    session.execute(sa.update(_links).where(_links.c.id == link.id).values(values))
    session.refresh(link)
    facts = {"reason": reason.value, "attempts": tries, "cards": cards}
    _tell(session, link, NewEvent(EventType.LINK_LOCKED, Origin.SYSTEM, facts))
    log.warning("link_locked", link=link.id, **facts)


def unlock(session: Session, principal: Principal, link_id: str) -> None:
    """What was tried so far counts no more. Raises ``NotFound``, or ``Conflict`` (``link_not_locked``)."""
    link = hold(session, links.get(session, principal, link_id).id)
    if link.locked_at is None:
        raise Conflict("This payment link is not locked", code="link_not_locked")
    last = sa.select(sa.func.max(_payments.c.attempt)).where(_payments.c.link_id == link.id).scalar_subquery()
    values = {"locked_at": None, "lock_reason": None, "forgiven_attempts": sa.func.coalesce(last, 0)}
    session.execute(sa.update(_links).where(_links.c.id == link.id).values(values))
    session.refresh(link)
    _tell(session, link, NewEvent(EventType.LINK_UNLOCKED, principal.origin, {"by": principal.name}))


def _tried(session: Session, link: PaymentLink) -> tuple[int, int]:
    """How many tries count, and how many different cards they were made with."""
    declined = _payments.c.status == PaymentStatus.FAILED.value
    given_up = sa.and_(_payments.c.status == PaymentStatus.CANCELED.value, _payments.c.card_last4.is_not(None))
    tries, cards = session.execute(
        sa.select(sa.func.count(), sa.func.count(sa.distinct(_payments.c.card_fingerprint))).where(
            _payments.c.link_id == link.id,
            _payments.c.attempt > link.forgiven_attempts,
            sa.or_(declined, given_up),
        )
    ).one()
    return tries, cards


def _tell(session: Session, link: PaymentLink, event: NewEvent) -> None:
    event_log.append(session, merchant_id=link.merchant_id, link_id=link.id, events=[event])
