"""The port to whatever carries messages: send one, and read what its provider reports of it later.

A channel is a stateless translator. It never sees a database; its errors say whether trying again makes sense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol


class ChannelName(StrEnum):
    SMS = "sms"
    EMAIL = "email"
    WHATSAPP = "whatsapp"
    CHAT = "chat"
    QR = "qr"
    # By an app of the agent's own: we give text and address to paste.
    OTHER = "other"


class DeliveryStatus(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    BOUNCED = "bounced"
    OPTED_OUT = "opted_out"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is ours and stays the same on every try: a provider that can, sends it once.

    ``text`` holds ``url`` already; a provider that sends a template with a button of its own takes the parts instead.
    """

    id: str
    channel: str
    to: str
    text: str
    subject: str | None = None
    html: str | None = None
    url: str = ""
    # BCP 47.
    locale: str = "en"
    # Whose message it is, as people know them.
    merchant: str = ""
    # The same for all messages of one link, so that a mailbox can show them together.
    thread: str | None = None
    # What a template with places of its own may fill in: merchant, amount, description, reference, words.
    parts: Mapping[str, str] = field(default_factory=dict)
    # Of an e-mail, such as List-Unsubscribe.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Callback:
    """A request of a provider, raw. ``url`` is what the outside called, query and all; header names lower case."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message. ``id`` is the provider's own id of this report, or made of what it says, so that it is
    the same when it is repeated. It names the message by our id (``reference``), or by the provider's (``message_id``).
    """

    id: str
    status: DeliveryStatus
    occurred_at: datetime
    reference: str = ""
    message_id: str = ""
    reason: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person wrote back. ``sender`` is their address, in the form messages are sent to."""

    id: str
    sender: str
    text: str
    occurred_at: datetime
    # Where they wrote to: the merchant's number or address.
    to: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one callback says. ``body`` and ``media_type``: the answer a provider insists on."""

    reports: Sequence[Report] = ()
    replies: Sequence[Reply] = ()
    body: str = ""
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can tell, and whether a person can write back."""

    delivered: bool = False
    read: bool = False
    replies: bool = False


class Channel(Protocol):
    """One account with a provider. Built from its ``Config``; see ``providers``."""

    name: str
    capabilities: ClassVar[Capabilities]

    async def send(self, message: Message) -> str:
        """Hands the message over and returns the provider's id for it. Raises ``ChannelError``."""

    def parse_callback(self, callback: Callback) -> Parsed:
        """Checks the signature over the raw request, then reads it. Raises ``CallbackRefused``."""

    async def close(self) -> None: ...


class ChannelError(Exception):
    """The message was not handed over. ``reason`` is a short text for the agent, ``code`` the provider's own."""

    def __init__(self, reason: str, *, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class TemporaryFault(ChannelError):
    """Worth trying again, not sooner than after ``retry_after_s`` where the provider says so."""

    def __init__(self, reason: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(reason, code=code)
        self.retry_after_s = retry_after_s


class FinalRefusal(ChannelError):
    """This message will never be taken. ``status``: ``failed``, or what it is more exactly."""

    def __init__(self, reason: str, *, code: str | None = None, status: DeliveryStatus = DeliveryStatus.FAILED) -> None:
        super().__init__(reason, code=code)
        self.status = status


class CallbackRefused(Exception):
    """Not to be stored, not to be worked on."""
