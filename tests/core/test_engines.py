"""Threads that write to one SQLite database take turns, and none of them asks SQLite while another has it."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from paylink import engines
from paylink.engines import make_engine

THREADS, TIMES = 8, 25


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'turns.db'}"
    with impatient(address).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE counter (value INTEGER)")
        connection.exec_driver_sql("INSERT INTO counter VALUES (0)")
    return address


def impatient(url: str) -> sa.Engine:
    """Whoever begins while another is writing is told so at once."""
    engine = make_engine(url, read_only=False, size=2)
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout=0"))
    return engine


def add_one(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        value = connection.exec_driver_sql("SELECT value FROM counter").scalar_one()
        connection.exec_driver_sql("UPDATE counter SET value = ?", (value + 1,))


def value(engine: sa.Engine) -> int:
    with engine.begin() as connection:
        return int(connection.exec_driver_sql("SELECT value FROM counter").scalar_one())


def test_threads_of_two_engines_wait_for_their_turn(url: str) -> None:
    two = [impatient(url), impatient(url)]

    def work(number: int) -> None:
        for _ in range(TIMES):
            add_one(two[number % 2])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    assert value(two[0]) == THREADS * TIMES


def test_a_turn_ends_with_its_transaction_however_that_ends(url: str) -> None:
    engine = impatient(url)
    with pytest.raises(OperationalError), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE nothing SET value = 1")
    with pytest.raises(ZeroDivisionError), engine.begin():
        _ = 1 // 0
    with engine.connect() as connection:
        connection.begin()
        connection.invalidate()
    add_one(engine)
    assert value(engine) == 1


def test_another_process_in_the_middle_of_writing_takes_nobodys_turn_for_good(url: str) -> None:
    engine = impatient(url)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        add_one(engine)
    other.execute("COMMIT")
    add_one(engine)
    assert value(engine) == 1


def test_nobody_waits_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SQLITE_TIMEOUT_S", 0.01)
    engine = impatient(url)
    with engine.begin(), pytest.raises(OperationalError, match="locked"):
        add_one(engine)
    add_one(engine)
    assert value(engine) == 1
