"""The providers a merchant can have an account with, and how one is built from its settings.

An adapter is a class with the fields its account needs as ``Config``: what the console asks for, in that order. A
``SecretStr`` is asked for and never shown again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel

from paylink.channels.base import Capabilities, Channel, ChannelName


class Adapter(Protocol):
    """What ``Provider.load`` gives: called with its settings and the address of its callbacks, it is a ``Channel``.

    Where providers of one channel have addresses of their own kinds, it has ``takes(to)``, which says what is its own.
    """

    Config: ClassVar[type[BaseModel]]
    capabilities: ClassVar[Capabilities]

    def __call__(self, config: Any, *, callback_url: str) -> Channel: ...


@dataclass(frozen=True, slots=True)
class Provider:
    """``place``: module and class below ``paylink.channels``, loaded when it is first needed."""

    name: str
    channel: ChannelName
    title: str
    place: str

    def load(self) -> Adapter:
        module, _, name = self.place.partition(":")
        found: Callable[..., Channel] = getattr(import_module(f"paylink.channels.{module}"), name)
        return found  # type: ignore[return-value]


PROVIDERS: Final = {
    provider.name: provider
    for provider in (
        Provider("twilio", ChannelName.SMS, "Twilio", "twilio:TwilioChannel"),
        Provider("vonage", ChannelName.SMS, "Vonage", "vonage:VonageChannel"),
        Provider("kannel", ChannelName.SMS, "Kannel", "kannel:KannelChannel"),
        Provider("smtp", ChannelName.EMAIL, "SMTP", "smtp:SmtpChannel"),
        Provider("whatsapp", ChannelName.WHATSAPP, "WhatsApp Cloud API", "whatsapp:WhatsAppChannel"),
        Provider("webchat", ChannelName.CHAT, "Web chat", "webchat:WebChatChannel"),
        Provider("matrix", ChannelName.CHAT, "Matrix", "matrix:MatrixChannel"),
    )
}
