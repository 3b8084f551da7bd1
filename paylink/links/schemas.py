"""Links on the wire: what the API takes and gives. An edge: it speaks for customers and deliveries too."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from paylink.customers.addresses import Email, LocaleTag, Phone, normal_phone
from paylink.customers.models import Customer
from paylink.customers.service import Contact
from paylink.delivery.schemas import DeliveryIn, DeliveryOut
from paylink.errors import FieldError, Invalid
from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.money import MAX_AMOUNT, UnknownCurrency, exponent, format_plain
from paylink.kit.text import (
    Long,
    MetadataKey,
    MetadataValue,
    Short,
    refuse_card_number,
    refuse_control_characters,
)
from paylink.links.models import LinkStatus, PaymentLink
from paylink.links.service import NewLink
from paylink.psp.base import Charging

DEFAULT_LIFE: Final = timedelta(hours=24)
# Adyen's bound for pay by link.
LONGEST_LIFE: Final = timedelta(days=70)
# Without an offset it is refused with a word of its own.
RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE)


def known_currency(value: str) -> str:
    try:
        exponent(value)
    except UnknownCurrency:
        raise PydanticCustomError("currency_unknown", "is not an ISO 4217 currency that people pay in") from None
    return value


def searchable(value: str | None) -> str | None:
    """What may be looked for: a phone number that passes the Luhn check is still a phone number."""
    if value is None or _is_phone(value):
        return value
    return refuse_card_number(refuse_control_characters(value))


def _is_phone(value: str) -> bool:
    try:
        return bool(normal_phone(value.strip()))
    except PydanticCustomError:
        return False


def _rfc3339(value: Any) -> Any:
    """Pydantic would take numbers and more, and guess whether they are seconds or milliseconds."""
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        return value
    raise PydanticCustomError("not_rfc3339", "write a time such as 2026-12-31T18:00:00Z")


Currency = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=3, max_length=3),
    AfterValidator(known_currency),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
Amount = Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT, description="In the currency's minor unit")]


class Body(BaseModel):
    """Unknown fields are refused: a typing error in a field's name must not be lost in silence."""

    model_config = ConfigDict(extra="forbid")


class CustomerIn(Body):
    name: Short | None = None
    email: Email | None = None
    phone: Phone | None = None
    locale: LocaleTag | None = None
    external_id: Short | None = None


class CreateLink(Body):
    amount: Amount
    currency: Currency
    minimum_amount: Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT)] | None = Field(
        None,
        description="The least that may be paid at once, in the currency's minor unit: the customer may pay in parts. "
        "Left out, the whole amount or nothing",
    )
    description: Long | None = None
    reference: Short | None = None
    customer: CustomerIn | None = None
    locale: LocaleTag | None = Field(
        None,
        description="The language of its messages and of the customer's page, such as `de` or `pt-BR`; left out, the "
        "customer's own, or what their browser asks for",
    )
    expires_in: Annotated[int, Field(strict=True, gt=0, le=int(LONGEST_LIFE.total_seconds()))] | None = Field(
        None, description="Seconds from now; 24 hours when neither this nor `expires_at` is given"
    )
    expires_at: Moment | None = None
    deliver: list[DeliveryIn] = Field(default_factory=list, max_length=10)
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=50)

    @field_validator("minimum_amount")
    @classmethod
    def _within_the_amount(cls, value: int | None, info: ValidationInfo) -> int | None:
        amount = info.data.get("amount")
        if value is not None and amount is not None and value > amount:
            raise PydanticCustomError("minimum_amount_too_large", "must not be more than the amount")
        return value

    @field_validator("expires_at")
    @classmethod
    def _ahead(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None:
            return None
        if info.data.get("expires_in") is not None:
            raise PydanticCustomError("two_ends", "give expires_in or expires_at, not both")
        if value <= utcnow():
            raise PydanticCustomError("expires_at_past", "expires_at must be in the future")
        if value > utcnow() + LONGEST_LIFE:
            raise PydanticCustomError("expires_at_far", "expires_at may be at most 70 days from now")
        return value

    @field_validator("deliver", "metadata", mode="before")
    @classmethod
    def _none_is_left_out(cls, value: Any, info: ValidationInfo) -> Any:
        return ([] if info.field_name == "deliver" else {}) if value is None else value

    def new_link(self) -> NewLink:
        life = timedelta(seconds=self.expires_in) if self.expires_in else DEFAULT_LIFE
        return NewLink(
            amount=self.amount,
            currency=self.currency,
            expires_at=self.expires_at or utcnow() + life,
            description=self.description,
            reference=self.reference,
            contact=Contact(**self.customer.model_dump()) if self.customer else None,
            metadata=self.metadata,
            minimum_amount=self.minimum_amount,
            locale=self.locale,
        )

    def check_chargeable(self, charging: Charging | None) -> None:
        """Raises ``Invalid`` for what the provider could not take: better said here than to the customer with a card.

        A part too is a charge of its own.
        """
        if charging is None:
            raise Invalid.one("currency", "currency_not_chargeable", "cannot be charged by the payment provider")
        amounts = {"amount": self.amount, "minimum_amount": self.minimum_amount}
        errors = [
            FieldError(field, code, f"the payment provider takes {text}")
            for field, value in amounts.items()
            if value is not None
            for code, text in _refusals(value, self.currency, charging)
        ]
        if errors:
            raise Invalid(errors)


def _refusals(amount: int, currency: str, charging: Charging) -> Iterator[tuple[str, str]]:
    if amount < charging.minimum:
        yield "amount_too_small", f"no less than {format_plain(charging.minimum, currency)} at once"
    elif amount > charging.maximum:
        yield "amount_too_large", f"no more than {format_plain(charging.maximum, currency)} at once"
    elif amount % charging.step:
        yield "amount_not_chargeable", f"{currency} in steps of {format_plain(charging.step, currency)} only"


class CustomerOut(BaseModel):
    id: str
    name: str | None
    email: str | None
    phone: str | None
    locale: str | None
    external_id: str | None


class CreatedBy(BaseModel):
    type: Literal["agent", "api_key"]
    id: str
    name: str


class LockOut(BaseModel):
    reason: Literal["too_many_attempts", "too_many_cards"]
    at: datetime


class LinkOut(BaseModel):
    id: str
    object: Literal["payment_link"] = "payment_link"
    status: LinkStatus
    amount: int
    amount_paid: int
    amount_refunded: int
    minimum_amount: int | None = Field(description="The least that may be paid at once; null: the whole amount only")
    currency: str
    description: str | None
    reference: str | None
    customer: CustomerOut | None
    locale: str | None = Field(description="The language of its messages and page; null: what the browser asks for")
    session_words: str | None = Field(
        description="Three easy words for the agent to say: the customer finds them in the message and on the page"
    )
    url: str | None = Field(None, description="In the answer that made the link, and never again")
    deliveries: list[DeliveryOut]
    expires_at: datetime
    created_at: datetime
    paid_at: datetime | None
    canceled_at: datetime | None
    reported_at: datetime | None = Field(description="When the customer said that the message looks like fraud")
    metadata: dict[str, str]
    created_by: CreatedBy
    lock: LockOut | None = Field(description="Too many declined tries: nobody can pay until the link is unlocked")


class LinkList(BaseModel):
    object: Literal["list"] = "list"
    data: list[LinkOut]
    has_more: bool


class EventOut(BaseModel):
    id: str
    type: str
    seq: int
    payment_link: str
    occurred_at: datetime
    origin: Literal["payer", "agent", "api", "provider", "system"]
    data: dict[str, Any]


class EventList(BaseModel):
    object: Literal["list"] = "list"
    data: list[EventOut]
    has_more: bool


def link_form(
    row: dict[str, Any], *, customer: Customer | None, deliveries: list[dict[str, Any]], url: str | None = None
) -> dict[str, Any]:
    """The link as ``LinkOut`` describes it; a plain dict: a model built only to be dumped costs more than the row."""
    form = {
        "id": row["id"],
        "object": "payment_link",
        "status": row["status"],
        "amount": row["amount"],
        "amount_paid": row["amount_paid"],
        "amount_refunded": row["amount_refunded"],
        "minimum_amount": row["minimum_amount"],
        "currency": row["currency"],
        "description": row["description"],
        "reference": row["reference"],
        "customer": _customer_form(customer),
        "locale": row["locale"],
        "session_words": row["session_words"],
        "deliveries": deliveries,
        "expires_at": rfc3339(row["expires_at"]),
        "created_at": rfc3339(row["created_at"]),
        "paid_at": rfc3339(row["paid_at"]) if row["paid_at"] else None,
        "canceled_at": rfc3339(row["canceled_at"]) if row["canceled_at"] else None,
        "reported_at": rfc3339(row["reported_at"]) if row["reported_at"] else None,
        "metadata": row["metadata"],
        "created_by": {
            "type": row["created_by_type"],
            "id": row["created_by_id"],
            "name": row["created_by_name"],
        },
        "lock": {"reason": row["lock_reason"], "at": rfc3339(row["locked_at"])} if row["locked_at"] else None,
    }
    return form if url is None else {**form, "url": url}


def row_of(link: PaymentLink) -> dict[str, Any]:
    names = (column.key for column in PaymentLink.__table__.columns if column.key != "metadata")
    return {name: getattr(link, name) for name in names} | {"metadata": link.link_metadata}


def _customer_form(customer: Customer | None) -> dict[str, Any] | None:
    if customer is None:
        return None
    return {name: getattr(customer, name) for name in ("id", "name", "email", "phone", "locale", "external_id")}
