"""``GET /v1/events/stream`` on one node: what it says, from where, and until when."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink import main
from paylink.accounts import service as accounts
from paylink.accounts.models import Agent, AgentSession
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.events import hub, stream
from paylink.kit.clock import utcnow
from tests.events.site import Site, Who, happen, link, plant, site
from tests.events.sse import Ended, Stream, connect, until


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Site]:
    async with site(database_url) as made:
        yield made


@pytest.fixture
async def who(here: Site) -> Who:
    return await plant(here.ctx)


async def fetch(here: Site, who: Who, link_id: str, *, count: int = 1, **data: object) -> None:
    await here.ctx.db.transact(lambda session: happen(session, who, link_id, count=count, **data))


async def numbers(opened: Stream, count: int) -> list[int]:
    return [(await opened.next()).data["data"]["n"] for _ in range(count)]


async def test_it_begins_with_where_it_is_and_when_to_come_back(here: Site, who: Who) -> None:
    async with await connect(here.base, who.key) as opened:
        assert opened.status == 200
        assert opened.headers["content-type"].startswith("text/event-stream")
        assert opened.headers["cache-control"] == "no-store"
        assert opened.headers["x-accel-buffering"] == "no"
        assert "content-length" not in opened.headers
        await opened.opened()
        await fetch(here, who, await link(here.ctx.db, who))
        await opened.next()
        assert opened.retry == 2000


async def test_an_event_says_what_the_contract_says(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    async with await (await connect(here.base, who.session)).opened() as opened:
        await fetch(here, who, link_id, text="two\nlines \u2028 and an é")
        seen = await opened.next()
    assert seen.type == seen.data["type"] == "link.fetched"
    assert set(seen.data) == {"id", "type", "seq", "payment_link", "occurred_at", "origin", "data"}
    assert (seen.data["seq"], seen.data["payment_link"], seen.data["origin"]) == (1, link_id, "payer")
    assert seen.data["data"] == {"text": "two\nlines \u2028 and an é"}


async def test_without_a_last_id_it_tells_what_happens_from_now_on(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    await fetch(here, who, link_id, n=1)
    await until(lambda: here.ctx.hub.cursor > 0, what="the hub sees the first event")
    async with await (await connect(here.base, who.key)).opened() as opened:
        await fetch(here, who, link_id, n=2)
        assert await numbers(opened, 1) == [2]


async def test_zero_replays_from_the_beginning_over_many_pages(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    for _ in range(3):
        await fetch(here, who, link_id, count=450)
    async with await connect(here.base, who.key, last_event_id=0) as opened:
        assert [(await opened.next()).data["seq"] for _ in range(1350)] == list(range(1, 1351))
        await fetch(here, who, link_id)
        assert (await opened.next()).data["seq"] == 1351


async def test_a_burst_does_not_cut_off_who_reads(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    count = 2 * hub.QUEUE_LIMIT
    async with await (await connect(here.base, who.key)).opened() as opened:
        await fetch(here, who, link_id, count=count)
        assert [(await opened.next()).data["seq"] for _ in range(count)] == list(range(1, count + 1))


async def test_what_happens_during_a_replay_waits_in_the_log(
    here: Site, who: Who, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id = await link(here.ctx.db, who)
    await fetch(here, who, link_id, count=2)
    await until(partial(handed_out, here, 2), what="the hub sees the first two")
    many, missed = hub.QUEUE_LIMIT + 1, here.ctx.hub.missed

    async def late(subscription: hub.Subscription, *, after: int, up_to: int) -> Sequence[sa.Row[Any]]:
        if not after:
            await fetch(here, who, link_id, count=many)
            await until(partial(handed_out, here, many + 2), what="the hub hands out")
        return await missed(subscription, after=after, up_to=up_to)

    monkeypatch.setattr(here.ctx.hub, "missed", late)
    async with await connect(here.base, who.key, last_event_id=0) as opened:
        assert [(await opened.next()).data["seq"] for _ in range(many + 2)] == list(range(1, many + 3))
        await fetch(here, who, link_id)
        assert [(await opened.next()).data["seq"] for _ in range(1)] == [many + 3]


async def test_the_header_wins_over_the_query(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    for n in range(1, 4):
        await fetch(here, who, link_id, n=n)
    async with await connect(here.base, who.key, query="?last_event_id=0") as opened:
        first = await opened.next()
        assert first.data["data"]["n"] == 1
    async with await connect(here.base, who.key, query="?last_event_id=0", last_event_id=first.id) as opened:
        assert await numbers(opened, 2) == [2, 3]


@pytest.mark.parametrize("wrong", ["-1", "1.5", "abc", "0x1", "9223372036854775808", "٣"])
async def test_an_id_that_the_stream_never_gave_is_refused(here: Site, who: Who, wrong: str) -> None:
    async with await connect(here.base, who.key, last_event_id=wrong) as opened:
        assert opened.status == 400


async def test_a_client_that_saw_nothing_yet_still_resumes_where_it_was(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    await fetch(here, who, link_id, n=1)
    async with await connect(here.base, who.key, last_event_id=0) as opened:
        await opened.next()
    async with await (await connect(here.base, who.key, last_event_id=opened.last_id)).opened() as silent:
        with pytest.raises(TimeoutError):
            await silent.next(within=0.1)
    await fetch(here, who, link_id, n=2)
    async with await connect(here.base, who.key, last_event_id=silent.last_id) as opened:
        assert await numbers(opened, 1) == [2]


async def test_an_id_from_beyond_the_log_is_as_good_as_its_end(here: Site, who: Who) -> None:
    """The database was restored, or made anew: whoever waited for the log to come so far would hear nothing."""
    link_id = await link(here.ctx.db, who)
    await fetch(here, who, link_id, n=1)
    async with await (await connect(here.base, who.key, last_event_id=2**40)).opened() as opened:
        await fetch(here, who, link_id, n=2)
        assert await numbers(opened, 1) == [2]


async def test_it_can_be_narrowed_to_one_link(here: Site, who: Who) -> None:
    one, other = await link(here.ctx.db, who), await link(here.ctx.db, who)
    await fetch(here, who, other, n=1)
    await fetch(here, who, one, n=2)
    async with await connect(here.base, who.key, query=f"?payment_link={one}", last_event_id=0) as opened:
        assert await numbers(opened, 1) == [2]
        await fetch(here, who, other, n=3)
        await fetch(here, who, one, n=4)
        assert await numbers(opened, 1) == [4]


async def test_another_merchants_link_is_not_found_and_their_events_are_not_told(here: Site, who: Who) -> None:
    stranger = await plant(here.ctx)
    theirs, ours = await link(here.ctx.db, stranger), await link(here.ctx.db, who)
    async with await connect(here.base, who.key, query=f"?payment_link={theirs}") as refused:
        assert refused.status == 404
    await fetch(here, stranger, theirs, n=1)
    async with await connect(here.base, who.key, last_event_id=0) as opened:
        await opened.opened()
        await fetch(here, stranger, theirs, n=2)
        await fetch(here, who, ours, n=3)
        assert await numbers(opened, 1) == [3]


async def test_nobody_streams_without_a_right(here: Site) -> None:
    async with await connect(here.base, {}) as opened:
        assert opened.status == 401


async def test_a_silent_stream_is_pinged(here: Site, who: Who, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stream.PING_S == 15
    monkeypatch.setattr(stream, "PING_S", 0.05)
    async with await connect(here.base, who.key) as opened:
        with pytest.raises(TimeoutError):
            await opened.next(within=0.5)
        assert opened.comments.count("ping") >= 3


def sign_out(who: Who, session: Session) -> None:
    for one in session.scalars(sa.select(AgentSession).where(AgentSession.agent_id == who.agent_id)):
        accounts.end_session(session, one.id)


def revoke(who: Who, session: Session) -> None:
    principal = Principal(PrincipalKind.API_KEY, who.key_id, "tests", who.merchant_id, who.key_id)
    accounts.revoke_api_key(session, principal, who.key_id)


def disable(who: Who, session: Session) -> None:
    session.get_one(Agent, who.agent_id).disabled_at = utcnow()


@pytest.mark.parametrize(("way", "credential"), [(sign_out, "session"), (disable, "session"), (revoke, "key")])
async def test_it_ends_within_five_seconds_of_the_right_to_it(here: Site, who: Who, way, credential: str) -> None:
    other = await plant(here.ctx)
    async with (
        await (await connect(here.base, getattr(who, credential))).opened() as opened,
        await (await connect(here.base, other.key)).opened() as untouched,
    ):
        await here.ctx.db.transact(partial(way, who))
        began = time.monotonic()
        with pytest.raises(Ended):
            await opened.next()
        assert time.monotonic() - began < 5
        await fetch(here, other, await link(here.ctx.db, other), n=1)
        assert await numbers(untouched, 1) == [1]
    async with await connect(here.base, getattr(who, credential)) as again:
        assert again.status == 401


async def test_two_hundred_open_streams_hold_no_connection(here: Site, who: Who) -> None:
    link_id = await link(here.ctx.db, who)
    opened = [await (await connect(here.base, who.key, last_event_id=0)).opened() for _ in range(200)]
    db = here.ctx.db
    await until(lambda: db._read_engine.pool.checkedout() == 0, what="every reader is back")
    # The writers keep theirs, each its own.
    assert db.engine.pool.checkedout() <= len(db._threads)
    await fetch(here, who, link_id, n=1)
    assert await asyncio.gather(*(numbers(one, 1) for one in opened)) == [[1]] * 200
    for one in opened:
        one.cut()
    await until(lambda: not list(here.ctx.hub.subscriptions()), what="closed streams are forgotten")


def handed_out(here: Site, event_id: int) -> bool:
    return here.ctx.hub.cursor >= event_id


async def test_a_client_that_does_not_read_is_cut_off_and_loses_nothing(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits for it is bounded: the frames of one queue, and what the sockets hold."""
    monkeypatch.setattr(main, "UNREAD_MS", 4000)  # longer than it takes to fill the queue
    async with site(sqlite_database) as here:
        who = await plant(here.ctx)
        link_id = await link(here.ctx.db, who)
        stalled = await (await connect(here.base, who.key, buffer=1024)).opened()
        stalled.writer.transport.pause_reading()
        (subscription,) = here.ctx.hub.subscriptions()
        before, sent, most = hub.streams_cut._value.get(), 0, 0
        while not subscription.closed:
            assert sent < 20_000
            await fetch(here, who, link_id, count=300, filler="x" * 2000)
            sent += 300
            await until(partial(handed_out, here, sent), what="the hub hands out")
            most = max(most, len(subscription._frames))
        await fetch(here, who, link_id, count=100)
        await until(partial(handed_out, here, sent + 100), what="the hub hands out")
        assert most <= hub.QUEUE_LIMIT
        assert not subscription._frames
        assert hub.streams_cut._value.get() - before == 1
        await until(lambda: not list(here.ctx.hub.subscriptions()), what="the server lets go of it")
        assert not [record for record in caplog.records if record.name.startswith("uvicorn")]
        stalled.writer.transport.resume_reading()
        seen = [event.id for event in await stalled.rest(ConnectionError, TimeoutError, asyncio.IncompleteReadError)]
        async with await connect(here.base, who.key, last_event_id=stalled.last_id) as again:
            seen += [(await again.next()).id for _ in range(sent + 100 - len(seen))]
        assert seen == list(range(1, sent + 101))
