"""What the customer's own wishes do to their link: another door to it, and word that its message is not trusted."""

from typing import Final

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from paylink.channels.base import ChannelName
from paylink.checkout import about, doors
from paylink.checkout.sessions import Visit
from paylink.context import Context
from paylink.customers.addresses import Email, Phone, textable
from paylink.db import table
from paylink.delivery import service as deliveries
from paylink.delivery.models import Delivery
from paylink.delivery.service import MAX_DELIVERIES, Added, Wanted
from paylink.errors import Conflict, Invalid
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import Event, EventType, Origin
from paylink.kit.clock import utcnow
from paylink.links import service as links
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink

# Doors that a link's customers make, all of them together: enough for everybody's devices, and what is left of
# ``MAX_DELIVERIES`` stays the agent's.
MOST_SWITCHES: Final = 12

_links = table(PaymentLink)
_deliveries = table(Delivery)
_events = table(Event)
_phone = TypeAdapter[str](Phone)
_email = TypeAdapter[str](Email)


def checked(by: str, to: str | None) -> str | None:
    """What the customer typed as the API would take it. Raises ``Invalid`` under ``to``, without repeating it."""
    if to is None:
        return None
    if by == ChannelName.QR:
        raise Invalid.one("to", "address_not_used", "A code is shown on the page and sent nowhere")
    try:
        return textable(_phone.validate_python(to)) if by == ChannelName.SMS else _email.validate_python(to)
    except PydanticCustomError as error:
        raise Invalid.one("to", error.type, error.message()) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid.one("to", first["type"], first["msg"]) from None


def new_door(
    session: Session, ctx: Context, visit: Visit, *, by: str, to: str | None, locale: str | None = None
) -> Added:
    """A delivery that the customer asked for, with its events. Raises ``Conflict`` and ``Invalid``."""
    _check_open(session, visit)
    if by != ChannelName.QR:
        if not about.usable(session, visit.merchant_id, ctx.channels)[by]:
            raise Invalid.one("by", "channel_unavailable", "This cannot be sent from here")
        to = to or about.contact_of(session, visit.link_id).to(by)
        if to is None:
            raise Invalid.one("to", "address_missing", "Say where to send it")
    (added,), events = deliveries.add(
        session,
        ctx.jobs,
        ctx.keyring,
        link_id=visit.link_id,
        merchant_id=visit.merchant_id,
        wanted=[Wanted(by, to, locale=locale)],
        origin=Origin.PAYER,
    )
    doors.told(session, visit, came_from=visit.channel, to=by, delivery=added.row["id"])
    log.append(session, merchant_id=visit.merchant_id, link_id=visit.link_id, events=events)
    doors.hand_over(session, visit, added.row["id"])
    return added


def report(session: Session, visit: Visit, *, reason: str) -> bool:
    """Notes that the customer does not trust the message they came by. False when that is known already."""
    facts = {"reason": reason, "channel": visit.channel, "delivery": visit.delivery_id}
    event = NewEvent(EventType.LINK_REPORTED, Origin.PAYER, facts)
    return links.reported(session, visit.link_id, merchant_id=visit.merchant_id, event=event)


def _check_open(session: Session, visit: Visit) -> None:
    """Holds the link, so that two at once are counted one after the other."""
    held = sa.select(_links.c.status, _links.c.expires_at).where(_links.c.id == visit.link_id).with_for_update()
    link = session.execute(held).one()
    if link.status not in OPEN or link.expires_at <= utcnow():
        raise Conflict("This payment link has ended and cannot be sent", code="link_not_active")
    doors_made = session.scalar(sa.select(sa.func.count()).where(_deliveries.c.link_id == visit.link_id)) or 0
    switched = sa.select(sa.func.count()).where(
        _events.c.link_id == visit.link_id, _events.c.type == EventType.LINK_SWITCHED.value
    )
    if doors_made >= MAX_DELIVERIES or (session.scalar(switched) or 0) >= MOST_SWITCHES:
        raise Conflict("This payment link was sent too often; please ask the merchant", code="too_many_deliveries")
