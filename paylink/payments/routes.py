"""Payments of a link, what an agent decides about them, refunds, and ending a link."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.auth import Caller
from paylink.accounts.scope import Principal
from paylink.context import Context, Ctx
from paylink.errors import PaylinkError
from paylink.idempotency import Answer
from paylink.links import service as links
from paylink.links.routes import IdempotencyKey, read_link, respond
from paylink.links.schemas import LinkOut
from paylink.payments import closing, refunds, review
from paylink.payments.models import Decision, Payment
from paylink.payments.schemas import (
    PaymentList,
    PaymentOut,
    ReasonIn,
    RefundIn,
    RefundOut,
    payment_form,
    refund_form,
)

router = APIRouter(prefix="/v1", tags=["Payments"])

Reason = Annotated[ReasonIn | None, Body()]


@router.get("/payment_links/{link_id}/payments", response_model=PaymentList, summary="The attempts to pay a link")
async def payments(
    link_id: str,
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    def work(session: Session) -> list[dict[str, Any]]:
        link = links.get(session, caller, link_id)
        query = sa.select(Payment).where(Payment.link_id == link.id)
        if starting_after is not None:
            query = query.where(Payment.attempt < review.own_payment(session, caller, starting_after).attempt)
        found = session.scalars(query.order_by(Payment.attempt.desc()).limit(limit + 1))
        return [payment_form(payment) for payment in found]

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


@router.post("/payment_links/{link_id}/cancel", response_model=LinkOut, summary="End a link that is not paid")
async def cancel(
    request: Request, link_id: str, caller: Caller, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    async def work() -> Answer:
        await closing.cancel_link(ctx, caller, link_id)
        return Answer(200, await ctx.db.read(lambda session: read_link(session, caller, link_id)))

    key = await _key(request, caller, "cancel", link_id, idempotency_key)
    return respond(await _claimed(ctx, key, work))


@router.post("/payments/{payment_id}/approve", response_model=PaymentOut, summary="Capture a payment held for review")
async def approve(
    request: Request,
    payment_id: str,
    caller: Caller,
    ctx: Ctx,
    body: Reason = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    key = await _key(request, caller, "approve", payment_id, idempotency_key)
    return await _decide(ctx, caller, payment_id, Decision.CAPTURE, body=body, key=key)


@router.post("/payments/{payment_id}/decline", response_model=PaymentOut, summary="Release a payment held for review")
async def decline(
    request: Request,
    payment_id: str,
    caller: Caller,
    ctx: Ctx,
    body: Reason = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    key = await _key(request, caller, "decline", payment_id, idempotency_key)
    return await _decide(ctx, caller, payment_id, Decision.RELEASE, body=body, key=key)


@router.post("/payments/{payment_id}/refunds", status_code=201, response_model=RefundOut, summary="Give money back")
async def refund(
    request: Request,
    payment_id: str,
    caller: Caller,
    ctx: Ctx,
    body: Annotated[RefundIn | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    wanted = body or RefundIn(amount=None, reason=None)

    async def work() -> Answer:
        made = await refunds.refund(ctx, caller, payment_id, amount=wanted.amount, reason=wanted.reason)
        return Answer(201, refund_form(made))

    key = await _key(request, caller, "refund", payment_id, idempotency_key)
    return respond(await _claimed(ctx, key, work))


async def _decide(
    ctx: Context,
    caller: Principal,
    payment_id: str,
    decision: Decision,
    *,
    body: ReasonIn | None,
    key: idempotency.Request | None,
) -> Response:
    async def work() -> Answer:
        await review.decide(ctx, caller, payment_id, decision, reason=body.reason if body else None)
        return Answer(
            200, await ctx.db.read(lambda session: payment_form(review.own_payment(session, caller, payment_id)))
        )

    return respond(await _claimed(ctx, key, work))


async def _key(
    request: Request, caller: Principal, call: str, subject: str, header: str | None
) -> idempotency.Request | None:
    scope = f"{caller.merchant_id}:{call}:{subject}"
    return idempotency.Request.of(header, scope=scope, body=await request.body())


async def _claimed(ctx: Context, key: idempotency.Request | None, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Work that calls a provider on its way: claimed before, remembered after, given back when it was refused."""
    if key is None:
        return await work()
    found = await ctx.db.transact(lambda session: idempotency.begin(session, key, ctx.keyring))
    if found is not None:
        return found
    try:
        answer = await work()
    except PaylinkError:
        await ctx.db.transact(lambda session: idempotency.forget(session, key))
        raise
    return await ctx.db.transact(lambda session: idempotency.finish(session, key, ctx.keyring, answer))
