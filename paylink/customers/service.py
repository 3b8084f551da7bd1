"""The contact record, found by the merchant's own id for the person or begun anew."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.customers.models import Customer
from paylink.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class Contact:
    """What the caller said of the customer; ``None`` says nothing and changes nothing."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    external_id: str | None = None


def remember(session: Session, merchant_id: str, contact: Contact) -> Customer:
    """The customer with this ``external_id``, brought up to date, or a new one."""
    known = {name: value for name, value in asdict(contact).items() if value is not None}
    customer = _by_external_id(session, merchant_id, contact.external_id) if contact.external_id else None
    if customer is None:
        customer = Customer(id=new_id("cus"), merchant_id=merchant_id)
        session.add(customer)
    for name, value in known.items():
        setattr(customer, name, value)
    session.flush()
    return customer


def _by_external_id(session: Session, merchant_id: str, external_id: str) -> Customer | None:
    query = sa.select(Customer).where(Customer.merchant_id == merchant_id, Customer.external_id == external_id)
    return session.scalars(query).one_or_none()
