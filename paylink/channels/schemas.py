"""Channels and their accounts on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paylink.channels.base import Capabilities, ChannelName
from paylink.channels.fields import FieldType, fields_of, shown
from paylink.channels.models import ChannelAccount
from paylink.channels.providers import PROVIDERS, Provider
from paylink.kit.clock import rfc3339
from paylink.kit.text import Short

ProviderName = Annotated[str, Field(max_length=40, description="One of those that `GET /v1/channel_providers` lists")]
Config = Annotated[dict[str, Any], Field(max_length=60, description="The provider's fields, by name")]


class AccountIn(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: ProviderName
    name: Short
    config: Config = {}


class AccountChange(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Short | None = None
    config: Config | None = Field(
        None, description="What changes; `null` for a field's default; a secret left out stays"
    )
    enabled: bool | None = None
    position: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None, description="Its place among those of its channel: the first that is switched on is what is sent by"
    )


class TestIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: Annotated[str, Field(max_length=254)]


class TestOut(BaseModel):
    ok: bool
    message_id: str | None
    reason: str | None


class CapabilitiesOut(BaseModel):
    delivered: bool
    read: bool
    replies: bool


class FieldOut(BaseModel):
    name: str
    title: str
    description: str
    type: FieldType
    choices: list[str] | None
    required: bool
    secret: bool
    default: Any


class ProviderOut(BaseModel):
    provider: str
    channel: ChannelName
    title: str
    capabilities: CapabilitiesOut
    fields: list[FieldOut]


class ProviderList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ProviderOut]
    has_more: bool


class AccountOut(BaseModel):
    id: str
    object: Literal["channel_account"] = "channel_account"
    channel: ChannelName
    provider: str
    name: str
    enabled: bool
    position: int
    config: dict[str, Any] = Field(description="Without its secrets")
    secrets_set: list[str]
    callback_url: str = Field(description="What the provider must call: delivery reports, and what people write back")
    capabilities: CapabilitiesOut
    created_at: datetime


class AccountList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AccountOut]
    has_more: bool


class AccountName(BaseModel):
    id: str
    name: str
    provider: str


class ChannelWays(BaseModel):
    channel: ChannelName
    available: bool
    by_hand: bool = Field(description="An agent can carry it without an account")
    accounts: list[AccountName]


class ChannelWaysList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ChannelWays]
    has_more: bool


def provider_form(provider: Provider) -> dict[str, Any]:
    adapter = provider.load()
    return {
        "provider": provider.name,
        "channel": provider.channel.value,
        "title": provider.title,
        "capabilities": _capabilities(provider),
        "fields": fields_of(adapter.Config),
    }


def account_form(account: ChannelAccount, config: dict[str, Any], *, callback_url: str) -> dict[str, Any]:
    """``config`` with its secrets, which are left out here; empty where it could not be opened."""
    provider = PROVIDERS.get(account.provider)
    values, secrets = shown(config, provider.load().Config) if provider and config else ({}, [])
    return {
        "id": account.id,
        "object": "channel_account",
        "channel": account.channel,
        "provider": account.provider,
        "name": account.name,
        "enabled": account.disabled_at is None,
        "position": account.position,
        "config": values,
        "secrets_set": secrets,
        "callback_url": callback_url,
        "capabilities": _capabilities(provider),
        "created_at": rfc3339(account.created_at),
    }


def _capabilities(provider: Provider | None) -> dict[str, bool]:
    can = provider.load().capabilities if provider else Capabilities()
    return {"delivered": can.delivered, "read": can.read, "replies": can.replies}
