"""Making links and finding them again, always within one merchant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.customers.models import Customer
from paylink.customers.service import Contact, remember
from paylink.db import table
from paylink.errors import NotFound
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType
from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.ids import new_id
from paylink.links.models import LinkStatus, PaymentLink
from paylink.links.words import session_words
from paylink.prepared import PreparedInsert

_links = table(PaymentLink)
_insert = PreparedInsert(_links)


@dataclass(frozen=True, slots=True)
class NewLink:
    """Amounts in minor units; ``minimum_amount`` is the least that may be paid at once. ``expires_at`` is aware UTC and
    in the future."""

    amount: int
    currency: str
    expires_at: datetime
    description: str | None = None
    reference: str | None = None
    contact: Contact | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    minimum_amount: int | None = None
    # BCP 47: what its messages and its page are written in. None: the customer's own, or what their browser asks for.
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """The row as it was written, without a second look at the database."""

    row: dict[str, Any]
    customer: Customer | None
    event: NewEvent


def create(session: Session, principal: Principal, new: NewLink) -> Created:
    """Writes the link. The caller appends the event, together with those of its deliveries, in one go."""
    customer = remember(session, principal.merchant_id, new.contact) if new.contact else None
    row = {
        "id": new_id("plink"),
        "merchant_id": principal.merchant_id,
        "customer_id": customer.id if customer else None,
        "status": LinkStatus.ACTIVE.value,
        "amount": new.amount,
        "amount_paid": 0,
        "amount_refunded": 0,
        "minimum_amount": new.minimum_amount,
        "locked_at": None,
        "lock_reason": None,
        "forgiven_attempts": 0,
        "currency": new.currency,
        "description": new.description,
        "reference": new.reference,
        "locale": new.locale or (customer.locale if customer else None),
        "session_words": session_words(),
        "reported_at": None,
        "metadata": new.metadata,
        "created_by_type": principal.kind.value,
        "created_by_id": principal.id,
        "created_by_name": principal.name,
        "expires_at": new.expires_at,
        "created_at": utcnow(),
        "paid_at": None,
        "canceled_at": None,
    }
    _insert.later(session, [row])
    facts = {
        "amount": new.amount,
        "currency": new.currency,
        "reference": new.reference,
        "expires_at": rfc3339(new.expires_at),
        "created_by": principal.name,
    }
    if new.minimum_amount is not None:
        facts["minimum_amount"] = new.minimum_amount
    return Created(row, customer, NewEvent(EventType.LINK_CREATED, principal.origin, facts))


def get(session: Session, principal: Principal, link_id: str) -> PaymentLink:
    """Another merchant's link is not found, as one that never was."""
    query = sa.select(PaymentLink).where(PaymentLink.id == link_id, PaymentLink.merchant_id == principal.merchant_id)
    link = session.scalars(query).one_or_none()
    if link is None:
        raise NotFound("No such payment link")
    return link


def reported(session: Session, link_id: str, *, merchant_id: str, event: NewEvent) -> bool:
    """Notes, once, that the customer takes the link's message for fraud. False when that is known already."""
    first = sa.update(_links).where(
        _links.c.id == link_id, _links.c.merchant_id == merchant_id, _links.c.reported_at.is_(None)
    )
    if session.execute(first.values(reported_at=utcnow()).returning(_links.c.id)).one_or_none() is None:
        return False
    log.append(session, merchant_id=merchant_id, link_id=link_id, events=[event])
    return True


@dataclass(frozen=True, slots=True)
class Filters:
    status: Sequence[LinkStatus] = ()
    reference: str | None = None
    customer: str | None = None
    q: str | None = None


def search(
    session: Session, principal: Principal, filters: Filters, *, limit: int, starting_after: str | None
) -> tuple[Sequence[PaymentLink], bool]:
    """Newest first: at most ``limit`` links, and whether there are more."""
    query = sa.select(PaymentLink).where(PaymentLink.merchant_id == principal.merchant_id)
    if filters.status:
        query = query.where(PaymentLink.status.in_([status.value for status in filters.status]))
    if filters.reference is not None:
        query = query.where(PaymentLink.reference == filters.reference)
    if filters.customer is not None:
        query = query.where(PaymentLink.customer_id == filters.customer)
    if filters.q:
        query = query.where(_matches(principal, filters.q))
    if starting_after is not None:
        query = query.where(PaymentLink.id < get(session, principal, starting_after).id)
    found = session.scalars(query.order_by(PaymentLink.id.desc()).limit(limit + 1)).all()
    return found[:limit], len(found) > limit


def customers_of(session: Session, links: Sequence[PaymentLink]) -> dict[str, Customer]:
    ids = {link.customer_id for link in links if link.customer_id}
    if not ids:
        return {}
    return {customer.id: customer for customer in session.scalars(sa.select(Customer).where(Customer.id.in_(ids)))}


def _matches(principal: Principal, text: str) -> sa.ColumnElement[bool]:
    """What an agent may type to find a link: its id, reference, description, or who it is for."""
    pattern = re.sub(r"([%_\\])", r"\\\1", text)

    def like(column: Any) -> sa.ColumnElement[bool]:
        # Both sides by the database: SQLite lowers ASCII alone, and must at least find what is typed as it is stored.
        return sa.func.lower(column).like(sa.func.lower(f"%{pattern}%"), escape="\\")

    people = sa.select(Customer.id).where(
        Customer.merchant_id == principal.merchant_id,
        sa.or_(*(like(c) for c in (Customer.name, Customer.email, Customer.phone, Customer.external_id))),
    )
    return sa.or_(
        PaymentLink.id == text,
        like(PaymentLink.reference),
        like(PaymentLink.description),
        PaymentLink.customer_id.in_(people),
    )
