"""What helps to write a delivery before it is sent: currencies, address checks, a look at the message."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from paylink.accounts import service as accounts
from paylink.accounts.auth import Caller
from paylink.accounts.scope import PrincipalKind
from paylink.channels.base import ChannelName
from paylink.consent import service as consent
from paylink.context import Ctx
from paylink.delivery.models import Purpose
from paylink.delivery.schemas import AddressCheck, AddressVerdict, SuppressedOut, verdict
from paylink.kit import gsm7, i18n
from paylink.kit.clock import utcnow
from paylink.kit.money import MAX_AMOUNT, currencies, currency_name
from paylink.kit.text import Long, Short
from paylink.links import tokens
from paylink.links.schemas import Amount, Currency, Moment
from paylink.messages import service as templates
from paylink.messages.render import Facts, Rendered, first_name, render

router = APIRouter(prefix="/v1", tags=["Deliveries"])

# As long as the words of most links.
LIKE_WORDS: Final = "amber river seven"


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    amount: Amount
    currency: Currency
    description: Long | None = None
    reference: Short | None = None
    name: Short | None = None
    language: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="BCP 47; one that no message is written in gives English"
    )
    words: Short | None = Field(
        default_factory=lambda: LIKE_WORDS, description="The link's `session_words`; left out, some of their length"
    )
    expires_at: Moment | None = Field(None, description="When the link ends; left out, in 24 hours")

    @field_validator("expires_at")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        """As messages tell it."""
        try:
            return value and value.astimezone(UTC)
        except OverflowError:
            raise PydanticCustomError("expires_at_far", "expires_at is a time that no link ends at") from None


class SegmentsOut(BaseModel):
    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    units: int
    segments: int
    price_factor: int = Field(description="How many times the price of one text message this one costs")


class PreviewOut(BaseModel):
    channel: ChannelName
    language: str
    subject: str | None
    text: str
    html: str | None
    url_length: int
    segments: SegmentsOut | None


class CurrencyOut(BaseModel):
    code: str
    name: str
    exponent: int
    # What one link can ask for and one payment can bring, in the currency's minor unit.
    min_amount: int
    max_amount: int
    step: int = Field(description="Amounts are multiples of this")


class CurrencyList(BaseModel):
    object: Literal["list"] = "list"
    data: list[CurrencyOut]
    has_more: bool


@router.get("/currencies", response_model=CurrencyList, summary="Currencies a link can be made in")
async def list_currencies(caller: Caller, ctx: Ctx) -> Response:
    data = [
        {
            "code": code,
            "name": currency_name(code),
            "exponent": digits,
            "min_amount": charging.minimum,
            "max_amount": min(MAX_AMOUNT, charging.maximum),
            "step": charging.step,
        }
        for code, digits in sorted(currencies().items())
        if (charging := ctx.psp.charging(code)) is not None
    ]
    return JSONResponse({"object": "list", "data": data, "has_more": False})


@router.post("/addresses/check", response_model=AddressVerdict, summary="Check a phone number or e-mail address")
async def check_address(body: AddressCheck, caller: Caller, ctx: Ctx) -> AddressVerdict:
    found = verdict(body)
    if found.normalized is None:
        return found
    stopped = await ctx.db.read(
        lambda session: consent.blocked(
            session, caller.merchant_id, body.channel, found.normalized, purpose=Purpose.REMINDER
        )
    )
    if stopped is None:
        return found
    since = {"scope": stopped.scope, "reason": stopped.reason, "since": stopped.created_at}
    return found.model_copy(update={"suppressed": SuppressedOut.model_validate(since)})


@router.post("/deliveries/preview", response_model=PreviewOut, summary="How a message will read, and what it costs")
async def preview(body: PreviewIn, caller: Caller, ctx: Ctx) -> PreviewOut:
    language = i18n.choose(body.language)
    url = tokens.sample(ctx.settings.checkout_url, body.channel)

    def look(session: Session) -> Rendered:
        facts = Facts(
            merchant=accounts.merchant(session, caller.merchant_id).name,
            amount=body.amount,
            currency=body.currency,
            url=url,
            expires_at=body.expires_at or utcnow() + timedelta(hours=24),
            description=body.description,
            reference=body.reference,
            name=body.name,
            words=body.words,
            agent=first_name(caller.name) if caller.kind is PrincipalKind.AGENT else None,
            replies=templates.takes_replies(session, caller.merchant_id, body.channel),
        )
        own = templates.template_for(session, caller.merchant_id, body.channel, language)
        return render(body.channel, facts, locale=language, template=own)

    words = await ctx.db.read(look)
    counted = gsm7.count(words.text) if body.channel is ChannelName.SMS else None
    return PreviewOut(
        channel=body.channel,
        language=language,
        subject=words.subject,
        text=words.text,
        html=words.html,
        url_length=len(url),
        segments=SegmentsOut.model_validate(counted, from_attributes=True) if counted else None,
    )
