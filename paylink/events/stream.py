"""``GET /v1/events/stream``: the log as it grows, from wherever the client left off.

``Last-Event-ID`` is answered from the database, then the hub takes over; neither holds a connection while nothing
happens. The right to read is checked again every ``RECHECK_S``: a stream outlives its session by less than 5 s.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sse_starlette import EventSourceResponse, ServerSentEvent

from paylink.accounts import service as accounts
from paylink.accounts.auth import Caller
from paylink.context import Context, Ctx
from paylink.db import Database
from paylink.errors import BadRequest
from paylink.events import log as event_log
from paylink.events.hub import Hub, Subscription, frame
from paylink.events.tail import newest
from paylink.links import service as links

PING_S: Final = 15
# A client that cannot take a frame for this long is gone.
SEND_TIMEOUT_S: Final = 30
RETRY_MS: Final = 2000
RECHECK_S: Final = 2.0
HIGHEST_ID: Final = 2**63 - 1

DESCRIPTION: Final = """\
Server-sent events, from now on or after `Last-Event-ID`. The line `event` repeats the type; the line `id` only grows
and is what `Last-Event-ID` takes. `data` is one line of JSON, of the form `EventOut`:

- `id`: the event's own, `evt_…`, the same in the link's timeline
- `type`: what happened, such as `link.opened` or `payment.succeeded`
- `seq`: 1, 2, 3 … within the link, without a gap
- `payment_link`: the link's id
- `occurred_at`: RFC 3339, UTC
- `origin`: who made it happen: `payer`, `agent`, `api`, `provider` or `system`
- `data`: more, by type: ids, states, codes and masked values

Comments (`: ping`) keep the connection open.
"""
EXAMPLE: Final = """\
id: 4711
event: card_entry.started
data: {"id":"evt_…","type":"card_entry.started","seq":5,"payment_link":"plink_…",\
"occurred_at":"2026-11-21T20:00:00.123Z","origin":"payer","data":{}}

"""
DOCUMENTED: Final = {
    "description": DESCRIPTION,
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
}

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1/events", tags=["Events"])


@router.get(
    "/stream", summary="Everything that happens, live", response_class=EventSourceResponse, responses={200: DOCUMENTED}
)
async def stream(
    request: Request,
    caller: Caller,
    ctx: Ctx,
    payment_link: Annotated[str | None, Query(max_length=64, description="Only this link")] = None,
    last_event_id: Annotated[str | None, Query(max_length=20, description="As the header, which wins")] = None,
    last_event_id_header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> Response:
    after = _parse(last_event_id_header or last_event_id)
    if payment_link is not None:
        await ctx.db.read(lambda session: links.get(session, caller, payment_link))
    if after is not None and after > ctx.hub.cursor:
        # Given by a node that is ahead of this one; or before the database was restored or made anew: whoever waited
        # for the log to come so far would hear nothing.
        after = min(after, await ctx.db.read(newest))
    rights: Rights = request.app.state.rights
    return EventSourceResponse(
        _frames(
            ctx,
            rights,
            merchant_id=caller.merchant_id,
            link_id=payment_link,
            after=after,
            credential_id=caller.credential_id,
        ),
        ping=PING_S,
        send_timeout=SEND_TIMEOUT_S,
        ping_message_factory=_ping,
        headers={"Cache-Control": "no-store"},
    )


class Rights:
    """Ends the streams of sessions and keys that lost their right: one query for all of them, however many."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._streams: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, credential_id: str, subscription: Subscription) -> None:
        self._streams.setdefault(credential_id, set()).add(subscription)

    def forget(self, credential_id: str, subscription: Subscription) -> None:
        watched = self._streams.get(credential_id, set())
        watched.discard(subscription)
        if not watched:
            self._streams.pop(credential_id, None)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._recheck_forever(), name="stream-rights")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _recheck_forever(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            if not self._streams:
                continue
            try:
                await self._recheck()
            except SQLAlchemyError as error:
                log.warning("stream_rights_not_checked", error=type(error).__name__)

    async def _recheck(self) -> None:
        watched = list(self._streams)

        def work(session: Session) -> set[str]:
            return accounts.still_good(session, watched)

        for credential_id in set(watched) - await self._db.read(work):
            for subscription in list(self._streams.get(credential_id, ())):
                subscription.close()


async def _frames(
    ctx: Context, rights: Rights, *, merchant_id: str, link_id: str | None, after: int | None, credential_id: str
) -> AsyncIterator[bytes]:
    hub = ctx.hub
    subscription = hub.subscribe(merchant_id=merchant_id, link_id=link_id)
    rights.watch(credential_id, subscription)
    try:
        cursor = subscription.start if after is None else after
        yield _hello(cursor)
        async for event_id, data in _missed(hub, subscription, cursor):
            cursor = event_id
            yield data
        subscription.live = True
        while frames := await subscription.take():
            # A client that comes from a node ahead of this one has seen some of these.
            if fresh := [data for event_id, data in frames if event_id > cursor]:
                yield b"".join(fresh)
    finally:
        hub.unsubscribe(subscription)
        rights.forget(credential_id, subscription)


async def _missed(hub: Hub, subscription: Subscription, cursor: int) -> AsyncIterator[tuple[int, bytes]]:
    while cursor < (up_to := subscription.start) and not subscription.closed:
        rows = await hub.missed(subscription, after=cursor, up_to=up_to)
        for row in rows:
            yield row.id, frame(row)
        cursor = rows[-1].id if len(rows) == event_log.PAGE else up_to


def _hello(cursor: int) -> bytes:
    """Says how long to wait before coming back, and from where: a client that saw no event yet still resumes right."""
    return f": paylink\nid: {cursor}\nretry: {RETRY_MS}\n\n".encode()


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping")


def _parse(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) > HIGHEST_ID:
        raise BadRequest("Last-Event-ID must be an id this stream gave, or 0", code="bad_last_event_id")
    return int(text)
