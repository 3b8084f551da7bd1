"""A payment: one attempt to pay a link. And a refund of one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base
from paylink.kit.clock import utcnow


class PaymentStatus(StrEnum):
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    IN_REVIEW = "in_review"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


# While an attempt is in one of these, money may still move by it, and no second attempt may begin.
LIVE = (
    PaymentStatus.REQUIRES_PAYMENT_METHOD,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING,
    PaymentStatus.IN_REVIEW,
    PaymentStatus.REQUIRES_CAPTURE,
)
_live = sa.text("status IN ('" + "', '".join(LIVE) + "')")


class Decision(StrEnum):
    CAPTURE = "capture"
    RELEASE = "release"


class RefundStatus(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (
        sa.UniqueConstraint("link_id", "attempt"),
        # At most one live attempt per link, whatever tab, device or channel asks: the database says so.
        sa.Index("uq_payments_live", "link_id", unique=True, sqlite_where=_live, postgresql_where=_live),
        sa.Index("ix_payments_status_updated_at", "status", "updated_at"),
        sa.CheckConstraint("amount_refunded <= amount_captured", name="refund_bound"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    link_id: Mapped[str] = mapped_column(sa.ForeignKey("payment_links.id"))
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"), index=True)
    customer_id: Mapped[str | None]
    # The checkout session that began it, and the keyed hash of the address it came from.
    session_id: Mapped[str | None] = mapped_column(index=True)
    address_hash: Mapped[bytes | None] = mapped_column(index=True)
    attempt: Mapped[int]
    status: Mapped[str]
    amount: Mapped[int]
    amount_captured: Mapped[int] = mapped_column(default=0)
    amount_refunded: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(sa.String(3))
    psp: Mapped[str]
    psp_payment_id: Mapped[str | None] = mapped_column(unique=True)
    card_brand: Mapped[str | None]
    card_last4: Mapped[str | None]
    card_country: Mapped[str | None]
    card_fingerprint: Mapped[str | None]
    decline_code: Mapped[str | None]
    # The fraud check's word: allow, review or block; its level and its reasons, for people.
    fraud_outcome: Mapped[str | None]
    risk_level: Mapped[str | None]
    risk_reasons: Mapped[list[str] | None] = mapped_column(JSON)
    # What is to become of the money that is authorised: None while nobody has decided.
    decision: Mapped[str | None]
    reviewed_by: Mapped[str | None]
    review_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    def card(self) -> dict[str, Any] | None:
        if self.card_last4 is None:
            return None
        return {"brand": self.card_brand, "last4": self.card_last4, "country": self.card_country}


class Refund(Base):
    __tablename__ = "refunds"

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(sa.ForeignKey("payments.id"), index=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    status: Mapped[str] = mapped_column(default=RefundStatus.PENDING.value)
    reason: Mapped[str | None]
    failure_reason: Mapped[str | None]
    psp_refund_id: Mapped[str | None] = mapped_column(unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
