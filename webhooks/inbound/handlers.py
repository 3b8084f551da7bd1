"""Working on a stored callback. Each can be run again: what it changes, it changes once."""

import structlog

from paylink.context import Context
from paylink.jobs import TryAgain
from paylink.payments import disputes, finding, refunds, review
from paylink.payments import service as payments
from paylink.psp.base import PspError, PspRefused, Subject
from webhooks.inbound import inbox, messaging

log = structlog.get_logger(__name__)


async def handle(ctx: Context, inbound_id: str) -> None:
    stored = await ctx.db.read(lambda session: inbox.find(session, inbound_id))
    if stored is None or stored.handled_at is not None:
        return
    try:
        if stored.source.startswith("psp:"):
            await _from_psp(ctx, stored.summary)
        else:
            await messaging.work(ctx, stored)
    except PspRefused as refused:
        if refused.code == "authentication":
            # Our key is not right just now, which says nothing of the object.
            raise TryAgain(refused.code) from refused
        # The provider does not know the object it told us of: nothing will change that.
        log.warning("webhook_object_refused", inbound=inbound_id, code=refused.code)
    except PspError as error:
        raise TryAgain(type(error).__name__) from error
    await ctx.db.transact(lambda session: inbox.mark_handled(session, inbound_id))


async def _from_psp(ctx: Context, summary: dict[str, str]) -> None:
    """The objects are read anew. A kind that is not known here, or an object without an id, is nothing to work on."""
    object_id, payment_id = summary.get("object_id"), summary.get("payment_id")
    match Subject(summary["subject"]):
        case Subject.PAYMENT if payment_id:
            await _payment(ctx, payment_id)
        case Subject.REFUND if object_id:
            await refunds.refresh(ctx, object_id)
        case Subject.DISPUTE if object_id:
            await disputes.refresh(ctx, object_id)
        case Subject.REVIEW if object_id:
            await _review(ctx, object_id)


async def _payment(ctx: Context, psp_payment_id: str) -> str | None:
    """Ours, settled; ``None`` for one of another system on the same account."""
    payment_id = await finding.ours(ctx, psp_payment_id)
    if payment_id is not None:
        await payments.refresh(ctx, payment_id)
    return payment_id


async def _review(ctx: Context, psp_review_id: str) -> None:
    theirs = await ctx.psp.get_review(psp_review_id)
    payment_id = await _payment(ctx, theirs.payment_id) if theirs.payment_id else None
    if payment_id is not None:
        await review.closed_at_provider(ctx, payment_id, theirs)
