"""A person decides about a payment that the fraud check holds."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.context import Context
from paylink.errors import Conflict, NotFound, Unavailable
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.payments import facts, lifecycle
from paylink.payments.models import Decision, Payment, PaymentStatus
from paylink.payments.service import carry_out, follow_later
from paylink.psp.base import PspError

WORDS: Final = {Decision.CAPTURE: "approved", Decision.RELEASE: "declined"}


async def decide(
    ctx: Context, principal: Principal, payment_id: str, decision: Decision, *, reason: str | None
) -> None:
    """Raises ``NotFound``, or ``Conflict``: ``payment_not_in_review`` when nothing is held any more,
    ``link_not_active`` when a capture would pay the link twice."""
    payment = await ctx.db.transact(
        lambda session: _decide(session, ctx, principal, payment_id, decision=decision, reason=reason)
    )
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


def _decide(
    session: Session, ctx: Context, principal: Principal, payment_id: str, *, decision: Decision, reason: str | None
) -> Payment:
    payment = own_payment(session, principal, payment_id)
    held = payment.status == PaymentStatus.IN_REVIEW
    if held and decision is Decision.CAPTURE and session.get_one(PaymentLink, payment.link_id).status not in OPEN:
        raise Conflict("Another attempt has paid this link; this payment can only be declined", code="link_not_active")
    closed = facts.review_closed(
        payment, decision=WORDS[decision], by=principal.name, reason=reason, origin=principal.origin
    )
    moved = lifecycle.move(
        session,
        payment,
        to=PaymentStatus.REQUIRES_CAPTURE,
        frm=[PaymentStatus.IN_REVIEW],
        events=[closed],
        decision=decision.value,
        reviewed_by=principal.actor,
        review_reason=reason,
    )
    if not moved:
        raise Conflict("This payment is not held for review", code="payment_not_in_review")
    # The job that followed the attempt has ended with the review's beginning.
    follow_later(session, ctx.jobs, payment, occasion="decided")
    return payment
