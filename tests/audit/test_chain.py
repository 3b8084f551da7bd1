"""The chain of the audit: whatever is done to the tables behind our back is found, and where it begins."""

import asyncio
import os
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from paylink.audit.service import HEAD_PURPOSE, sealed
from paylink.audit.verify import Fault, merchants, verify
from paylink.db import Database
from paylink.kit.crypto import Keyring
from tests.audit.chains import (
    ENTRIES,
    HEADS,
    KEYS,
    LENGTH,
    Chain,
    Tampering,
    append,
    first_difference,
    lay_open,
    read,
    tampered,
    tamperings,
    written,
)

PROVE = os.environ.get("PAYLINK_PROVE") == "1"
# On each of the two databases.
TAMPERINGS = 5_000 if PROVE else 300
MERCHANT = "mer_1"


@pytest.fixture
def whole(db: Database) -> Chain:
    """The chain of one merchant, beside that of another."""
    written(db, "mer_2", entries=3)
    return written(db, MERCHANT)


@pytest.fixture
def laid_open(db: Database, whole: Chain) -> tuple[Database, Chain]:
    lay_open(db)
    return db, whole


@pytest.mark.timeout(1200 if PROVE else 120)
@settings(
    max_examples=TAMPERINGS,
    deadline=None,
    derandomize=not PROVE,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(done=st.lists(tamperings(), min_size=1, max_size=3))
def test_every_tampering_is_found_where_it_begins(laid_open: tuple[Database, Chain], done: list[Tampering]) -> None:
    db, whole = laid_open
    found = whole.copy()
    for tampering in done:
        tampering(found)
    wanted = first_difference(whole, found)
    # With its head gone too, nothing says that there ever was a chain: what a noted head is for.
    assume(wanted is not None and (found.rows or found.head))
    with tampered(db, MERCHANT, found) as session:
        verdict = verify(session, KEYS, MERCHANT)
        assert verdict.broken is not None
        assert verdict.broken.seq == wanted
        assert verify(session, KEYS, "mer_2").broken is None


def test_a_whole_chain_is_told_with_its_length_and_head(db: Database, whole: Chain) -> None:
    verdict = db.read_sync(lambda session: verify(session, KEYS, MERCHANT))
    assert (verdict.entries, verdict.head, verdict.broken) == (LENGTH, whole.rows[-1]["hash"].hex(), None)
    assert db.read_sync(merchants) == [MERCHANT, "mer_2"]
    nobody = db.read_sync(lambda session: verify(session, KEYS, "mer_none"))
    assert (nobody.entries, nobody.head, nobody.broken) == (0, None, None)


@pytest.mark.parametrize(
    ("fault", "seq"),
    [
        (Fault.ALTERED, 4),
        (Fault.MISSING, 5),
        (Fault.PUT_IN, 6),
        (Fault.CUT_OFF, 10),
        (Fault.WRONG_HEAD, LENGTH),
    ],
)
def test_what_was_done_is_named(laid_open: tuple[Database, Chain], fault: Fault, seq: int) -> None:
    db, whole = laid_open
    found = whole.copy()
    match fault:
        case Fault.ALTERED:
            found.rows[3]["actor_name"] = "Somebody else"
        case Fault.MISSING:
            del found.rows[4]
        case Fault.PUT_IN:
            found.rows.append({**found.rows[5], "id": "zzz"})
        case Fault.CUT_OFF:
            del found.rows[9:]
        case _:
            assert found.head is not None
            found.head["hash"] = found.rows[-1]["hash"]
    with tampered(db, MERCHANT, found) as session:
        broken = verify(session, KEYS, MERCHANT).broken
    assert broken is not None
    assert (broken.fault, broken.seq) == (fault, seq)
    assert broken.entry == {Fault.ALTERED: whole.rows[3]["id"], Fault.PUT_IN: "zzz"}.get(fault)


@pytest.mark.parametrize(
    ("column", "value", "seq"),
    [
        ("at", "yesterday", 4),
        ("details", "{", 4),
        ("details", "[" * 100_000, 4),
        ("hash", "text", 4),
        ("hash", None, 4),
        ("seq", "x", 4),
        ("seq", "x", LENGTH),
    ],
)
def test_what_is_no_entry_at_all_is_found_too(sqlite_database: str, column: str, value: str | None, seq: int) -> None:
    """SQLite stores what it is given, whatever the column's type."""
    db = Database(sqlite_database)
    written(db, MERCHANT)
    lay_open(db)
    update = sa.text(f"UPDATE audit_entries SET {column} = :value WHERE seq = :seq")
    with db.engine.begin() as connection:
        connection.execute(update, {"value": value, "seq": seq})
    broken = db.read_sync(lambda session: verify(session, KEYS, MERCHANT)).broken
    db.close()
    assert broken is not None
    assert broken.seq == seq


def test_entries_of_two_copies_cannot_be_mixed(laid_open: tuple[Database, Chain]) -> None:
    """A copy of the database that went on by itself has entries that are as genuine, under the same numbers."""
    db, whole = laid_open
    copy = whole.copy()
    del copy.rows[5:]
    seal = KEYS.digest(sealed(MERCHANT, 5, copy.rows[-1]["hash"]), purpose=HEAD_PURPOSE)
    copy.head = {"merchant_id": MERCHANT, "seq": 5, "hash": seal}
    with tampered(db, MERCHANT, copy) as session:
        session.execute(sa.text("CREATE UNIQUE INDEX one_head ON audit_heads (merchant_id)"))
        for number in range(5, LENGTH):
            append(session, MERCHANT, number)
        assert verify(session, KEYS, MERCHANT).broken is None
        other = read(session, MERCHANT)
    mixed = whole.copy()
    mixed.rows[8] = other.rows[8]
    with tampered(db, MERCHANT, mixed) as session:
        broken = verify(session, KEYS, MERCHANT).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (9, Fault.ALTERED)


def test_a_copy_from_the_past_is_found_by_a_noted_head(laid_open: tuple[Database, Chain]) -> None:
    db, whole = laid_open
    noted = {LENGTH: whole.rows[-1]["hash"].hex()}
    earlier = db.read_sync(lambda session: read(session, "mer_2"))
    assert db.read_sync(lambda session: verify(session, KEYS, MERCHANT, noted=noted)).broken is None
    wrong = db.read_sync(lambda session: verify(session, KEYS, MERCHANT, noted={3: noted[LENGTH]})).broken
    assert wrong is not None
    assert (wrong.fault, wrong.seq) == (Fault.NOT_AS_NOTED, 3)
    # The other merchant's whole chain is as good as a copy of an earlier state: sound, and not what was noted.
    for gone in (earlier, Chain([], None)):
        with tampered(db, "mer_2", gone) as session:
            assert verify(session, KEYS, "mer_2").broken is None
            broken = verify(session, KEYS, "mer_2", noted={9: "00" * 32}).broken
            assert broken is not None
            assert (broken.fault, broken.seq) == (Fault.NOT_AS_NOTED, 9)


@pytest.mark.parametrize("kind", ["cut", "head gone", "head set back"])
def test_going_on_after_a_break_does_not_hide_it(laid_open: tuple[Database, Chain], kind: str) -> None:
    """The product goes on working, and what it adds does not make sound what is left."""
    db, whole = laid_open
    found = whole.copy()
    assert found.head is not None
    if kind == "head gone":
        found.head = None
    else:
        del found.rows[8:]
    if kind == "head set back":
        found.head |= {"seq": 8, "hash": found.rows[-1]["hash"]}
    wanted = {"cut": (9, Fault.MISSING), "head gone": (13, Fault.BROKEN_OFF), "head set back": (9, Fault.BROKEN_OFF)}
    with tampered(db, MERCHANT, found) as session:
        session.execute(sa.text("CREATE UNIQUE INDEX one_head ON audit_heads (merchant_id)"))
        for number in range(3):
            append(session, MERCHANT, number)
        broken = verify(session, KEYS, MERCHANT).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == wanted[kind]


async def test_writers_at_once_make_one_chain(database_url: str) -> None:
    """Two processes' worth of writers, two merchants."""
    nodes = [Database(database_url), Database(database_url)]

    def work(number: int) -> Any:
        return nodes[number % 2].transact(lambda session: append(session, f"mer_{number % 4 // 2}", number))

    await asyncio.gather(*(work(number) for number in range(120)))
    for merchant in ("mer_0", "mer_1"):
        verdict = await nodes[0].read(lambda session, merchant=merchant: verify(session, KEYS, merchant))
        assert (verdict.entries, verdict.broken) == (60, None)
    for node in nodes:
        node.close()


async def test_it_can_be_verified_while_it_grows(db: Database, whole: Chain) -> None:
    async def grow() -> None:
        for number in range(40):
            await db.transact(lambda session, number=number: append(session, MERCHANT, number))  # type: ignore[misc]

    growing = asyncio.create_task(grow())
    while not growing.done():
        assert (await db.read(lambda session: verify(session, KEYS, MERCHANT))).broken is None
    await growing


def test_keys_rotate_and_the_chain_stays_whole(db: Database) -> None:
    old, new, newest = ("a" * 32, "b" * 32, "c" * 32)
    rings = [Keyring([old]), Keyring([new, old]), Keyring([newest, new, old])]
    for number in range(9):
        db.transact_sync(lambda session, n=number: append(session, MERCHANT, n, rings[n // 3]))  # type: ignore[misc]
    assert db.read_sync(lambda session: verify(session, rings[-1], MERCHANT)).broken is None
    # Without the key of the entries 4 to 6 nobody can say whether they are sound.
    lost = db.read_sync(lambda session: verify(session, Keyring([newest, old]), MERCHANT))
    assert lost.broken is not None
    assert (lost.broken.seq, lost.entries) == (4, 3)


def test_an_entry_is_there_exactly_if_its_deed_is(db: Database, whole: Chain) -> None:
    def fail(session: Any) -> None:
        append(session, MERCHANT, 99)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        db.transact_sync(fail)
    verdict = db.read_sync(lambda session: verify(session, KEYS, MERCHANT))
    assert (verdict.entries, verdict.broken) == (LENGTH, None)


def test_the_database_refuses_to_change_or_delete(db: Database, whole: Chain) -> None:
    statements = ["UPDATE audit_entries SET actor_name = 'x'", "DELETE FROM audit_entries"]
    for statement in statements if db.sqlite else [*statements, "TRUNCATE audit_entries"]:
        with pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert db.read_sync(lambda session: read(session, MERCHANT)) == whole
    assert {ENTRIES.name, HEADS.name} == {"audit_entries", "audit_heads"}
