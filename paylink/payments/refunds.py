"""Giving money back: never more than was captured, however many ask at once."""

from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.context import Context
from paylink.db import table
from paylink.errors import Conflict, Invalid
from paylink.events import log as event_log
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from paylink.payments import facts, lifecycle
from paylink.payments.models import Payment, PaymentStatus, Refund, RefundStatus
from paylink.payments.review import own_payment
from paylink.psp import base as psp
from paylink.psp.base import ProviderRefund, PspError, PspRefused

log = structlog.get_logger(__name__)

REFUND_JOB: Final = "payments.refund"
RETRY_AFTER_S: Final = 10

_links = table(PaymentLink)
_payments = table(Payment)
_refunds = table(Refund)


async def refund(
    ctx: Context, principal: Principal, payment_id: str, *, amount: int | None, reason: str | None
) -> Refund:
    """``amount`` in minor units; ``None`` for all that is left. Until the provider has answered, it is pending."""
    made = await ctx.db.transact(
        lambda session: _reserve(session, ctx, principal, payment_id=payment_id, amount=amount, reason=reason)
    )
    try:
        return await carry_out(ctx, made.id)
    except PspRefused:
        raise Conflict("The payment provider refused this refund", code="refund_refused") from None
    except PspError as error:
        log.warning("refund_unknown", refund=made.id, error=type(error).__name__)
        return made


async def carry_out(ctx: Context, refund_id: str) -> Refund:
    """Asks the provider, under a key that makes a repeat harmless. Raises ``PspError``."""

    def find(session: Session) -> tuple[Refund, Payment]:
        found = session.get_one(Refund, refund_id)
        return found, session.get_one(Payment, found.payment_id)

    made, payment = await ctx.db.read(find)
    if made.status != RefundStatus.PENDING:
        return made
    if made.psp_refund_id is not None:
        # It has it, and the answer to the first request would only be repeated.
        theirs = await ctx.psp.get_refund(made.psp_refund_id)
        return await ctx.db.transact(lambda session: settle_refund(session, refund_id, theirs))
    try:
        theirs = await ctx.psp.refund(
            payment.psp_payment_id or "",
            amount=made.amount,
            currency=made.currency,
            metadata={"refund_id": made.id, "payment_id": payment.id},
            idempotency_key=f"{made.id}:refund",
        )
    except PspRefused as refused:
        code = refused.code or "refused"
        await ctx.db.transact(lambda session: _fail(session, refund_id, code))
        raise
    return await ctx.db.transact(lambda session: settle_refund(session, refund_id, theirs))


def settle_refund(session: Session, refund_id: str, theirs: ProviderRefund) -> Refund:
    """Takes over what the provider says of a refund, once. A refund can fail days after it succeeded."""
    made = session.scalars(sa.select(Refund).where(Refund.id == refund_id)).one()
    payment = lifecycle.locked(session, made.payment_id)
    session.refresh(made)
    if theirs.amount != made.amount or theirs.currency.upper() != made.currency:
        log.error("provider_mismatch", refund=made.id)
        return made
    made.psp_refund_id = theirs.id
    made.failure_reason = theirs.failure_reason
    session.flush()
    if theirs.status is psp.RefundStatus.SUCCEEDED and made.status == RefundStatus.PENDING:
        _mark(session, payment, made, RefundStatus.SUCCEEDED, change=made.amount)
    elif theirs.status is psp.RefundStatus.FAILED and made.status != RefundStatus.FAILED:
        change = -made.amount if made.status == RefundStatus.SUCCEEDED else 0
        _mark(session, payment, made, RefundStatus.FAILED, change=change)
    return made


def by_psp_id(session: Session, psp_refund_id: str) -> str | None:
    return session.scalar(sa.select(Refund.id).where(Refund.psp_refund_id == psp_refund_id))


def _reserve(
    session: Session,
    ctx: Context,
    principal: Principal,
    *,
    payment_id: str,
    amount: int | None,
    reason: str | None,
) -> Refund:
    """Under the payment's lock: refunds at work count as given, so that together they cannot exceed the capture."""
    payment = lifecycle.locked(session, own_payment(session, principal, payment_id).id)
    if payment.status != PaymentStatus.SUCCEEDED:
        raise Conflict("Only a payment that succeeded can be refunded", code="payment_not_refundable")
    pending = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(Refund.amount), 0)).where(
            Refund.payment_id == payment.id, Refund.status == RefundStatus.PENDING
        )
    )
    left = payment.amount_captured - payment.amount_refunded - int(pending or 0)
    if left <= 0:
        raise Conflict("Everything that was paid has been refunded", code="already_refunded")
    if amount is not None and amount > left:
        raise Invalid.one("amount", "amount_too_large", f"At most {left} is left to refund")
    made = Refund(
        id=new_id("re"),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=amount or left,
        currency=payment.currency,
        status=RefundStatus.PENDING.value,
        reason=reason,
        created_by=principal.actor,
    )
    session.add(made)
    session.flush()
    ctx.jobs.enqueue(session, REFUND_JOB, made.id, key=f"{REFUND_JOB}:{made.id}", delay_s=RETRY_AFTER_S)
    return made


def _fail(session: Session, refund_id: str, code: str) -> None:
    made = session.scalars(sa.select(Refund).where(Refund.id == refund_id)).one()
    payment = lifecycle.locked(session, made.payment_id)
    session.refresh(made)
    if made.status == RefundStatus.PENDING:
        made.failure_reason = code
        session.flush()
        _mark(session, payment, made, RefundStatus.FAILED, change=0)


def _mark(session: Session, payment: Payment, made: Refund, status: RefundStatus, *, change: int) -> None:
    """``change``: what is added to the refunded sums of payment and link."""
    session.execute(
        sa.update(_refunds).where(_refunds.c.id == made.id).values(status=status.value, updated_at=utcnow())
    )
    if change:
        for target, key in ((_payments, payment.id), (_links, payment.link_id)):
            session.execute(
                sa.update(target).where(target.c.id == key).values(amount_refunded=target.c.amount_refunded + change)
            )
    session.refresh(made)
    event = facts.refunded(made) if status is RefundStatus.SUCCEEDED else facts.refund_failed(made)
    event_log.append(session, merchant_id=payment.merchant_id, link_id=payment.link_id, events=[event])
