"""The payment's state machine: one table of legal moves, one door.

::

    requires_payment_method ─► requires_action ─► processing ─► requires_capture ─► succeeded
              │    any of these may be skipped: we hear of some steps       │  ▲
              │    only after the next one has happened                     ▼  │
              │                                                         in_review
              └──────────────► failed | canceled ◄─── from every live state

``failed`` and ``canceled`` are ours; the provider has the last word on money. If it says that a payment we gave up was
captured after all, the payment moves on to ``succeeded``, late.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import database_now, table
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.payments.models import LIVE, Payment, PaymentStatus

S = PaymentStatus
MOVES: Final[dict[PaymentStatus, tuple[PaymentStatus, ...]]] = {
    S.REQUIRES_ACTION: (S.REQUIRES_PAYMENT_METHOD, S.PROCESSING),
    S.PROCESSING: (S.REQUIRES_PAYMENT_METHOD, S.REQUIRES_ACTION),
    # From review too: a person has decided, and the decision is being carried out.
    S.REQUIRES_CAPTURE: (S.REQUIRES_PAYMENT_METHOD, S.REQUIRES_ACTION, S.PROCESSING, S.IN_REVIEW),
    S.IN_REVIEW: (S.REQUIRES_CAPTURE,),
    S.SUCCEEDED: (*LIVE, S.FAILED, S.CANCELED),
    S.FAILED: LIVE,
    S.CANCELED: LIVE,
}

_payments = table(Payment)


def move(
    session: Session,
    payment: Payment,
    *,
    to: PaymentStatus,
    events: Sequence[NewEvent] = (),
    frm: Sequence[PaymentStatus] | None = None,
    **values: Any,
) -> bool:
    """Moves the payment and tells of it. False when it was no longer where the move begins: somebody was quicker.

    ``frm`` narrows the states the table allows. ``payment`` shows the new state afterwards.
    """
    allowed = [state.value for state in (frm or MOVES[to]) if state in MOVES[to]]
    changed = {"status": to.value, "updated_at": database_now(), **values}
    moved = session.execute(
        sa.update(_payments)
        .where(_payments.c.id == payment.id, _payments.c.status.in_(allowed))
        .values(changed)
        .returning(_payments.c.id)
    ).one_or_none()
    if moved is None:
        return False
    session.refresh(payment)
    log.append(session, merchant_id=payment.merchant_id, link_id=payment.link_id, events=events)
    return True


def locked(session: Session, payment_id: str) -> Payment:
    """The payment, and on PostgreSQL its row until the commit. SQLite has one writer and needs no lock."""
    query = sa.select(Payment).where(Payment.id == payment_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def amend(session: Session, payment: Payment, *, events: Sequence[NewEvent] = (), **values: Any) -> None:
    """Writes what is newly known of a payment whose state stays as it is. The caller holds its lock."""
    session.execute(
        sa.update(_payments).where(_payments.c.id == payment.id).values({"updated_at": database_now(), **values})
    )
    session.refresh(payment)
    log.append(session, merchant_id=payment.merchant_id, link_id=payment.link_id, events=events)
