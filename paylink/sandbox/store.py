"""The sandbox's own SQLite file, and the one thread that writes to it.

Objects are kept as the JSON that the API shows, found by id, kind and parent. ``synchronous=NORMAL`` with WAL survives
the death of the process at any instant, which is what is promised here; it may lose the last commits in a power cut.
"""

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT,
  created INTEGER NOT NULL, body TEXT NOT NULL, hidden TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_parent ON objects (parent, kind, seq);
CREATE TABLE IF NOT EXISTS ledger (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, payment_intent TEXT NOT NULL, entry TEXT NOT NULL, amount INTEGER NOT NULL,
  currency TEXT NOT NULL, reference TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_intent ON ledger (payment_intent);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, lane TEXT NOT NULL, source TEXT NOT NULL,
  body TEXT NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'new',
  last_status INTEGER, forged INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (state, due, seq);
CREATE INDEX IF NOT EXISTS outbox_lane ON outbox (lane, state);
CREATE INDEX IF NOT EXISTS outbox_source ON outbox (source);
CREATE TABLE IF NOT EXISTS timers (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, target TEXT NOT NULL, due REAL NOT NULL);
CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
CREATE INDEX IF NOT EXISTS timers_target ON timers (target);
CREATE TABLE IF NOT EXISTS messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, reference TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL, recipient TEXT NOT NULL, subject TEXT, text TEXT, html TEXT, received_at TEXT NOT NULL,
  seen INTEGER NOT NULL DEFAULT 0, visible INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS messages_recipient ON messages (recipient, seq);
CREATE TABLE IF NOT EXISTS attempts (reference TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS control (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = ("objects", "ledger", "idempotency", "outbox", "timers", "messages", "attempts", "control")


class Tx:
    """One transaction. ``wake`` is set when something was put where the sender looks."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.wake = False

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    def do(self, sql: str, *values: Any) -> int:
        return self.db.execute(sql, values).rowcount

    def get(self, object_id: str, kind: str) -> Json | None:
        row = self.one("SELECT body FROM objects WHERE id = ? AND kind = ?", object_id, kind)
        return None if row is None else json.loads(row["body"])

    def hidden(self, object_id: str) -> Json:
        """What the sandbox knows of an object and the API never shows, such as a test card's behaviour."""
        row = self.one("SELECT hidden FROM objects WHERE id = ?", object_id)
        return {} if row is None else json.loads(row["hidden"])

    def put(self, body: Json, *, parent: str | None = None, hidden: Json | None = None) -> None:
        """Inserts or replaces an API object; ``parent`` and ``hidden`` stay what they were when not given."""
        self.do(
            "INSERT INTO objects (id, kind, parent, created, body, hidden) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body, parent = coalesce(excluded.parent, parent), "
            "hidden = CASE WHEN excluded.hidden = '{}' THEN hidden ELSE excluded.hidden END",
            body["id"], body["object"], parent, body["created"], json.dumps(body), json.dumps(hidden or {}),
        )  # fmt: skip

    def children(self, parent: str, kind: str) -> list[Json]:
        """Oldest first."""
        rows = self.all("SELECT body FROM objects WHERE parent = ? AND kind = ? ORDER BY seq", parent, kind)
        return [json.loads(row["body"]) for row in rows]


class Store:
    """``await store.run(fn)`` runs ``fn(tx)`` in the writer thread and returns when it is committed."""

    def __init__(self, url: str) -> None:
        self._path = Path(url.removeprefix("sqlite:///"))
        self._queue: queue.SimpleQueue[Callable[[sqlite3.Connection], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.on_wake: Callable[[], None] = lambda: None

    async def open(self) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(
            target=self._work, args=(asyncio.get_running_loop(), ready), name="sandbox-store", daemon=True
        )
        self._thread.start()
        await ready

    async def close(self) -> None:
        self._queue.put(None)
        if self._thread:
            await asyncio.to_thread(self._thread.join)

    async def run(self, fn: Callable[[Tx], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def job(db: sqlite3.Connection) -> None:
            outcome = _in_transaction(db, fn)
            with contextlib.suppress(RuntimeError):  # the loop may be gone: the caller then is, too
                loop.call_soon_threadsafe(self._settle, done, outcome)

        self._queue.put(job)
        return await done

    def _settle(self, done: "asyncio.Future[T]", outcome: "tuple[T | None, BaseException | None, bool]") -> None:
        value, error, wake = outcome
        if wake:
            self.on_wake()
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def _work(self, loop: asyncio.AbstractEventLoop, ready: "asyncio.Future[None]") -> None:
        try:
            db = _connect(self._path)
        except Exception as error:
            loop.call_soon_threadsafe(ready.set_exception, error)
            return
        loop.call_soon_threadsafe(ready.set_result, None)
        with contextlib.closing(db):
            for job in iter(self._queue.get, None):
                job(db)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(SCHEMA)
    return db


def _in_transaction(db: sqlite3.Connection, fn: Callable[[Tx], T]) -> tuple[T | None, BaseException | None, bool]:
    tx = Tx(db)
    try:
        db.execute("BEGIN IMMEDIATE")
        value = fn(tx)
        db.execute("COMMIT")
    except Exception as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return None, error, False
    return value, None, tx.wake


@contextlib.contextmanager
def savepoint(tx: Tx) -> Iterator[None]:
    """What is done inside is undone when it raises; the transaction around it lives on."""
    tx.do("SAVEPOINT inner_step")
    try:
        yield
    except BaseException:
        tx.do("ROLLBACK TO inner_step")
        tx.do("RELEASE inner_step")
        raise
    tx.do("RELEASE inner_step")
