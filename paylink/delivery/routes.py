"""What helps to write a delivery before it is sent: currencies, address checks, a look at the message."""

from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from paylink.accounts import service as accounts
from paylink.accounts.auth import Caller
from paylink.channels.base import ChannelName
from paylink.context import Ctx
from paylink.delivery.schemas import AddressCheck, AddressVerdict, verdict
from paylink.kit import gsm7
from paylink.kit.clock import utcnow
from paylink.kit.money import MAX_AMOUNT, currencies, currency_name
from paylink.kit.text import Long, Short
from paylink.links import tokens
from paylink.links.schemas import Amount, Currency
from paylink.messages.render import Facts, render

router = APIRouter(prefix="/v1", tags=["Deliveries"])


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    amount: Amount
    currency: Currency
    description: Long | None = None
    reference: Short | None = None
    name: Short | None = None


class SegmentsOut(BaseModel):
    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    units: int
    segments: int


class PreviewOut(BaseModel):
    channel: ChannelName
    subject: str | None
    text: str
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
async def check_address(body: AddressCheck, caller: Caller) -> AddressVerdict:
    return verdict(body)


@router.post("/deliveries/preview", response_model=PreviewOut, summary="How a message will read, and what it costs")
async def preview(body: PreviewIn, caller: Caller, ctx: Ctx) -> PreviewOut:
    def merchant_name(session: Session) -> str:
        return accounts.merchant(session, caller.merchant_id).name

    facts = Facts(
        merchant=await ctx.db.read(merchant_name),
        amount=body.amount,
        currency=body.currency,
        # As long as a real one, which is what the count depends on.
        url=tokens.url(ctx.settings.checkout_url, "x" * 22),
        expires_at=utcnow() + timedelta(hours=24),
        description=body.description,
        reference=body.reference,
        name=body.name,
    )
    words = render(body.channel, facts)
    counted = gsm7.count(words.text) if body.channel is ChannelName.SMS else None
    return PreviewOut(
        channel=body.channel,
        subject=words.subject,
        text=words.text,
        segments=SegmentsOut.model_validate(counted, from_attributes=True) if counted else None,
    )
