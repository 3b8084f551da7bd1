"""The port to whatever carries messages: send one, and read what the carrier reports of it later.

A carrier is a stateless translator. It never sees a database; its errors say whether trying again makes sense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from paylink.delivery.states import DeliveryStatus


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is ours and stays the same on every try: a carrier that can, sends it once."""

    id: str
    channel: str
    to: str
    text: str
    subject: str | None = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message. ``id`` is the carrier's own id of this report, the same when it is repeated."""

    id: str
    reference: str
    status: DeliveryStatus
    occurred_at: datetime
    reason: str | None = None


class Carrier(Protocol):
    name: str

    async def send(self, message: Message) -> str:
        """Hands the message over and returns the carrier's id for it. Raises ``CarrierError``."""

    def parse_callback(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Report]:
        """Checks the signature over the raw body, then reads it. Raises ``CallbackRefused``."""

    async def close(self) -> None: ...


class CarrierError(Exception):
    """The message was not handed over. ``reason`` is a short text for the agent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFault(CarrierError):
    """Worth trying again."""


class FinalRefusal(CarrierError):
    """This message will never be taken."""


class CallbackRefused(Exception):
    """Not to be stored, not to be worked on."""
