"""The console's origin: the API, the callbacks, the built single-page console, and what operators ask."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from paylink import __version__, api_docs, problems
from paylink.accounts import routes as accounts
from paylink.accounts.auth import CredentialCache, cookie_name
from paylink.audit import routes as audit
from paylink.channels import routes as channels
from paylink.channels.switchboard import Switchboard
from paylink.chats import routes as chats
from paylink.consent import routes as consent
from paylink.context import Context
from paylink.delivery import routes as delivery
from paylink.events import stream
from paylink.kit.web import BodyLimit, HeadAsGet, RequestContext, StaticHeaders, content_security_policy
from paylink.links import routes as links
from paylink.messages import routes as messages
from paylink.payments import routes as payments
from paylink.reconciliation.metrics import ReconciliationMetrics
from webhooks.inbound import routes as inbound

# The console is a page of ours that loads nothing from elsewhere. Its component library sets styles in attributes.
CONSOLE_CSP: Final = content_security_policy(
    {
        "script-src": ("'self'",),
        "style-src": ("'self'", "'unsafe-inline'"),
        "img-src": ("'self'", "data:"),
        "font-src": ("'self'",),
        "connect-src": ("'self'",),
        "manifest-src": ("'self'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
        "base-uri": ("'none'",),
    }
)
HEADERS: Final = {
    "Content-Security-Policy": CONSOLE_CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # What may be kept says so itself.
    "Cache-Control": "no-store",
}
METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HSTS: Final = "max-age=63072000; includeSubDomains"
operations = APIRouter(tags=["Operations"])
Check = Callable[[], Awaitable[dict[str, bool]]]


@operations.get("/healthz", summary="The process answers", response_class=PlainTextResponse)
async def healthz() -> Response:
    return PlainTextResponse("ok")


@operations.get("/readyz", summary="What it stands on answers too", responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Response:
    """Without the bus events come by the poll, a second late: said here, and no reason to take the node away."""
    checks: Check = request.app.state.readiness
    found = await checks()
    ready = all(good for name, good in found.items() if name != "bus")
    return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)


@operations.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    reconciliation: ReconciliationMetrics = request.app.state.reconciliation
    await reconciliation.refresh()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def create_api(
    ctx: Context,
    *,
    switchboard: Switchboard,
    readiness: Check,
    rights: stream.Rights,
    callbacks_only: bool = False,
) -> ASGIApp:
    """``callbacks_only``: the part that providers reach, for a process that does nothing else."""
    app = build_api(ctx, switchboard=switchboard, readiness=readiness, rights=rights, callbacks_only=callbacks_only)
    headers = HEADERS | ({"Strict-Transport-Security": HSTS} if ctx.settings.production else {})
    limited = BodyLimit(app, limit=problems.BODY_LIMIT, refuse=problems.too_large())
    answering = HeadAsGet(limited, live=frozenset({"/v1/events/stream"}))
    return RequestContext(StaticHeaders(answering, headers=headers), name="console")


def build_api(
    ctx: Context, *, switchboard: Switchboard, readiness: Check, rights: stream.Rights, callbacks_only: bool
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await rights.start()
        yield
        await rights.close()

    app = FastAPI(
        title="paylink",
        version=__version__,
        summary="Secure omnichannel payment links, followed live by the agent who sent them",
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        openapi_url=None if callbacks_only else "/openapi.json",
    )
    app.state.context = ctx
    app.state.switchboard = switchboard
    app.state.readiness = readiness
    app.state.rights = rights
    app.state.credentials = CredentialCache()
    app.state.reconciliation = ReconciliationMetrics(ctx.db)
    problems.install(app)
    if not callbacks_only:
        # Routes are tried in this order: what is asked for most comes first.
        for module in (links, stream, payments, delivery, channels, consent, messages, chats, accounts, audit):
            app.include_router(module.router, responses=problems.RESPONSES)
    app.include_router(operations)
    app.include_router(inbound.router)
    if not callbacks_only:
        problems.describe(app, cookie=cookie_name(production=ctx.settings.production))
    _refuse_the_rest(app)
    if not callbacks_only:
        api_docs.install(app)
        _serve_console(app)
    return app


def _refuse_the_rest(app: FastAPI) -> None:
    """Under the API's addresses no page answers: 405 with what is allowed, or 404."""
    known = list(app.router.routes)

    async def refuse(request: Request) -> Response:
        def answers(method: str) -> bool:
            scope = {**request.scope, "method": method}
            return any(route.matches(scope)[0] is Match.FULL for route in known)

        if allowed := [method for method in METHODS if answers(method)]:
            raise HTTPException(405, "This address does not take this method", {"Allow": ", ".join(allowed)})
        raise HTTPException(404, "No such address")

    for place in ("/v1", "/v1/{path:path}", "/webhooks/{path:path}"):
        app.add_api_route(place, refuse, methods=METHODS, include_in_schema=False)


def console_files() -> Path:
    return Path(str(files("paylink"))) / "console"


def _serve_console(app: FastAPI) -> None:
    built = console_files()
    if (built / "assets").is_dir():
        app.mount("/assets", _Immutable(directory=built / "assets"), name="assets")

    @app.get("/{path:path}", include_in_schema=False)
    async def page(path: str) -> Response:
        """The console's own routes are its script's business: every page that is not the API's is the same file."""
        if path.startswith("assets/"):
            raise HTTPException(404, "No such address")
        if path and "/" not in path and (built / path).is_file() and path != "index.html":
            return FileResponse(built / path, headers={"Cache-Control": "public, max-age=3600"})
        if not (built / "index.html").is_file():
            return PlainTextResponse("The console is not built; run `make setup`.", 503)
        return FileResponse(built / "index.html", headers={"Cache-Control": "no-cache"})


class _Immutable(StaticFiles):
    """Files whose names carry a hash of what is in them."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
