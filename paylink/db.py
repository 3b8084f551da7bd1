"""The database: a synchronous core behind ``await db.transact(fn)``.

Domain code is plain functions over a SQLAlchemy ``Session``. They run in writer threads, several to a commit, and
``transact`` returns only when the commit is durable. Nothing inside a transaction can wait for the network, because
nothing in it can ``await``; and since a function may be run again after a lost race or a broken connection, it must
have no effect but the database's.

Group commit is why SQLite is fast here: one disk sync for a batch of functions. If one of them raises after it has
written something, the batch is taken back and each runs again on its own, so that none suffers for another.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.functions import FunctionElement

from paylink.engines import make_engine, with_driver
from paylink.prepared import WAITING, Waiting, write_waiting

T = TypeVar("T")

# A group commit takes at most this many functions: past it the wait outgrows what the shared sync saves.
GROUP = 64
# PostgreSQL commits most functions by themselves: a group holds rows of many links at once, which is how deadlocks are
# made. Those that make new rows alone have one writer more per process, for groups: two processes' groups can meet at
# a customer known already, and then one is taken back.
POSTGRES_WRITERS = 4
READERS = 4
# A deadlock or a serialisation failure is the database's word for "again": with other batches out of the way.
ATTEMPTS = 4
RETRY_SQLSTATES = frozenset({"40001", "40P01", "55P03"})

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC in and out; ``timestamptz`` on PostgreSQL, text that sorts on SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - a SQL function, written as one
    """What the database's clock says at this statement, less ``ago``: the judge wherever a moment decides about money,
    since the clocks of several nodes do not agree. On SQLite, which lives in the process, it is the process's own."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, *, ago: timedelta = timedelta()) -> None:
        super().__init__(sa.literal(ago.total_seconds(), sa.Double()))


@compiles(database_now, "sqlite")
def _now_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"paylink_now({compiler.process(element.clauses, **options)})"


@compiles(database_now, "postgresql")
def _now_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"(clock_timestamp() - make_interval(secs => {compiler.process(element.clauses, **options)}))"


# Kept as it was written, keys in their order: nothing here searches inside.
JSON = sa.JSON()


class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON,
        dict[str, str]: JSON,
        list[str]: JSON,
        int: sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    }


def table(entity: type[Base]) -> sa.Table:
    """The entity's table, for Core statements: several times cheaper than the unit of work on hot paths."""
    return cast(sa.Table, entity.__table__)


@dataclass(slots=True)
class _Work:
    run: Callable[[Session], Any]
    done: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None
    signals: set[str] = field(default_factory=set)
    waiting: Waiting = field(default_factory=dict)
    result: Any = None
    error: BaseException | None = None


class Database:
    """One database, its writer threads and its readers. Open it where the process starts, close it where it ends."""

    def __init__(self, url: str) -> None:
        self.url = with_driver(url)
        self.sqlite = self.url.startswith("sqlite")
        if self.sqlite:
            Path(sa.make_url(self.url).database or "").parent.mkdir(parents=True, exist_ok=True)
        writers = 1 if self.sqlite else POSTGRES_WRITERS
        self.engine = make_engine(self.url, read_only=False, size=writers + 3)
        self._read_engine = make_engine(self.url, read_only=True, size=READERS)
        self._single: _Queue = queue.SimpleQueue()
        # On SQLite all share their commits; see ``transact``.
        self._grouped = self._single if self.sqlite else queue.SimpleQueue()
        self._threads = [self._writer(n, self._single, GROUP if self.sqlite else 1) for n in range(writers)]
        if not self.sqlite:
            self._threads.append(self._writer(writers, self._grouped, GROUP))
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-reader")
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._closed = False
        for thread in self._threads:
            thread.start()

    def listen(self, name: str, call: Callable[[], None]) -> None:
        """``call`` runs after each commit that signalled ``name``: in the waiter's event loop, or in the writer's
        thread where the waiter has none."""
        self._listeners.setdefault(name, []).append(call)

    async def transact(self, fn: Callable[[Session], T], *, grouped: bool = False) -> T:
        """Runs ``fn`` in a transaction and returns its result once that is committed.

        ``grouped``: it may share its commit on PostgreSQL too. For what makes new rows and locks none that somebody
        else would have to wait for: those locks last as long as the whole group takes.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._submit(_Work(fn, waiter, loop), self._grouped if grouped else self._single)
        return await waiter

    def transact_sync(self, fn: Callable[[Session], T]) -> T:
        """``transact`` for threads and commands that have no event loop."""
        done: Future[T] = Future()
        self._submit(_Work(fn, done, None), self._single)
        return done.result()

    async def read(self, fn: Callable[[Session], T]) -> T:
        """Runs ``fn`` in a read-only transaction, beside the writers."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_sync, fn)

    def read_sync(self, fn: Callable[[Session], T]) -> T:
        with self._read_engine.connect() as connection, Session(connection, expire_on_commit=False) as session:
            return fn(session)

    def close(self) -> None:
        """Finishes what was submitted, then lets go of every connection."""
        if self._closed:
            return
        self._closed = True
        self._grouped.put(None)
        for _ in self._threads:
            self._single.put(None)
        for thread in self._threads:
            thread.join()
        self._readers.shutdown()
        self.engine.dispose()
        self._read_engine.dispose()

    def _submit(self, work: _Work, to: "_Queue") -> None:
        if self._closed:
            raise RuntimeError("the database is closed")
        to.put(work)

    def _writer(self, number: int, work: "_Queue", limit: int) -> threading.Thread:
        return threading.Thread(target=self._write_forever, args=(work, limit), name=f"db-writer-{number}", daemon=True)

    def _write_forever(self, work: "_Queue", limit: int) -> None:
        connection: sa.Connection | None = None
        while (first := work.get()) is not None:
            batch = _gather(first, work, limit)
            try:
                connection = connection or self.engine.connect()
                self._commit_batch(connection, batch)
            except BaseException as error:  # the thread must outlive whatever the driver does
                _discard(connection)
                connection = None
                self._recover(batch, error)
            self._tell(batch)
        if connection is not None:
            connection.close()

    def _commit_batch(self, connection: sa.Connection, batch: list[_Work]) -> None:
        """One transaction for all. A function that raises before it has written anything spoils nothing; one that
        raises later takes the transaction with it, and then each function runs again on its own."""
        transaction = connection.begin()
        for work in batch:
            written = self._written(connection)
            _run(connection, work)
            spoiled = work.error is not None and self._written(connection) != written
            if not transaction.is_active or spoiled or (work.error is not None and not self.sqlite):
                if transaction.is_active:
                    transaction.rollback()
                self._after_spoiling(batch)
                return
        try:
            write_waiting(connection, [work.waiting for work in batch if work.error is None])
        except DBAPIError as error:
            transaction.rollback()
            batch[0].error = error
            self._after_spoiling(batch)
            return
        _commit(transaction)

    def _after_spoiling(self, batch: list[_Work]) -> None:
        if len(batch) > 1:
            for work in batch:
                self._repeat(work)
        elif _worth_repeating(batch[0].error):
            self._repeat(batch[0])

    def _written(self, connection: sa.Connection) -> int:
        """How many rows this connection has changed so far; SQLite counts them."""
        return int(getattr(connection.connection.driver_connection, "total_changes", 0))

    def _recover(self, batch: list[_Work], error: BaseException) -> None:
        """The batch's transaction was lost as a whole. Each function runs again on its own, unless the loss was in
        COMMIT: then the outcome is unknown, the caller hears of it, and its idempotency key makes a second try safe."""
        for work in batch:
            if isinstance(error, CommitFailed):
                work.error = error
            else:
                self._repeat(work)

    def _repeat(self, work: _Work) -> None:
        for _ in range(ATTEMPTS - 1):
            work.error, work.signals = None, set()
            try:
                with self.engine.connect() as connection:
                    transaction = connection.begin()
                    _run(connection, work)
                    if work.error is None:
                        write_waiting(connection, [work.waiting])
                        _commit(transaction)
            except Exception as error:
                work.error = error
            if not _worth_repeating(work.error):
                return

    def _tell(self, batch: list[_Work]) -> None:
        """Wakes the waiters: one call into each event loop for the whole batch."""
        loops: dict[asyncio.AbstractEventLoop | None, list[_Work]] = {}
        for work in batch:
            loops.setdefault(work.loop, []).append(work)
        for loop, works in loops.items():
            if loop is None:
                self._resolve(works)
            else:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._resolve, works)

    def _resolve(self, works: list[_Work]) -> None:
        for name in set().union(*(work.signals for work in works if work.error is None)):
            for call in self._listeners.get(name, ()):
                call()
        for work in works:
            if work.done.done():
                continue
            if work.error is not None:
                work.done.set_exception(work.error)
            else:
                work.done.set_result(work.result)


_Queue = queue.SimpleQueue[_Work | None]


def _gather(first: _Work, waiting: _Queue, limit: int) -> list[_Work]:
    batch = [first]
    with suppress(queue.Empty):
        while len(batch) < limit:
            work = waiting.get_nowait()
            if work is None:
                waiting.put(None)
                break
            batch.append(work)
    return batch


class CommitFailed(Exception):
    """The connection was lost inside COMMIT: the transaction may be durable or not."""


def _commit(transaction: sa.RootTransaction) -> None:
    try:
        transaction.commit()
    except Exception as error:
        raise CommitFailed(str(error)) from error


def signal(session: Session, name: str) -> None:
    """Calls the listeners to ``name`` once the transaction is committed. For bells only: what must not be lost
    belongs in the transaction."""
    session.info.setdefault("signals", set()).add(name)


def _run(connection: sa.Connection, work: _Work) -> None:
    """Closing the session leaves the connection's transaction open; a flush that fails ends it."""
    session = Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only")
    session.info[WAITING] = work.waiting = {}
    try:
        work.result = work.run(session)
        session.flush()
        work.signals = session.info.get("signals", set())
    except Exception as error:
        work.error, work.result = error, None
    finally:
        session.close()


def _worth_repeating(error: BaseException | None) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in RETRY_SQLSTATES:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def _discard(connection: sa.Connection | None) -> None:
    if connection is not None:
        with suppress(Exception):
            connection.invalidate()
            connection.close()
