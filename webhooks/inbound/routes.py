"""``/webhooks/…``: verify over the raw body, store once, acknowledge. The work comes after, in a job."""

from collections.abc import Callable

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink.channels.base import Callback, CallbackRefused, Channel, Report
from paylink.context import Context, Ctx
from paylink.errors import BadRequest, NotFound
from paylink.psp.base import WebhookRefused
from webhooks.inbound import inbox
from webhooks.inbound.inbox import MAX_ID

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/webhooks", tags=["Callbacks"])

received = Counter("paylink_webhooks_received_total", "Callbacks accepted, by source", ["source", "repeat"])
refused = Counter("paylink_webhooks_refused_total", "Callbacks refused for a bad signature or form", ["source"])


@router.post("/psp/{provider}", summary="Callbacks of the payment provider")
async def from_psp(provider: str, request: Request, ctx: Ctx) -> Response:
    if provider != ctx.psp.name:
        raise NotFound("No such provider")
    try:
        event = ctx.psp.parse_webhook(await request.body(), dict(request.headers))
    except WebhookRefused as error:
        raise _refuse(f"psp:{provider}", str(error)) from None
    source = inbox.source_of(ctx.psp)
    if (why := inbox.foreign(ctx.psp, event)) is not None:
        inbox.ignored.labels(source, why).inc()
        log.warning("webhook_ignored", source=source, why=why, external_id=event.id)
    await _store(ctx, source, event.id, lambda session: inbox.store_event(session, ctx.jobs, ctx.psp, event))
    return Response(status_code=200)


@router.post("/messaging/{provider}", summary="Delivery reports of a carrier")
async def from_carrier(provider: str, request: Request, ctx: Ctx) -> Response:
    carriers: dict[str, Channel] = request.app.state.carriers
    carrier = carriers.get(provider)
    if carrier is None:
        raise NotFound("No such provider")
    try:
        reports = carrier.parse_callback(await _callback(request)).reports
    except CallbackRefused as error:
        raise _refuse(f"messaging:{provider}", str(error)) from None
    for report in reports:
        source = f"messaging:{provider}"
        await _store(
            ctx,
            source,
            report.id,
            lambda session, report=report, source=source: inbox.store(  # type: ignore[misc]
                session,
                ctx.jobs,
                source=source,
                external_id=report.id,
                kind=f"delivery.{report.status}",
                summary=_report_summary(report),
            ),
        )
    return Response(status_code=200)


async def _callback(request: Request) -> Callback:
    return Callback(
        method=request.method,
        url=str(request.url),
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=await request.body(),
    )


async def _store(ctx: Context, source: str, external_id: str, work: Callable[[Session], bool]) -> None:
    if not 0 < len(external_id) <= MAX_ID:
        raise _refuse(source, "no usable event id")
    new = await ctx.db.transact(work)
    received.labels(source, "no" if new else "yes").inc()


def _refuse(source: str, why: str) -> BadRequest:
    refused.labels(source).inc()
    log.warning("webhook_refused", source=source, why=why)
    return BadRequest("The signature or the form of this callback is not right", code="callback_refused")


def _report_summary(report: Report) -> dict[str, str]:
    return {
        "delivery": report.reference,
        "status": report.status.value,
        "occurred_at": report.occurred_at.isoformat(),
        **({"reason": report.reason[:200]} if report.reason else {}),
    }
