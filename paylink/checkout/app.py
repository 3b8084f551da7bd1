"""The customer's page: an app of its own, the only one near card data, and nothing of the console in it.

============================== =========================================================================
``GET/HEAD /p/{token}``        a pure read: a neutral page that opens by script or button; how a link ended
``POST /p/{token}``            the token for a cookie, then ``/pay/{link}``
``GET /pay/{link}``            the link's page, by cookie: pay, wait, complete, ended
``GET /pay/{link}/return``     back from the bank's page
``POST /pay/{link}/events``    a beacon
``POST /pay/{link}/payments``  begins an attempt
``POST /pay/{link}/refresh``   asks the provider how the attempt stands
``POST /pay/{link}/resume``    lets the bank ask again, in this tab
``POST /pay/{link}/restart``   ends an attempt that waits for its customer
``POST /pay/{link}/switch``    another door, by QR code, e-mail or text: the customer goes on there
``POST /pay/{link}/here``      goes on at this page after all
``POST /pay/{link}/language``  the page in another language
``POST /pay/{link}/report``    the message looks like fraud
``GET /pay/{link}/status``     how the link stands
``GET …/{link}/receipt.pdf``   the receipt, for the browser that paid
``/unsubscribe/{token}``       no more reminders: GET asks, POST does it
``GET /assets/{name}``         the page's style and script
``GET /healthz``               the process answers
============================== =========================================================================

Statuses of ``/p/{token}``: 200 for a link that is open or paid, 410 for one that expired or was canceled, 404 with
always the same bytes for every token that opens nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from paylink.checkout import calls, failures, moves, pages, receipt, security
from paylink.checkout.assets import Assets
from paylink.checkout.door import LINK_ID, Checkout
from paylink.checkout.fetches import QUIET_S
from paylink.checkout.pace import Pace
from paylink.checkout.render import Renderer
from paylink.consent import unsubscribe
from paylink.context import Context
from paylink.kit.web import BodyLimit, RequestContext, StaticHeaders

# Seconds: the provider is asked about one attempt no oftener by one process; between, our own word must do.
ASK_EVERY_S: Final = 2.0

Endpoint = Callable[[Request], Awaitable[Response]]


class _LinkId(Convertor[str]):
    regex = LINK_ID

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("link", _LinkId())


class _Named(Route):
    """Tells the request log which route it was: the path itself may hold a token."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "route": self} if match is not Match.NONE else child


def create_app(ctx: Context) -> Starlette:
    browser, assets = ctx.psp.browser, Assets()
    headers = security.headers(ctx.settings, browser)
    app = Starlette(
        routes=_routes(assets),
        middleware=[
            Middleware(RequestContext, name="checkout", tell=False),
            Middleware(StaticHeaders, headers=headers),
            Middleware(BodyLimit, limit=failures.BODY_LIMIT, refuse=failures.too_large()),
        ],
        exception_handlers=failures.handlers(),
    )
    app.router.redirect_slashes = False
    app.state.context = ctx
    app.state.checkout = Checkout(
        context=ctx,
        renderer=Renderer(assets, ctx.psp),
        headers=headers,
        fetches=Pace(QUIET_S),
        asked=Pace(ASK_EVERY_S),
    )
    return app


def _routes(assets: Assets) -> list[Route]:
    def route(path: str, endpoint: Endpoint, *methods: str) -> Route:
        return _Named(path, endpoint, methods=methods or ["GET"])

    return [
        # One path for whatever follows /p/, so that no form of a wrong token gets an answer of its own.
        route("/p/{token:path}", pages.by_token, "GET", "POST"),
        route("/pay/{link_id:link}", pages.pay),
        route("/pay/{link_id:link}/return", pages.returned),
        route("/pay/{link_id:link}/events", calls.events, "POST"),
        route("/pay/{link_id:link}/payments", calls.payments, "POST"),
        route("/pay/{link_id:link}/refresh", calls.refresh, "POST"),
        route("/pay/{link_id:link}/resume", calls.resume, "POST"),
        route("/pay/{link_id:link}/restart", calls.restart, "POST"),
        route("/pay/{link_id:link}/switch", moves.switch, "POST"),
        route("/pay/{link_id:link}/here", moves.here, "POST"),
        route("/pay/{link_id:link}/language", moves.speak, "POST"),
        route("/pay/{link_id:link}/report", moves.report, "POST"),
        route("/pay/{link_id:link}/status", calls.status),
        route("/pay/{link_id:link}/receipt.pdf", receipt.receipt),
        *unsubscribe.routes(route, style=assets.urls["checkout.css"]),
        route("/assets/{name}", assets.answer),
        route("/healthz", _healthz),
    ]


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
