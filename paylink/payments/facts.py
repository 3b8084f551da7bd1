"""What events say of a payment: ids, states, codes, brand and last four. One place, so that nothing else slips in."""

from datetime import datetime
from typing import Any

from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import rfc3339
from paylink.payments.advice import advise
from paylink.payments.models import Dispute, Payment, Refund


def of_payment(payment: Payment, **more: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "payment": payment.id,
        "attempt": payment.attempt,
        "amount": payment.amount,
        "currency": payment.currency,
    }
    if card := payment.card():
        facts["card"] = card
    return facts | more


def submitted(payment: Payment) -> NewEvent:
    return NewEvent(EventType.PAYMENT_SUBMITTED, Origin.PAYER, of_payment(payment))


def failed(payment: Payment, code: str) -> NewEvent:
    """Carries a sentence the agent can read out; never the provider's own words, which are for sellers only."""
    advice = advise(code)
    facts = of_payment(payment, decline_code=code, advice=advice.agent)
    return NewEvent(EventType.PAYMENT_FAILED, Origin.PROVIDER, facts)


def canceled(payment: Payment, reason: str) -> NewEvent:
    return NewEvent(EventType.PAYMENT_CANCELED, Origin.SYSTEM, of_payment(payment, reason=reason))


def authentication(payment: Payment, step: EventType) -> NewEvent:
    return NewEvent(step, Origin.PROVIDER, {"payment": payment.id, "attempt": payment.attempt})


def fraud_started(payment: Payment) -> NewEvent:
    return NewEvent(EventType.FRAUD_CHECK_STARTED, Origin.SYSTEM, {"payment": payment.id, "attempt": payment.attempt})


def fraud_completed(payment: Payment, *, outcome: str, risk_level: str, reasons: list[str]) -> NewEvent:
    return NewEvent(
        EventType.FRAUD_CHECK_COMPLETED,
        Origin.SYSTEM,
        {
            "payment": payment.id,
            "attempt": payment.attempt,
            "outcome": outcome,
            "risk_level": risk_level,
            "reasons": reasons,
        },
    )


def review_opened(payment: Payment, reasons: list[str]) -> NewEvent:
    return NewEvent(EventType.REVIEW_OPENED, Origin.SYSTEM, of_payment(payment, reasons=reasons))


def review_closed(payment: Payment, *, decision: str, by: str, reason: str | None, origin: Origin) -> NewEvent:
    facts = {"payment": payment.id, "decision": decision, "by": by, "reason": reason}
    return NewEvent(EventType.REVIEW_CLOSED, origin, facts)


def review_expiring(payment: Payment, capture_before: datetime) -> NewEvent:
    facts = of_payment(payment, capture_before=rfc3339(capture_before))
    return NewEvent(EventType.REVIEW_EXPIRING, Origin.SYSTEM, facts)


def succeeded(payment: Payment, *, late: bool) -> NewEvent:
    kind = EventType.PAYMENT_SUCCEEDED_LATE if late else EventType.PAYMENT_SUCCEEDED
    return NewEvent(kind, Origin.PROVIDER, of_payment(payment, amount_captured=payment.amount_captured))


def refunded(refund: Refund) -> NewEvent:
    return NewEvent(EventType.REFUND_SUCCEEDED, Origin.PROVIDER, _of_refund(refund))


def refund_failed(refund: Refund) -> NewEvent:
    return NewEvent(EventType.REFUND_FAILED, Origin.PROVIDER, {**_of_refund(refund), "reason": refund.failure_reason})


def dispute_opened(dispute: Dispute) -> NewEvent:
    return NewEvent(EventType.DISPUTE_OPENED, Origin.PROVIDER, _of_dispute(dispute), occurred_at=dispute.opened_at)


def dispute_updated(dispute: Dispute) -> NewEvent:
    return NewEvent(EventType.DISPUTE_UPDATED, Origin.PROVIDER, _of_dispute(dispute))


def dispute_closed(dispute: Dispute) -> NewEvent:
    facts = {**_of_dispute(dispute), "outcome": dispute.status}
    return NewEvent(EventType.DISPUTE_CLOSED, Origin.PROVIDER, facts)


def _of_dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "dispute": dispute.id,
        "payment": dispute.payment_id,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "reason": dispute.reason,
        "status": dispute.status,
        "evidence_due_at": rfc3339(dispute.evidence_due_at) if dispute.evidence_due_at else None,
    }


def _of_refund(refund: Refund) -> dict[str, Any]:
    return {
        "refund": refund.id,
        "payment": refund.payment_id,
        "amount": refund.amount,
        "currency": refund.currency,
    }
