"""Steps at the provider that a failure of its own must not hold up.

A provider keeps its first answer under the idempotency key even where that is "something broke here": the step would
then stay undone for as long as the key lives. For what a payment object takes only once (its capture, its end) another
key is safe as soon as the object says that the step was not taken.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from paylink.context import Context
from paylink.kit.ids import new_id
from paylink.payments.models import Payment
from paylink.psp.base import ProviderPayment, ProviderStatus, PspKeySpent

log = structlog.get_logger(__name__)

# Where the object can no longer be captured or ended.
OVER: Final = (ProviderStatus.SUCCEEDED, ProviderStatus.CANCELED)


async def capture(ctx: Context, payment: Payment) -> ProviderPayment:
    """Raises ``PspError``."""
    amount, currency = payment.amount, payment.currency
    psp_id = payment.psp_payment_id or ""

    async def call(key: str) -> ProviderPayment:
        return await ctx.psp.capture(psp_id, amount=amount, currency=currency, idempotency_key=key)

    return await _once(ctx, psp_id, f"{payment.id}:capture", call)


async def cancel(ctx: Context, payment_id: str, psp_payment_id: str) -> ProviderPayment:
    """Raises ``PspError``."""

    async def call(key: str) -> ProviderPayment:
        return await ctx.psp.cancel(psp_payment_id, idempotency_key=key)

    return await _once(ctx, psp_payment_id, f"{payment_id}:cancel", call)


async def _once(
    ctx: Context, psp_payment_id: str, key: str, call: Callable[[str], Awaitable[ProviderPayment]]
) -> ProviderPayment:
    try:
        return await call(key)
    except PspKeySpent:
        log.warning("provider_key_spent", key=key)
        theirs = await ctx.psp.get_payment(psp_payment_id)
        return theirs if theirs.status in OVER else await call(f"{key}:{new_id('try')}")
