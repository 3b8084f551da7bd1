"""Payments and refunds on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paylink.kit.clock import rfc3339
from paylink.kit.money import MAX_AMOUNT
from paylink.kit.text import Short
from paylink.payments.advice import advise
from paylink.payments.models import (
    Dispute,
    Payment,
    PaymentStatus,
    Receipt,
    ReceiptStatus,
    Refund,
    RefundStatus,
)
from paylink.psp.base import DisputeStatus

# Where an authorisation holds the customer's money and nobody has taken it yet.
HELD = (PaymentStatus.IN_REVIEW, PaymentStatus.REQUIRES_CAPTURE)


class CardOut(BaseModel):
    brand: str | None
    last4: str | None
    country: str | None


class RiskOut(BaseModel):
    outcome: Literal["allow", "review", "block"]
    risk_level: str | None
    reasons: list[str]


class DisputeOut(BaseModel):
    id: str
    object: Literal["dispute"] = "dispute"
    payment: str
    amount: int
    currency: str
    status: DisputeStatus
    reason: str | None
    evidence_due_at: datetime | None = Field(None, description="Until when the provider takes an answer")
    opened_at: datetime
    closed_at: datetime | None


class DisputeList(BaseModel):
    object: Literal["list"] = "list"
    data: list[DisputeOut]
    has_more: bool


class ReceiptOut(BaseModel):
    channel: str
    status: ReceiptStatus
    sent_at: datetime | None


class PaymentOut(BaseModel):
    id: str
    object: Literal["payment"] = "payment"
    payment_link: str
    attempt: int
    status: PaymentStatus
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    card: CardOut | None
    decline_code: str | None
    advice: str | None = Field(None, description="What the agent can say after a decline")
    risk: RiskOut | None
    reviewed_by: str | None
    review_reason: str | None
    capture_before: datetime | None = Field(
        None, description="While the money is only held: when the authorisation lapses, where the provider says so"
    )
    late: bool = Field(description="The money came after the link had ended, or beyond its amount")
    disputes: list[DisputeOut]
    receipt: ReceiptOut | None
    created_at: datetime
    updated_at: datetime


class PaymentList(BaseModel):
    object: Literal["list"] = "list"
    data: list[PaymentOut]
    has_more: bool


class ReasonIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Short | None = None


class RefundIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT)] | None = Field(
        None, description="In minor units; left out, all that is left"
    )
    reason: Short | None = None


class RefundOut(BaseModel):
    id: str
    object: Literal["refund"] = "refund"
    payment: str
    amount: int
    currency: str
    status: RefundStatus
    reason: str | None
    failure_reason: str | None
    created_at: datetime


class RefundList(BaseModel):
    object: Literal["list"] = "list"
    data: list[RefundOut]
    has_more: bool


class ResumedOut(BaseModel):
    payments_paused_until: None


def payment_form(payment: Payment, *, disputes: Sequence[Dispute], receipt: Receipt | None) -> dict[str, Any]:
    risk = None
    if payment.fraud_outcome is not None:
        risk = {
            "outcome": payment.fraud_outcome,
            "risk_level": payment.risk_level,
            "reasons": payment.risk_reasons or [],
        }
    return {
        "id": payment.id,
        "object": "payment",
        "payment_link": payment.link_id,
        "attempt": payment.attempt,
        "status": payment.status,
        "amount": payment.amount,
        "amount_captured": payment.amount_captured,
        "amount_refunded": payment.amount_refunded,
        "currency": payment.currency,
        "card": payment.card(),
        "decline_code": payment.decline_code,
        "advice": advise(payment.decline_code).agent if payment.decline_code else None,
        "risk": risk,
        "reviewed_by": payment.reviewed_by,
        "review_reason": payment.review_reason,
        "capture_before": _moment(payment.capture_before) if payment.status in HELD else None,
        "late": payment.late,
        "disputes": [dispute_form(dispute) for dispute in disputes],
        "receipt": _receipt_form(receipt) if receipt else None,
        "created_at": rfc3339(payment.created_at),
        "updated_at": rfc3339(payment.updated_at),
    }


def dispute_form(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "object": "dispute",
        "payment": dispute.payment_id,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "status": dispute.status,
        "reason": dispute.reason,
        "evidence_due_at": _moment(dispute.evidence_due_at),
        "opened_at": rfc3339(dispute.opened_at),
        "closed_at": _moment(dispute.closed_at),
    }


def _receipt_form(receipt: Receipt) -> dict[str, Any]:
    return {"channel": receipt.channel, "status": receipt.status, "sent_at": _moment(receipt.sent_at)}


def _moment(value: datetime | None) -> str | None:
    return rfc3339(value) if value else None


def refund_form(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "object": "refund",
        "payment": refund.payment_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "status": refund.status,
        "reason": refund.reason,
        "failure_reason": refund.failure_reason,
        "created_at": rfc3339(refund.created_at),
    }
