"""Which of our payments a provider's object belongs to."""

from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.payments import service
from paylink.payments.models import Payment, PaymentStatus


async def ours(ctx: Context, psp_payment_id: str) -> str | None:
    """The id of our payment; ``None`` for an object of another system on the same account. Raises ``PspError``."""
    known = await ctx.db.read(lambda session: service.by_psp_id(session, psp_payment_id))
    # Not known: told of before our own answer was stored, or not ours.
    return known or await _by_metadata(ctx, psp_payment_id)


async def captured(ctx: Context, payment_id: str) -> Payment:
    """The payment as one whose money may have moved: if its capture was not heard of yet, the provider is asked.

    Raises ``PspError``.
    """

    def read(session: Session) -> Payment:
        return session.get_one(Payment, payment_id)

    payment = await ctx.db.read(read)
    if payment.status == PaymentStatus.SUCCEEDED:
        return payment
    await service.refresh(ctx, payment_id)
    return await ctx.db.read(read)


async def _by_metadata(ctx: Context, psp_payment_id: str) -> str | None:
    theirs = await ctx.psp.get_payment(psp_payment_id)
    claimed = theirs.metadata.get("payment_id")
    if claimed is None:
        return None

    def adopt(session: Session) -> str | None:
        return service.adopt(session, claimed, psp_payment_id)

    return await ctx.db.transact(adopt)
