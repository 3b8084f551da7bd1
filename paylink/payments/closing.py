"""Ending a link while somebody may be paying it: the attempt is resolved at the provider first, and paid wins."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.scope import Principal
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.context import Context
from paylink.db import database_now
from paylink.delivery.service import forget_tokens
from paylink.errors import Conflict, Unavailable
from paylink.events.types import Origin
from paylink.links import lifecycle as links
from paylink.links import service
from paylink.links.models import LinkStatus, PaymentLink
from paylink.payments import facts, insist, lifecycle, review
from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus
from paylink.payments.service import apply, carry_out, live_payment
from paylink.psp.base import ProviderPayment, PspError, PspRefused

log = structlog.get_logger(__name__)

# A customer who is typing, or proving who they are, when the link ends may finish; GOV.UK Pay waits as long.
GRACE: Final = timedelta(seconds=300)
# An attempt in one of these waits for the customer; in the others money is on its way, or a person decides.
IDLE: Final = (PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_ACTION)
SWEEP_PAGE: Final = 100
# Each costs a call or two to the provider.
GIVE_UP_PAGE: Final = 20


async def cancel_link(
    ctx: Context, principal: Principal, link_id: str, *, claim: idempotency.Request | None = None
) -> None:
    """Raises ``Conflict`` (``link_not_active``) when the link has ended, be it paid at this very moment."""

    def find(session: Session) -> Payment | None:
        link = service.get(session, principal, link_id)
        if link.status not in links.OPEN:
            raise _ended(link.status)
        return live_payment(session, link_id)

    payment = await ctx.db.read(find)
    if payment is not None:
        await _end_attempt(ctx, principal, payment)

    def close(session: Session) -> None:
        link = _lock(session, link_id)
        if link.status not in links.OPEN or live_payment(session, link_id) is not None:
            raise _ended(link.status)
        links.move(
            session,
            link_id,
            merchant_id=link.merchant_id,
            to=LinkStatus.CANCELED,
            origin=principal.origin,
            data={"by": principal.name, **_paid_so_far(link)},
        )
        forget_tokens(session, link_id)
        audit.note(session, ctx.keyring, principal, Action.LINK_CANCELED, subject=link_id)
        idempotency.effect(session, claim, link_id)

    await ctx.db.transact(close)


def cancel_idle(session: Session, link_id: str, *, by: str) -> bool:
    """Cancels a link for its customer (``by`` says so to the agent), unless it has ended or somebody is paying it: then
    it is left as it is. Whether it is canceled now, be it by this call or by an earlier one."""
    link = _lock(session, link_id)
    if link.status in links.OPEN and live_payment(session, link_id) is None:
        links.move(
            session,
            link_id,
            merchant_id=link.merchant_id,
            to=LinkStatus.CANCELED,
            origin=Origin.PAYER,
            data={"by": by, **_paid_so_far(link)},
        )
        forget_tokens(session, link_id)
        return True
    return link.status == LinkStatus.CANCELED


async def expire_due(ctx: Context) -> int:
    """Ends the links whose time is over; returns how many. Attempts at hand keep a link open for a while."""
    ended = 0
    for payment in await ctx.db.read(_forsaken):
        await _given_up(ctx, payment)
    for link_id in await ctx.db.read(_over):
        ended += await ctx.db.transact(lambda session, link_id=link_id: _expire(session, link_id))  # type: ignore[misc]
    return ended


def _over(session: Session) -> Sequence[str]:
    """Links whose time is over and that no attempt keeps open, the longest overdue first."""
    live = sa.exists().where(Payment.link_id == PaymentLink.id, Payment.status.in_([s.value for s in LIVE]))
    query = sa.select(PaymentLink.id).where(_due(), ~live).order_by(PaymentLink.expires_at).limit(SWEEP_PAGE)
    return session.scalars(query).all()


def _forsaken(session: Session) -> Sequence[Payment]:
    """Attempts that keep such a link open and that nobody goes on with. The jobs that follow them come here sooner or
    later; any few of them, since some may be beyond giving up, and must not stand before the others for ever."""
    query = (
        sa.select(Payment)
        .join(PaymentLink, PaymentLink.id == Payment.link_id)
        .where(_due(), Payment.status.in_([s.value for s in IDLE]), Payment.updated_at <= _now(ago=GRACE))
        .order_by(sa.func.random())
        .limit(GIVE_UP_PAGE)
    )
    return session.scalars(query).all()


def _due() -> sa.ColumnElement[bool]:
    return sa.and_(PaymentLink.status.in_([s.value for s in links.OPEN]), PaymentLink.expires_at <= _now())


def _now(*, ago: timedelta = timedelta()) -> sa.ScalarSelect[datetime]:
    """Asked once and not for every row: only then can PostgreSQL look for it in an index."""
    return sa.select(database_now(ago=ago)).scalar_subquery()


async def _given_up(ctx: Context, payment: Payment) -> None:
    with suppress(Unavailable):
        await resolve(ctx, payment)


async def _end_attempt(ctx: Context, principal: Principal, payment: Payment) -> None:
    """Whoever cancels the link of a payment that is held has decided about it, unless somebody has done so before: of
    two who decide against each other one is told so, and what was approved is captured."""
    if payment.status == PaymentStatus.IN_REVIEW:
        with suppress(Conflict):
            await review.decide(ctx, principal, payment.id, Decision.RELEASE, reason="The link was canceled")
        payment = await ctx.db.read(lambda session: session.get_one(Payment, payment.id))
    if payment.decision == Decision.CAPTURE and payment.reviewed_by is not None:
        try:
            await carry_out(ctx, payment)
        except PspError as error:
            raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from error
    elif payment.status in LIVE:
        await resolve(ctx, payment)


async def resolve(ctx: Context, payment: Payment) -> None:
    """Cancels the attempt where it lives. The provider decides: what it has captured stays captured."""
    psp_payment_id = payment.psp_payment_id or await ctx.db.transact(lambda session: _drop(session, payment.id))
    if psp_payment_id is None:
        return
    try:
        theirs = await insist.cancel(ctx, payment.id, psp_payment_id)
    except PspRefused:
        theirs = await _read(ctx, psp_payment_id)
    except PspError as error:
        log.warning("attempt_not_resolved", payment=payment.id, error=type(error).__name__)
        raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from error
    else:
        # A replayed answer may be older than the object.
        theirs = await _read(ctx, theirs.id)
    try:
        await apply(ctx, payment.id, theirs)
    except PspError as error:
        raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from error


async def _read(ctx: Context, psp_payment_id: str) -> ProviderPayment:
    try:
        return await ctx.psp.get_payment(psp_payment_id)
    except PspError as error:
        raise Unavailable("The payment provider did not answer; please try again", retry_after=2) from error


def _drop(session: Session, payment_id: str) -> str | None:
    """Gives up an attempt the provider has not answered for. If it has meanwhile, answers with its object's id."""
    payment = lifecycle.locked(session, payment_id)
    if payment.psp_payment_id is None:
        lifecycle.move(session, payment, to=PaymentStatus.CANCELED, events=[facts.canceled(payment, "link_canceled")])
    return payment.psp_payment_id


def _expire(session: Session, link_id: str) -> bool:
    held = sa.select(PaymentLink, database_now()).where(PaymentLink.id == link_id).with_for_update()
    link, now = session.execute(held).one()
    if live_payment(session, link_id) is not None or link.expires_at > now:
        return False
    forget_tokens(session, link_id)
    return links.move(
        session,
        link_id,
        merchant_id=link.merchant_id,
        to=LinkStatus.EXPIRED,
        origin=Origin.SYSTEM,
        data=_paid_so_far(link),
    )


def _paid_so_far(link: PaymentLink) -> dict[str, Any]:
    """What is kept of a link that ends before all of it was paid."""
    if not link.amount_paid:
        return {}
    left = max(0, link.amount - link.amount_paid)
    return {"amount_paid": link.amount_paid, "amount_left": left, "currency": link.currency}


def _lock(session: Session, link_id: str) -> PaymentLink:
    return session.scalars(sa.select(PaymentLink).where(PaymentLink.id == link_id).with_for_update()).one()


def _ended(status: str) -> Conflict:
    words = {"paid": "has been paid", "expired": "has expired", "canceled": "was canceled already"}
    return Conflict(f"This payment link {words.get(status, 'is being paid just now')}", code="link_not_active")
