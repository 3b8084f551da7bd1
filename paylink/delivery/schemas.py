"""Deliveries on the wire."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.consent.service import BY_PHONE
from paylink.customers.addresses import Email, LineType, LocaleTag, Phone, line_of, textable
from paylink.delivery.models import Purpose
from paylink.delivery.service import Added, Next, Wanted
from paylink.errors import FieldError, Invalid, plainly
from paylink.kit.clock import rfc3339
from paylink.kit.text import Short

_phone = TypeAdapter[str](Phone)
_email = TypeAdapter[str](Email)
_handle = TypeAdapter[str](Short)


# How long the next channel waits for word that a message has arrived, in seconds.
FALLBACK_AFTER_S: Final = 120
BY_HAND: Final = frozenset({ChannelName.QR, ChannelName.OTHER})
_MOMENTS: Final = ("sent_at", "delivered_at", "read_at", "withdrawn_at")
_WHERE: Final = {
    ChannelName.SMS: "which phone number",
    ChannelName.WHATSAPP: "which phone number",
    ChannelName.EMAIL: "which e-mail address",
    ChannelName.CHAT: "whom in the chat",
}


class NextIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    # Checked by its channel in ``wanted``, which knows the customer's addresses too.
    to: Annotated[str, Field(max_length=254)] | None = Field(
        None, description="Phone (E.164), e-mail address or chat handle; left out, the customer's own is used"
    )
    via: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The channel account to send by; left out, the first that can"
    )

    @property
    def by_hand(self) -> bool:
        """Shown on a screen, or pasted where only the agent can paste it."""
        return self.channel in BY_HAND or (self.channel is ChannelName.CHAT and not self.to)


class DeliveryIn(NextIn):
    language: LocaleTag | None = Field(None, description="What to write it in; left out, the link's language")
    fallback: list[NextIn] = Field(
        default_factory=list,
        max_length=3,
        description="What to try next, in order, when it fails or has not arrived in time",
    )
    fallback_after: Annotated[int, Field(strict=True, ge=30, le=86400)] | None = Field(
        None, description=f"Seconds until it should have arrived; {FALLBACK_AFTER_S} when left out"
    )


class NextOut(BaseModel):
    channel: ChannelName
    to: str | None


class DeliveryOut(BaseModel):
    id: str
    object: Literal["delivery"] = "delivery"
    channel: ChannelName
    to: str | None
    via: str | None = Field(description="The channel account it goes out by; null: by hand, or the sandbox's")
    provider: str | None = Field(description="Who carried it")
    purpose: Purpose
    locale: str | None = Field(description="The language it is written in")
    status: DeliveryStatus
    failure_reason: str | None
    failure_code: str | None = Field(description="The provider's own code for it")
    attempts: int = Field(description="How often its provider was asked to take it")
    last_fault: str | None = Field(description="Why it still waits: it is tried again by itself")
    fallback: list[NextOut] = Field(description="What is tried next, in order, if it does not arrive")
    fallback_of: str | None = Field(description="The delivery in whose place it was sent")
    fallback_reason: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    withdrawn_at: datetime | None = Field(description="Since then its address opens nothing")
    url: str | None = Field(None, description="In the answer that made what is carried by hand, and never again")
    text: str | None = Field(None, description="By channel `other`, to paste together with its address; as `url`")


class AddressCheck(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    to: Annotated[str, Field(max_length=254)]


class SuppressedOut(BaseModel):
    scope: SuppressionScope
    reason: SuppressionReason
    since: datetime


class AddressVerdict(BaseModel):
    """``suppressed``: the address is right, and must not be written to."""

    valid: bool
    normalized: str | None = None
    code: str | None = None
    message: str | None = None
    type: LineType | None = Field(
        None, description="Of a phone number: what kind of line it is, as far as its digits tell"
    )
    country: str | None = Field(None, description="Of a phone number: ISO 3166")
    suppressed: SuppressedOut | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """By what a merchant's messages can go: channels by name, and a check of an account that is asked for.

    ``account`` takes channel, account and address. It raises ``Invalid`` under ``via`` or ``to``.
    """

    carried: Mapping[str, bool]
    account: Callable[[str, str, str | None], object]


def needs_accounts(asked: Sequence[DeliveryIn], *, carried: Mapping[str, bool]) -> bool:
    """Whether the merchant's accounts must be looked at to say whether this can be sent."""
    every = [one for delivery in asked for one in (delivery, *delivery.fallback)]
    return any(one.via or not (one.by_hand or carried.get(one.channel, False)) for one in every)


def wanted(delivery: DeliveryIn, *, phone: str | None, email: str | None, field: str, ways: Ways) -> Wanted:
    """What to send where. Raises ``Invalid`` below ``field`` for what does not fit its channel."""
    own = {ChannelName.SMS: phone, ChannelName.WHATSAPP: phone, ChannelName.EMAIL: email}
    to = _place(delivery, own, field=field, ways=ways)
    if delivery.by_hand and delivery.fallback:
        raise Invalid.one(f"{field}fallback", "fallback_by_hand", "What is carried by hand has nothing to wait for")
    if delivery.fallback_after is not None and not delivery.fallback:
        raise Invalid.one(f"{field}fallback_after", "fallback_missing", "Say in fallback what to try then")
    return Wanted(
        delivery.channel.value,
        to,
        account_id=delivery.via,
        locale=delivery.language,
        fallback=tuple(
            _next(one, own, field=f"{field}fallback.{place}.", ways=ways) for place, one in enumerate(delivery.fallback)
        ),
        fallback_after_s=(delivery.fallback_after or FALLBACK_AFTER_S) if delivery.fallback else None,
    )


def _next(one: NextIn, own: Mapping[ChannelName, str | None], *, field: str, ways: Ways) -> Next:
    if one.by_hand:
        raise Invalid.one(f"{field}channel", "fallback_by_hand", "Only what is sent by itself can be tried next")
    to = _place(one, own, field=field, ways=ways)
    assert to is not None  # noqa: S101 - says so to the type checker
    return Next(one.channel.value, to, one.via)


def _place(one: NextIn, own: Mapping[ChannelName, str | None], *, field: str, ways: Ways) -> str | None:
    """Where it goes to, checked; ``None`` for what is only shown."""
    channel = one.channel
    if not (one.by_hand or one.via or ways.carried.get(channel, False)):
        raise Invalid.one(f"{field}channel", "channel_unavailable", "This channel is not set up")
    if one.by_hand:
        if one.via:
            raise Invalid.one(f"{field}via", "carried_by_hand", "Nobody carries this; leave it out, or say where to")
        # Shown on a screen and sent nowhere, but not a place for a card number either.
        to = checked_address(channel, one.to, field=f"{field}to") if one.to else None
        return to if channel is ChannelName.OTHER else None
    to = one.to or own.get(channel)
    if to is None:
        raise Invalid.one(f"{field}to", "address_missing", f"Say {_WHERE[channel]} to send it to")
    to = checked_address(channel, to, field=f"{field}to")
    if one.via:
        try:
            ways.account(channel, one.via, to)
        except Invalid as error:
            raise Invalid([FieldError(f"{field}{e.field}", e.code, e.message) for e in error.errors]) from None
    return to


def checked_address(channel: ChannelName, to: str, *, field: str) -> str:
    try:
        if channel is ChannelName.SMS:
            return textable(_phone.validate_python(to))
        if channel is ChannelName.WHATSAPP:
            return _phone.validate_python(to)
        return (_email if channel is ChannelName.EMAIL else _handle).validate_python(to)
    except PydanticCustomError as error:
        raise Invalid.one(field, error.type, plainly(error.type, error.message())) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid.one(field, first["type"], plainly(first["type"], first["msg"])) from None


def verdict(check: AddressCheck) -> AddressVerdict:
    """Whether it must not be written to is the caller's to add."""
    try:
        to = checked_address(check.channel, check.to, field="to")
    except Invalid as error:
        problem: FieldError = error.errors[0]
        kind, country = line_of(check.to.strip()) if check.channel in BY_PHONE else (None, None)
        return AddressVerdict(valid=False, code=problem.code, message=problem.message, type=kind, country=country)
    kind, country = line_of(to) if check.channel in BY_PHONE else (None, None)
    return AddressVerdict(valid=True, normalized=to, type=kind, country=country)


def delivery_form(row: Mapping[str, Any], *, url: str | None = None, text: str | None = None) -> dict[str, Any]:
    """The delivery as ``DeliveryOut`` describes it. ``row`` has the columns of ``deliveries``."""
    form = {
        "id": row["id"],
        "object": "delivery",
        "channel": row["channel"],
        "to": row["address"],
        "via": row["account_id"],
        **{name: row[name] for name in ("provider", "purpose", "locale", "status", "failure_reason", "failure_code")},
        **{name: row[name] for name in ("attempts", "last_fault")},
        "fallback": [{"channel": one["channel"], "to": one["to"]} for one in row["fallback"] or ()],
        **{name: row[name] for name in ("fallback_of", "fallback_reason")},
        "created_at": rfc3339(row["created_at"]),
        **{name: rfc3339(row[name]) if row[name] else None for name in _MOMENTS},
    }
    shown = {"url": url, "text": text}
    return form | {name: value for name, value in shown.items() if value is not None}


def shows_url(added: Added) -> bool:
    """Chat, QR codes and other apps are served by the agent, who therefore needs the address itself."""
    return added.row["channel"] in {ChannelName.CHAT, ChannelName.QR, ChannelName.OTHER}
