"""Which page the customer goes on with. Each delivery of a link is a door with a token of its own.

The rules:

1. Whoever opens a link by another door leaves the old page: when ``link.opened`` is told of a session, the sessions
   that came by other doors are superseded. Their pages say so with a friendly word, and offer to go on there instead;
   going on there supersedes the others in turn. Sessions of one and the same door never supersede one another: one
   message may be open on a laptop and on a phone.
2. An attempt at hand is never disturbed. A session with a live payment is not superseded, be it that the card is being
   checked, the bank asks or the money is on its way; and a superseded session shows what its link has come to (paid,
   paid elsewhere, checked, expired) before it shows anything of doors.
3. A link that is paid in parts may have several payers, each with a door. There, nobody is sent away.
4. The address in the API's own answer (channel ``direct``) is no message to a customer: programs and agents open it,
   too. It sends nobody away and is not sent away.
5. What the customer asks for comes before 3 and 4: a door made from a page by its own "Continue on my phone" closes
   that page once it is opened, and "Continue here instead" closes the others.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.checkout import sessions
from paylink.checkout.models import CheckoutSession
from paylink.checkout.sessions import Visit
from paylink.db import table
from paylink.delivery.models import Delivery
from paylink.delivery.states import DIRECT
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments.customer import PageState, PageView
from paylink.payments.models import LIVE, Payment

# What the page shows in place of ``payable`` where the customer goes on elsewhere.
CONTINUED: Final = "continued"
# Where a session keeps the doors that were made from its page, and the one its browser came by since.
HANDED: Final = "handed"
LATEST: Final = "door"

_sessions = table(CheckoutSession)
_deliveries = table(Delivery)
_links = table(PaymentLink)
_payments = table(Payment)

_BUSY: Final = sa.exists().where(
    _payments.c.session_id == _sessions.c.id, _payments.c.status.in_([status.value for status in LIVE])
)
_OTHERS: Final = (
    sa.select(_sessions.c.id, _sessions.c.draft, _sessions.c.delivery_id, _deliveries.c.channel)
    .join(_deliveries, _deliveries.c.id == _sessions.c.delivery_id)
    .where(
        _sessions.c.link_id == sa.bindparam("link"),
        _sessions.c.id != sa.bindparam("me"),
        _sessions.c.delivery_id != sa.bindparam("delivery"),
        _sessions.c.superseded_at.is_(None),
        ~_BUSY,
    )
    .order_by(_sessions.c.id)
)


def state_of(visit: Visit, view: PageView) -> str:
    """What this browser's page shows: the link's state, or that its customer goes on elsewhere (rule 2)."""
    idle = view.state is PageState.PAYABLE and view.live_id is None
    return CONTINUED if visit.superseded and idle else view.state.value


def opened(session: Session, visit: Visit) -> None:
    """A person has the link before them here: the pages behind other doors are left.

    A browser that was here before may have come by another door since; then that one counts.
    """
    delivery_id, channel = visit.draft.get(LATEST, (visit.delivery_id, visit.channel))
    if LATEST in visit.draft:
        rest = {name: value for name, value in visit.draft.items() if name != LATEST}
        sessions.keep(session, visit, draft=rest or sa.null())
    in_parts = session.scalar(sa.select(_links.c.minimum_amount.is_not(None)).where(_links.c.id == visit.link_id))
    shared = bool(in_parts) or channel == DIRECT
    for other in _others(session, visit, delivery_id):
        left = delivery_id in (other.draft or {}).get(HANDED, ())
        if left or not (shared or other.channel == DIRECT):
            _supersede(session, other.id)


def come_back(session: Session, visit: Visit) -> bool:
    """The customer goes on at the page they had left. False when it was not left."""
    back = sa.update(_sessions).where(_sessions.c.id == visit.id, _sessions.c.superseded_at.is_not(None))
    if session.execute(back.values(superseded_at=None).returning(_sessions.c.id)).one_or_none() is None:
        return False
    others = _others(session, visit, visit.delivery_id)
    for other in others:
        _supersede(session, other.id)
    told(session, visit, came_from=others[-1].channel if others else None, to=visit.channel, delivery=visit.delivery_id)
    return True


def hand_over(session: Session, visit: Visit, delivery_id: str) -> None:
    """Remembers that this page asked for the door, so that opening it closes this page (rule 5)."""
    sessions.keep(session, visit, draft={**visit.draft, HANDED: [*visit.draft.get(HANDED, ()), delivery_id]})


def told(session: Session, visit: Visit, *, came_from: str | None, to: str, delivery: str) -> None:
    facts = {"from": came_from, "to": to, "delivery": delivery}
    event = NewEvent(EventType.LINK_SWITCHED, Origin.PAYER, facts)
    log.append(session, merchant_id=visit.merchant_id, link_id=visit.link_id, events=[event])


def _others(session: Session, visit: Visit, delivery_id: str) -> list[Any]:
    given = {"link": visit.link_id, "me": visit.id, "delivery": delivery_id}
    return list(session.execute(_OTHERS, given))


def _supersede(session: Session, session_id: str) -> None:
    """Looks again whether it is busy: an attempt may have begun since."""
    left = sa.update(_sessions).where(_sessions.c.id == session_id, ~_BUSY).values(superseded_at=utcnow())
    session.execute(left)
