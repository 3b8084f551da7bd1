"""A payment: one attempt to pay a link. And a refund of one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base, database_now
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
    # What the database fills in is read back at once: rows outlive their sessions.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012

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
    # When the authorisation lapses, as the provider says, and when the agent was warned of it.
    capture_before: Mapped[datetime | None]
    review_warned_at: Mapped[datetime | None]
    # The money came after the link had ended, or beyond its amount: somebody should give it back or keep it knowingly.
    late: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    # By the database's clock: how long an attempt has been left alone is asked by other processes than wrote it.
    updated_at: Mapped[datetime] = mapped_column(default=database_now(), onupdate=database_now())

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
    # Counts the idempotency keys it was asked for under: see ``refunds.carry_out``.
    psp_key: Mapped[int] = mapped_column(default=1, server_default="1")
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class Dispute(Base):
    """The payer's bank wants the money back, or has asked about it."""

    __tablename__ = "disputes"

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(sa.ForeignKey("payments.id"), index=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"), index=True)
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    status: Mapped[str]
    reason: Mapped[str | None]
    evidence_due_at: Mapped[datetime | None]
    psp_dispute_id: Mapped[str] = mapped_column(unique=True)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class ReceiptStatus(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Receipt(Base):
    """What the customer is sent after paying: one per payment, by the database."""

    __tablename__ = "receipts"

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(sa.ForeignKey("payments.id"), unique=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"), index=True)
    channel: Mapped[str]
    to: Mapped[str]
    status: Mapped[str] = mapped_column(default=ReceiptStatus.QUEUED.value)
    failure_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[datetime | None]
