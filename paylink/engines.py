"""How the two databases are connected to: drivers, limits, and what SQLite lacks."""

from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from paylink.kit import clock

LOCK_TIMEOUT_MS: Final = 5_000
# No transaction lives longer. The event log relies on it: see events/tail.
TRANSACTION_TIMEOUT_MS: Final = 15_000


def with_driver(url: str) -> str:
    """The URL with the driver that is installed for it."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def make_engine(url: str, *, read_only: bool, size: int) -> sa.Engine:
    """``size``: connections at most."""
    if url.startswith("sqlite"):
        engine = sa.create_engine(
            url, pool_size=size, hide_parameters=True, connect_args={"timeout": 10, "check_same_thread": False}
        )
        event.listen(engine, "connect", _sqlite_reader if read_only else _sqlite_writer)
        if not read_only:
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
    connection.exec_driver_sql("BEGIN IMMEDIATE")
