"""The chat widget: an application of its own on the checkout's origin, for visitors of merchants' sites.

============================================ ==========================================================
``GET  /chat/{account}/widget.js``           what the merchant's site embeds: a button and a frame
``GET  /chat/{account}/frame``               the page in the frame; framed by the merchant's sites only
``POST /chat/{account}/chats``               begins a chat: its secret, once, and its code
``GET  /chat/{account}/messages``            what follows ``after``; with ``wait=1`` as soon as there is any
``POST /chat/{account}/messages``            the visitor writes
``POST /chat/{account}/receipts``            what the browser has, or has shown
``GET  /chat/assets/{name}``                 the page's style and script
============================================ ==========================================================

A chat is in no address: the header ``Paylink-Chat`` with its secret says which one it is. There is no cookie, so no
other site can make a visitor's browser act here; what changes something must be JSON, which a foreign page cannot send.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import structlog
from limits import parse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler, Scope

from paylink.channels.webchat import WebChatConfig
from paylink.chats import visitors
from paylink.chats.feed import Feed
from paylink.chats.models import Chat
from paylink.chats.page import HEADERS, Page
from paylink.chats.text import Said
from paylink.chats.visitors import Line
from paylink.context import Context
from paylink.db import CommitFailed
from paylink.errors import BadRequest, FieldError, Forbidden, Invalid, NotFound, PaylinkError, TooLarge, Unavailable
from paylink.kit.clock import rfc3339
from paylink.kit.i18n import choose
from paylink.kit.text import Short
from paylink.kit.web import BodyLimit, RequestContext, StaticHeaders, client_address
from paylink.problems import problem

CHAT_HEADER: Final = "Paylink-Chat"
BODY_LIMIT: Final = 16 * 1024
# Under what proxies usually allow a request to take, a minute.
WAIT_S: Final = 25.0
HSTS: Final = "max-age=63072000; includeSubDomains"
# A mobile network or an office has many people behind one address: these bound a robot, the ones by chat a person.
BY_ADDRESS: Final = parse("600/minute")
BEGIN_BY_ADDRESS: Final = parse("60/hour")
SAY_BY_ADDRESS: Final = parse("300/minute")
SAY_BY_CHAT: Final = parse("30/minute")
READ_BY_CHAT: Final = parse("120/minute")

log = structlog.get_logger(__name__)
Endpoint = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body", bound=BaseModel)


class BeginIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, StringConstraints(max_length=300)]
    name: Short | None = None
    locale: Annotated[str, StringConstraints(max_length=35)] | None = None


class SayIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Said


class ReceiptIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    up_to: Annotated[str, StringConstraints(pattern=r"^msg_[0-9a-z]{26}$")]
    read: Annotated[bool, Field(strict=True)] = False


class Widget:
    """The endpoints, with what they share."""

    def __init__(self, ctx: Context, feed: Feed) -> None:
        self._ctx = ctx
        self._feed = feed
        self._page = Page()

    def routes(self) -> list[Route]:
        def route(path: str, endpoint: Endpoint, *methods: str) -> Route:
            return _Named(path, endpoint, methods=methods or ["GET"])

        return [
            route("/chat/assets/{name}", self.asset),
            route("/chat/{account_id}/widget.js", self.script),
            route("/chat/{account_id}/frame", self.frame),
            route("/chat/{account_id}/chats", self.begin, "POST"),
            route("/chat/{account_id}/messages", self.messages),
            route("/chat/{account_id}/messages", self.say, "POST"),
            route("/chat/{account_id}/receipts", self.receipts, "POST"),
        ]

    async def asset(self, request: Request) -> Response:
        found = self._page.asset(request.path_params["name"])
        if found is None:
            raise NotFound
        return found

    async def script(self, request: Request) -> Response:
        return self._page.script(await self._config(request), language=language(request))

    async def frame(self, request: Request) -> Response:
        try:
            config = await self._config(request)
            if not config.origins:
                raise Forbidden("The merchant has not named a site for this chat", code="no_site_allowed")
        except PaylinkError as error:
            again = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return self._page.refusal(error.status, language=language(request), headers=again)
        return self._page.frame(config, account_id=request.path_params["account_id"], language=language(request))

    async def begin(self, request: Request) -> Response:
        await self._ctx.limits.hit(BEGIN_BY_ADDRESS, "chat-begin", client_address(request.scope))
        body = await _body(request, BeginIn)
        begun = await self._ctx.db.transact(
            lambda session: visitors.begin(
                session,
                self._ctx.keyring,
                request.path_params["account_id"],
                site=body.site,
                name=body.name,
                locale=choose(body.locale, accept=request.headers.get("accept-language")),
            )
        )
        return JSONResponse({"secret": begun.secret, "code": begun.code}, 201)

    async def messages(self, request: Request) -> Response:
        """Answers at once where there is something; else, if asked to wait, when there is or after ``WAIT_S``."""
        chat = await self._visitor(request)
        await self._ctx.limits.hit(READ_BY_CHAT, "chat-read", chat.id)
        if visitors.stale(chat):
            await self._ctx.db.transact(partial(visitors.touch, chat_id=chat.id))
            chat = await self._visitor(request)
        after = _after(request)

        def look(session: Session) -> list[Line]:
            return visitors.lines(session, self._ctx.keyring, chat.id, after=after)

        with self._feed.waiting(chat.id, after=after) as waiting:
            found = await self._ctx.db.read(look)
            if not found and request.query_params.get("wait") == "1":
                await waiting.wait(WAIT_S)
                found = await self._ctx.db.read(look)
        return JSONResponse({"code": chat.code, "messages": [_line_form(line) for line in found]})

    async def say(self, request: Request) -> Response:
        await self._ctx.limits.hit(SAY_BY_ADDRESS, "chat-say", client_address(request.scope))
        chat = await self._visitor(request)
        await self._ctx.limits.hit(SAY_BY_CHAT, "chat-say", chat.id)
        body = await _body(request, SayIn)
        keyring = self._ctx.keyring
        written = await self._ctx.db.transact(lambda session: visitors.say(session, keyring, chat, text=body.text))
        return JSONResponse({"id": written.id}, 201)

    async def receipts(self, request: Request) -> Response:
        chat = await self._visitor(request)
        await self._ctx.limits.hit(READ_BY_CHAT, "chat-receipts", chat.id)
        body = await _body(request, ReceiptIn)
        await self._ctx.db.transact(lambda session: visitors.received(session, chat, up_to=body.up_to, read=body.read))
        return Response(status_code=204)

    async def _config(self, request: Request) -> WebChatConfig:
        await self._ctx.limits.hit(BY_ADDRESS, "chat", client_address(request.scope))
        account_id = request.path_params["account_id"]
        return await self._ctx.db.read(lambda session: visitors.settings_of(session, self._ctx.keyring, account_id))

    async def _visitor(self, request: Request) -> Chat:
        account_id, secret = request.path_params["account_id"], request.headers.get(CHAT_HEADER, "")
        return await self._ctx.db.read(lambda session: visitors.known(session, self._ctx.keyring, account_id, secret))


class _Named(Route):
    """Tells the request log which route it was."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "route": self} if match is not Match.NONE else child


def create_app(ctx: Context, feed: Feed) -> Starlette:
    headers = HEADERS | ({"Strict-Transport-Security": HSTS} if ctx.settings.production else {})
    app = Starlette(
        routes=Widget(ctx, feed).routes(),
        middleware=[
            Middleware(RequestContext, name="chat"),
            Middleware(StaticHeaders, headers=headers),
            Middleware(BodyLimit, limit=BODY_LIMIT, refuse=_too_large()),
        ],
        exception_handlers=_handlers(headers),
    )
    app.router.redirect_slashes = False
    return app


def language(request: Request) -> str:
    """As the site asks for in the script's address, or as the browser does."""
    return choose(request.query_params.get("lang"), accept=request.headers.get("accept-language"))


async def _body(request: Request, form: type[Body]) -> Body:
    """Raises ``Invalid`` or ``BadRequest``; neither repeats what was sent."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("Send JSON", code="not_json")
    try:
        return form.model_validate(json.loads(await request.body()))
    except ValidationError as error:
        raise Invalid([_field(found) for found in error.errors(include_input=False, include_url=False)]) from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON", code="invalid_json") from None


def _field(found: Mapping[str, Any]) -> FieldError:
    """Only names of ours: what else was sent as a name is not repeated."""
    name = str(found["loc"][0]) if found["loc"] and found["type"] != "extra_forbidden" else "body"
    return FieldError(name, found["type"], str(found["msg"]))


def _after(request: Request) -> str:
    after = request.query_params.get("after", "")
    if len(after) > 30 or not (after.replace("_", "").isalnum() or not after) or not after.isascii():
        raise BadRequest("`after` must be a message's id", code="bad_after")
    return after


def _line_form(line: Line) -> dict[str, Any]:
    message = line.message
    return {
        "id": message.id,
        "sender": message.sender,
        "name": message.name,
        "text": message.text,
        "link": message.url_sealed is not None,
        "url": line.url,
        "at": rfc3339(message.created_at),
        "delivered": message.delivered_at is not None,
        "read": message.read_at is not None,
    }


def _too_large() -> Response:
    return problem(TooLarge(f"The body may have at most {BODY_LIMIT} bytes"))


def _handlers(headers: Mapping[str, str]) -> dict[Any, ExceptionHandler]:
    async def on_known(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PaylinkError)  # noqa: S101 - says so to the type checker
        return problem(error)

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - says so to the type checker
        shown: PaylinkError = NotFound("No such address")
        if error.status_code != NotFound.status:
            shown = PaylinkError(str(error.detail), code=str(error.detail).lower().replace(" ", "_"))
            shown.status, shown.title = error.status_code, str(error.detail)
        return problem(shown, headers=error.headers)

    async def on_unstorable(_request: Request, _error: Exception) -> Response:
        return problem(BadRequest("A value holds characters that cannot be stored", code="unstorable_value"))

    async def on_database(_request: Request, error: Exception) -> Response:
        log.error("database_error", error=type(error).__name__, cause=type(getattr(error, "orig", None)).__name__)
        return problem(Unavailable("Please try again in a moment", retry_after=1))

    async def on_anything(_request: Request, error: Exception) -> Response:
        log.error("unhandled_error", exc_info=error)
        response = problem(PaylinkError("Something went wrong on our side; it has been noted"))
        # Starlette sends this one outside of all middleware, which would have added them.
        response.headers.update(headers)
        return response

    return {
        PaylinkError: on_known,
        HTTPException: on_http,
        DataError: on_unstorable,
        DBAPIError: on_database,
        CommitFailed: on_database,
        Exception: on_anything,
    }
