"""The log's promises to whoever reads it: no gap and no disorder within a link, however many write at once."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import Database, table
from paylink.events import log
from paylink.events.bus import LocalBell
from paylink.events.hub import Hub
from paylink.events.log import NewEvent
from paylink.events.tail import Tail, writers
from paylink.events.types import Event, EventType, Origin

EVENT = NewEvent(EventType.LINK_FETCHED, Origin.PAYER)
events = table(Event)


def append(session: Session, link_id: str, count: int = 1) -> None:
    log.append(session, merchant_id="mer_x", link_id=link_id, events=[EVENT] * count)


async def test_ids_and_numbers_of_a_link_grow_without_a_gap_under_many_writers(database_url: str) -> None:
    chance = random.Random(7)
    databases = [Database(database_url) for _ in range(3)]

    def work(link_id: str, count: int, fails: bool):
        def run(session: Session) -> int:
            append(session, link_id, count)
            if fails:
                raise LookupError
            return count

        return run

    works = [
        chance.choice(databases).transact(
            work(f"plink_{chance.randrange(5)}", chance.randint(1, 3), chance.random() < 0.2)
        )
        for _ in range(500)
    ]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert {type(result) for result in results} == {int, LookupError}
    rows = databases[0].read_sync(
        lambda session: session.execute(sa.select(events.c.link_id, events.c.seq).order_by(events.c.id)).all()
    )
    for database in databases:
        database.close()
    assert len(rows) == sum(result for result in results if isinstance(result, int))
    for link_id in {row.link_id for row in rows}:
        assert [row.seq for row in rows if row.link_id == link_id] == list(
            range(1, sum(row.link_id == link_id for row in rows) + 1)
        )


@pytest.fixture
def reader(postgres_database: str) -> Iterator[Database]:
    database = Database(postgres_database)
    yield database
    database.close()


@pytest.fixture
def engine(postgres_database: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_database.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def read(tail: Tail, database: Database, *, times: int = 3) -> list[int]:
    """The ids it hands out in a few looks: the first look at a gap never passes it."""
    ids = []
    for _ in range(times):
        rows = database.read_sync(tail.read)
        tail.passed(rows)
        ids += [row.id for row in rows]
    return ids


def test_an_event_that_commits_late_is_waited_for(reader: Database, engine: sa.Engine) -> None:
    tail = Tail()
    with Session(engine) as early, Session(engine) as late:
        append(early, "plink_early")
        append(late, "plink_late")
        late.commit()
        assert read(tail, reader) == []
        assert tail.waiting
        early.commit()
    assert read(tail, reader) == [1, 2]
    assert not tail.waiting


def test_one_whose_transaction_is_younger_than_all_that_ended_is_waited_for(
    reader: Database, engine: sa.Engine
) -> None:
    """The newest transaction that ended is the one after the gap: no snapshot knows of the one that runs."""
    tail = Tail()
    with Session(engine) as older, Session(engine) as younger:
        older.execute(sa.text("SELECT pg_current_xact_id()"))
        append(younger, "plink_younger")
        append(older, "plink_older")
        older.commit()
        assert read(tail, reader) == []
        younger.commit()
    assert read(tail, reader) == [1, 2]


def test_an_event_that_was_rolled_back_is_not_waited_for(reader: Database, engine: sa.Engine) -> None:
    tail = Tail()
    with Session(engine) as lost, Session(engine) as kept:
        append(lost, "plink_lost", 3)
        append(kept, "plink_kept")
        lost.rollback()
        kept.commit()
    assert read(tail, reader) == [4]


def test_writers_that_came_after_the_gap_do_not_hold_it_up(reader: Database, engine: sa.Engine) -> None:
    tail = Tail()
    with Session(engine) as lost, Session(engine) as kept, Session(engine) as later:
        append(lost, "plink_lost")
        append(kept, "plink_kept")
        kept.commit()
        assert read(tail, reader) == []
        append(later, "plink_later")
        lost.rollback()
        assert read(tail, reader) == [2]


def test_a_foreign_transaction_that_never_ends_does_not_hold_it_up(reader: Database, engine: sa.Engine) -> None:
    """A backup, a migration of another table, another database of the same server."""
    tail = Tail()
    with Session(engine) as foreign, Session(engine) as lost, Session(engine) as kept:
        foreign.execute(sa.text("SELECT pg_current_xact_id()"))
        foreign.execute(sa.text("SELECT count(*) FROM events"))
        append(lost, "plink_lost")
        lost.rollback()
        append(kept, "plink_kept")
        kept.commit()
        assert reader.read_sync(writers) == frozenset()
        assert read(tail, reader) == [2]


async def test_events_read_over_a_connection_that_breaks_as_the_reading_ends_are_read_again(
    reader: Database, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were there and the transaction around the reading was not: nobody has been told of them."""
    hub, broken = Hub(reader, LocalBell()), asyncio.Event()
    loop, whole = asyncio.get_running_loop(), Tail.read

    def breaking(tail: Tail, session: Session, **how: Any) -> Sequence[sa.Row[Any]]:
        rows = whole(tail, session, **how)
        if rows and not broken.is_set():
            loop.call_soon_threadsafe(broken.set)
            kill(engine, session.scalar(sa.text("SELECT pg_backend_pid()")))
        return rows

    await hub.start()
    subscription = hub.subscribe(merchant_id="mer_x")
    subscription.live = True
    monkeypatch.setattr(Tail, "read", breaking)
    try:
        await reader.transact(lambda session: append(session, "plink_a", 2))
        await asyncio.wait_for(broken.wait(), 10)
        async with asyncio.timeout(10):
            assert [number for number, _ in await subscription.take()] == [1, 2]
    finally:
        await hub.close()


def kill(engine: sa.Engine, backend: int | None) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": backend})
