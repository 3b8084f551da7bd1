"""``/webhooks/…``: verify over the raw body, store once, acknowledge. The work comes after, in a job."""

from collections.abc import Callable
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink import problems
from paylink.channels.base import Callback, CallbackRefused, Channel, Parsed
from paylink.channels.switchboard import NoSuchChannel, Switchboard
from paylink.context import Context, Ctx
from paylink.errors import BadRequest, NotFound
from paylink.psp.base import WebhookRefused
from webhooks.inbound import inbox, messaging
from webhooks.inbound.inbox import MAX_ID

log = structlog.get_logger(__name__)


def _refusal(description: str) -> dict[str, Any]:
    return problems.RESPONSES["4XX"] | {"description": description}


RESPONSES: Final[dict[int | str, dict[str, Any]]] = problems.RESPONSES | {
    200: {"description": "Stored, or known from an earlier call: the work comes after"},
    400: _refusal("The signature or the form is not right; nothing was stored"),
    404: _refusal("Nobody has this address: the provider or the account is not known here"),
    413: _refusal("The body is too large"),
}
# FastAPI would say that every answer is JSON. One has no body, or what the provider wants to hear.
router = APIRouter(prefix="/webhooks", tags=["Callbacks"], responses=RESPONSES, default_response_class=Response)

received = Counter("paylink_webhooks_received_total", "Callbacks accepted, by source", ["source", "repeat"])
refused = Counter("paylink_webhooks_refused_total", "Callbacks refused for a bad signature or form", ["source"])
# Whoever asks is not told which half of the address is wrong.
NO_SUCH_PROVIDER: Final = "No such provider"


@router.post("/psp/{provider}", summary="Callbacks of the payment provider")
async def from_psp(provider: str, request: Request, ctx: Ctx) -> Response:
    if provider != ctx.psp.name:
        raise NotFound(NO_SUCH_PROVIDER)
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


@router.post("/messaging/{provider}", summary="Delivery reports of the sandbox's carrier")
async def from_sandbox(provider: str, request: Request, ctx: Ctx) -> Response:
    carrier = _switchboard(request).sandbox
    if carrier is None or provider != carrier.name:
        raise NotFound(NO_SUCH_PROVIDER)
    return await _take(request, ctx, carrier, provider=provider, account_id=None)


@router.get("/messaging/{provider}/{account_id}", include_in_schema=False)
@router.put("/messaging/{provider}/{account_id}", include_in_schema=False)
@router.post("/messaging/{provider}/{account_id}", summary="Delivery reports and replies, by a channel account")
async def from_carrier(provider: str, account_id: str, request: Request, ctx: Ctx) -> Response:
    """How a provider calls, and what it wants to hear, is its adapter's business; what was refused was not stored."""
    try:
        found = await _switchboard(request).by_provider_account(provider, account_id)
    except NoSuchChannel:
        found = None
    if found is None:
        raise NotFound(NO_SUCH_PROVIDER)
    return await _take(request, ctx, found.channel, provider=provider, account_id=found.account.id)


async def _take(request: Request, ctx: Context, channel: Channel, *, provider: str, account_id: str | None) -> Response:
    source = f"messaging:{provider}"
    parsed = _parse(channel, await _callback(request, ctx), source=source)
    place = source if account_id is None else f"{source}:{account_id}"
    if parsed.reports or parsed.replies:
        new = await ctx.db.transact(lambda session: messaging.store(session, ctx.jobs, parsed, source=place))
        for one in new:
            received.labels(source, "no" if one else "yes").inc()
    return Response(parsed.body, 200, media_type=parsed.media_type)


def _parse(channel: Channel, callback: Callback, *, source: str) -> Parsed:
    """Whatever is sent to this address, an adapter that stumbles over it has refused it."""
    try:
        return channel.parse_callback(callback)
    except CallbackRefused as error:
        raise _refuse(source, str(error)) from None
    except Exception as error:
        raise _refuse(source, type(error).__name__) from error


async def _callback(request: Request, ctx: Context) -> Callback:
    """The address as the outside called it: a proxy may stand in front, and some providers sign the whole of it."""
    path, query = request.scope.get("raw_path") or b"", request.scope.get("query_string") or b""
    called = ctx.settings.console_url + path.decode("latin-1").partition("?")[0]
    return Callback(
        method=request.method,
        url=f"{called}?{query.decode('latin-1')}" if query else called,
        query=dict(request.query_params),
        headers=dict(request.headers),
        # A body that comes with GET means nothing, and its size is not bounded.
        body=b"" if request.method == "GET" else await request.body(),
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


def _switchboard(request: Request) -> Switchboard:
    found = request.app.state.switchboard
    assert isinstance(found, Switchboard)  # noqa: S101 - says so to the type checker
    return found
