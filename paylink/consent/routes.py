"""``/v1/suppressions``: who must not be written to, for agents to see, add and lift."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.auth import Caller
from paylink.channels.base import ChannelName
from paylink.consent import service
from paylink.consent.models import Suppression, SuppressionReason, SuppressionScope
from paylink.context import Ctx
from paylink.delivery.schemas import checked_address
from paylink.errors import Invalid, NotFound
from paylink.idempotency import Answer
from paylink.kit.clock import rfc3339
from paylink.kit.text import Long
from paylink.links.routes import IdempotencyKey, once, respond

router = APIRouter(prefix="/v1", tags=["Consent"])

# Shown or carried by the agent: there is no address that could be written to.
WITHOUT_ADDRESS = frozenset({ChannelName.QR, ChannelName.OTHER})


class SuppressionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: ChannelName
    address: Annotated[str, Field(max_length=254)]
    scope: SuppressionScope = SuppressionScope.ALL
    note: Long | None = None


class SuppressionOut(BaseModel):
    id: str
    object: Literal["suppression"] = "suppression"
    channel: ChannelName
    address: str
    scope: SuppressionScope
    reason: SuppressionReason
    note: str | None
    created_by: str
    created_at: datetime


class SuppressionList(BaseModel):
    object: Literal["list"] = "list"
    data: list[SuppressionOut]
    has_more: bool


@router.get("/suppressions", response_model=SuppressionList, summary="Who must not be written to, newest first")
async def suppressions(
    caller: Caller,
    ctx: Ctx,
    channel: ChannelName | None = None,
    address: Annotated[str | None, Query(max_length=254)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    def work(session: Session) -> list[Suppression]:
        if starting_after and service.find(session, caller.merchant_id, starting_after) is None:
            raise NotFound("No such suppression")
        return service.newest(
            session, caller.merchant_id, limit=limit + 1, channel=channel, address=address, before=starting_after
        )

    found = await ctx.db.read(work)
    data = [suppression_form(one) for one in found[:limit]]
    return JSONResponse({"object": "list", "data": data, "has_more": len(found) > limit})


@router.post("/suppressions", status_code=201, response_model=SuppressionOut, summary="Write there no more")
async def add(
    request: Request, body: SuppressionIn, caller: Caller, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    """The same again brings the one that is there already."""
    if body.channel in WITHOUT_ADDRESS:
        raise Invalid.one("channel", "channel_without_address", "Nothing is sent to an address by this channel")
    address = checked_address(body.channel, body.address, field="address")
    scope = f"{caller.merchant_id}:suppress"
    key = idempotency.Request.of(idempotency_key, scope=scope, body=await request.body())

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        made = service.suppress(
            session,
            caller.merchant_id,
            body.channel,
            address,
            scope=body.scope,
            reason=SuppressionReason.AGENT,
            by=caller.actor,
            by_name=caller.name,
            note=body.note,
            keyring=ctx.keyring,
        )
        return idempotency.remember(session, key, ctx.keyring, Answer(201, suppression_form(made)))

    return respond(await once(ctx, work))


@router.delete("/suppressions/{suppression_id}", status_code=204, summary="Lift it")
async def lift(suppression_id: Annotated[str, Path(max_length=64)], caller: Caller, ctx: Ctx) -> Response:
    def work(session: Session) -> None:
        found = service.find(session, caller.merchant_id, suppression_id)
        if found is None or not service.lift(session, found, by=caller.actor, by_name=caller.name, keyring=ctx.keyring):
            raise NotFound("No such suppression")

    await ctx.db.transact(work)
    return Response(status_code=204)


def suppression_form(found: Suppression) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "suppression",
        "channel": found.channel,
        "address": found.address,
        "scope": found.scope,
        "reason": found.reason,
        "note": found.note,
        "created_by": found.created_by,
        "created_at": rfc3339(found.created_at),
    }
