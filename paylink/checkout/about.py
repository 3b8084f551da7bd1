"""What the page says beside the amount: who sent it, by which words its customer knows it, and where else it may go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.channels import service as channels
from paylink.channels.base import ChannelName
from paylink.customers.models import Customer
from paylink.db import table
from paylink.links.models import PaymentLink
from paylink.messages.render import first_name

# In the order in which the page offers them.
MESSAGES: Final = (ChannelName.EMAIL, ChannelName.SMS)

_links = table(PaymentLink)
_customers = table(Customer)


@dataclass(frozen=True, slots=True)
class Way:
    """A channel the customer may go on by. ``known``: the address we have of them, all but hidden."""

    by: str
    known: str | None


@dataclass(frozen=True, slots=True)
class About:
    """``agent`` is a first name; ``ways`` are messages alone, since a QR code can always be shown."""

    agent: str | None
    words: str | None
    ways: tuple[Way, ...]
    reported: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """The customer's stored addresses, never to be shown."""

    email: str | None
    sms: str | None

    def to(self, by: str) -> str | None:
        return {ChannelName.EMAIL.value: self.email, ChannelName.SMS.value: self.sms}.get(by)

    def __repr__(self) -> str:
        return "Contact(…)"


def about(session: Session, link_id: str, here: Mapping[str, bool]) -> About:
    """``here``: which channels this process can use without an account."""
    row = session.execute(
        sa.select(
            _links.c.merchant_id,
            _links.c.created_by_type,
            _links.c.created_by_name,
            _links.c.session_words,
            _links.c.reported_at,
            _customers.c.email,
            _customers.c.phone,
        )
        .select_from(_links.outerjoin(_customers, _customers.c.id == _links.c.customer_id))
        .where(_links.c.id == link_id)
    ).one()
    contact = Contact(row.email, row.phone)
    open_ = usable(session, row.merchant_id, here)
    ways = tuple(Way(by.value, hide(contact.to(by))) for by in MESSAGES if open_[by])
    person = row.created_by_type == "agent" and "@" not in row.created_by_name
    agent = first_name(row.created_by_name) if person else None
    return About(agent, row.session_words, ways, row.reported_at is not None)


def contact_of(session: Session, link_id: str) -> Contact:
    query = sa.select(_customers.c.email, _customers.c.phone).join(_links, _links.c.customer_id == _customers.c.id)
    row = session.execute(query.where(_links.c.id == link_id)).one_or_none()
    return Contact(row.email, row.phone) if row else Contact(None, None)


def usable(session: Session, merchant_id: str, here: Mapping[str, bool]) -> dict[str, bool]:
    """By channel: whether the merchant can send by it, by an account of theirs or by what is here without one."""
    theirs = channels.available(session, merchant_id)
    return {name.value: bool(theirs.get(name.value) or here.get(name.value)) for name in ChannelName}


def hide(address: str | None) -> str | None:
    """``a…@e…``, ``…23``: whoever holds the link may see it, so it only reminds the one who knows it already."""
    if address is None:
        return None
    name, at, domain = address.partition("@")
    return f"{name[:1]}…@{domain[:1]}…" if at else f"…{address[-2:]}"
