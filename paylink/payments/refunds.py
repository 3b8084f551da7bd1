"""Giving money back: never more than was captured, however many ask at once."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.scope import Principal
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.context import Context
from paylink.db import table
from paylink.errors import Conflict, Invalid, NotFound
from paylink.events import log as event_log
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from paylink.payments import disputes, facts, finding, lifecycle
from paylink.payments.models import Payment, PaymentStatus, Refund, RefundStatus
from paylink.payments.review import own_payment
from paylink.payments.settle import PROVIDER, mismatches
from paylink.psp import base as psp
from paylink.psp.base import Charging, ProviderRefund, PspError, PspKeySpent, PspRefused

log = structlog.get_logger(__name__)

REFUND_JOB: Final = "payments.refund"
RETRY_AFTER_S: Final = 10
# Stripe forgets idempotency keys after a day, or a little more; a repeat would then be a second refund.
KEY_LIFE: Final = timedelta(hours=20)
# The provider's code for what we may not have heard of yet.
DISPUTED_THERE: Final = "charge_disputed"

_links = table(PaymentLink)
_payments = table(Payment)
_refunds = table(Refund)


async def refund(
    ctx: Context, principal: Principal, payment_id: str, *, amount: int | None, reason: str | None
) -> Refund:
    """``amount`` in minor units; ``None`` for all that is left. Until the provider has answered, it is pending."""
    return await ask(ctx, await reserve(ctx, principal, payment_id, amount=amount, reason=reason))


async def reserve(
    ctx: Context,
    principal: Principal,
    payment_id: str,
    *,
    amount: int | None,
    reason: str | None,
    claim: idempotency.Request | None = None,
) -> str:
    """Writes the refund down, from where on it is made even if nobody asks again. Its id."""

    def work(session: Session) -> str:
        made = _reserve(session, ctx, principal, payment_id=payment_id, amount=amount, reason=reason)
        idempotency.effect(session, claim, made.id)
        return made.id

    return await ctx.db.transact(work)


async def ask(ctx: Context, refund_id: str) -> Refund:
    """Asks the provider for a refund that was reserved. Raises ``Conflict`` when it refuses."""
    try:
        return await carry_out(ctx, refund_id)
    except PspRefused as refused:
        if refused.code == DISPUTED_THERE:
            raise _disputed() from None
        raise Conflict("The payment provider refused this refund", code="refund_refused") from None
    except PspError as error:
        log.warning("refund_unknown", refund=refund_id, error=type(error).__name__)
        return await ctx.db.read(lambda session: session.get_one(Refund, refund_id))


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
    # The key that would keep it from being made twice may be of no use any more.
    doubtful = made.psp_key > 1 or made.created_at < utcnow() - KEY_LIFE
    if doubtful and (found := await _made_there(ctx, payment, made)) is not None:
        return await ctx.db.transact(lambda session: settle_refund(session, refund_id, found))
    try:
        theirs = await ctx.psp.refund(
            payment.psp_payment_id or "",
            amount=made.amount,
            currency=made.currency,
            metadata={"refund_id": made.id, "payment_id": payment.id},
            idempotency_key=f"{made.id}:refund" + (f":{made.psp_key}" if made.psp_key > 1 else ""),
        )
    except PspKeySpent:
        await ctx.db.transact(lambda session: _next_key(session, made))
        raise
    except PspRefused as refused:
        code = refused.code or "refused"
        await ctx.db.transact(lambda session: _fail(session, refund_id, code))
        raise
    return await ctx.db.transact(lambda session: settle_refund(session, refund_id, theirs))


async def _made_there(ctx: Context, payment: Payment, made: Refund) -> ProviderRefund | None:
    after: str | None = None
    while True:
        page = await ctx.psp.list_refunds(payment.psp_payment_id or "", after=after)
        for theirs in page.items:
            if theirs.metadata.get("refund_id") == made.id:
                return theirs
        if page.next is None:
            return None
        after = page.next


def _next_key(session: Session, made: Refund) -> None:
    """Once, however many found this one spent."""
    spent = sa.and_(_refunds.c.id == made.id, _refunds.c.psp_key == made.psp_key)
    session.execute(sa.update(_refunds).where(spent).values(psp_key=made.psp_key + 1))


def settle_refund(session: Session, refund_id: str, theirs: ProviderRefund) -> Refund:
    """Takes over what the provider says of a refund, once. A refund can fail days after it succeeded.

    Does nothing, loudly, for an answer that does not fit: never is more given back than was captured.
    """
    made = session.scalars(sa.select(Refund).where(Refund.id == refund_id)).one()
    payment = lifecycle.locked(session, made.payment_id)
    session.refresh(made)
    if (theirs.amount, theirs.currency.upper()) != (made.amount, made.currency):
        _mismatched(theirs, "refund", payment)
        return made
    succeeds = theirs.status is psp.RefundStatus.SUCCEEDED and made.status == RefundStatus.PENDING
    if succeeds and payment.amount_refunded + made.amount > payment.amount_captured:
        _mismatched(theirs, "refund_amount", payment)
        return made
    made.psp_refund_id = theirs.id
    made.failure_reason = theirs.failure_reason
    session.flush()
    if succeeds:
        _mark(session, payment, made, RefundStatus.SUCCEEDED, change=made.amount)
    elif theirs.status is psp.RefundStatus.FAILED and made.status != RefundStatus.FAILED:
        change = -made.amount if made.status == RefundStatus.SUCCEEDED else 0
        _mark(session, payment, made, RefundStatus.FAILED, change=change)
    return made


async def refresh(ctx: Context, psp_refund_id: str) -> None:
    """Reads a refund at the provider and takes it over, whoever asked for it. Raises ``PspError``."""
    theirs = await ctx.psp.get_refund(psp_refund_id)
    payment_id = await finding.ours(ctx, theirs.payment_id) if theirs.payment_id else None
    if payment_id is None:
        return
    await finding.captured(ctx, payment_id)
    await ctx.db.transact(lambda session: take_over(session, ctx.jobs, payment_id, theirs))


def take_over(session: Session, jobs: JobQueue, payment_id: str, theirs: ProviderRefund) -> Refund | None:
    """The refund as it is now; one that was made at the provider's own desk becomes a row here, by ``provider``.

    ``None``, loudly, for one that does not fit the payment. Ours that still wait for an answer do not count against
    it: the provider has given this money back, and will refuse what is too much.
    """
    payment = lifecycle.locked(session, payment_id)
    if known := _known(session, payment, theirs):
        return settle_refund(session, known, theirs)
    if wrong := _unfit(payment, theirs):
        _mismatched(theirs, wrong, payment)
        return None
    made = Refund(
        id=new_id("re"),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=theirs.amount,
        currency=payment.currency,
        status=RefundStatus.PENDING.value,
        psp_refund_id=theirs.id,
        created_by=PROVIDER,
    )
    session.add(made)
    session.flush()
    if theirs.status is psp.RefundStatus.PENDING:
        jobs.enqueue(session, REFUND_JOB, made.id, key=f"{REFUND_JOB}:{made.id}", delay_s=RETRY_AFTER_S)
    return settle_refund(session, made.id, theirs)


def of_payment(session: Session, payment_id: str, *, limit: int, starting_after: str | None = None) -> list[Refund]:
    """Newest first. Raises ``NotFound`` for a cursor that is no refund of this payment."""
    query = sa.select(Refund).where(Refund.payment_id == payment_id)
    if starting_after is not None:
        cursor = session.get(Refund, starting_after)
        if cursor is None or cursor.payment_id != payment_id:
            raise NotFound("No such refund of this payment")
        query = query.where(Refund.id < cursor.id)
    return list(session.scalars(query.order_by(Refund.id.desc()).limit(limit)))


def by_psp_id(session: Session, psp_refund_id: str) -> str | None:
    return session.scalar(sa.select(Refund.id).where(Refund.psp_refund_id == psp_refund_id))


def _known(session: Session, payment: Payment, theirs: ProviderRefund) -> str | None:
    """By the provider's id, or by ours in its metadata for one whose answer we have not seen."""
    waiting = sa.and_(
        Refund.id == theirs.metadata.get("refund_id", ""),
        Refund.psp_refund_id.is_(None),
        Refund.status == RefundStatus.PENDING.value,
    )
    query = sa.select(Refund.id).where(
        Refund.payment_id == payment.id, sa.or_(Refund.psp_refund_id == theirs.id, waiting)
    )
    return session.scalar(query)


def _unfit(payment: Payment, theirs: ProviderRefund) -> str | None:
    if payment.psp_payment_id is None or theirs.payment_id != payment.psp_payment_id:
        return "refund_payment"
    if theirs.currency.upper() != payment.currency:
        return "refund_currency"
    gone = theirs.status is psp.RefundStatus.FAILED
    if theirs.amount <= 0 or (not gone and payment.amount_refunded + theirs.amount > payment.amount_captured):
        return "refund_amount"
    return None


def _mismatched(theirs: ProviderRefund, what: str, payment: Payment) -> None:
    mismatches.labels(what).inc()
    log.error("provider_mismatch", payment=payment.id, refund=theirs.id, what=what)


def _disputed() -> Conflict:
    return Conflict("The payer's bank has taken this money back or is about to", code="payment_disputed")


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
    if disputes.prevents_refund(session, payment.id):
        raise _disputed()
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
    _check_step(ctx.psp.charging(payment.currency), amount)
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
    asked = {"payment": payment.id, "amount": made.amount, "currency": made.currency, "reason": reason}
    audit.note(session, ctx.keyring, principal, Action.REFUND_REQUESTED, subject=made.id, details=asked)
    return made


def _check_step(charging: Charging | None, amount: int | None) -> None:
    """Refused here, where the agent can put it right, and not by the provider after the refund was written down."""
    if amount is not None and charging is not None and amount % charging.step:
        raise Invalid.one(
            "amount", "amount_not_chargeable", f"must be a multiple of {charging.step} in this currency's minor unit"
        )


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
