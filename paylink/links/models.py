"""A payment link: one amount a customer is asked to pay, however often and by whatever channel it is sent."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base
from paylink.kit.clock import utcnow


class LinkStatus(StrEnum):
    ACTIVE = "active"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELED = "canceled"


class PaymentLink(Base):
    __tablename__ = "payment_links"
    __table_args__ = (
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("amount_paid >= 0 AND amount_refunded BETWEEN 0 AND amount_paid", name="amounts"),
        sa.Index("ix_payment_links_merchant_id_id", "merchant_id", "id"),
        sa.Index("ix_payment_links_merchant_id_reference", "merchant_id", "reference"),
        sa.Index("ix_payment_links_status_expires_at", "status", "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    customer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    status: Mapped[str] = mapped_column(default=LinkStatus.ACTIVE.value)
    amount: Mapped[int]
    amount_paid: Mapped[int] = mapped_column(default=0)
    amount_refunded: Mapped[int] = mapped_column(default=0)
    # The least that may be paid at once, in minor units; None: the whole amount or nothing.
    minimum_amount: Mapped[int | None]
    # Too many declined tries: nobody may try again until an agent says so. Attempts up to ``forgiven_attempts`` do not
    # count any more.
    locked_at: Mapped[datetime | None]
    lock_reason: Mapped[str | None]
    forgiven_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    currency: Mapped[str] = mapped_column(sa.String(3))
    description: Mapped[str | None]
    reference: Mapped[str | None]
    locale: Mapped[str | None]
    link_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    # "agent" or "api_key", and which.
    created_by_type: Mapped[str]
    created_by_id: Mapped[str]
    created_by_name: Mapped[str]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    paid_at: Mapped[datetime | None]
    # Three easy words that the agent says and the page and messages show: the customer knows the link is theirs.
    session_words: Mapped[str | None]
    # The customer said that the message looks like fraud; the link was canceled.
    reported_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
