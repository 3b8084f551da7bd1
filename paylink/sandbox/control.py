"""What tests may order of the sandbox: disorder among the webhooks, faults in the API, time passing faster.

The orders are kept in the database, so that a killed sandbox wakes up as hostile as it was.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from paylink.sandbox.errors import StripeError
from paylink.sandbox.idempotency import Reply
from paylink.sandbox.store import Store, Tx

Milliseconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
HANG_SECONDS = 60.0


class ConnectionLost(Exception):
    """The connection ends here: without an answer, or within the first half of ``half``."""

    def __init__(self, *, half: Reply | None = None) -> None:
        super().__init__()
        self.half = half


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sending(_Strict):
    """How callbacks travel. The default is what a good provider does on a good day."""

    duplicate: int = Field(0, ge=0, le=20, description="further copies of each")
    shuffle: bool = Field(False, description="in any order, also within one payment")
    delay_ms: tuple[Milliseconds, Milliseconds] = (0, 0)
    drop: Share = Field(0, description="share that is never sent, and found by its event list only")
    forge: int = Field(0, ge=0, le=20, description="copies with a changed amount and a signature that does not fit")
    paused: bool = Field(False, description="kept back until this is false again")


class Fault(_Strict):
    """One fault of the API.

    ``delay`` waits ``delay_ms``; ``rate_limit`` 429; ``error_before`` 500, nothing done, nothing saved; ``error_saved``
    500, nothing done, saved under the idempotency key; ``error_after`` done, then 500, saved; ``reset_before`` and
    ``reset_after`` cut the connection; ``hang`` does it and never answers; ``truncate`` does it and sends half.
    """

    kind: Literal[
        "delay", "rate_limit", "error_before", "error_saved", "error_after", "reset_before", "reset_after", "hang",
        "truncate",
    ]  # fmt: skip
    method: str | None = None
    path: str = Field("", description="a part of the path")
    rate: Share = 1
    times: int | None = Field(None, ge=0, description="how often; without it, until told otherwise")
    delay_ms: tuple[Milliseconds, Milliseconds] = (0, 0)

    @property
    def seconds(self) -> float:
        return random.uniform(*self.delay_ms) / 1000  # noqa: S311 - a test's dice

    async def before(self) -> None:
        """Strikes before anything is done."""
        await asyncio.sleep(0 if self.kind == "hang" else self.seconds)
        if self.kind == "rate_limit":
            message = (
                "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
            )
            raise StripeError(message, status=429, kind="invalid_request_error", executed=False, code="rate_limit")
        if self.kind == "error_before":
            raise StripeError(UNKNOWN_ERROR, status=500, kind="api_error", executed=False)
        if self.kind == "reset_before":
            raise ConnectionLost

    async def after(self, reply: Reply) -> None:
        """Strikes when it is done and saved."""
        if self.kind == "hang":
            await asyncio.sleep(self.seconds or HANG_SECONDS)
        if self.kind in ("hang", "reset_after", "truncate"):
            raise ConnectionLost(half=reply if self.kind == "truncate" else None)


class Orders(_Strict):
    """The whole of ``POST /_control``; what is left out stays as it is."""

    webhooks: Sending = Sending()
    receipts: Sending = Sending()
    faults: list[Fault] = []
    dispute_delay_ms: Milliseconds = 2000
    refund_delay_ms: Milliseconds = 2000
    authorization_s: int = Field(7 * 24 * 3600, ge=0, description="how long an uncaptured authorisation holds")


UNKNOWN_ERROR = "An unknown error occurred"


@dataclass
class Control:
    """The orders in force."""

    store: Store
    orders: Orders = field(default_factory=Orders)

    async def load(self) -> None:
        row = await self.store.run(lambda tx: tx.one("SELECT value FROM control WHERE name = 'orders'"))
        if row:
            self.orders = Orders.model_validate_json(row["value"])

    async def save(self, orders: Orders) -> None:
        text = orders.model_dump_json()

        def write(tx: Tx) -> None:
            tx.do("INSERT OR REPLACE INTO control (name, value) VALUES ('orders', ?)", text)
            tx.wake = True

        self.orders = orders
        await self.store.run(write)

    def merged(self, changes: dict[str, object]) -> Orders:
        """Raises pydantic's ``ValidationError`` for an unknown order."""
        old = json.loads(self.orders.model_dump_json())
        for name in ("webhooks", "receipts"):
            if isinstance(part := changes.get(name), dict):
                changes = {**changes, name: {**old[name], **part}}
        return Orders.model_validate({**old, **changes})

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The first fault that strikes this call; one with ``times`` is used up."""
        for fault in self.orders.faults:
            fits = fault.path in path and fault.method in (None, method) and fault.times != 0
            if fits and random.random() < fault.rate:  # noqa: S311
                if fault.times:
                    fault.times -= 1
                return fault
        return None

    @property
    def dispute_delay(self) -> float:
        return self.orders.dispute_delay_ms / 1000

    @property
    def authorization_seconds(self) -> int:
        return self.orders.authorization_s

    @property
    def refund_delay(self) -> float:
        return self.orders.refund_delay_ms / 1000
