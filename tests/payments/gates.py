"""A provider whose every call can be held: before it goes out, and once more with the answer in hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paylink.psp.base import (
    BrowserSetup,
    Charging,
    NewPayment,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderReview,
    Psp,
)

SECONDS = 20


@dataclass
class Parked:
    """A call that waits: ``asked`` before it goes out, ``answered`` when its answer is known to nobody yet."""

    actor: str
    call: str
    phase: str
    go: asyncio.Event = field(default_factory=asyncio.Event)


class Gates:
    """Holds every call until it is let through. What an actor is called is the name of its task."""

    def __init__(self, psp: Psp) -> None:
        self._psp = psp
        self._open = False
        self.waiting: list[Parked] = []
        self.name = psp.name
        self.livemode = psp.livemode
        self.account = psp.account
        # Set whenever one more call waits.
        self.changed = asyncio.Event()

    @property
    def browser(self) -> BrowserSetup:
        return self._psp.browser

    def charging(self, currency: str) -> Charging | None:
        return self._psp.charging(currency)

    async def create_payment(self, new: NewPayment) -> ProviderPayment:
        return await self._held("create_payment", new)

    async def get_payment(self, payment_id: str) -> ProviderPayment:
        return await self._held("get_payment", payment_id)

    async def capture(self, payment_id: str, **more: Any) -> ProviderPayment:
        return await self._held("capture", payment_id, **more)

    async def cancel(self, payment_id: str, **more: Any) -> ProviderPayment:
        return await self._held("cancel", payment_id, **more)

    async def refund(self, payment_id: str, **more: Any) -> ProviderRefund:
        return await self._held("refund", payment_id, **more)

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        return await self._held("get_refund", refund_id)

    async def get_dispute(self, dispute_id: str) -> ProviderDispute:
        return await self._held("get_dispute", dispute_id)

    async def get_review(self, review_id: str) -> ProviderReview:
        return await self._held("get_review", review_id)

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        return self._psp.parse_webhook(body, headers)

    async def close(self) -> None:
        return

    def open(self) -> None:
        """Lets everything through, now and from now on."""
        self._open = True
        for parked in list(self.waiting):
            self.let(parked)

    def let(self, parked: Parked) -> None:
        self.waiting.remove(parked)
        parked.go.set()

    async def parked(self, call: str, phase: str) -> Parked:
        """The first such call, once it waits there. Others on its way are let through."""
        async with asyncio.timeout(SECONDS):
            while True:
                for parked in list(self.waiting):
                    if (parked.call, parked.phase) == (call, phase):
                        return parked
                    self.let(parked)
                self.changed.clear()
                await self.changed.wait()

    async def _held(self, call: str, *args: Any, **more: Any) -> Any:
        await self._gate(call, "asked")
        try:
            return await getattr(self._psp, call)(*args, **more)
        finally:
            await self._gate(call, "answered")

    async def _gate(self, call: str, phase: str) -> None:
        if self._open:
            return
        task = asyncio.current_task()
        parked = Parked(task.get_name() if task else "", call, phase)
        self.waiting.append(parked)
        self.changed.set()
        await parked.go.wait()
