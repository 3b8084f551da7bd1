"""A client that leaves in the middle of its request is no fault of ours."""

from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from paylink import problems
from paylink.checkout import failures
from paylink.kit.web import CLIENT_GONE


async def read(request: Request) -> Response:
    await request.body()
    raise AssertionError("there is no body")


def page() -> ASGIApp:
    return Starlette(routes=[Route("/", read, methods=["POST"])], exception_handlers=failures.handlers())


def api() -> ASGIApp:
    app = FastAPI()
    problems.install(app)
    app.router.add_api_route("/", read, methods=["POST"])
    return app


@pytest.mark.parametrize("app", [page, api])
async def test_it_is_told_to_nobody_as_an_error(app: Any) -> None:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-length", b"9")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }
    await app()(scope, receive, send)
    assert statuses == [CLIENT_GONE]
