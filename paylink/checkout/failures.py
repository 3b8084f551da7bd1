"""Every error of the checkout leaves through here: a page for a person, a problem document for the page's script."""

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from paylink.checkout.door import LINK_ID, checkout, language
from paylink.db import CommitFailed
from paylink.errors import NotFound, PaylinkError, TooLarge, Unavailable
from paylink.kit.web import gone
from paylink.problems import problem

BODY_LIMIT: Final = 4 * 1024
CALLS: Final = re.compile(rf"/pay/{LINK_ID}/(events|payments|refresh|restart|resume|status|switch)")
# A form's, or a script's, by what it sent.
EITHER: Final = re.compile(rf"/pay/{LINK_ID}/(here|language|report)")

log = structlog.get_logger(__name__)


def handlers() -> dict[Any, ExceptionHandler]:
    return {
        PaylinkError: _on_known,
        HTTPException: _on_http,
        DBAPIError: _on_database,
        CommitFailed: _on_database,
        ClientDisconnect: gone,
        Exception: _on_anything,
    }


def too_large() -> Response:
    return problem(TooLarge(f"The body may have at most {BODY_LIMIT} bytes"))


async def _on_known(request: Request, error: Exception) -> Response:
    assert isinstance(error, PaylinkError)  # noqa: S101 - says so to the type checker
    return _answer(request, error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - says so to the type checker
    shown: PaylinkError = NotFound()
    if error.status_code != NotFound.status:
        shown = PaylinkError(str(error.detail), code=str(error.detail).lower().replace(" ", "_"))
        shown.status, shown.title = error.status_code, str(error.detail)
    return _answer(request, shown, headers=error.headers)


async def _on_database(request: Request, error: Exception) -> Response:
    log.error("database_error", error=type(error).__name__, cause=type(getattr(error, "orig", None)).__name__)
    return _answer(request, Unavailable("Please try again in a moment", retry_after=1))


async def _on_anything(request: Request, error: Exception) -> Response:
    log.error("unhandled_error", exc_info=error)
    response = _answer(request, PaylinkError("Something went wrong on our side; it has been noted"))
    # Starlette sends this one outside of all middleware, which would have added them.
    response.headers.update(checkout(request).headers)
    return response


def _answer(request: Request, error: PaylinkError, *, headers: Mapping[str, str] | None = None) -> Response:
    path, sent_as = request.scope["path"], request.headers.get("content-type", "")
    if CALLS.fullmatch(path) or (EITHER.fullmatch(path) and sent_as.startswith("application/json")):
        return problem(error, headers=headers)
    sent = dict(headers or {})
    if error.retry_after is not None:
        sent["Retry-After"] = str(error.retry_after)
    return checkout(request).renderer.failure(error.status, sent, language=language(request))
