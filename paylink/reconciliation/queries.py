"""What a run of the reconciliation reads of our side.

It is no merchant's request: beside the worker's sweeps these are the only queries over all merchants. They go by id,
which sorts by the time it was made: the primary key serves them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.kit.ids import lowest_id
from paylink.links.models import PaymentLink
from paylink.payments.models import LIVE, Payment, PaymentStatus, Refund, RefundStatus
from paylink.payments.parts import fits

PAGE: Final = 100
_LIVE: Final = [status.value for status in LIVE]


def one(session: Session, payment_id: str) -> Payment | None:
    return session.get(Payment, payment_id)


def live(session: Session, *, after: str) -> Sequence[Payment]:
    query = sa.select(Payment).where(Payment.status.in_(_LIVE), Payment.id > after)
    return session.scalars(query.order_by(Payment.id).limit(PAGE)).all()


def with_pending_refunds(session: Session, *, after: str) -> Sequence[Payment]:
    pending = sa.select(Refund.payment_id).where(Refund.status == RefundStatus.PENDING.value)
    query = sa.select(Payment).where(Payment.id.in_(pending), Payment.id > after)
    return session.scalars(query.order_by(Payment.id).limit(PAGE)).all()


def made_between(session: Session, since: datetime, until: datetime, *, limit: int | None = None) -> list[Payment]:
    """Newest first."""
    query = sa.select(Payment).where(Payment.id >= lowest_id("pay", since), Payment.id < lowest_id("pay", until))
    return list(session.scalars(query.order_by(Payment.id.desc()).limit(limit)))


def known(session: Session, psp_payment_ids: Sequence[str]) -> set[str]:
    """Those of the provider's ids that a payment of ours has."""
    found: set[str] = set()
    for start in range(0, len(psp_payment_ids), 500):
        part = psp_payment_ids[start : start + 500]
        query = sa.select(Payment.psp_payment_id).where(Payment.psp_payment_id.in_(part))
        found |= {psp_id for psp_id in session.scalars(query) if psp_id is not None}
    return found


def refunds_of(session: Session, payment_id: str) -> list[Refund]:
    return list(session.scalars(sa.select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.id)))


def refunded(session: Session, payment_ids: Sequence[str]) -> set[str]:
    """Those of these payments that have a refund here."""
    return set(session.scalars(sa.select(Refund.payment_id).where(Refund.payment_id.in_(payment_ids))))


def can_be_captured(session: Session, payment: Payment) -> bool:
    """Whether its link still waits for so much money."""
    return fits(session.get_one(PaymentLink, payment.link_id), payment.amount)


def overpaid(session: Session, *, since: datetime) -> list[tuple[str, str, int, int, str]]:
    """Links for which more is kept than was asked for: link, newest payment, amount asked for, amount kept, currency.

    What was given back, or is being given back, is not kept. Only links that were paid since ``since``.
    """
    touched = sa.select(Payment.link_id).where(
        Payment.status == PaymentStatus.SUCCEEDED.value, Payment.updated_at >= since
    )
    pending = (
        sa.select(sa.func.coalesce(sa.func.sum(Refund.amount), 0))
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.link_id == PaymentLink.id, Refund.status == RefundStatus.PENDING.value)
        .correlate(PaymentLink)
        .scalar_subquery()
    )
    kept = sa.func.sum(Payment.amount_captured - Payment.amount_refunded) - pending
    query = (
        sa.select(PaymentLink.id, sa.func.max(Payment.id), PaymentLink.amount, kept, PaymentLink.currency)
        .join(Payment, Payment.link_id == PaymentLink.id)
        .where(PaymentLink.id.in_(touched))
        .group_by(PaymentLink.id, PaymentLink.amount, PaymentLink.currency)
        .having(kept > PaymentLink.amount)
        .order_by(PaymentLink.id)
    )
    return [
        (link, payment, amount, int(left), currency) for link, payment, amount, left, currency in session.execute(query)
    ]
