"""Deliveries on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.customers.addresses import Email, Phone, textable
from paylink.delivery.service import Added, Wanted
from paylink.errors import FieldError, Invalid
from paylink.kit.clock import rfc3339
from paylink.kit.text import Short

_phone = TypeAdapter[str](Phone)
_email = TypeAdapter[str](Email)
_handle = TypeAdapter[str](Short)


class DeliveryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    # Checked by its channel in ``wanted``, which knows the customer's addresses too.
    to: Annotated[str, Field(max_length=254)] | None = Field(
        None, description="Phone (E.164), e-mail address or chat handle; left out, the customer's own is used"
    )


class DeliveryOut(BaseModel):
    id: str
    object: Literal["delivery"] = "delivery"
    channel: ChannelName
    to: str | None
    status: DeliveryStatus
    failure_reason: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    url: str | None = Field(None, description="In the answer that made a chat or QR delivery, and never again")


class AddressCheck(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    to: Annotated[str, Field(max_length=254)]


class AddressVerdict(BaseModel):
    valid: bool
    normalized: str | None = None
    code: str | None = None
    message: str | None = None


def wanted(
    delivery: DeliveryIn, *, phone: str | None, email: str | None, field: str, available: Mapping[str, bool]
) -> Wanted:
    """What to send where. Raises ``Invalid`` under ``field`` for an address that does not fit its channel."""
    channel = delivery.channel
    if not available.get(channel, False):
        raise Invalid.one(f"{field}channel", "channel_unavailable", "This channel is not set up")
    if channel is ChannelName.QR:
        if delivery.to:  # shown on a screen and sent nowhere, but not a place for a card number either
            checked_address(channel, delivery.to, field=f"{field}to")
        return Wanted(channel, None)
    to = delivery.to or {ChannelName.SMS: phone, ChannelName.EMAIL: email}.get(channel)
    if to is None:
        if channel is ChannelName.CHAT:
            return Wanted(channel, None)
        what = "phone number" if channel is ChannelName.SMS else "e-mail address"
        raise Invalid.one(f"{field}to", "address_missing", f"Say which {what} to send it to")
    return Wanted(channel, checked_address(channel, to, field=f"{field}to"))


def checked_address(channel: ChannelName, to: str, *, field: str) -> str:
    try:
        if channel is ChannelName.SMS:
            return textable(_phone.validate_python(to))
        return (_email if channel is ChannelName.EMAIL else _handle).validate_python(to)
    except PydanticCustomError as error:
        raise Invalid.one(field, error.type, _sentence(error.message())) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid.one(field, first["type"], _sentence(first["msg"])) from None


def verdict(check: AddressCheck) -> AddressVerdict:
    try:
        return AddressVerdict(valid=True, normalized=checked_address(check.channel, check.to, field="to"))
    except Invalid as error:
        problem: FieldError = error.errors[0]
        return AddressVerdict(valid=False, code=problem.code, message=problem.message)


def delivery_form(row: Mapping[str, Any], *, url: str | None = None) -> dict[str, Any]:
    """The delivery as ``DeliveryOut`` describes it. ``row`` has the columns of ``deliveries``."""
    form = {
        "id": row["id"],
        "object": "delivery",
        "channel": row["channel"],
        "to": row["address"],
        "status": row["status"],
        "failure_reason": row["failure_reason"],
        "created_at": rfc3339(row["created_at"]),
        "sent_at": rfc3339(row["sent_at"]) if row["sent_at"] else None,
        "delivered_at": rfc3339(row["delivered_at"]) if row["delivered_at"] else None,
    }
    return form if url is None else {**form, "url": url}


def shows_url(added: Added) -> bool:
    """Chat and QR are carried by the agent, who therefore needs the address itself."""
    return added.row["channel"] in {ChannelName.CHAT, ChannelName.QR}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
