"""Disputes: the payer's bank takes the money back, or asks about it, and the provider tells us.

Callbacks come late, twice and out of order, so none is believed: each makes us read the dispute again. What is written
is only ever an answer that was asked for after the last one was written (``settle`` refuses any other, and ``refresh``
asks again). So nothing has to be guessed from an order of states: an old answer cannot reopen what has been closed,
and where the provider itself reopens a dispute, or turns a lost one into a won one, that is taken over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.context import Context
from paylink.errors import NotFound
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.jobs import TryAgain
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.payments import facts, finding, lifecycle
from paylink.payments.models import Dispute, Payment
from paylink.payments.settle import mismatches
from paylink.psp.base import DisputeStatus, ProviderDispute

log = structlog.get_logger(__name__)

CLOSED: Final = (DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.WARNING_CLOSED, DisputeStatus.PREVENTED)
# The bank has the money, or will have it: giving it back as well would pay the customer twice. While it only asks (a
# warning), a refund is the best answer there is.
NOT_REFUNDABLE: Final = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW, DisputeStatus.LOST)
# How often an answer that somebody overtook is asked for again before the job starts anew.
READS: Final = 3

# What a dispute was when somebody began to ask: compared before the answer is written.
Seen = tuple[str, datetime] | None


async def refresh(ctx: Context, psp_dispute_id: str) -> None:
    """Reads the dispute at the provider and takes it over. Raises ``PspError``, ``TryAgain``."""
    for _ in range(READS):
        seen = await ctx.db.read(lambda session: _version(_by_psp_id(session, psp_dispute_id)))
        theirs = await ctx.psp.get_dispute(psp_dispute_id)
        payment_id = await finding.ours(ctx, theirs.payment_id) if theirs.payment_id else None
        if payment_id is None:
            return
        await finding.captured(ctx, payment_id)
        if await ctx.db.transact(
            lambda session, found=payment_id, theirs=theirs, seen=seen: settle(  # type: ignore[misc]
                session, found, theirs, livemode=ctx.psp.livemode, seen=seen
            )
        ):
            return
    raise TryAgain("overtaken")


def settle(session: Session, payment_id: str, theirs: ProviderDispute, *, livemode: bool, seen: Seen) -> bool:
    """Writes down what the provider says. False, and nothing done, if the dispute is no longer as it was ``seen``.

    Does nothing, loudly, for a dispute that does not fit the payment.
    """
    payment = lifecycle.locked(session, payment_id)
    found = _by_psp_id(session, theirs.id)
    if wrong := _mismatch(payment, found, theirs, livemode=livemode):
        mismatches.labels(wrong).inc()
        log.error("provider_mismatch", payment=payment.id, what=wrong)
        return True
    if _version(found) != seen:
        return False
    events = _opened(session, payment, theirs) if found is None else _changed(found, theirs)
    session.flush()
    event_log.append(session, merchant_id=payment.merchant_id, link_id=payment.link_id, events=events)
    return True


def prevents_refund(session: Session, payment_id: str) -> bool:
    query = sa.select(Dispute.id).where(
        Dispute.payment_id == payment_id, Dispute.status.in_([status.value for status in NOT_REFUNDABLE])
    )
    return session.scalar(query.limit(1)) is not None


def listing(
    session: Session, principal: Principal, *, limit: int, starting_after: str | None
) -> tuple[Sequence[Dispute], bool]:
    """Newest first: at most ``limit`` disputes, and whether there are more. Raises ``NotFound`` for the cursor."""
    query = sa.select(Dispute).where(Dispute.merchant_id == principal.merchant_id)
    if starting_after is not None:
        cursor = session.get(Dispute, starting_after)
        if cursor is None or cursor.merchant_id != principal.merchant_id:
            raise NotFound("No such dispute")
        query = query.where(Dispute.id < cursor.id)
    found = session.scalars(query.order_by(Dispute.id.desc()).limit(limit + 1)).all()
    return found[:limit], len(found) > limit


def of_payments(session: Session, payment_ids: Sequence[str]) -> dict[str, list[Dispute]]:
    """Oldest first, by payment; a payment without any has an empty list."""
    found: dict[str, list[Dispute]] = {payment_id: [] for payment_id in payment_ids}
    query = sa.select(Dispute).where(Dispute.payment_id.in_(payment_ids)).order_by(Dispute.id)
    for dispute in session.scalars(query):
        found[dispute.payment_id].append(dispute)
    return found


def _by_psp_id(session: Session, psp_dispute_id: str) -> Dispute | None:
    query = sa.select(Dispute).where(Dispute.psp_dispute_id == psp_dispute_id)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _version(dispute: Dispute | None) -> Seen:
    return (dispute.status, dispute.updated_at) if dispute else None


def _mismatch(payment: Payment, found: Dispute | None, theirs: ProviderDispute, *, livemode: bool) -> str | None:
    if theirs.payment_id != payment.psp_payment_id or (found is not None and found.payment_id != payment.id):
        return "dispute_payment"
    # Its amount is the bank's: a little more than was paid, or another currency, after a conversion. It moves none of
    # our sums.
    if theirs.amount <= 0:
        return "dispute_amount"
    if theirs.livemode != livemode:
        return "dispute_livemode"
    return None


def _opened(session: Session, payment: Payment, theirs: ProviderDispute) -> list[NewEvent]:
    """A row, and what is to be told of it. Where the end is the first we hear, the beginning is told as well."""
    status = theirs.status
    dispute = Dispute(
        id=new_id("dp"),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=theirs.amount,
        currency=theirs.currency.upper(),
        status=status.value,
        reason=theirs.reason,
        evidence_due_at=theirs.evidence_due_at,
        psp_dispute_id=theirs.id,
        opened_at=theirs.opened_at,
        closed_at=utcnow() if status in CLOSED else None,
    )
    session.add(dispute)
    opened = facts.dispute_opened(dispute)
    return [opened, facts.dispute_closed(dispute)] if status in CLOSED else [opened]


def _changed(dispute: Dispute, theirs: ProviderDispute) -> list[NewEvent]:
    """Takes over what is new, and says what of it is to be told: another state, or another deadline."""
    status = theirs.status
    moved = dispute.status != status
    told = moved or dispute.evidence_due_at != theirs.evidence_due_at
    if not told and (dispute.amount, dispute.reason) == (theirs.amount, theirs.reason):
        return []
    dispute.amount = theirs.amount
    dispute.reason = theirs.reason
    dispute.evidence_due_at = theirs.evidence_due_at
    dispute.updated_at = utcnow()
    if moved:
        dispute.status = status.value
        dispute.closed_at = utcnow() if status in CLOSED else None
    if not told:
        return []
    return [facts.dispute_closed(dispute) if moved and status in CLOSED else facts.dispute_updated(dispute)]
