"""Pure ASGI middleware. Starlette's ``BaseHTTPMiddleware`` costs a multiple of what it wraps, so it is not used."""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paylink.kit.cards import contains_card_number
from paylink.kit.ids import new_id

log = structlog.get_logger(__name__)
seconds = Histogram(
    "paylink_http_request_seconds",
    "Time to the end of the answer, by route",
    ["app", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
REQUEST_ID_LENGTH = 64
# As nginx counts it.
CLIENT_GONE = 499


class RequestContext:
    """A request id in every answer and log line, one line and one measurement per request.

    The line names the route's template, never the path: a path may hold a link's token. Without ``tell`` the id stays
    in the log, so that two answers can be alike to the byte.
    """

    def __init__(self, app: ASGIApp, *, name: str, tell: bool = True) -> None:
        self.app = app
        self.name = name
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.tell:
                    message["headers"] = [*message.get("headers", ()), (b"request-id", request_id.encode())]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            elapsed = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            seconds.labels(self.name, _known_method(scope["method"]), route, status).observe(elapsed)
            log.info(
                "request",
                app=self.name,
                method=scope["method"],
                route=route,
                status=status,
                ms=round(elapsed * 1000, 1),
            )
            structlog.contextvars.unbind_contextvars("request_id")


class BodyLimit:
    """Refuses a body over ``limit`` bytes before the application reads it, whether it says its length or not."""

    def __init__(self, app: ASGIApp, *, limit: int, refuse: Response) -> None:
        self.app = app
        self.limit = limit
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        length = _header(scope, b"content-length")
        if length.isascii() and length.isdigit() and int(length) > self.limit:
            await self.refuse(scope, receive, send)
            return
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                await self.refuse(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        replay = iter(messages)

        async def receive_again() -> Message:
            return next(replay, None) or await receive()

        await self.app(scope, receive_again, send)


class HeadAsGet:
    """Answers HEAD as GET, which the server sends without its body; save under ``live``, where a body never ends."""

    def __init__(self, app: ASGIApp, *, live: frozenset[str]) -> None:
        self.app = app
        self.live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] not in self.live:
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


class StaticHeaders:
    """Adds headers to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp, *, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name for name, _ in own}
                message["headers"] = own + [header for header in self.headers if header[0] not in names]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def content_security_policy(directives: Mapping[str, tuple[str, ...]]) -> str:
    """The header's text. ``default-src 'none'`` comes first, whatever else is allowed."""
    parts: dict[str, tuple[str, ...]] = {"default-src": ("'none'",), **directives}
    return "; ".join(f"{name} {' '.join(sources)}".rstrip() for name, sources in parts.items())


def client_address(scope: Mapping[str, Any]) -> str:
    """The peer's address as the server saw it; proxies are accounted for by the server's own setting."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def _header(scope: Scope, name: bytes) -> str:
    """The first value of a header; ``Headers`` decodes all of them for each look."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _request_id(scope: Scope) -> str:
    given = _header(scope, b"x-request-id")
    usable = 0 < len(given) <= REQUEST_ID_LENGTH and given.replace("-", "").replace("_", "").isalnum()
    return given if usable and given.isascii() and not contains_card_number(given) else new_id("req")


def _known_method(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"


async def gone(_request: Request, _error: Exception) -> Response:
    """The client left in the middle of its request: nobody hears the answer, and nothing is wrong here."""
    return Response(status_code=CLIENT_GONE)
