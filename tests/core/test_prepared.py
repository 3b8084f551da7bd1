"""Inserts made ready once and written together: the same rows as Core's, and no transaction pays for another."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.customers.models import Customer
from paylink.db import Database, table
from paylink.delivery.models import Delivery
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import Event, EventType, Origin
from paylink.kit.clock import utcnow
from paylink.prepared import PreparedInsert

merchants, deliveries, customers, events = table(Merchant), table(Delivery), table(Customer), table(Event)
insert_event = PreparedInsert(events)
insert_merchant = PreparedInsert(merchants)
insert_customer = PreparedInsert(customers)
FACT = NewEvent(EventType.LINK_CREATED, Origin.API)


def merchant(name: str) -> dict[str, Any]:
    return {"id": name, "name": "Zoë 100 % :x ?", "review_above": None, "created_at": utcnow()}


def customer(name: str, of: str) -> dict[str, Any]:
    now = utcnow()
    return {"id": name, "merchant_id": of, "name": name, "created_at": now, "updated_at": now}


def ids(session: Session) -> set[str]:
    return set(session.scalars(sa.select(merchants.c.id)))


async def test_rows_are_what_core_would_have_written(db: Database) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC) + timedelta(hours=1)
    row = {
        "public_id": "evt_a",
        "merchant_id": "m",
        "link_id": "l",
        "seq": 1,
        "type": "t",
        "origin": "api",
        "occurred_at": moment.astimezone(),
        "data": {"é": [None, True, 1.5], "%s": "?"},
    }

    def work(session: Session) -> None:
        insert_event.now(session, [row])
        insert_event.now(session, [row | {"public_id": f"evt_{n}", "seq": n} for n in (2, 3)])
        session.execute(sa.insert(events), row | {"public_id": "evt_core", "seq": 4})

    await db.transact(work)
    rows = await db.read(lambda session: session.execute(sa.select(events).order_by(events.c.seq)).all())
    shown = [(found.occurred_at, found.data, found.merchant_id, found.type) for found in rows]
    assert shown == [(moment, row["data"], "m", "t")] * 4


@pytest.mark.parametrize("grouped", [True, False])
async def test_what_waits_is_written_with_the_commit_parents_first(db: Database, *, grouped: bool) -> None:
    def work(number: int):
        def run(session: Session) -> None:
            # The child is handed in first, in every other transaction.
            parts = [
                (insert_customer, customer(f"c{number}", f"m{number}")),
                (insert_merchant, merchant(f"m{number}")),
            ]
            for insert, row in parts if number % 2 else reversed(parts):
                insert.later(session, [row])

        return run

    await asyncio.gather(*(db.transact(work(n), grouped=grouped) for n in range(50)))
    assert await db.read(ids) == {f"m{n}" for n in range(50)}
    assert await db.read(lambda session: session.scalar(sa.select(sa.func.count()).select_from(customers))) == 50


@pytest.mark.parametrize("grouped", [True, False])
async def test_only_what_is_wrong_fails_and_leaves_nothing(db: Database, *, grouped: bool) -> None:
    await db.transact(lambda session: insert_merchant.now(session, [merchant("taken")]))

    def late(name: str):
        return lambda session: insert_merchant.later(session, [merchant(name)])

    def regrets(session: Session) -> None:
        insert_merchant.later(session, [merchant("regretted")])
        raise LookupError

    def unstorable(session: Session) -> None:
        insert_merchant.later(session, [merchant("naive") | {"created_at": datetime(2026, 1, 1)}])  # noqa: DTZ001

    works = [late("a"), late("taken"), regrets, late("b"), unstorable, late("c")]
    results = await asyncio.gather(*(db.transact(one, grouped=grouped) for one in works), return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds[:4] == [type(None), sa.exc.IntegrityError, LookupError, type(None)]
    assert issubclass(kinds[4], Exception)
    assert kinds[5] is type(None)
    assert await db.read(ids) == {"taken", "a", "b", "c"}
    await db.transact(late("d"), grouped=grouped)
    assert "d" in await db.read(ids)


async def test_a_timeline_that_was_begun_goes_on_without_a_gap(db: Database) -> None:
    await asyncio.gather(
        *(
            db.transact(
                lambda session, n=n: log.begin(  # type: ignore[misc]
                    session, merchant_id="m", link_id=f"plink_{n}", events=[FACT] * (1 + n % 3)
                ),
                grouped=True,
            )
            for n in range(6)
        )
    )
    await asyncio.gather(
        *(
            db.transact(
                lambda session, n=n: log.append(session, merchant_id="m", link_id=f"plink_{n % 6}", events=[FACT])  # type: ignore[misc]
            )
            for n in range(60)
        )
    )
    rows = await db.read(lambda session: session.execute(sa.select(events.c.link_id, events.c.seq)).all())
    for n in range(6):
        numbers = sorted(row.seq for row in rows if row.link_id == f"plink_{n}")
        assert numbers == list(range(1, 1 + n % 3 + 1 + 10))
