"""The fraud check of an authorised payment: gather what is known, let the checks judge, write down the outcome."""

from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.customers.addresses import country_of
from paylink.customers.models import Customer
from paylink.fraud.checks import FraudInput, Outcome, Verdict
from paylink.fraud.rules import assess
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import facts, lifecycle
from paylink.payments.models import Decision, Payment, PaymentStatus
from paylink.payments.parts import fits
from paylink.psp.base import RiskOutcome

WINDOW: Final = timedelta(hours=1)
DECISION: Final = {Outcome.ALLOW: Decision.CAPTURE, Outcome.BLOCK: Decision.RELEASE, Outcome.REVIEW: None}


def screen(session: Session, payment_id: str, risk: RiskOutcome | None) -> Payment:
    """Judges a payment that waits for it, once. A review holds the money until a person decides."""
    payment = lifecycle.locked(session, payment_id)
    if payment.status != PaymentStatus.REQUIRES_CAPTURE or payment.fraud_outcome is not None:
        return payment
    verdict = assess(_known(session, payment, risk))
    _write_down(session, payment, verdict)
    return payment


def reconsider(session: Session, payment_id: str) -> Payment:
    """A capture that was decided on and not carried out, while its link was paid or ended otherwise, is let go."""
    payment = lifecycle.locked(session, payment_id)
    waits = payment.status == PaymentStatus.REQUIRES_CAPTURE and payment.decision == Decision.CAPTURE
    if waits and not fits(session.get_one(PaymentLink, payment.link_id), payment.amount):
        lifecycle.amend(session, payment, decision=Decision.RELEASE.value)
    return payment


def _write_down(session: Session, payment: Payment, verdict: Verdict) -> None:
    reasons = list(verdict.reasons)
    # An earlier attempt, given up here, was captured at the provider after all: the link is not paid a second time.
    paid = not fits(session.get_one(PaymentLink, payment.link_id), payment.amount)
    decision = Decision.RELEASE if paid else DECISION[verdict.outcome]
    held = verdict.outcome is Outcome.REVIEW and not paid
    events = [
        facts.fraud_completed(
            payment, outcome=verdict.outcome.value, risk_level=str(verdict.risk_level), reasons=reasons
        )
    ]
    if held:
        events.append(facts.review_opened(payment, reasons))
    values: dict[str, Any] = {
        "fraud_outcome": verdict.outcome.value,
        "risk_level": str(verdict.risk_level),
        "risk_reasons": reasons,
        "decision": decision.value if decision else None,
    }
    if held:
        lifecycle.move(session, payment, to=PaymentStatus.IN_REVIEW, events=events, **values)
    else:
        lifecycle.amend(session, payment, events=events, **values)


def _known(session: Session, payment: Payment, risk: RiskOutcome | None) -> FraudInput:
    since = utcnow() - WINDOW
    merchant = session.get_one(Merchant, payment.merchant_id)
    customer = session.get(Customer, payment.customer_id) if payment.customer_id else None
    recent = (Payment.merchant_id == payment.merchant_id, Payment.created_at > since)
    return FraudInput(
        amount=payment.amount,
        currency=payment.currency,
        link_attempts=_tries(session, payment),
        distinct_cards_on_link=_distinct_cards(session, payment),
        customer_attempts_1h=_count(session, *recent, Payment.customer_id == payment.customer_id)
        if payment.customer_id
        else 1,
        address_attempts_1h=_count(session, *recent, Payment.address_hash == payment.address_hash)
        if payment.address_hash
        else 1,
        card_country=payment.card_country,
        customer_country=country_of(customer.phone) if customer else None,
        amount_ceiling=merchant.review_above,
        risk=risk,
    )


def _tries(session: Session, payment: Payment) -> int:
    """Attempts that did not pay, and this one. Whoever pays in parts tries often, and each try is good."""
    of_link = (Payment.link_id == payment.link_id, Payment.attempt <= payment.attempt)
    return _count(session, *of_link, Payment.status != PaymentStatus.SUCCEEDED)


def _distinct_cards(session: Session, payment: Payment) -> int:
    query = sa.select(sa.func.count(sa.distinct(Payment.card_fingerprint))).where(Payment.link_id == payment.link_id)
    return max(1, session.scalar(query) or 0)


def _count(session: Session, *conditions: sa.ColumnElement[bool]) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(Payment).where(*conditions)) or 0
