"""How a payment that the fraud check holds comes free: by an agent, at the provider, or because time runs out.

The provider may have a review of its own beside our hold, which is closed at its own desk. What was decided there is
carried out here; a word that says nothing of the money leaves the decision to our agents.

An authorisation lapses some days after it was given. A day before, the agents are told; an hour before, the money is
let go: the customer can pay again, which beats a decision that comes too late to be carried out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.scope import Principal
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.context import Context
from paylink.db import database_now
from paylink.errors import Conflict, NotFound, Unavailable
from paylink.events.types import Origin
from paylink.links.models import PaymentLink
from paylink.payments import facts, lifecycle
from paylink.payments.models import Decision, Payment, PaymentStatus
from paylink.payments.parts import fits
from paylink.payments.service import carry_out, follow_later, refresh
from paylink.payments.settle import PROVIDER, SYSTEM
from paylink.psp.base import ProviderReview, PspError

log = structlog.get_logger(__name__)

WORDS: Final = {Decision.CAPTURE: "approved", Decision.RELEASE: "declined"}
RELEASED: Final = "released"
WARN_BEFORE: Final = timedelta(hours=24)
LET_GO_BEFORE: Final = timedelta(hours=1)
UNATTENDED: Final = "Nobody decided before the authorisation was about to end"
PAID_MEANWHILE: Final = "Another attempt has paid this link"
SWEEP_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision, and whose: ``actor`` as in ``Payment.reviewed_by``, ``name`` and ``word`` for people."""

    decision: Decision
    actor: str
    name: str
    origin: Origin
    word: str
    action: Action
    reason: str | None


async def decide(
    ctx: Context,
    principal: Principal,
    payment_id: str,
    decision: Decision,
    *,
    reason: str | None,
    claim: idempotency.Request | None = None,
) -> None:
    """Raises ``NotFound``, or ``Conflict``: ``payment_not_in_review`` when nothing is held any more,
    ``link_not_active`` when a capture would pay the link twice."""

    def work(session: Session) -> Payment:
        idempotency.effect(session, claim, payment_id)
        return _decide(session, ctx, principal, payment_id, decision=decision, reason=reason)

    payment = await ctx.db.transact(work)
    try:
        await carry_out(ctx, payment)
    except PspError as error:
        # The decision stands and is carried out by the job that follows the payment.
        raise Unavailable("Decided; the payment provider did not answer yet", retry_after=5) from error


def own_payment(session: Session, principal: Principal, payment_id: str) -> Payment:
    query = sa.select(Payment).where(Payment.id == payment_id, Payment.merchant_id == principal.merchant_id)
    payment = session.scalars(query).one_or_none()
    if payment is None:
        raise NotFound("No such payment")
    return payment


async def closed_at_provider(ctx: Context, payment_id: str, theirs: ProviderReview) -> None:
    """Carries out what was decided at the provider's own desk, unless somebody has decided here. Raises ``PspError``.

    ``theirs`` was just read from the provider, and so was the payment.
    """
    approved = theirs.approved
    if approved is None or theirs.livemode != ctx.psp.livemode:
        return
    payment = await ctx.db.transact(
        lambda session: _decided_there(session, ctx, payment_id, approved=approved, theirs=theirs)
    )
    if payment is not None:
        await carry_out(ctx, payment)


async def watch_holds(ctx: Context) -> None:
    """Sees to the holds whose authorisation ends soon: a word to the agents first, then the end."""
    now, held = await ctx.db.read(_ending)
    for payment_id, capture_before in held:
        if capture_before - LET_GO_BEFORE > now:
            await ctx.db.transact(lambda session, payment_id=payment_id: _warn(session, payment_id))  # type: ignore[misc]
        else:
            await _let_go(ctx, payment_id)


async def _let_go(ctx: Context, payment_id: str) -> None:
    try:
        # The authorisation may have been extended, or used; letting go cannot be taken back.
        await refresh(ctx, payment_id)
        payment = await ctx.db.transact(lambda session: _unattended(session, ctx, payment_id))
        if payment is not None:
            await carry_out(ctx, payment)
    except PspError as error:
        # Not asked: the next sweep asks again. Decided: the job that follows the payment carries it out.
        log.warning("hold_not_released", payment=payment_id, error=type(error).__name__)


def _ending(session: Session) -> tuple[datetime, list[tuple[str, datetime]]]:
    now = session.scalars(sa.select(database_now())).one()
    due = sa.or_(
        Payment.capture_before <= now + LET_GO_BEFORE,
        sa.and_(Payment.capture_before <= now + WARN_BEFORE, Payment.review_warned_at.is_(None)),
    )
    query = (
        sa.select(Payment.id, Payment.capture_before)
        .where(Payment.status == PaymentStatus.IN_REVIEW.value, due)
        .order_by(Payment.capture_before)
        .limit(SWEEP_PAGE)
    )
    return now, [(row.id, row.capture_before) for row in session.execute(query)]


def _warn(session: Session, payment_id: str) -> None:
    payment = lifecycle.locked(session, payment_id)
    if payment.status != PaymentStatus.IN_REVIEW or payment.review_warned_at or payment.capture_before is None:
        return
    told = facts.review_expiring(payment, payment.capture_before)
    lifecycle.amend(session, payment, events=[told], review_warned_at=session.scalar(sa.select(database_now())))


def _unattended(session: Session, ctx: Context, payment_id: str) -> Payment | None:
    payment = lifecycle.locked(session, payment_id)
    now = session.scalars(sa.select(database_now())).one()
    if payment.capture_before is None or payment.capture_before - LET_GO_BEFORE > now:
        return None
    verdict = Verdict(
        decision=Decision.RELEASE,
        actor=SYSTEM,
        name=SYSTEM,
        origin=Origin.SYSTEM,
        word=RELEASED,
        action=Action.REVIEW_RELEASED,
        reason=UNATTENDED,
    )
    return payment if _close(session, ctx, payment, verdict) else None


def _decided_there(
    session: Session, ctx: Context, payment_id: str, *, approved: bool, theirs: ProviderReview
) -> Payment | None:
    payment = lifecycle.locked(session, payment_id)
    if payment.psp_payment_id != theirs.payment_id:
        return None
    paid = approved and not fits(session.get_one(PaymentLink, payment.link_id), payment.amount)
    capture = approved and not paid
    verdict = Verdict(
        decision=Decision.CAPTURE if capture else Decision.RELEASE,
        actor=PROVIDER,
        name=PROVIDER,
        origin=Origin.PROVIDER,
        word=WORDS[Decision.CAPTURE] if capture else RELEASED,
        action=Action.REVIEW_APPROVED if capture else Action.REVIEW_RELEASED,
        reason=PAID_MEANWHILE if paid else theirs.reason,
    )
    return payment if _close(session, ctx, payment, verdict) else None


def _decide(
    session: Session, ctx: Context, principal: Principal, payment_id: str, *, decision: Decision, reason: str | None
) -> Payment:
    payment = own_payment(session, principal, payment_id)
    held = payment.status == PaymentStatus.IN_REVIEW
    link = session.get_one(PaymentLink, payment.link_id)
    if held and decision is Decision.CAPTURE and not fits(link, payment.amount):
        raise Conflict("Another attempt has paid this link; this payment can only be declined", code="link_not_active")
    verdict = Verdict(
        decision=decision,
        actor=principal.actor,
        name=principal.name,
        origin=principal.origin,
        word=WORDS[decision],
        action=Action.REVIEW_APPROVED if decision is Decision.CAPTURE else Action.REVIEW_DECLINED,
        reason=reason,
    )
    if not _close(session, ctx, payment, verdict):
        raise Conflict("This payment is not held for review", code="payment_not_in_review")
    return payment


def _close(session: Session, ctx: Context, payment: Payment, verdict: Verdict) -> bool:
    """Ends the hold, once. Who and why are kept with the payment, told, and recorded."""
    closed = facts.review_closed(
        payment, decision=verdict.word, by=verdict.name, reason=verdict.reason, origin=verdict.origin
    )
    moved = lifecycle.move(
        session,
        payment,
        to=PaymentStatus.REQUIRES_CAPTURE,
        frm=[PaymentStatus.IN_REVIEW],
        events=[closed],
        decision=verdict.decision.value,
        reviewed_by=verdict.actor,
        review_reason=verdict.reason,
    )
    if not moved:
        return False
    # The job that followed the attempt has ended with the review's beginning.
    follow_later(session, ctx.jobs, payment, occasion="decided")
    audit.record(
        session,
        ctx.keyring,
        merchant_id=payment.merchant_id,
        actor=verdict.actor,
        actor_name=verdict.name,
        action=verdict.action,
        subject=payment.id,
        details={"reason": verdict.reason, "amount": payment.amount, "currency": payment.currency},
    )
    return True
