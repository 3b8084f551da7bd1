"""``/webhooks/…``: verify over the raw body, store once, acknowledge. The work comes after, in a job."""

from typing import Final

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink.context import Context, Ctx
from paylink.delivery.base import CallbackRefused, Carrier, Report
from paylink.errors import BadRequest, NotFound
from paylink.psp.base import ProviderEvent, WebhookRefused
from webhooks.inbound import inbox

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/webhooks", tags=["Callbacks"])

received = Counter("paylink_webhooks_received_total", "Callbacks accepted, by source", ["source", "repeat"])
refused = Counter("paylink_webhooks_refused_total", "Callbacks refused for a bad signature or form", ["source"])

MAX_ID: Final = 255


@router.post("/psp/{provider}", summary="Callbacks of the payment provider")
async def from_psp(provider: str, request: Request, ctx: Ctx) -> Response:
    if provider != ctx.psp.name:
        raise NotFound("No such provider")
    try:
        event = ctx.psp.parse_webhook(await request.body(), dict(request.headers))
    except WebhookRefused as error:
        raise _refuse(f"psp:{provider}", str(error)) from None
    await _store(ctx, source=f"psp:{provider}", external_id=event.id, kind=event.type, summary=_psp_summary(event))
    return Response(status_code=200)


@router.post("/messaging/{provider}", summary="Delivery reports of a carrier")
async def from_carrier(provider: str, request: Request, ctx: Ctx) -> Response:
    carriers: dict[str, Carrier] = request.app.state.carriers
    carrier = carriers.get(provider)
    if carrier is None:
        raise NotFound("No such provider")
    try:
        reports = carrier.parse_callback(await request.body(), dict(request.headers))
    except CallbackRefused as error:
        raise _refuse(f"messaging:{provider}", str(error)) from None
    for report in reports:
        await _store(
            ctx,
            source=f"messaging:{provider}",
            external_id=report.id,
            kind=f"delivery.{report.status}",
            summary=_report_summary(report),
        )
    return Response(status_code=200)


async def _store(ctx: Context, *, source: str, external_id: str, kind: str, summary: dict[str, str]) -> None:
    if not 0 < len(external_id) <= MAX_ID:
        raise _refuse(source, "no usable event id")

    def work(session: Session) -> bool:
        return inbox.store(
            session, ctx.jobs, source=source, external_id=external_id, kind=kind[:MAX_ID], summary=summary
        )

    new = await ctx.db.transact(work)
    received.labels(source, "no" if new else "yes").inc()


def _refuse(source: str, why: str) -> BadRequest:
    refused.labels(source).inc()
    log.warning("webhook_refused", source=source, why=why)
    return BadRequest("The signature or the form of this callback is not right", code="callback_refused")


def _psp_summary(event: ProviderEvent) -> dict[str, str]:
    """Only ids: the handler reads the objects anew and believes nothing else."""
    known = {
        "subject": event.subject.value,
        "payment_id": event.payment_id,
        "object_id": event.object_id,
    }
    return {name: value for name, value in known.items() if value is not None}


def _report_summary(report: Report) -> dict[str, str]:
    return {
        "delivery": report.reference,
        "status": report.status.value,
        "occurred_at": report.occurred_at.isoformat(),
        **({"reason": report.reason[:200]} if report.reason else {}),
    }
