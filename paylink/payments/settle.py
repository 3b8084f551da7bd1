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
from paylink.payments import breaker, facts, lifecycle, locks, receipts
from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus
from paylink.psp.base import Decline, ProviderPayment, ProviderStatus, Screening

log = structlog.get_logger(__name__)
mismatches = Counter("paylink_provider_mismatch_total", "Provider objects that do not fit our payment", ["what"])

RELEASE_JOB: Final = "payments.release"
BLOCKED: Final = "blocked_by_fraud_check"
REVIEW_DECLINED: Final = "review_declined"
REVIEW_EXPIRED: Final = "review_expired"
# Who closed a review, where it was no person here.
PROVIDER: Final = "provider"
SYSTEM: Final = "system"
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
    before = payment.status
    _take_over(session, payment, theirs)
    if payment.status == PaymentStatus.SUCCEEDED and before != PaymentStatus.SUCCEEDED:
        receipts.queue(session, jobs, payment)
    if payment.status in GIVEN_UP and theirs.status not in OVER:
        release_later(session, jobs, payment)
    return payment


def release_later(session: Session, jobs: JobQueue, payment: Payment) -> None:
    jobs.enqueue(session, RELEASE_JOB, payment.id, key=f"{RELEASE_JOB}:{payment.id}")


def _take_over(session: Session, payment: Payment, theirs: ProviderPayment) -> None:
    _note_card(payment, theirs)
    if theirs.status is ProviderStatus.REQUIRES_CAPTURE and theirs.capture_before is not None:
        payment.capture_before = theirs.capture_before
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
    """Ends the attempt as declined, and with it, if it was one too many, the link's or the merchant's payments."""
    link = locks.hold(session, payment.link_id)
    failed = lifecycle.move(
        session,
        payment,
        to=PaymentStatus.FAILED,
        frm=frm,
        events=[*before, facts.failed(payment, code)],
        decline_code=code,
    )
    if failed:
        locks.lock_if_due(session, link)
        breaker.pause_if_due(session, payment)
    return failed


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
    """Money that comes late is money all the same: it counts, whatever became of the link, and brings no link back."""
    given_up = payment.status not in LIVE
    before, review = _review_ended(payment, Decision.CAPTURE, "The payment was captured at the provider")
    values = {"amount_captured": theirs.amount_received, "decline_code": None, **review}
    if not lifecycle.move(session, payment, to=PaymentStatus.SUCCEEDED, **values):
        return
    link = session.execute(
        sa.update(_links)
        .where(_links.c.id == payment.link_id)
        .values(amount_paid=_links.c.amount_paid + theirs.amount_received)
        .returning(_links.c.status, _links.c.amount, _links.c.amount_paid)
    ).one()
    # Nobody was to pay this any more. An attempt that was given up here and pays its open link is only told as late.
    unexpected = link.status not in links.OPEN or link.amount_paid > link.amount
    if unexpected:
        lifecycle.amend(session, payment, late=True)
    event_log.append(
        session,
        merchant_id=payment.merchant_id,
        link_id=payment.link_id,
        events=[*before, facts.succeeded(payment, late=given_up or unexpected)],
    )
    if link.status in links.OPEN:
        _move_link(session, payment, amount_paid=link.amount_paid, amount_left=link.amount - link.amount_paid)


def _move_link(session: Session, payment: Payment, *, amount_paid: int, amount_left: int) -> None:
    """The open link after money came: paid, or a part of it and the rest still to be paid."""
    data: dict[str, Any] = {"payment": payment.id, "amount_paid": amount_paid, "currency": payment.currency}
    part = amount_left > 0
    links.move(
        session,
        payment.link_id,
        merchant_id=payment.merchant_id,
        to=LinkStatus.PARTIALLY_PAID if part else LinkStatus.PAID,
        origin=Origin.SYSTEM,
        data=data | {"amount_left": amount_left} if part else data,
    )
    if not part:
        forget_tokens(session, payment.link_id)


def _canceled(session: Session, payment: Payment) -> None:
    if payment.fraud_outcome == Outcome.BLOCK:
        fail(session, payment, BLOCKED)
        return
    decided = payment.decision == Decision.RELEASE and payment.reviewed_by is not None
    unattended = decided and payment.reviewed_by == SYSTEM
    declined = decided and not unattended
    before, review = _review_ended(payment, Decision.RELEASE, "The authorisation ended at the provider")
    reason = REVIEW_DECLINED if declined else REVIEW_EXPIRED if unattended else "canceled"
    link = locks.hold(session, payment.link_id)
    canceled = lifecycle.move(
        session,
        payment,
        to=PaymentStatus.CANCELED,
        events=[*before, facts.canceled(payment, reason)],
        decline_code=REVIEW_DECLINED if declined else None,
        **review,
    )
    if canceled:
        locks.lock_if_due(session, link)


def _review_ended(payment: Payment, decision: Decision, reason: str) -> tuple[list[NewEvent], dict[str, Any]]:
    """A review whose money the provider moved before anybody had decided here: what is told, and what is kept."""
    if payment.status != PaymentStatus.IN_REVIEW:
        return [], {}
    word = "captured" if decision is Decision.CAPTURE else "released"
    told = facts.review_closed(payment, decision=word, by=PROVIDER, reason=reason, origin=Origin.PROVIDER)
    return [told], {"decision": decision.value, "reviewed_by": PROVIDER, "review_reason": reason}
