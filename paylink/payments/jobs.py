"""The durable jobs behind every attempt: nothing depends on the customer's page staying open or a webhook arriving."""

from datetime import datetime
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.db import database_now
from paylink.errors import Unavailable
from paylink.jobs import Handler, TryAgain
from paylink.kit.clock import utcnow
from paylink.payments import facts, insist, lifecycle
from paylink.payments.closing import GRACE, IDLE, resolve
from paylink.payments.models import LIVE, Payment, PaymentStatus, Refund, RefundStatus
from paylink.payments.refunds import REFUND_JOB, carry_out
from paylink.payments.service import FOLLOW_AFTER_S, FOLLOW_JOB, refresh
from paylink.payments.settle import RELEASE_JOB, settle
from paylink.psp.base import PspError, PspRefused

YOUNG_S: Final = 600

log = structlog.get_logger(__name__)


def handlers(ctx: Context) -> dict[str, Handler]:
    return {
        FOLLOW_JOB: partial(follow, ctx),
        RELEASE_JOB: partial(release, ctx),
        REFUND_JOB: partial(refund, ctx),
    }


async def follow(ctx: Context, payment_id: str) -> None:
    """Asks the provider until the attempt is over, and gives up one that its customer has left."""
    payment = await ctx.db.read(lambda session: session.get(Payment, payment_id))
    if payment is None or not _open(payment):
        return
    if payment.psp_payment_id is None:
        await ctx.db.transact(lambda session: _give_up_unborn(session, payment_id))
        return
    try:
        await refresh(ctx, payment_id)
        payment = await ctx.db.read(lambda session: session.get_one(Payment, payment_id))
        if payment.status in IDLE and payment.updated_at < await _now(ctx) - GRACE:
            await resolve(ctx, payment)
            payment = await ctx.db.read(lambda session: session.get_one(Payment, payment_id))
    except (PspError, Unavailable) as error:
        raise TryAgain(type(error).__name__, after_s=_patience_s(payment)) from error
    if _open(payment):
        raise TryAgain("still open", after_s=_patience_s(payment))


async def release(ctx: Context, payment_id: str) -> None:
    """Closes the provider's object of an attempt that failed, so that nobody can confirm it any more."""
    payment = await ctx.db.read(lambda session: session.get(Payment, payment_id))
    if payment is None or payment.psp_payment_id is None or payment.status == PaymentStatus.SUCCEEDED:
        return
    try:
        await _close_there(ctx, payment.id, payment.psp_payment_id)
    except PspError as error:
        raise TryAgain(type(error).__name__, after_s=_patience_s(payment)) from error


async def _close_there(ctx: Context, payment_id: str, psp_payment_id: str) -> None:
    try:
        await insist.cancel(ctx, payment_id, psp_payment_id)
    except PspRefused:
        theirs = await ctx.psp.get_payment(psp_payment_id)
        await ctx.db.transact(lambda session: settle(session, ctx.jobs, payment_id, theirs, livemode=ctx.psp.livemode))


async def refund(ctx: Context, refund_id: str) -> None:
    """Asks again for a refund whose first answer was lost; the key makes it one refund all the same. One that the
    provider is still working on is asked about until it is over."""
    try:
        made = await carry_out(ctx, refund_id)
    except PspRefused as refused:
        log.warning("refund_refused", refund=refund_id, code=refused.code)
    except PspError as error:
        made = await ctx.db.read(lambda session: session.get_one(Refund, refund_id))
        raise TryAgain(type(error).__name__, after_s=_patience_s(made)) from error
    else:
        if made.status == RefundStatus.PENDING:
            raise TryAgain("still pending", after_s=_patience_s(made))


async def _now(ctx: Context) -> datetime:
    """By the clock that wrote ``updated_at``: another process may have done so."""
    return await ctx.db.read(lambda session: session.scalars(sa.select(database_now())).one())


def _open(payment: Payment) -> bool:
    """Whether there is something to ask the provider about; a review waits for a person."""
    return payment.status in LIVE and payment.status != PaymentStatus.IN_REVIEW


def _patience_s(subject: Payment | Refund) -> float:
    """Often while it is young, so that what an outage held up is settled soon after it; a quarter of its age later on,
    which for a bank transfer of days is rarely."""
    age = (utcnow() - subject.created_at).total_seconds()
    return FOLLOW_AFTER_S if age < YOUNG_S else age / 4


def _give_up_unborn(session: Session, payment_id: str) -> None:
    """The process ended between the claim and the provider's answer, and the customer did not try again.

    The provider may have an object, which nobody can confirm: its secret was never handed out.
    """
    payment = lifecycle.locked(session, payment_id)
    if payment.psp_payment_id is None:
        lifecycle.move(session, payment, to=PaymentStatus.CANCELED, events=[facts.canceled(payment, "not_started")])
