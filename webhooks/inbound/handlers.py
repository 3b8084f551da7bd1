"""Working on a stored callback. Each can be run again: what it changes, it changes once."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.delivery import service as deliveries
from paylink.delivery.states import DeliveryStatus
from paylink.jobs import TryAgain
from paylink.payments import refunds
from paylink.payments import service as payments
from paylink.psp.base import PspError, PspRefused, Subject
from webhooks.inbound import inbox

log = structlog.get_logger(__name__)


async def handle(ctx: Context, inbound_id: str) -> None:
    stored = await ctx.db.read(lambda session: inbox.find(session, inbound_id))
    if stored is None or stored.handled_at is not None:
        return
    try:
        if stored.source.startswith("psp:"):
            await _from_psp(ctx, stored.summary)
        else:
            await _from_carrier(ctx, stored.summary)
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
    subject = Subject(summary["subject"])
    if subject is Subject.REFUND:
        await _refund(ctx, summary.get("object_id"))
    psp_payment_id = summary.get("payment_id")
    if psp_payment_id is None or subject is Subject.OTHER:
        return
    payment_id = await ctx.db.read(lambda session: payments.by_psp_id(session, psp_payment_id))
    if payment_id is None:
        # Told before we have stored our own answer, or of an account shared with other systems.
        payment_id = await _by_metadata(ctx, psp_payment_id)
    if payment_id is not None:
        await payments.refresh(ctx, payment_id)


async def _by_metadata(ctx: Context, psp_payment_id: str) -> str | None:
    theirs = await ctx.psp.get_payment(psp_payment_id)
    claimed = theirs.metadata.get("payment_id")
    if claimed is None:
        return None

    def adopt(session: Session) -> str | None:
        return payments.adopt(session, claimed, psp_payment_id)

    return await ctx.db.transact(adopt)


async def _refund(ctx: Context, psp_refund_id: str | None) -> None:
    if psp_refund_id is None or not psp_refund_id.startswith("re_"):
        return
    refund_id = await ctx.db.read(lambda session: refunds.by_psp_id(session, psp_refund_id))
    if refund_id is None:
        return
    theirs = await ctx.psp.get_refund(psp_refund_id)
    await ctx.db.transact(lambda session: refunds.settle_refund(session, refund_id, theirs))


async def _from_carrier(ctx: Context, summary: dict[str, str]) -> None:
    await ctx.db.transact(
        lambda session: deliveries.record(
            session,
            summary["delivery"],
            DeliveryStatus(summary["status"]),
            occurred_at=datetime.fromisoformat(summary["occurred_at"]),
            reason=summary.get("reason"),
        )
    )
