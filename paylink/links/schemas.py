"""Links on the wire: what the API takes and gives. An edge: it speaks for customers and deliveries too."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from paylink.customers.addresses import Email, LocaleTag, Phone, normal_phone
from paylink.customers.models import Customer
from paylink.customers.service import Contact
from paylink.delivery.schemas import DeliveryIn, DeliveryOut
from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.money import MAX_AMOUNT, UnknownCurrency, exponent
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

DEFAULT_LIFE: Final = timedelta(hours=24)
# Adyen's bound for pay by link.
LONGEST_LIFE: Final = timedelta(days=70)


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


Currency = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=3, max_length=3),
    AfterValidator(known_currency),
]
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
    description: Long | None = None
    reference: Short | None = None
    customer: CustomerIn | None = None
    expires_in: Annotated[int, Field(strict=True, gt=0, le=int(LONGEST_LIFE.total_seconds()))] | None = Field(
        None, description="Seconds from now; 24 hours when neither this nor `expires_at` is given"
    )
    expires_at: AwareDatetime | None = None
    deliver: list[DeliveryIn] = Field(default_factory=list, max_length=10)
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.expires_in is not None and self.expires_at is not None:
            raise PydanticCustomError("two_ends", "give expires_in or expires_at, not both")
        return self

    @model_validator(mode="after")
    def _end_ahead(self) -> Self:
        if self.expires_at is not None:
            if self.expires_at <= utcnow():
                raise PydanticCustomError("expires_at_past", "expires_at must be in the future")
            if self.expires_at > utcnow() + LONGEST_LIFE:
                raise PydanticCustomError("expires_at_far", "expires_at may be at most 70 days from now")
        return self

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
        )


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


class LinkOut(BaseModel):
    id: str
    object: Literal["payment_link"] = "payment_link"
    status: LinkStatus
    amount: int
    amount_paid: int
    amount_refunded: int
    currency: str
    description: str | None
    reference: str | None
    customer: CustomerOut | None
    url: str | None = Field(None, description="In the answer that made the link, and never again")
    deliveries: list[DeliveryOut]
    expires_at: datetime
    created_at: datetime
    paid_at: datetime | None
    canceled_at: datetime | None
    metadata: dict[str, str]
    created_by: CreatedBy


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
        "currency": row["currency"],
        "description": row["description"],
        "reference": row["reference"],
        "customer": _customer_form(customer),
        "deliveries": deliveries,
        "expires_at": rfc3339(row["expires_at"]),
        "created_at": rfc3339(row["created_at"]),
        "paid_at": rfc3339(row["paid_at"]) if row["paid_at"] else None,
        "canceled_at": rfc3339(row["canceled_at"]) if row["canceled_at"] else None,
        "metadata": row["metadata"],
        "created_by": {
            "type": row["created_by_type"],
            "id": row["created_by_id"],
            "name": row["created_by_name"],
        },
    }
    return form if url is None else {**form, "url": url}


def row_of(link: PaymentLink) -> dict[str, Any]:
    names = (column.key for column in PaymentLink.__table__.columns if column.key != "metadata")
    return {name: getattr(link, name) for name in names} | {"metadata": link.link_metadata}


def _customer_form(customer: Customer | None) -> dict[str, Any] | None:
    if customer is None:
        return None
    return {name: getattr(customer, name) for name in ("id", "name", "email", "phone", "locale", "external_id")}
