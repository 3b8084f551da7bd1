"""Chats, for the merchant's side of the conversation."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from paylink.accounts.auth import Caller
from paylink.chats import service
from paylink.chats.schemas import (
    ChatList,
    ChatMessageIn,
    ChatMessageList,
    ChatMessageOut,
    chat_form,
    message_form,
)
from paylink.context import Ctx

router = APIRouter(prefix="/v1/chats", tags=["Chats"])

Place = Annotated[str | None, Query(max_length=64)]


@router.get("", response_model=ChatList, summary="Chats, those with the latest visits first")
async def chats(
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Place = None,
    code: Annotated[str | None, Query(max_length=20, description="What a visitor says on the phone")] = None,
) -> Response:
    def work(session: Session) -> list[dict[str, Any]]:
        after = service.get(session, caller, starting_after) if starting_after else None
        found = service.newest(session, caller, limit=limit + 1, code=code, after=after)
        last = service.last_messages(session, [chat.id for chat in found])
        return [chat_form(chat, last.get(chat.id)) for chat in found]

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


@router.get(
    "/{chat_id}/messages", response_model=ChatMessageList, summary="What was said: the newest messages, oldest first"
)
async def messages(
    chat_id: str,
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    after: Annotated[str | None, Query(max_length=64, description="A message's id: what follows it")] = None,
    before: Annotated[str | None, Query(max_length=64, description="A message's id: what comes before it")] = None,
) -> Response:
    """``has_more``: there are others beyond these, in the direction that was asked for."""

    def work(session: Session) -> list[dict[str, Any]]:
        chat = service.get(session, caller, chat_id)
        found = service.messages(session, chat.id, limit=limit + 1, after=after, before=before)
        return [message_form(message) for message in found]

    found = await ctx.db.read(work)
    shown = found[:limit] if after is not None else found[-limit:]
    return JSONResponse({"object": "list", "data": shown, "has_more": len(found) > limit})


@router.post(
    "/{chat_id}/messages",
    response_model=ChatMessageOut,
    status_code=201,
    summary="Write to the visitor, who sees it at once",
)
async def answer(chat_id: str, body: ChatMessageIn, caller: Caller, ctx: Ctx) -> Response:
    def work(session: Session) -> dict[str, Any]:
        return message_form(service.answer(session, caller, chat_id, text=body.text))

    return JSONResponse(await ctx.db.transact(work), 201)
