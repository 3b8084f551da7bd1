"""A provider whose every call waits for its turn: work in bulk that leaves customers their share of its limit.

Stripe allows 100 calls a second in live mode, 25 in test mode and 25 to any one address of its API
(docs.stripe.com/rate-limits). Work in bulk takes at most a part of that, since customers pay at the same time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

from paylink.psp.base import (
    BrowserSetup,
    Charging,
    NewPayment,
    Page,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderReview,
    Psp,
    PspBusy,
)

T = TypeVar("T")

LIVE_PER_SECOND: Final = 15.0
TEST_PER_SECOND: Final = 8.0
# A call that was told to come back later is asked again after these pauses; nothing has happened meanwhile.
PATIENCE_S: Final = (1.0, 3.0, 8.0)


class Paced:
    """The port's ``Psp``, in front of another one. It closes nothing: the one behind it belongs to somebody else."""

    def __init__(self, psp: Psp, *, per_second: float | None = None) -> None:
        self._psp = psp
        self._gap_s = 1 / (per_second or (LIVE_PER_SECOND if psp.livemode else TEST_PER_SECOND))
        self._next = 0.0
        self.name = psp.name
        self.livemode = psp.livemode
        self.account = psp.account

    @property
    def browser(self) -> BrowserSetup:
        return self._psp.browser

    def charging(self, currency: str) -> Charging | None:
        return self._psp.charging(currency)

    async def create_payment(self, new: NewPayment) -> ProviderPayment:
        return await self._in_turn(lambda: self._psp.create_payment(new))

    async def get_payment(self, payment_id: str) -> ProviderPayment:
        return await self._in_turn(lambda: self._psp.get_payment(payment_id))

    async def capture(self, payment_id: str, *, amount: int, currency: str, idempotency_key: str) -> ProviderPayment:
        return await self._in_turn(
            lambda: self._psp.capture(payment_id, amount=amount, currency=currency, idempotency_key=idempotency_key)
        )

    async def cancel(self, payment_id: str, *, idempotency_key: str) -> ProviderPayment:
        return await self._in_turn(lambda: self._psp.cancel(payment_id, idempotency_key=idempotency_key))

    async def refund(
        self, payment_id: str, *, amount: int, currency: str, metadata: Mapping[str, str], idempotency_key: str
    ) -> ProviderRefund:
        return await self._in_turn(
            lambda: self._psp.refund(
                payment_id, amount=amount, currency=currency, metadata=metadata, idempotency_key=idempotency_key
            )
        )

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        return await self._in_turn(lambda: self._psp.get_refund(refund_id))

    async def get_dispute(self, dispute_id: str) -> ProviderDispute:
        return await self._in_turn(lambda: self._psp.get_dispute(dispute_id))

    async def get_review(self, review_id: str) -> ProviderReview:
        return await self._in_turn(lambda: self._psp.get_review(review_id))

    async def list_payments(
        self, *, since: datetime, until: datetime, after: str | None = None
    ) -> Page[ProviderPayment]:
        return await self._in_turn(lambda: self._psp.list_payments(since=since, until=until, after=after))

    async def list_refunds(self, payment_id: str, *, after: str | None = None) -> Page[ProviderRefund]:
        return await self._in_turn(lambda: self._psp.list_refunds(payment_id, after=after))

    async def list_undelivered(self, *, since: datetime, after: str | None = None) -> Page[ProviderEvent]:
        return await self._in_turn(lambda: self._psp.list_undelivered(since=since, after=after))

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        return self._psp.parse_webhook(body, headers)

    async def close(self) -> None:
        return

    async def _in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        for pause in PATIENCE_S:
            await self._turn()
            try:
                return await call()
            except PspBusy:
                await asyncio.sleep(pause)
        await self._turn()
        return await call()

    async def _turn(self) -> None:
        """Turns are handed out in the order they are asked for; who comes late gets the next one, not all he missed."""
        now = time.monotonic()
        self._next = max(now, self._next + self._gap_s)
        await asyncio.sleep(self._next - now)
