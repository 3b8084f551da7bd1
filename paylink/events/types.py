"""What can happen to a link, and the row that says it did."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base
from paylink.kit.clock import rfc3339


class Origin(StrEnum):
    """Who made it happen."""

    PAYER = "payer"
    AGENT = "agent"
    API = "api"
    PROVIDER = "provider"
    SYSTEM = "system"


class EventType(StrEnum):
    LINK_CREATED = "link.created"
    LINK_FETCHED = "link.fetched"
    LINK_OPENED = "link.opened"
    LINK_PARTIALLY_PAID = "link.partially_paid"
    LINK_PAID = "link.paid"
    LINK_EXPIRED = "link.expired"
    LINK_CANCELED = "link.canceled"
    LINK_LOCKED = "link.locked"
    LINK_UNLOCKED = "link.unlocked"
    # The customer says that the message looks like fraud; it is canceled.
    LINK_REPORTED = "link.reported"
    # The customer goes on by another channel, by their own wish: which, and from which.
    LINK_SWITCHED = "link.switched"
    DELIVERY_QUEUED = "delivery.queued"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_DELIVERED = "delivery.delivered"
    DELIVERY_READ = "delivery.read"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_BOUNCED = "delivery.bounced"
    DELIVERY_OPTED_OUT = "delivery.opted_out"
    DELIVERY_EXPIRED = "delivery.expired"
    # The carrier is away or busy: it is tried again by itself.
    DELIVERY_RETRIED = "delivery.retried"
    DELIVERY_WITHDRAWN = "delivery.withdrawn"
    CARD_ENTRY_STARTED = "card_entry.started"
    CARD_ENTRY_COMPLETED = "card_entry.completed"
    CARD_ENTRY_INVALID = "card_entry.invalid"
    PAYMENT_SUBMITTED = "payment.submitted"
    AUTHENTICATION_REQUIRED = "authentication.required"
    AUTHENTICATION_SUCCEEDED = "authentication.succeeded"
    AUTHENTICATION_FAILED = "authentication.failed"
    FRAUD_CHECK_STARTED = "fraud_check.started"
    FRAUD_CHECK_COMPLETED = "fraud_check.completed"
    REVIEW_OPENED = "review.opened"
    REVIEW_EXPIRING = "review.expiring"
    REVIEW_CLOSED = "review.closed"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_SUCCEEDED_LATE = "payment.succeeded_late"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CANCELED = "payment.canceled"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_UPDATED = "dispute.updated"
    DISPUTE_CLOSED = "dispute.closed"
    RECEIPT_SENT = "receipt.sent"
    RECEIPT_FAILED = "receipt.failed"
    # Told on the link whose decline was the last drop; it stops every link of the merchant.
    PAYMENTS_PAUSED = "payments.paused"
    PAYMENTS_RESUMED = "payments.resumed"


class Event(Base):
    """One fact. ``id`` orders the stream, ``seq`` counts 1, 2, 3 … within a link without a gap."""

    __tablename__ = "events"
    __table_args__ = (
        sa.UniqueConstraint("link_id", "seq"),
        sa.Index("ix_events_merchant_id_id", "merchant_id", "id"),
        {"sqlite_autoincrement": True},  # an id must never come back, not even that of a deleted last row
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    merchant_id: Mapped[str]
    link_id: Mapped[str]
    seq: Mapped[int]
    type: Mapped[str]
    origin: Mapped[str]
    occurred_at: Mapped[datetime]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class EventCounter(Base):
    """The last ``seq`` of a link. Its row lock is what makes a link's events follow one another."""

    __tablename__ = "event_counters"

    link_id: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int]


def public_form(row: Any) -> dict[str, Any]:
    """The event as the stream, the timeline and webhooks show it. ``row`` has the columns of ``events``."""
    return {
        "id": row.public_id,
        "type": row.type,
        "seq": row.seq,
        "payment_link": row.link_id,
        "occurred_at": rfc3339(row.occurred_at),
        "origin": row.origin,
        "data": row.data,
    }
