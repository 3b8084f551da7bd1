"""Payments of a link, what an agent decides about them, refunds, and ending a link."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.auth import Caller
from paylink.accounts.scope import Principal
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.context import Context, Ctx
from paylink.errors import PaylinkError
from paylink.idempotency import Answer
from paylink.links import service as links
from paylink.links.routes import IdempotencyKey, once, read_link, respond
from paylink.links.schemas import LinkOut
from paylink.payments import breaker, closing, disputes, locks, refunds, review
from paylink.payments.models import Decision, Payment, Receipt
from paylink.payments.schemas import (
    DisputeList,
    PaymentList,
    PaymentOut,
    ReasonIn,
    RefundIn,
    RefundList,
    RefundOut,
    ResumedOut,
    dispute_form,
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
        return _shown(session, found.all())

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


@router.post("/payment_links/{link_id}/cancel", response_model=LinkOut, summary="End a link that is not paid")
async def cancel(
    request: Request, link_id: str, caller: Caller, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    key = await _key(request, caller, "cancel", link_id, idempotency_key)

    async def work(done: str | None) -> Answer:
        if done is None:
            await closing.cancel_link(ctx, caller, link_id, claim=key)
        return Answer(200, await ctx.db.read(lambda session: read_link(session, caller, link_id)))

    return respond(await _claimed(ctx, key, work))


@router.post("/payment_links/{link_id}/unlock", response_model=LinkOut, summary="Let a locked link be paid again")
async def unlock(
    request: Request, link_id: str, caller: Caller, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    key = await _key(request, caller, "unlock", link_id, idempotency_key)

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        locks.unlock(session, caller, link_id)
        audit.note(session, ctx.keyring, caller, Action.LINK_UNLOCKED, subject=link_id)
        return idempotency.remember(session, key, ctx.keyring, Answer(200, read_link(session, caller, link_id)))

    return respond(await once(ctx, work))


@router.post("/payments/resume", response_model=ResumedOut, summary="End a pause of payments before its time")
async def resume(request: Request, caller: Caller, ctx: Ctx, idempotency_key: IdempotencyKey = None) -> Response:
    key = await _key(request, caller, "resume", "payments", idempotency_key)

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        breaker.resume(session, caller)
        audit.note(session, ctx.keyring, caller, Action.PAYMENTS_RESUMED)
        return idempotency.remember(session, key, ctx.keyring, Answer(200, {"payments_paused_until": None}))

    return respond(await once(ctx, work))


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


@router.get("/payments/{payment_id}", response_model=PaymentOut, summary="One attempt to pay")
async def payment(payment_id: str, caller: Caller, ctx: Ctx) -> Response:
    return JSONResponse(await ctx.db.read(lambda session: _one(session, caller, payment_id)))


@router.get("/payments/{payment_id}/refunds", response_model=RefundList, summary="What was given back of a payment")
async def refunds_of(
    payment_id: str,
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    def work(session: Session) -> list[dict[str, Any]]:
        of = review.own_payment(session, caller, payment_id)
        found = refunds.of_payment(session, of.id, limit=limit + 1, starting_after=starting_after)
        return [refund_form(one) for one in found]

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


@router.get("/disputes", response_model=DisputeList, summary="Payments that the payers' banks dispute")
async def all_disputes(
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    def work(session: Session) -> dict[str, Any]:
        found, more = disputes.listing(session, caller, limit=limit, starting_after=starting_after)
        return {"object": "list", "data": [dispute_form(one) for one in found], "has_more": more}

    return JSONResponse(await ctx.db.read(work))


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

    key = await _key(request, caller, "refund", payment_id, idempotency_key)

    async def work(done: str | None) -> Answer:
        made = done or await refunds.reserve(
            ctx, caller, payment_id, amount=wanted.amount, reason=wanted.reason, claim=key
        )
        return Answer(201, refund_form(await refunds.ask(ctx, made)))

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
    async def work(done: str | None) -> Answer:
        if done is None:
            await review.decide(ctx, caller, payment_id, decision, reason=body.reason if body else None, claim=key)
        return Answer(200, await ctx.db.read(lambda session: _one(session, caller, payment_id)))

    return respond(await _claimed(ctx, key, work))


def _one(session: Session, caller: Principal, payment_id: str) -> dict[str, Any]:
    (form,) = _shown(session, [review.own_payment(session, caller, payment_id)])
    return form


def _shown(session: Session, found: Sequence[Payment]) -> list[dict[str, Any]]:
    ids = [payment.id for payment in found]
    disputed = disputes.of_payments(session, ids)
    receipts = {one.payment_id: one for one in session.scalars(sa.select(Receipt).where(Receipt.payment_id.in_(ids)))}
    return [payment_form(one, disputes=disputed[one.id], receipt=receipts.get(one.id)) for one in found]


async def _key(
    request: Request, caller: Principal, call: str, subject: str, header: str | None
) -> idempotency.Request | None:
    scope = f"{caller.merchant_id}:{call}:{subject}"
    return idempotency.Request.of(header, scope=scope, body=await request.body())


async def _claimed(
    ctx: Context, key: idempotency.Request | None, work: Callable[[str | None], Awaitable[Answer]]
) -> Answer:
    """Work that calls a provider on its way: claimed before, remembered after, given back when it was refused.

    ``work`` is given the id of what an earlier try made before its process died.
    """
    if key is None:
        return await work(None)
    begun = await idempotency.claim(ctx.db, key, ctx.keyring)
    if begun.answer is not None:
        return begun.answer
    try:
        answer = await work(begun.effect)
    except PaylinkError:
        await ctx.db.transact(lambda session: idempotency.forget(session, key))
        raise
    return await ctx.db.transact(lambda session: idempotency.finish(session, key, ctx.keyring, answer))
