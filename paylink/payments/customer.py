"""What the customer's page may know and do. The checkout reaches payments through here and nowhere else."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.context import Context
from paylink.kit.clock import utcnow
from paylink.links.models import LinkStatus, PaymentLink
from paylink.payments import service
from paylink.payments.advice import advise
from paylink.payments.models import LIVE, Payment, PaymentStatus
from paylink.payments.service import MAX_ATTEMPTS, Started
from paylink.psp.base import PspError

__all__ = ["PageState", "PageView", "Started", "refresh", "start", "view"]

log = structlog.get_logger(__name__)
start = service.start


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
    LOCKED = "locked"


ENDS: Final = {
    LinkStatus.PAID: PageState.PAID,
    LinkStatus.EXPIRED: PageState.EXPIRED,
    LinkStatus.CANCELED: PageState.CANCELED,
}


@dataclass(frozen=True, slots=True)
class PageView:
    """``amount`` is what is left to pay, in minor units; on a paid link, what was paid."""

    link_id: str
    merchant_id: str
    merchant_name: str
    amount: int
    currency: str
    description: str | None
    reference: str | None
    locale: str | None
    state: PageState
    # This browser's live or last attempt, and why it failed, in words for the customer.
    payment_id: str | None
    decline: str | None
    card: dict[str, Any] | None
    paid_at: datetime | None


def view(session: Session, link_id: str, *, session_id: str | None) -> PageView:
    link, merchant_name = session.execute(
        sa.select(PaymentLink, Merchant.name)
        .join(Merchant, Merchant.id == PaymentLink.merchant_id)
        .where(PaymentLink.id == link_id)
    ).one()
    last = _last_attempt(session, link_id)
    mine = _last_attempt(session, link_id, session_id) if session_id else None
    state = _state(link, last, session_id)
    # Failed, or declined by a person: any other attempt that was given up has no code.
    failed = state is PageState.PAYABLE and mine is not None and mine.decline_code is not None
    return PageView(
        link_id=link.id,
        merchant_id=link.merchant_id,
        merchant_name=merchant_name,
        amount=link.amount_paid if state is PageState.PAID else link.amount - link.amount_paid,
        currency=link.currency,
        description=link.description,
        reference=link.reference,
        locale=link.locale,
        state=state,
        payment_id=mine.id if mine else None,
        decline=advise(mine.decline_code).customer if mine and failed else None,
        card=_card(last, mine) if state in {PageState.PAID, PageState.CHECKING} else None,
        paid_at=link.paid_at,
    )


async def refresh(ctx: Context, *, link_id: str, session_id: str) -> None:
    """Asks the provider about this browser's live attempt. Quiet when it does not answer: the page asks again."""

    def find(session: Session) -> str | None:
        mine = _last_attempt(session, link_id, session_id)
        waiting = mine is not None and mine.status in LIVE and mine.status != PaymentStatus.IN_REVIEW
        return mine.id if mine and waiting else None

    payment_id = await ctx.db.read(find)
    if payment_id is None:
        return
    try:
        await service.refresh(ctx, payment_id)
    except PspError as error:
        log.warning("payment_not_refreshed", payment=payment_id, error=type(error).__name__)


def _last_attempt(session: Session, link_id: str, session_id: str | None = None) -> Payment | None:
    query = sa.select(Payment).where(Payment.link_id == link_id).order_by(Payment.attempt.desc()).limit(1)
    if session_id is not None:
        query = query.where(Payment.session_id == session_id)
    return session.scalars(query).one_or_none()


def _state(link: PaymentLink, last: Payment | None, session_id: str | None) -> PageState:
    if end := ENDS.get(LinkStatus(link.status)):
        return end
    if last is not None and last.status in LIVE:
        return _live_state(last, session_id)
    if link.expires_at <= utcnow():
        return PageState.EXPIRED
    if last is not None and last.attempt >= MAX_ATTEMPTS:
        return PageState.LOCKED
    return PageState.PAYABLE


def _live_state(payment: Payment, session_id: str | None) -> PageState:
    if payment.status == PaymentStatus.IN_REVIEW:
        return PageState.CHECKING
    if payment.session_id != session_id:
        return PageState.ELSEWHERE
    unconfirmed = payment.status == PaymentStatus.REQUIRES_PAYMENT_METHOD
    return PageState.PAYABLE if unconfirmed else PageState.IN_PROGRESS


def _card(last: Payment | None, mine: Payment | None) -> dict[str, Any] | None:
    """The card's brand and last four, for the browser that paid with it: nobody else with the link learns them."""
    if mine is None or last is None or mine.id != last.id or mine.card_last4 is None:
        return None
    return {"brand": mine.card_brand, "last4": mine.card_last4}
