"""Taking over what the provider says of a payment, in one transaction.

The customer's return, the webhook and the follow-up job all come here with an object they have just read from the
provider. Whoever is first moves the payment; the others find it done. Nothing is called paid before amount, currency,
mode and our own ids have been compared.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.delivery.service import forget_tokens
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.fraud.checks import Outcome
from paylink.jobs import JobQueue
from paylink.links import lifecycle as links
from paylink.links.models import LinkStatus, PaymentLink
from paylink.payments import facts, lifecycle
from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus
from paylink.psp.base import Decline, ProviderPayment, ProviderStatus, Screening

log = structlog.get_logger(__name__)
mismatches = Counter("paylink_provider_mismatch_total", "Provider objects that do not fit our payment", ["what"])

RELEASE_JOB: Final = "payments.release"
BLOCKED: Final = "blocked_by_fraud_check"
REVIEW_DECLINED: Final = "review_declined"
GIVEN_UP: Final = (PaymentStatus.FAILED, PaymentStatus.CANCELED)
# Where the provider's object can no longer be confirmed or captured.
OVER: Final = (ProviderStatus.SUCCEEDED, ProviderStatus.CANCELED)
BEFORE_CAPTURE: Final = (
    PaymentStatus.REQUIRES_PAYMENT_METHOD,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING,
)

_links = table(PaymentLink)


def mismatch(payment: Payment, theirs: ProviderPayment, *, livemode: bool) -> str | None:
    """What does not fit, or ``None``. A real payment of one pound must never close an order of two thousand."""
    if theirs.metadata.get("payment_id") != payment.id or theirs.metadata.get("link_id") != payment.link_id:
        return "metadata"
    if theirs.amount != payment.amount:
        return "amount"
    if theirs.currency.upper() != payment.currency:
        return "currency"
    if theirs.livemode != livemode:
        return "livemode"
    return None


def settle(session: Session, jobs: JobQueue, payment_id: str, theirs: ProviderPayment, *, livemode: bool) -> Payment:
    """Moves the payment to where the provider has it. Does nothing, loudly, for an object that is not its own.

    The provider's object of an attempt that was given up could still be confirmed, or holds the customer's money: a job
    closes it.
    """
    payment = lifecycle.locked(session, payment_id)
    if wrong := mismatch(payment, theirs, livemode=livemode):
        mismatches.labels(wrong).inc()
        log.error("provider_mismatch", payment=payment.id, what=wrong)
        return payment
    _take_over(session, payment, theirs)
    if payment.status in GIVEN_UP and theirs.status not in OVER:
        release_later(session, jobs, payment)
    return payment


def release_later(session: Session, jobs: JobQueue, payment: Payment) -> None:
    jobs.enqueue(session, RELEASE_JOB, payment.id, key=f"{RELEASE_JOB}:{payment.id}")


def _take_over(session: Session, payment: Payment, theirs: ProviderPayment) -> None:
    _note_card(payment, theirs)
    session.flush()
    match theirs.status:
        case ProviderStatus.REQUIRES_PAYMENT_METHOD if theirs.decline is not None:
            _declined(session, payment, theirs, theirs.decline)
        case ProviderStatus.REQUIRES_ACTION:
            required = facts.authentication(payment, EventType.AUTHENTICATION_REQUIRED)
            lifecycle.move(session, payment, to=PaymentStatus.REQUIRES_ACTION, events=[required])
        case ProviderStatus.PROCESSING:
            lifecycle.move(session, payment, to=PaymentStatus.PROCESSING, events=_authenticated(payment, theirs))
        case ProviderStatus.REQUIRES_CAPTURE:
            _authorised(session, payment, theirs)
        case ProviderStatus.SUCCEEDED:
            _succeeded(session, payment, theirs)
        case ProviderStatus.CANCELED:
            _canceled(session, payment)


def fail(
    session: Session,
    payment: Payment,
    code: str,
    *before: NewEvent,
    frm: Sequence[PaymentStatus] | None = None,
) -> bool:
    return lifecycle.move(
        session,
        payment,
        to=PaymentStatus.FAILED,
        frm=frm,
        events=[*before, facts.failed(payment, code)],
        decline_code=code,
    )


def _note_card(payment: Payment, theirs: ProviderPayment) -> None:
    if card := theirs.card:
        payment.card_brand = card.brand or payment.card_brand
        payment.card_last4 = card.last4 or payment.card_last4
        payment.card_country = card.country or payment.card_country
        payment.card_fingerprint = card.fingerprint or payment.card_fingerprint


def _declined(session: Session, payment: Payment, theirs: ProviderPayment, decline: Decline) -> None:
    before: list[NewEvent] = []
    values: dict[str, Any] = {}
    if decline.authentication:
        if payment.status != PaymentStatus.REQUIRES_ACTION:
            before.append(facts.authentication(payment, EventType.AUTHENTICATION_REQUIRED))
        before.append(facts.authentication(payment, EventType.AUTHENTICATION_FAILED))
    elif theirs.risk is not None and theirs.risk.screening is Screening.BLOCKED:
        reasons = ["The payment provider blocked this payment."]
        level = theirs.risk.risk_level.value
        values = {"fraud_outcome": Outcome.BLOCK.value, "risk_level": level, "risk_reasons": reasons}
        before += [
            facts.fraud_started(payment),
            facts.fraud_completed(payment, outcome=Outcome.BLOCK, risk_level=level, reasons=reasons),
        ]
    else:
        before += _authenticated(payment, theirs)
    # An object that was authorised never goes back: a decline read earlier and told later is history.
    if fail(session, payment, decline.code, *before, frm=BEFORE_CAPTURE) and values:
        for name, value in values.items():
            setattr(payment, name, value)
        session.flush()


def _authenticated(payment: Payment, theirs: ProviderPayment) -> list[NewEvent]:
    """The 3-D Secure steps not told of yet. Some are over before we hear that they began."""
    if payment.status not in BEFORE_CAPTURE:
        return []
    if payment.status == PaymentStatus.REQUIRES_ACTION:
        return [facts.authentication(payment, EventType.AUTHENTICATION_SUCCEEDED)]
    if not theirs.authenticated or payment.status == PaymentStatus.PROCESSING:
        return []
    return [
        facts.authentication(payment, EventType.AUTHENTICATION_REQUIRED),
        facts.authentication(payment, EventType.AUTHENTICATION_SUCCEEDED),
    ]


def _authorised(session: Session, payment: Payment, theirs: ProviderPayment) -> None:
    events = [*_authenticated(payment, theirs), facts.fraud_started(payment)]
    lifecycle.move(session, payment, to=PaymentStatus.REQUIRES_CAPTURE, frm=BEFORE_CAPTURE, events=events)


def _succeeded(session: Session, payment: Payment, theirs: ProviderPayment) -> None:
    given_up = payment.status not in LIVE
    before = _review_ended(payment, "captured", "The payment was captured at the provider")
    moved = lifecycle.move(
        session, payment, to=PaymentStatus.SUCCEEDED, amount_captured=theirs.amount_received, decline_code=None
    )
    if not moved:
        return
    link = session.execute(
        sa.update(_links)
        .where(_links.c.id == payment.link_id)
        .values(amount_paid=_links.c.amount_paid + theirs.amount_received, status=_paid_status(theirs.amount_received))
        .returning(_links.c.status, _links.c.amount, _links.c.amount_paid)
    ).one()
    late = given_up or link.status not in links.OPEN
    event_log.append(
        session,
        merchant_id=payment.merchant_id,
        link_id=payment.link_id,
        events=[*before, facts.succeeded(payment, late=late)],
    )
    if link.amount_paid >= link.amount and link.status in links.OPEN:
        links.move(
            session,
            payment.link_id,
            merchant_id=payment.merchant_id,
            to=LinkStatus.PAID,
            origin=Origin.SYSTEM,
            data={"payment": payment.id, "amount_paid": link.amount_paid, "currency": payment.currency},
        )
        forget_tokens(session, payment.link_id)


def _paid_status(received: int) -> sa.ColumnElement[str]:
    """For a link of which a part is paid now. What is paid in full is moved by its own step."""
    part = sa.and_(_links.c.status == LinkStatus.ACTIVE.value, _links.c.amount_paid + received < _links.c.amount)
    return sa.case((part, LinkStatus.PARTIALLY_PAID.value), else_=_links.c.status)


def _canceled(session: Session, payment: Payment) -> None:
    if payment.fraud_outcome == Outcome.BLOCK:
        fail(session, payment, BLOCKED)
        return
    before = _review_ended(payment, "released", "The authorisation ended")
    declined = payment.decision == Decision.RELEASE and payment.reviewed_by is not None
    lifecycle.move(
        session,
        payment,
        to=PaymentStatus.CANCELED,
        events=[*before, facts.canceled(payment, REVIEW_DECLINED if declined else "canceled")],
        decline_code=REVIEW_DECLINED if declined else None,
    )


def _review_ended(payment: Payment, decision: str, reason: str) -> list[NewEvent]:
    """A review that ended without anybody's decision here."""
    if payment.status != PaymentStatus.IN_REVIEW:
        return []
    return [facts.review_closed(payment, decision=decision, by="system", reason=reason, origin=Origin.SYSTEM)]
