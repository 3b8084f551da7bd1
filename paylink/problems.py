"""Errors on the wire: RFC 9457 ``application/problem+json``. No answer repeats what was sent."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from paylink.db import CommitFailed
from paylink.errors import (
    BadRequest,
    FieldError,
    Invalid,
    PaylinkError,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
    plainly,
)
from paylink.kit.cards import contains_card_number
from paylink.kit.web import gone

MEDIA_TYPE = "application/problem+json"
BODY_LIMIT = 64 * 1024
FIELD_LENGTH = 100

log = structlog.get_logger(__name__)

# FastAPI's words for where a value stood; the caller knows only the field.
PLACES = frozenset({"body", "query", "path", "header", "cookie"})


# What FastAPI would document otherwise is its own form of errors, which nobody gets to see.
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {
        "description": "What is wrong, by a stable `code` (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    "5XX": {
        "description": "Not your fault; `Retry-After` says when to try again",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}


class ProblemField(BaseModel):
    field: str = Field(description="A dotted path such as `deliver.0.to`")
    code: str
    message: str


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemField] | None = Field(None, description="With 422: every field that is wrong")


def describe(app: FastAPI, *, cookie: str) -> None:
    """Adds to the OpenAPI document what FastAPI cannot see: the form of errors, and how a caller is known."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            components = document.setdefault("components", {})
            reference = "#/components/schemas/{model}"
            _, models = models_json_schema([(Problem, "serialization")], ref_template=reference)
            components.setdefault("schemas", {}).update(models["$defs"])
            components["securitySchemes"] = {
                "apiKey": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            }
            for path, calls in document["paths"].items():
                for method, call in calls.items():
                    if path.startswith("/v1/") and (path, method) != ("/v1/sessions", "post"):
                        call["security"] = [{"apiKey": []}, {"session": []}]
        return dict(app.openapi_schema or {})

    app.openapi = openapi  # type: ignore[method-assign]


def problem(error: PaylinkError, *, headers: Mapping[str, str] | None = None) -> Response:
    body: dict[str, Any] = {
        "type": f"https://paylink.dev/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if isinstance(error, Invalid):
        body["errors"] = [{"field": e.field, "code": e.code, "message": e.message} for e in error.errors]
    extra = dict(headers or {})
    if error.retry_after is not None:
        extra["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = 'Bearer realm="paylink"'
    extra["Cache-Control"] = "no-store"
    return Response(json.dumps(body), error.status, extra, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of the application leaves through here."""

    @app.exception_handler(PaylinkError)
    async def on_paylink_error(_request: Request, error: PaylinkError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes) and error.body:  # handed on as it came: not JSON by its own word
            return problem(UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json"))
        return problem(_from_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> Response:
        return problem(_from_http(error), headers=error.headers)

    @app.exception_handler(DataError)
    async def on_unstorable(_request: Request, _error: Exception) -> Response:
        return problem(BadRequest("A value holds characters that cannot be stored", code="unstorable_value"))

    @app.exception_handler(CommitFailed)
    @app.exception_handler(DBAPIError)
    async def on_database(_request: Request, error: Exception) -> Response:
        log.error("database_error", error=type(error).__name__, cause=type(getattr(error, "orig", None)).__name__)
        return problem(Unavailable("The database did not answer; please try again", retry_after=1))

    app.add_exception_handler(ClientDisconnect, gone)

    @app.exception_handler(Exception)
    async def on_anything(_request: Request, error: Exception) -> Response:
        log.error("unhandled_error", exc_info=error)
        return problem(PaylinkError("Something went wrong on our side; it has been noted"))


def too_large() -> Response:
    return problem(TooLarge(f"The body may have at most {BODY_LIMIT} bytes"))


def _from_http(error: HTTPException) -> PaylinkError:
    status = HTTPStatus(error.status_code)
    shown = PaylinkError(str(error.detail), code=status.name.lower())
    shown.status, shown.title = status.value, status.phrase
    return shown


def _from_validation(errors: Sequence[Any]) -> PaylinkError:
    if errors and errors[0]["type"] == "json_invalid":
        shown = PaylinkError("The body is not JSON", code="invalid_json")
        shown.status, shown.title = 400, "Bad request"
        return shown
    return Invalid([_field_error(error) for error in errors])


def _field_error(error: Mapping[str, Any]) -> FieldError:
    parts = [str(part) for part in error["loc"] if not (part in PLACES and len(error["loc"]) > 1)]
    if error["loc"][:1] == ("query",):
        parts = parts[:1]  # a parameter given several times is one to whoever gave it
    # A union's branch names are ours, not the caller's; and a key may itself be a card number.
    field = ".".join(part for part in parts if "[" not in part) or "body"
    if contains_card_number(field):
        field = "body"
    return FieldError(field[:FIELD_LENGTH], error["type"], plainly(error["type"], str(error["msg"])))
