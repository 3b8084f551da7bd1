"""An attempt to pay, from the customer's click to the captured money: claim, call the provider, settle.

No call to the provider happens inside a transaction. A call whose outcome is unknown leaves the payment as it is; the
webhook, the customer's own page and the follow-up job ask again, each under the same idempotency key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.context import Context
from paylink.db import database_now, table
from paylink.errors import Conflict, Unavailable
from paylink.events import log as event_log
from paylink.jobs import JobQueue
from paylink.kit.ids import new_id
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.payments import breaker, facts, insist, lifecycle
from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus
from paylink.payments.parts import payable
from paylink.payments.screening import reconsider, screen
from paylink.payments.settle import fail, mismatch, release_later, settle
from paylink.psp.base import (
    NewPayment,
    ProviderPayment,
    ProviderStatus,
    PspBusy,
    PspError,
    PspOutcomeUnknown,
    PspRefused,
)

log = structlog.get_logger(__name__)

FOLLOW_JOB: Final = "payments.follow"
# The page and the webhook settle almost every payment at once; the job is for those that both have lost.
FOLLOW_AFTER_S: Final = 20
ADDRESS_PURPOSE: Final = "payer-address"

_payments = table(Payment)


@dataclass(frozen=True, slots=True)
class Started:
    """``client_secret`` lets the customer's browser confirm this payment and nothing else; it is not kept."""

    payment_id: str
    client_secret: str
    amount: int
    currency: str

    def __repr__(self) -> str:
        return f"Started({self.payment_id})"


@dataclass(frozen=True, slots=True)
class _Claim:
    payment: Payment
    description: str


class OtherAmount(Conflict):
    """This session has an unconfirmed attempt of another amount, which has to be given up before this one begins."""

    def __init__(self, payment: Payment) -> None:
        super().__init__("This link is being paid just now", code="payment_in_progress")
        self.payment = payment


async def start(ctx: Context, *, link_id: str, session_id: str, address: str, amount: int | None = None) -> Started:
    """Begins an attempt, or gives this session its own unfinished one again.

    ``amount`` in minor units, for a link that is paid in parts; ``None`` for all that is left.

    Raises ``Invalid`` for an amount that cannot be paid, ``OtherAmount``, ``Conflict`` (``payment_in_progress``,
    ``link_not_active``, ``link_locked``, ``payment_refused``) and ``Unavailable``: ``payments_paused``, or the provider
    does not answer and trying again is safe.
    """
    claim = await ctx.db.transact(
        lambda session: _claim(session, ctx, link_id=link_id, session_id=session_id, address=address, amount=amount)
    )
    payment = claim.payment
    try:
        theirs = await _theirs(ctx, claim)
    except PspRefused as refused:
        if payment.psp_payment_id is not None:
            # The provider has the attempt and will not show it now, which says nothing of how it stands.
            raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from refused
        code = refused.code or "processing_error"
        log.warning("payment_refused", payment=payment.id, code=code)
        await ctx.db.transact(lambda session: _refused(session, payment.id, code))
        raise Conflict("This payment cannot be made; please contact the merchant", code="payment_refused") from None
    except PspError as error:
        raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from error
    live = await ctx.db.transact(lambda session: _attach(session, ctx, payment.id, theirs.id))
    if not live:
        raise Conflict("This payment was canceled meanwhile", code="link_not_active")
    if theirs.status is not ProviderStatus.REQUIRES_PAYMENT_METHOD or theirs.decline is not None:
        # Confirmed already, in another tab or with an answer that was lost: the page shows what became of it.
        await _catch_up(ctx, payment.id, theirs)
        raise Conflict("This link is being paid just now", code="payment_in_progress")
    if theirs.client_secret is None:
        raise Unavailable("The payment provider gave an incomplete answer; please try again", retry_after=2)
    return Started(payment.id, theirs.client_secret.get_secret_value(), payment.amount, payment.currency)


async def _catch_up(ctx: Context, payment_id: str, theirs: ProviderPayment) -> None:
    try:
        await apply(ctx, payment_id, theirs)
    except PspError as error:
        log.warning("payment_not_refreshed", payment=payment_id, error=type(error).__name__)


async def refresh(ctx: Context, payment_id: str) -> None:
    """Asks the provider how the payment stands and carries out what follows from it."""
    payment = await ctx.db.read(lambda session: session.get(Payment, payment_id))
    if payment is None or payment.psp_payment_id is None:
        return
    await apply(ctx, payment_id, await ctx.psp.get_payment(payment.psp_payment_id))


async def apply(ctx: Context, payment_id: str, theirs: ProviderPayment) -> None:
    """Takes over an object just read from the provider, then takes the steps it makes due."""
    payment = await ctx.db.transact(
        lambda session: settle(session, ctx.jobs, payment_id, theirs, livemode=ctx.psp.livemode)
    )
    if mismatch(payment, theirs, livemode=ctx.psp.livemode):
        return
    if payment.status == PaymentStatus.REQUIRES_CAPTURE and payment.fraud_outcome is None:
        payment = await ctx.db.transact(lambda session: screen(session, payment_id, theirs.risk))
    elif payment.status == PaymentStatus.REQUIRES_CAPTURE and payment.decision == Decision.CAPTURE:
        payment = await ctx.db.transact(lambda session: reconsider(session, payment_id))
    if payment.status == PaymentStatus.REQUIRES_CAPTURE and payment.decision is not None:
        await carry_out(ctx, payment)


def follow_later(session: Session, jobs: JobQueue, payment: Payment, *, occasion: str = "") -> None:
    """Sees to it that the attempt comes to its end. Each ``occasion`` makes a job of its own."""
    key = f"{FOLLOW_JOB}:{payment.id}{occasion and f':{occasion}'}"
    jobs.enqueue(session, FOLLOW_JOB, payment.id, key=key, delay_s=FOLLOW_AFTER_S)


async def carry_out(ctx: Context, payment: Payment) -> None:
    """Captures or releases what was authorised, as was decided."""
    if payment.decision == Decision.CAPTURE:
        await _step(ctx, payment, lambda: insist.capture(ctx, payment))
    else:
        await _step(ctx, payment, lambda: insist.cancel(ctx, payment.id, payment.psp_payment_id or ""))


def live_payment(session: Session, link_id: str) -> Payment | None:
    query = sa.select(Payment).where(Payment.link_id == link_id, Payment.status.in_([s.value for s in LIVE]))
    return session.scalars(query).one_or_none()


def by_psp_id(session: Session, psp_payment_id: str) -> str | None:
    return session.scalar(sa.select(Payment.id).where(Payment.psp_payment_id == psp_payment_id))


def adopt(session: Session, payment_id: str, psp_payment_id: str) -> str | None:
    """Ties a provider's object to the attempt it names, when that attempt still waits for the answer that made it."""
    payment = session.get(Payment, payment_id)
    if payment is None or payment.psp_payment_id not in {None, psp_payment_id}:
        return None
    payment.psp_payment_id = psp_payment_id
    session.flush()
    return payment.id


async def _step(ctx: Context, payment: Payment, call: Callable[[], Awaitable[ProviderPayment]]) -> None:
    try:
        theirs = await call()
    except PspRefused as refused:
        # Somebody else was quicker, or the authorisation has ended: the object itself says which.
        log.info("provider_step_refused", payment=payment.id, code=refused.code)
        theirs = await ctx.psp.get_payment(payment.psp_payment_id or "")
    except (PspOutcomeUnknown, PspBusy) as error:
        log.warning("provider_step_unknown", payment=payment.id, error=type(error).__name__)
        return
    await ctx.db.transact(lambda session: settle(session, ctx.jobs, payment.id, theirs, livemode=ctx.psp.livemode))


async def _theirs(ctx: Context, claim: _Claim) -> ProviderPayment:
    payment = claim.payment
    if payment.psp_payment_id is not None:
        return await ctx.psp.get_payment(payment.psp_payment_id)
    return await ctx.psp.create_payment(
        NewPayment(
            amount=payment.amount,
            currency=payment.currency,
            description=claim.description,
            metadata={
                "payment_id": payment.id,
                "link_id": payment.link_id,
                "merchant_id": payment.merchant_id,
            },
            idempotency_key=f"{payment.id}:create",
        )
    )


def _claim(
    session: Session, ctx: Context, *, link_id: str, session_id: str, address: str, amount: int | None
) -> _Claim:
    link, now = session.execute(
        sa.select(PaymentLink, database_now()).where(PaymentLink.id == link_id).with_for_update()
    ).one()
    live = live_payment(session, link_id)
    # Whoever began in time may finish.
    if link.status not in OPEN or (live is None and link.expires_at <= now):
        raise Conflict("This link can no longer be paid", code="link_not_active")
    merchant = session.get_one(Merchant, link.merchant_id)
    description = link.description or f"Payment to {merchant.name}"
    if live is not None and (live.session_id, live.status) != (session_id, PaymentStatus.REQUIRES_PAYMENT_METHOD):
        raise Conflict("This link is being paid just now", code="payment_in_progress")
    if link.locked_at is not None:
        raise Conflict("There were too many tries; please contact the merchant", code="link_locked")
    breaker.refuse_if_paused(merchant, now)
    due = payable(link, amount, ctx.psp.charging(link.currency))
    if live is not None:
        if live.amount != due:
            raise OtherAmount(live)
        return _Claim(live, description)
    count = sa.select(sa.func.coalesce(sa.func.max(Payment.attempt), 0)).where(Payment.link_id == link_id)
    attempts = session.scalar(count) or 0
    payment = Payment(
        id=new_id("pay"),
        link_id=link_id,
        merchant_id=link.merchant_id,
        customer_id=link.customer_id,
        session_id=session_id,
        address_hash=_address_hash(ctx, address),
        attempt=attempts + 1,
        status=PaymentStatus.REQUIRES_PAYMENT_METHOD.value,
        amount=due,
        currency=link.currency,
        psp=ctx.psp.name,
    )
    session.add(payment)
    session.flush()
    event_log.append(session, merchant_id=link.merchant_id, link_id=link_id, events=[facts.submitted(payment)])
    follow_later(session, ctx.jobs, payment)
    return _Claim(payment, description)


def _address_hash(ctx: Context, address: str) -> bytes | None:
    """Only a public address says something of who is there; a private one is a proxy's, or one's own machine."""
    try:
        public = ip_address(address).is_global
    except ValueError:
        return None
    return ctx.keyring.digest(address, purpose=ADDRESS_PURPOSE) if public else None


def _attach(session: Session, ctx: Context, payment_id: str, psp_payment_id: str) -> bool:
    """Notes the provider's object, even of an attempt that was given up meanwhile: it is closed then."""
    payment = lifecycle.locked(session, payment_id)
    payment.psp_payment_id = psp_payment_id
    session.flush()
    if payment.status in LIVE:
        return True
    release_later(session, ctx.jobs, payment)
    return False


def _refused(session: Session, payment_id: str, code: str) -> None:
    fail(session, lifecycle.locked(session, payment_id), code)
