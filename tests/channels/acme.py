"""A provider of the tests' own: what it is sent it keeps, and its callbacks are signed with a shared secret."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    ChannelName,
    DeliveryStatus,
    Message,
    Parsed,
    Reply,
    Report,
)
from paylink.channels.providers import PROVIDERS, Adapter, Provider


class Region(StrEnum):
    EU = "eu"
    US = "us"


class AcmeConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(title="API token", description="From your Acme account", min_length=8)
    sender: str = Field(title="Sender", max_length=20)
    base_url: str = Field("https://93.184.216.34", title="Gateway")
    region: Region = Field(Region.EU, title="Region")
    speed: Literal["slow", "fast"] = "slow"
    parts: int = Field(3, title="Parts", ge=1, le=9)
    flash: bool = False
    footer: str | None = Field(None, json_schema_extra={"format": "text"})
    backup_token: SecretStr | None = None

    @model_validator(mode="after")
    def _fits(self) -> "AcmeConfig":
        if self.region is Region.US and self.speed == "fast":
            raise ValueError("is not fast there")
        return self


@dataclass
class Seen:
    """What adapters did, over all accounts."""

    messages: list[tuple[str, Message]] = field(default_factory=list)
    built: int = 0
    closed: int = 0
    callbacks: list[Callback] = field(default_factory=list)
    # Raised by the next send.
    fault: BaseException | None = None


seen = Seen()


class AcmeChannel:
    name = "acme"
    Config: ClassVar = AcmeConfig
    capabilities: ClassVar = Capabilities(delivered=True, replies=True)

    def __init__(self, config: AcmeConfig, *, callback_url: str) -> None:
        self.config = config
        self.callback_url = callback_url
        seen.built += 1

    async def send(self, message: Message) -> str:
        if seen.fault is not None:
            raise seen.fault
        seen.messages.append((self.config.token.get_secret_value(), message))
        return f"acme-{message.id}"

    def parse_callback(self, callback: Callback) -> Parsed:
        seen.callbacks.append(callback)
        if callback.headers.get("x-acme") != self.config.token.get_secret_value():
            raise CallbackRefused("the secret does not fit")
        if challenge := callback.query.get("challenge"):
            return Parsed(body=challenge, media_type="text/x-challenge")
        told = json.loads(callback.body)
        return Parsed(
            reports=[_report(one) for one in told.get("reports", [])],
            replies=[_reply(one) for one in told.get("replies", [])],
            body="<ok/>",
            media_type="application/xml",
        )

    async def close(self) -> None:
        seen.closed += 1


def _report(one: dict[str, Any]) -> Report:
    status, occurred_at = DeliveryStatus(one.pop("status")), datetime.fromisoformat(one.pop("occurred_at"))
    return Report(status=status, occurred_at=occurred_at, **one)


def _reply(one: dict[str, Any]) -> Reply:
    return Reply(occurred_at=datetime.fromisoformat(one.pop("occurred_at")), **one)


class _Acme(Provider):
    def load(self) -> Adapter:
        return cast(Adapter, AcmeChannel)


@contextmanager
def acme() -> Iterator[Seen]:
    PROVIDERS["acme"] = _Acme("acme", ChannelName.SMS, "Acme", "")
    seen.__init__()  # type: ignore[misc]
    try:
        yield seen
    finally:
        del PROVIDERS["acme"]
