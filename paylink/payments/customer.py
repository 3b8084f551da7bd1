"""What the customer's page may know and do. The checkout reaches payments through here and nowhere else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.context import Context
from paylink.db import database_now
from paylink.errors import Conflict, Unavailable
from paylink.links.models import LinkStatus, PaymentLink
from paylink.payments import service
from paylink.payments.advice import advise
from paylink.payments.closing import IDLE, resolve
from paylink.payments.models import LIVE, Payment, PaymentStatus
from paylink.payments.service import OtherAmount, Started
from paylink.psp.base import ProviderStatus, PspError

log = structlog.get_logger(__name__)

# A customer with a bank's app in hand is back by then, and one who holds another device does not wait longer.
TAKE_OVER_AFTER: Final = timedelta(seconds=60)


class PageState(StrEnum):
    PAYABLE = "payable"
    # An attempt of this very browser is under way: 3-D Secure, or the outcome is not known yet.
    IN_PROGRESS = "in_progress"
    # Somebody pays this link in another tab or on another device.
    ELSEWHERE = "elsewhere"
    CHECKING = "checking"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELED = "canceled"
    # Too many tries: nobody pays until the merchant says so.
    LOCKED = "locked"
    # The merchant's payments stand still for a few minutes.
    PAUSED = "paused"


class Offer(StrEnum):
    """What a page that waits can do about it."""

    # The bank asked this browser's customer something: answer it here, or begin anew.
    RESUME = "resume"
    # The attempt of another browser has been left: end it, and pay here.
    TAKE_OVER = "take_over"


ENDS: Final = {
    LinkStatus.PAID: PageState.PAID,
    LinkStatus.EXPIRED: PageState.EXPIRED,
    LinkStatus.CANCELED: PageState.CANCELED,
}


UNDER_WAY: Final = frozenset({PageState.IN_PROGRESS, PageState.ELSEWHERE, PageState.CHECKING})


@dataclass(frozen=True, slots=True)
class PageView:
    """``amount`` in minor units: what is left to pay; while an attempt is on its way, that attempt's; on a paid link,
    what was paid."""

    link_id: str
    merchant_id: str
    merchant_name: str
    amount: int
    currency: str
    # Of the whole link. ``minimum_amount`` is the least that is taken at once; None: the link is paid in one sum.
    amount_paid: int
    amount_left: int
    minimum_amount: int | None
    description: str | None
    reference: str | None
    locale: str | None
    state: PageState
    # This browser's live or last attempt, and why it failed, in words for the customer.
    payment_id: str | None
    # The attempt to ask the provider about, whoever's it is: for asking, not for showing.
    live_id: str | None
    offer: Offer | None
    decline: str | None
    card: dict[str, Any] | None
    # What this browser's own attempt paid, where it was the one that paid the link.
    amount_here: int | None
    paid_at: datetime | None


def view(session: Session, link_id: str, *, session_id: str | None) -> PageView:
    link, merchant_name, paused_until, now = session.execute(
        sa.select(PaymentLink, Merchant.name, Merchant.payments_paused_until, database_now())
        .join(Merchant, Merchant.id == PaymentLink.merchant_id)
        .where(PaymentLink.id == link_id)
    ).one()
    last = _last_attempt(session, link_id)
    mine = _last_attempt(session, link_id, session_id) if session_id else None
    live = last if last is not None and last.status in LIVE else None
    paused = paused_until is not None and paused_until > now
    state = _state(link, live, session_id, over=link.expires_at <= now, paused=paused)
    # Failed, or declined by a person: any other attempt that was given up has no code.
    failed = state is PageState.PAYABLE and mine is not None and mine.decline_code is not None
    return PageView(
        link_id=link.id,
        merchant_id=link.merchant_id,
        merchant_name=merchant_name,
        amount=_amount(link, last, state),
        currency=link.currency,
        amount_paid=link.amount_paid,
        amount_left=max(0, link.amount - link.amount_paid),
        minimum_amount=link.minimum_amount,
        description=link.description,
        reference=link.reference,
        locale=link.locale,
        state=state,
        payment_id=mine.id if mine else None,
        live_id=live.id if live and live.status != PaymentStatus.IN_REVIEW else None,
        offer=_offer(live, session_id, state, now) if live else None,
        decline=advise(mine.decline_code).customer if mine and failed else None,
        card=_card(last, mine) if state in {PageState.PAID, PageState.CHECKING} else None,
        amount_here=mine.amount_captured if mine and last and mine.id == last.id else None,
        paid_at=link.paid_at,
    )


async def start(ctx: Context, *, link_id: str, session_id: str, address: str, amount: int | None = None) -> Started:
    """``service.start``, after giving up this browser's own unconfirmed attempt of another amount."""
    given = {"link_id": link_id, "session_id": session_id, "address": address}
    try:
        return await service.start(ctx, **given, amount=amount)
    except OtherAmount as other:
        await resolve(ctx, other.payment)
    return await service.start(ctx, **given, amount=amount)


async def resume(ctx: Context, *, link_id: str, session_id: str) -> Started:
    """What this browser needs to let the bank ask again: the attempt's secret, fresh from the provider.

    Raises ``Conflict`` (``payment_not_waiting``) when nothing is asked any more, and ``Unavailable``.
    """
    payment = await ctx.db.read(lambda session: service.live_payment(session, link_id))
    if payment is None or payment.session_id != session_id or payment.psp_payment_id is None:
        raise _not_waiting()
    try:
        theirs = await ctx.psp.get_payment(payment.psp_payment_id)
        await service.apply(ctx, payment.id, theirs)
    except PspError as error:
        raise _no_answer() from error
    if theirs.status is not ProviderStatus.REQUIRES_ACTION or theirs.client_secret is None:
        raise _not_waiting()
    return Started(payment.id, theirs.client_secret.get_secret_value(), payment.amount, payment.currency)


async def give_up(ctx: Context, *, link_id: str, session_id: str) -> None:
    """Ends the attempt that keeps this browser from paying: its own at once, another's once it has been left. One that
    does not wait for its customer any more goes on, and one that is paid stays paid.

    Raises ``Conflict`` (``payment_in_progress``) and ``Unavailable``.
    """
    payment = await ctx.db.read(lambda session: _left(session, link_id, session_id))
    if payment is None:
        return
    try:
        await service.refresh(ctx, payment.id)
    except PspError as error:
        raise _no_answer() from error
    payment = await ctx.db.read(lambda session: _left(session, link_id, session_id))
    if payment is not None:
        await resolve(ctx, payment)
        log.info("attempt_given_up", payment=payment.id, own=payment.session_id == session_id)


async def refresh(ctx: Context, *, link_id: str) -> None:
    """Asks the provider about the link's live attempt, whichever browser began it: where that one was closed, this one
    still comes to the truth. Quiet when the provider does not answer: the page asks again."""
    live = await ctx.db.read(lambda session: service.live_payment(session, link_id))
    if live is None or live.status == PaymentStatus.IN_REVIEW:
        return
    try:
        await service.refresh(ctx, live.id)
    except PspError as error:
        log.warning("payment_not_refreshed", payment=live.id, error=type(error).__name__)


def _amount(link: PaymentLink, last: Payment | None, state: PageState) -> int:
    if state is PageState.PAID:
        return link.amount_paid
    if state in UNDER_WAY and last is not None:
        return last.amount
    return link.amount - link.amount_paid


def _last_attempt(session: Session, link_id: str, session_id: str | None = None) -> Payment | None:
    query = sa.select(Payment).where(Payment.link_id == link_id).order_by(Payment.attempt.desc()).limit(1)
    if session_id is not None:
        query = query.where(Payment.session_id == session_id)
    return session.scalars(query).one_or_none()


def _state(link: PaymentLink, live: Payment | None, session_id: str | None, *, over: bool, paused: bool) -> PageState:
    if end := ENDS.get(LinkStatus(link.status)):
        return end
    if live is not None and (under_way := _live_state(live, session_id)):
        return under_way
    stopped = {
        PageState.EXPIRED: over and live is None,
        PageState.LOCKED: link.locked_at is not None,
        PageState.PAUSED: paused,
    }
    return next((state for state, so in stopped.items() if so), PageState.PAYABLE)


def _live_state(live: Payment, session_id: str | None) -> PageState | None:
    """``None`` for this browser's own attempt that is not confirmed yet: as good as none."""
    if live.status == PaymentStatus.IN_REVIEW:
        return PageState.CHECKING
    if live.session_id != session_id:
        return PageState.ELSEWHERE
    return PageState.IN_PROGRESS if live.status != PaymentStatus.REQUIRES_PAYMENT_METHOD else None


def _offer(live: Payment, session_id: str | None, state: PageState, now: datetime) -> Offer | None:
    if session_id is None or not _waits(live, session_id, now):
        return None
    return {PageState.IN_PROGRESS: Offer.RESUME, PageState.ELSEWHERE: Offer.TAKE_OVER}.get(state)


def _waits(live: Payment, session_id: str, now: datetime) -> bool:
    """For its customer, and for nobody else: whoever asks is that customer's browser, or has waited long enough."""
    return live.status in IDLE and (live.session_id == session_id or live.updated_at <= now - TAKE_OVER_AFTER)


def _left(session: Session, link_id: str, session_id: str) -> Payment | None:
    """The live attempt, if there is one, that this browser may end."""
    query = sa.select(Payment, database_now()).where(
        Payment.link_id == link_id, Payment.status.in_([status.value for status in LIVE])
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    live, now = found
    if not _waits(live, session_id, now):
        raise Conflict("This link is being paid just now", code="payment_in_progress")
    return live


def _not_waiting() -> Conflict:
    return Conflict("There is nothing to confirm any more", code="payment_not_waiting")


def _no_answer() -> Unavailable:
    return Unavailable("The payment provider did not answer; please try again", retry_after=2)


def _card(last: Payment | None, mine: Payment | None) -> dict[str, Any] | None:
    """The card's brand and last four, for the browser that paid with it: nobody else with the link learns them."""
    if mine is None or last is None or mine.id != last.id or mine.card_last4 is None:
        return None
    return {"brand": mine.card_brand, "last4": mine.card_last4}
