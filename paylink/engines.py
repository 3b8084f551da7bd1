"""How the two databases are connected to: drivers, limits, and what SQLite lacks."""

import sqlite3
import threading
from collections import defaultdict
from datetime import timedelta
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from paylink.kit import clock

LOCK_TIMEOUT_MS: Final = 5_000
SQLITE_TIMEOUT_S: Final = 10
BEGIN: Final = "BEGIN IMMEDIATE"
# No transaction lives longer. The event log relies on it: see events/tail.
TRANSACTION_TIMEOUT_MS: Final = 15_000


# By database: whose turn it is to write, among the threads of this process.
_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class WritingConnection(sqlite3.Connection):
    """Waits for its turn before it begins. SQLite itself would sleep up to a tenth of a second and look again."""

    turn: threading.Lock
    _has_turn = False

    def take_turn(self) -> None:
        if not self.turn.acquire(timeout=SQLITE_TIMEOUT_S):
            raise sqlite3.OperationalError("database is locked")
        self._has_turn = True

    def pass_on(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self.turn.release()

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if not self.in_transaction:
                self.pass_on()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self.pass_on()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.pass_on()


def with_driver(url: str) -> str:
    """The URL with the driver that is installed for it."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def make_engine(url: str, *, read_only: bool, size: int) -> sa.Engine:
    """``size``: connections at most."""
    if url.startswith("sqlite"):
        connect_args: dict[str, Any] = {"timeout": SQLITE_TIMEOUT_S, "check_same_thread": False}
        if not read_only:
            connect_args["factory"] = WritingConnection
        engine = sa.create_engine(url, pool_size=size, hide_parameters=True, connect_args=connect_args)
        event.listen(engine, "connect", _sqlite_reader if read_only else _sqlite_writer)
        if not read_only:
            turn = _turns[url]
            event.listen(engine, "connect", lambda connection, _record: setattr(connection, "turn", turn))
            event.listen(engine, "begin", _begin_immediate)
        return engine
    options = (
        f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={TRANSACTION_TIMEOUT_MS} "
        f"-c idle_in_transaction_session_timeout={TRANSACTION_TIMEOUT_MS} "
        f"-c default_transaction_read_only={'on' if read_only else 'off'} -c timezone=UTC"
    )
    return sa.create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=read_only,
        hide_parameters=True,
        connect_args={"options": options},
    )


def _sqlite_writer(connection: Any, _record: object) -> None:
    _sqlite_functions(connection)
    connection.isolation_level = None  # the driver begins nothing by itself: see _begin_immediate
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=10000")


def _sqlite_reader(connection: Any, _record: object) -> None:
    _sqlite_functions(connection)
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA query_only=ON")


def _sqlite_functions(connection: Any) -> None:
    """SQLite's own ``lower`` knows ASCII only: nobody would find Émile by typing émile. And its clock stops at the
    millisecond, where the columns have six digits."""
    connection.create_function("paylink_now", 1, _now_less)
    connection.create_function("lower", 1, lambda text: text and str(text).lower(), deterministic=True)


def _now_less(seconds: float) -> str:
    return (clock.utcnow() - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


def _begin_immediate(connection: sa.Connection) -> None:
    writing = cast(WritingConnection, connection.connection.driver_connection)
    try:
        writing.take_turn()
    except sqlite3.OperationalError as error:
        raise OperationalError(BEGIN, None, error) from error
    try:
        connection.exec_driver_sql(BEGIN)
    except BaseException:
        writing.pass_on()
        raise
