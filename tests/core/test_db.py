"""``db.transact``: one commit for many, each on its own."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.db import Database, signal


def add(name: str):
    def work(session: Session) -> str:
        session.add(Merchant(id=name, name=name))
        return name

    return work


def names(session: Session) -> set[str]:
    return set(session.scalars(sa.select(Merchant.id)))


async def test_the_commit_is_durable_when_transact_returns(db: Database) -> None:
    assert await db.transact(add("one")) == "one"
    other = Database(db.url)
    assert other.read_sync(names) == {"one"}
    other.close()


async def test_one_that_raises_takes_only_itself_back(db: Database) -> None:
    def fails(session: Session) -> None:
        add("lost")(session)
        session.flush()
        raise LookupError("no")

    works = [db.transact(add(f"m{n}")) for n in range(20)] + [db.transact(fails) for _ in range(5)]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [r for r in results if isinstance(r, str)] == [f"m{n}" for n in range(20)]
    assert all(isinstance(r, LookupError) for r in results[20:])
    assert await db.read(names) == {f"m{n}" for n in range(20)}


async def test_a_statement_that_fails_spoils_no_other(db: Database) -> None:
    await db.transact(add("taken"))
    works = [db.transact(add(name)) for name in ("a", "taken", "b")]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert isinstance(results[1], sa.exc.IntegrityError)
    assert await db.read(names) == {"taken", "a", "b"}


async def test_a_signal_rings_after_the_commit_and_only_then(db: Database) -> None:
    seen: list[set[str]] = []
    db.listen("bell", lambda: seen.append(db.read_sync(names)))

    def ringing(session: Session) -> None:
        add("heard")(session)
        signal(session, "bell")

    def failing(session: Session) -> None:
        signal(session, "bell")
        raise LookupError("no")

    await db.transact(ringing)
    with pytest.raises(LookupError):
        await db.transact(failing)
    assert seen == [{"heard"}]


async def test_readers_cannot_write(db: Database) -> None:
    def write(session: Session) -> None:
        session.add(Merchant(id="x", name="x"))
        session.flush()

    with pytest.raises(sa.exc.DBAPIError):
        await db.read(write)
    assert await db.read(names) == set()


async def test_a_lost_connection_costs_nobody_a_transaction(postgres_database: str, postgres_url: str) -> None:
    """Ended between two transactions, as by a restart of the server or a proxy's idle limit."""
    db = Database(postgres_database)
    await asyncio.gather(*(db.transact(add(f"before{n}")) for n in range(8)))
    killer = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with killer.begin() as connection:
        name = postgres_database.rpartition("/")[2]
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(sa.text(query), {"name": name})
    killer.dispose()
    await asyncio.gather(*(db.transact(add(f"after{n}")) for n in range(8)))
    assert len(await db.read(names)) == 16
    db.close()


async def test_of_many_that_race_for_a_row_none_is_lost(db: Database) -> None:
    await db.transact(add("counter"))

    def count(session: Session) -> None:
        row = session.scalars(sa.select(Merchant).where(Merchant.id == "counter").with_for_update()).one()
        row.review_above = (row.review_above or 0) + 1

    await asyncio.gather(*(db.transact(count) for _ in range(100)))
    assert await db.read(lambda session: session.get_one(Merchant, "counter").review_above) == 100
