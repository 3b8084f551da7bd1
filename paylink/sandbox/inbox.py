"""The phone and mailbox where sandbox messages arrive: for people at ``/inbox``, for programs as JSON."""

import sqlite3
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from paylink.config import Settings
from paylink.kit.crypto import same
from paylink.sandbox.messages import OutgoingMessage, Refused, accept, opened
from paylink.sandbox.pages import page
from paylink.sandbox.store import Store, Tx

MAX_BODY = 2 * 1024 * 1024
MAX_MESSAGES = 1000
# A letter may bring its own styles and pictures, no script, and its links open outside of the frame.
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; font-src data:; "
    "frame-ancestors 'self'; base-uri 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


class Inbox:
    """Carrier and inbox over one store."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._secret = settings.sandbox_messaging_secret
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route("/_messages", self._take, methods=["POST"]),
            Route("/inbox", self._page),
            Route("/inbox/messages", self._list),
            Route("/inbox/messages/{id}/open", self._open, methods=["POST"]),
            Route("/inbox/messages/{id}/html", self._letter),
        ]

    async def _take(self, request: Request) -> Response:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same(key, self._secret):
            return _error(401, "unauthorized", "The carrier does not know this key.")
        try:
            message = OutgoingMessage.model_validate_json(await request.body())
            message_id = await self._store.run(lambda tx: _accept(tx, message))
        except ValidationError as wrong:
            where = ".".join(str(part) for part in wrong.errors()[0]["loc"])
            return _error(400, "invalid_request", f"{where}: {wrong.errors()[0]['msg']}")
        if isinstance(message_id, Refused):
            return _error(message_id.status, message_id.code, str(message_id))
        return JSONResponse({"message_id": message_id}, 202)

    async def _page(self, _request: Request) -> Response:
        return page("inbox.html", csp={"frame-src": "'self'"})

    async def _list(self, request: Request) -> Response:
        """Oldest first. ``after`` is a message's id or a time; ``details=1`` adds what the page needs."""
        wanted = {name: request.query_params.get(name) for name in ("to", "channel", "after")}
        if wanted["to"]:
            # An unescaped plus sign in a query is a space.
            wanted["to"] = "+" + wanted["to"].strip() if wanted["to"].startswith(" ") else wanted["to"]
        rows = await self._store.run(lambda tx: _find(tx, **wanted))
        detailed = request.query_params.get("details") == "1"
        return JSONResponse([_shown(row, detailed=detailed) for row in rows], headers={"Cache-Control": "no-store"})

    async def _open(self, request: Request) -> Response:
        message_id = request.path_params["id"]
        found = await self._store.run(lambda tx: opened(tx, message_id))
        return Response(status_code=204 if found else 404)

    async def _letter(self, request: Request) -> Response:
        message_id = request.path_params["id"]
        row = await self._store.run(lambda tx: tx.one("SELECT html FROM messages WHERE id = ?", message_id))
        if row is None or row["html"] is None:
            return Response(status_code=404)
        headers = {"Content-Security-Policy": LETTER_POLICY, "X-Content-Type-Options": "nosniff"}
        headers |= {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        return HTMLResponse(_links_outside(row["html"]), headers=headers)


def _accept(tx: Tx, message: OutgoingMessage) -> str | Refused:
    """A refusal is returned, not raised: the count of the attempts must be committed."""
    try:
        return accept(tx, message)
    except Refused as refused:
        return refused


def _find(tx: Tx, *, to: str | None, channel: str | None, after: str | None) -> list[sqlite3.Row]:
    where, values = ["visible = 1"], list[Any]()
    for column, value in (("recipient", to), ("channel", channel)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    if after:
        by_id = after.startswith("smsg_")
        where.append("seq > (SELECT seq FROM messages WHERE id = ?)" if by_id else "received_at > ?")
        values.append(after)
    # The newest ones when there are too many, told oldest first.
    newest = f"SELECT * FROM messages WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT {MAX_MESSAGES}"  # noqa: S608
    return tx.all(f"SELECT * FROM ({newest}) ORDER BY seq", *values)  # noqa: S608 - own words, values bound


def _shown(row: sqlite3.Row, *, detailed: bool) -> dict[str, Any]:
    message = {
        "id": row["id"],
        "channel": row["channel"],
        "to": row["recipient"],
        "subject": row["subject"],
        "text": row["text"],
        "html": row["html"],
        "received_at": row["received_at"],
    }
    return {**message, "seen": bool(row["seen"])} if detailed else message


def _links_outside(html: str) -> str:
    base = '<base target="_blank">'
    head = html.lower().find("<head>")
    return base + html if head < 0 else html[: head + 6] + base + html[head + 6 :]


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
