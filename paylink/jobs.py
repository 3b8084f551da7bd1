"""Durable jobs: work that must happen, written down in the transaction that made it necessary.

DBOS keeps the queue in our own database, on SQLite and PostgreSQL alike, and enqueues inside the caller's transaction:
a job exists exactly if what it belongs to was committed. A job runs at least once, so every handler is idempotent.

What DBOS leaves to us, and is done here:

- A node that never comes back: every node writes a heartbeat, and any other takes over the jobs of one that is silent.
- A node that stops: it finishes what it has at hand, and puts the rest back for the others.
- A changed build: DBOS ties jobs to a hash of the source; ours carry a fixed version, so a deploy strands nothing.
- Back-off for hours: a retry is a new, delayed job under a derived id, not a sleep in a process's memory.
- A handler's fault: DBOS would write it down as the end of the job. Nothing a handler does ends a job but returning.
- Pruning: finished jobs are deleted after ``KEEP_FINISHED``.
"""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, WorkflowSerializationFormat
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.db import CommitFailed, Database
from paylink.engines import make_engine
from paylink.nodes import SILENT_AFTER, claim_silent, forget, forget_silent, heard_of

QUEUE: Final = "paylink"
WORKFLOW: Final = "paylink.job"
APPLICATION: Final = "paylink"
# Fixed on purpose, see above. Raise it only when jobs written by an older build can no longer be understood.
APPLICATION_VERSION: Final = "1"
# How long a job waits to be picked up, at most; also how often an idle worker asks the database.
POLL_S = 0.05
HEARTBEAT_S = 5
KEEP_FINISHED = timedelta(days=7)
PRUNE_EVERY_S = 3600
MAX_ATTEMPTS = 12
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 3600.0
# A handler's own time-outs are shorter; this frees the slot if one hangs all the same.
HANDLER_TIMEOUT_S = 120
# Between two tries to write a retry down, while the database is away.
DATABASE_PATIENCE_S = 1.0
# DBOS's own, beside those that run jobs.
THREADS: Final = 12
# How long a stop waits for the jobs at hand.
DRAIN_S = 10

log = structlog.get_logger(__name__)
jobs_done = Counter("paylink_jobs_total", "Jobs by name and result", ["job", "result"])

Handler = Callable[..., Awaitable[None]]


class TryAgain(Exception):
    """Raised by a handler for a fault that may pass: the job comes back after a growing, jittered delay, and is given
    up in the end. With ``after_s`` nothing is wrong, there is only nothing to do yet, and it comes back as said."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Unfinished(BaseException):
    """Ends a job's thread and leaves the job as it is: DBOS writes down an ``Exception`` as the job's end, not this."""


def migrate(url: str) -> None:
    """Brings DBOS's own tables to the version this build needs."""
    DBOS.migrate(url)


class JobQueue:
    """The writing end, for any process: ``enqueue`` inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._client = DBOSClient(
            system_database_url=db.url, system_database_engine=db.engine, application_name=APPLICATION
        )

    def enqueue(self, session: Session, job: str, *args: str, key: str, delay_s: float = 0, attempt: int = 1) -> None:
        """Adds ``job`` to the transaction. A second job under the same ``key`` is the same job, and is not added."""
        options: dict[str, Any] = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": key,
            "app_version": APPLICATION_VERSION,
            "serialization_type": WorkflowSerializationFormat.PORTABLE,
        }
        if delay_s:
            options["delay_seconds"] = delay_s
        self._client.enqueue_in_transaction(session, options, job, list(args), key, attempt)  # type: ignore[arg-type]

    def running(self) -> dict[str, list[str]]:
        """The keys of the jobs that are being worked on, by node."""
        found: dict[str, list[str]] = {}
        for job in self._client.list_workflows(status="PENDING", load_input=False, load_output=False):
            found.setdefault(job.executor_id or "", []).append(job.workflow_id)
        return found

    def put_back(self, keys: list[str]) -> None:
        """Lets any node take these jobs, each once, whoever had them before."""
        if keys:
            self._client.resume_workflows(keys, queue_name=QUEUE)

    def close(self) -> None:
        self._client.destroy()


class Worker:
    """The working end: runs handlers in the event loop it was started in."""

    def __init__(
        self, db: Database, queue: JobQueue, handlers: Mapping[str, Handler], *, node_id: str, concurrency: int
    ) -> None:
        self._db = db
        self._queue = queue
        self._handlers = handlers
        self._node_id = node_id
        self._concurrency = concurrency
        self._engine: sa.Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._at_hand: set[Future[None]] = set()
        # Jobs that came while stopping. They wait in their threads, so that no more are handed out, and are put back.
        self._held: set[str] = set()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._last_beat = time.monotonic()
        self._judges_from = 0.0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._beat()
        await asyncio.to_thread(self._launch)
        log.info("worker_started", node=self._node_id)
        self._tasks = [
            asyncio.create_task(self._keep_alive(), name="jobs-heartbeat"),
            asyncio.create_task(self._prune_forever(), name="jobs-prune"),
        ]

    async def close(self, *, drain_s: float = DRAIN_S) -> None:
        """Takes no more jobs and waits for those at hand; what is not done by then is put back for others."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._drain(drain_s)
            for future in list(self._at_hand):
                future.cancel()
            await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
            await self._leave()
        except SQLAlchemyError as error:  # others take the jobs over once this node is silent
            log.warning("worker_not_left", node=self._node_id, error=type(error).__name__)
        finally:
            self._stopped.set()
            if self._engine is not None:
                self._engine.dispose()

    async def _drain(self, seconds: float) -> None:
        """Waits until the end of each job at hand is written down."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            running = await asyncio.to_thread(self._queue.running)
            if self._held.issuperset(running.get(self._node_id, ())):
                return
            await asyncio.sleep(POLL_S)

    async def _leave(self) -> None:
        running = await asyncio.to_thread(self._queue.running)
        await asyncio.to_thread(self._queue.put_back, running.get(self._node_id, []))
        await self._db.transact(lambda session: forget(session, self._node_id))

    def _launch(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._db.url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._node_id,
            "run_migrations": False,
            "log_level": "WARNING",
            "max_executor_threads": self._concurrency + 4,
            "use_listen_notify": False,
            # We use no notifications; this is how long a stop waits for the thread that would look for them.
            "notification_listener_polling_interval_sec": 0.2,
        }
        if self._db.sqlite:
            # Its threads then wait for their turn to write like ours, and neither keeps the other waiting in its sleep.
            self._engine = make_engine(self._db.url, read_only=False, size=self._concurrency + THREADS)
            config["system_database_engine"] = self._engine
        DBOS(config=config)

        # A function and not the method: DBOS writes attributes onto what it registers.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=50, serialization_type=WorkflowSerializationFormat.PORTABLE)
        def run(job: str, args: list[str], key: str, attempt: int) -> None:
            self._run(job, args, key, attempt)

        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=POLL_S, on_conflict="always_update"
        )

    def _run(self, job: str, args: list[str], key: str, attempt: int) -> None:
        """A job in one of DBOS's threads: the handler itself runs in the event loop, where the clients live."""
        loop = self._loop
        if loop is None or self._stopping.is_set():
            self._held.add(key)
            self._stopped.wait()
            raise Unfinished
        future = asyncio.run_coroutine_threadsafe(self._handle(job, args, key, attempt), loop)
        self._at_hand.add(future)
        try:
            future.result()
        except CancelledError:
            raise Unfinished from None
        finally:
            self._at_hand.discard(future)

    async def _handle(self, job: str, args: list[str], key: str, attempt: int) -> None:
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await self._handlers[job](*args)
        except TryAgain as again:
            await self._retry(job, args, key, attempt, reason=str(again), after_s=again.after_s)
        except Exception as error:
            log.exception("job_failed", job=job, key=key, attempt=attempt)
            await self._retry(job, args, key, attempt, reason=type(error).__name__, after_s=None)
        else:
            jobs_done.labels(job, "done").inc()

    async def _retry(
        self, job: str, args: list[str], key: str, attempt: int, *, reason: str, after_s: float | None
    ) -> None:
        if after_s is None and attempt >= MAX_ATTEMPTS:
            jobs_done.labels(job, "given_up").inc()
            log.error("job_given_up", job=job, key=key, attempts=attempt, reason=reason)
            return
        delay, attempts = (backoff_s(attempt), attempt + 1) if after_s is None else (after_s, 1)
        jobs_done.labels(job, "retried").inc()
        log.info("job_retried", job=job, key=key, attempt=attempt, reason=reason, delay_s=round(delay, 1))
        again = next_key(key)
        while True:
            try:
                await self._db.transact(
                    lambda session: self._queue.enqueue(session, job, *args, key=again, delay_s=delay, attempt=attempts)
                )
            except (SQLAlchemyError, CommitFailed) as error:
                log.warning("retry_not_written", job=job, key=key, error=type(error).__name__)
                await asyncio.sleep(DATABASE_PATIENCE_S)
            else:
                return

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with suppress(Exception):  # a database that is away is told by everything else; the next beat tries again
                await self._beat()
                if time.monotonic() >= self._judges_from:
                    await self._take_over()

    async def _beat(self) -> None:
        await self._db.transact(lambda session: heard_of(session, [self._node_id]))
        now = time.monotonic()
        if now - self._last_beat > SILENT_AFTER.total_seconds() / 2:
            # What kept this node from its beats, a database that was away, kept the others as well.
            self._judges_from = now + SILENT_AFTER.total_seconds()
        self._last_beat = now

    async def _take_over(self) -> None:
        """Puts the running jobs of nodes that are silent back into the queue, where each is handed out once."""
        running = await asyncio.to_thread(self._queue.running)
        running.pop(self._node_id, None)
        if not running:
            return
        for node in await self._db.transact(lambda session: claim_silent(session, list(running))):
            await asyncio.to_thread(self._queue.put_back, running[node])
            log.warning("jobs_taken_over", node=node, jobs=len(running[node]))

    async def _prune_forever(self) -> None:
        while True:
            with suppress(Exception):
                await asyncio.to_thread(_prune)
                await self._db.transact(forget_silent)
            await asyncio.sleep(PRUNE_EVERY_S)


def backoff_s(attempt: int) -> float:
    """2, 4, 8 … seconds up to an hour, give or take a quarter, so that what failed together does not return so."""
    delay = min(FIRST_RETRY_S * 2.0 ** (attempt - 1), LONGEST_RETRY_S)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311 - spreading load, not a secret


def next_key(key: str) -> str:
    """``key#2`` after ``key``, ``key#3`` after that."""
    first, mark, run = key.rpartition("#")
    return f"{first}#{int(run) + 1}" if mark and run.isdecimal() else f"{key}#2"


def _prune() -> None:
    before = (datetime.now(UTC) - KEEP_FINISHED).isoformat()
    while finished := DBOS.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before,
        limit=500,
        load_input=False,
        load_output=False,
    ):
        DBOS.delete_workflows([workflow.workflow_id for workflow in finished])
