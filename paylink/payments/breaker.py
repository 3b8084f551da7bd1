"""Payments of a merchant pause when nearly every try is declined: that is what a test of stolen cards looks like.

A lock stops what is done to one link; whoever has many links tries a few cards on each. Visa counts enumeration against
the merchant (VAMP: more than a fifth of the authorisations), and each decline costs a fee and some of the banks' trust.
"""

import math
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal
from paylink.db import database_now, table
from paylink.errors import Conflict, Unavailable
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.events.types import Event, EventType, Origin
from paylink.kit.clock import rfc3339
from paylink.payments.models import Payment, PaymentStatus

log = structlog.get_logger(__name__)
pauses = Counter("paylink_payments_paused_total", "Merchants whose payments were paused for too many declines")

# Card testers come in minutes; a longer look back would keep an hour's honest declines in the sum.
WINDOW: Final = timedelta(minutes=10)
# Below it a ratio says nothing. Where three of ten honest tries are declined, twenty of twenty-five are seen in
# one window of three million.
MIN_ENDED: Final = 25
DECLINED_PERCENT: Final = 80
# A link is locked after five declines: fewer links than these are somebody's bad day, and the lock has seen to it.
MIN_LINKS: Final = 5
# Long enough for a robot to go elsewhere and for a person at the merchant to look, short enough for customers to wait.
PAUSE: Final = timedelta(minutes=10)

_merchants = table(Merchant)
_payments = table(Payment)
_events = table(Event)


def refuse_if_paused(merchant: Merchant, now: datetime) -> None:
    """``now`` by the database's clock. Raises ``Unavailable`` (``payments_paused``)."""
    until = merchant.payments_paused_until
    if until is not None and until > now:
        raise Unavailable(
            "Payments are paused for a moment; please try again in a few minutes",
            code="payments_paused",
            retry_after=math.ceil((until - now).total_seconds()),
        )


def pause_if_due(session: Session, payment: Payment) -> None:
    """To be called in the transaction that declined ``payment``, the only moment at which the ratio can rise."""
    forgiven_at, now = session.execute(
        sa.select(_merchants.c.declines_forgiven_at, database_now()).where(_merchants.c.id == payment.merchant_id)
    ).one()
    since = max(now - WINDOW, forgiven_at or now - WINDOW)
    ended, declined, links = _recent(session, payment.merchant_id, since)
    if ended < MIN_ENDED or links < MIN_LINKS or declined * 100 < ended * DECLINED_PERCENT:
        return
    until = now + PAUSE
    if not _pause(session, payment.merchant_id, now=now, until=until):
        return
    facts = {"declined": declined, "attempts": ended, "until": rfc3339(until)}
    _tell(session, payment.merchant_id, payment.link_id, NewEvent(EventType.PAYMENTS_PAUSED, Origin.SYSTEM, facts))
    pauses.inc()
    log.warning("payments_paused", merchant=payment.merchant_id, link=payment.link_id, **facts)


def resume(session: Session, principal: Principal) -> None:
    """Ends the pause. What was declined so far counts no more. Raises ``Conflict`` (``payments_not_paused``)."""
    merchant, now = session.execute(
        sa.select(Merchant, database_now()).where(Merchant.id == principal.merchant_id).with_for_update()
    ).one()
    if merchant.payments_paused_until is None or merchant.payments_paused_until <= now:
        raise Conflict("The payments of this merchant are not paused", code="payments_not_paused")
    merchant.payments_paused_until, merchant.declines_forgiven_at = None, now
    session.flush()
    # Told where the pause was told; the event is at most as old as the pause, so the search is a short one.
    link_id = session.scalar(
        sa.select(_events.c.link_id)
        .where(_events.c.merchant_id == merchant.id, _events.c.type == EventType.PAYMENTS_PAUSED.value)
        .order_by(_events.c.id.desc())
        .limit(1)
    )
    if link_id is not None:
        _tell(session, merchant.id, link_id, NewEvent(EventType.PAYMENTS_RESUMED, principal.origin, _by(principal)))
    log.info("payments_resumed", merchant=merchant.id, by=principal.actor)


def recent_ends(merchant_id: str, since: datetime) -> sa.Select[int, int, int]:
    """The attempts that ended, those declined, and of how many links. An attempt given up before a card was known says
    nothing; many of them would hide the declines."""
    ends = [status.value for status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELED)]
    return sa.select(
        sa.func.count(),
        sa.func.count().filter(_payments.c.status == PaymentStatus.FAILED.value),
        sa.func.count(sa.distinct(_payments.c.link_id)),
    ).where(
        _payments.c.status.in_(ends),
        _payments.c.updated_at > since,
        # An expression and not the column: SQLite would come by the merchant's index, through all there ever was, where
        # the one by status and time has ten minutes.
        _payments.c.merchant_id + "" == merchant_id,
        sa.or_(_payments.c.status != PaymentStatus.CANCELED.value, _payments.c.card_last4.is_not(None)),
        # A refund touches a payment that ended long ago.
        _payments.c.amount_refunded == 0,
    )


def _recent(session: Session, merchant_id: str, since: datetime) -> tuple[int, int, int]:
    ended, declined, links = session.execute(recent_ends(merchant_id, since)).one()
    return ended, declined, links


def _pause(session: Session, merchant_id: str, *, now: datetime, until: datetime) -> bool:
    """False when another decline has just done so. What is declined during the pause was begun before it, and counts
    no more than what led to it."""
    free = sa.or_(_merchants.c.payments_paused_until.is_(None), _merchants.c.payments_paused_until <= now)
    paused = session.execute(
        sa.update(_merchants)
        .where(_merchants.c.id == merchant_id, free)
        .values(payments_paused_until=until, declines_forgiven_at=until)
        .returning(_merchants.c.id)
    )
    return paused.one_or_none() is not None


def _by(principal: Principal) -> dict[str, str]:
    return {"by": principal.name}


def _tell(session: Session, merchant_id: str, link_id: str, event: NewEvent) -> None:
    event_log.append(session, merchant_id=merchant_id, link_id=link_id, events=[event])
