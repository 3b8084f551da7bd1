"""``/v1/message_templates``: what messages say, in the merchant's own words or ours."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from paylink.accounts import service as accounts
from paylink.accounts.auth import Caller
from paylink.channels.base import ChannelName
from paylink.context import Ctx
from paylink.kit import gsm7, i18n
from paylink.links import tokens
from paylink.messages import service
from paylink.messages.render import ours
from paylink.messages.schemas import (
    TemplateIn,
    TemplateList,
    TemplateOut,
    TemplatePreviewIn,
    TemplatePreviewOut,
    built_in_form,
    own_form,
    preview_form,
    spoken,
    with_words,
)

router = APIRouter(prefix="/v1/message_templates", tags=["Message templates"])
Language = Annotated[str, Path(max_length=64)]


@router.get("", response_model=TemplateList, summary="What messages say: your own templates, and the built-in ones")
async def list_templates(caller: Caller, ctx: Ctx) -> Response:
    def read(session: Session) -> dict[tuple[str, str], dict[str, Any]]:
        return {(one.channel, one.language): own_form(one) for one in service.own_templates(session, caller)}

    own = await ctx.db.read(read)
    data = [
        own.get((channel.value, language)) or built_in_form(channel, language, ours(channel, language))
        for channel in service.CHANNELS
        for language in i18n.LANGUAGES
    ]
    return JSONResponse({"object": "list", "data": data, "has_more": False})


@router.put("/{channel}/{language}", response_model=TemplateOut, summary="Use your own words")
async def put_template(
    channel: ChannelName, language: Language, body: TemplateIn, caller: Caller, ctx: Ctx
) -> Response:
    known, name = with_words(channel), spoken(language)

    def work(session: Session) -> dict[str, Any]:
        merchant = accounts.merchant(session, caller.merchant_id).name
        words = body.model_dump()
        service.judged(known, name, merchant=merchant, url=tokens.sample(ctx.settings.checkout_url, known), **words)
        return own_form(service.put(session, caller, ctx.keyring, channel=known, language=name, **words))

    return JSONResponse(await ctx.db.transact(work))


@router.delete("/{channel}/{language}", status_code=204, summary="Back to the built-in words")
async def delete_template(channel: ChannelName, language: Language, caller: Caller, ctx: Ctx) -> Response:
    known, name = with_words(channel), spoken(language)
    await ctx.db.transact(lambda session: service.remove(session, caller, ctx.keyring, channel=known, language=name))
    return Response(status_code=204)


@router.post("/preview", response_model=TemplatePreviewOut, summary="How a template reads, without keeping it")
async def preview_template(body: TemplatePreviewIn, caller: Caller, ctx: Ctx) -> Response:
    known, name = with_words(body.channel), spoken(body.language)
    merchant = await ctx.db.read(lambda session: accounts.merchant(session, caller.merchant_id).name)
    rendered = service.judged(
        known,
        name,
        merchant=merchant,
        url=tokens.sample(ctx.settings.checkout_url, known),
        subject=body.subject,
        text=body.text,
        mjml=body.mjml,
    )
    counted = gsm7.count(rendered.text) if known is ChannelName.SMS else None
    segments = {**asdict(counted), "price_factor": counted.price_factor} if counted else None
    return JSONResponse(preview_form(rendered, segments))
