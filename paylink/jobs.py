"""Durable jobs: work that must happen, written down in the transaction that made it necessary.

DBOS keeps the queue in our own database, on SQLite and PostgreSQL alike, and enqueues inside the caller's transaction:
a job exists exactly if what it belongs to was committed. A job runs at least once, so every handler is idempotent.

What DBOS leaves to us, and is done here:

- A node that never comes back: every node writes a heartbeat, and any other takes over the jobs of one that is silent.
- A changed build: DBOS ties jobs to a hash of the source; ours carry a fixed version, so a deploy strands nothing.
- Back-off for hours: a retry is a new, delayed job under a derived id, not a sleep in a process's memory.
- Pruning: finished jobs are deleted after ``KEEP_FINISHED``.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, WorkflowSerializationFormat
from prometheus_client import Counter
from sqlalchemy.orm import Mapped, Session, mapped_column

from paylink.db import Base, Database, table
from paylink.kit.clock import utcnow

QUEUE: Final = "paylink"
WORKFLOW: Final = "paylink.job"
APPLICATION: Final = "paylink"
# Fixed on purpose, see above. Raise it only when jobs written by an older build can no longer be understood.
APPLICATION_VERSION: Final = "1"
# How long a job waits to be picked up, at most; also how often an idle worker asks the database.
POLL_S = 0.05
HEARTBEAT_S = 5
SILENT_AFTER = timedelta(seconds=30)
KEEP_FINISHED = timedelta(days=7)
PRUNE_EVERY_S = 3600
MAX_ATTEMPTS = 12
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 3600.0
# A handler's own time-outs are shorter; this frees the slot if one hangs all the same.
HANDLER_TIMEOUT_S = 120

log = structlog.get_logger(__name__)
jobs_done = Counter("paylink_jobs_total", "Jobs by name and result", ["job", "result"])

Handler = Callable[..., Awaitable[None]]


class TryAgain(Exception):
    """Raised by a handler for a fault that may pass: the job comes back after a growing, jittered delay, and is given
    up in the end. With ``after_s`` nothing is wrong, there is only nothing to do yet, and it comes back as said."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def migrate(url: str) -> None:
    """Brings DBOS's own tables to the version this build needs."""
    DBOS.migrate(url)


class JobNode(Base):
    """A process that works on jobs, and when it last said so."""

    __tablename__ = "job_nodes"

    id: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]


_nodes = table(JobNode)


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = threading.Event()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._db.transact(self._beat)
        await asyncio.to_thread(self._launch)
        log.info("worker_started", node=self._node_id)
        self._tasks = [
            asyncio.create_task(self._keep_alive(), name="jobs-heartbeat"),
            asyncio.create_task(self._prune_forever(), name="jobs-prune"),
        ]

    async def close(self, *, drain_s: int = 10) -> None:
        """Takes no more jobs and waits for those at hand; what is not done by then is recovered later."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=drain_s)

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
        }
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
            raise RuntimeError("the worker is not running")
        future = asyncio.run_coroutine_threadsafe(self._handle(job, args, key, attempt), loop)
        future.result(HANDLER_TIMEOUT_S)

    async def _handle(self, job: str, args: list[str], key: str, attempt: int) -> None:
        try:
            handler = self._handlers[job]
            await handler(*args)
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
        delay = after_s if after_s is not None else backoff_s(attempt)
        jobs_done.labels(job, "retried").inc()
        log.info("job_retried", job=job, key=key, attempt=attempt, reason=reason, delay_s=round(delay, 1))
        again = f"{key.partition('#')[0]}#{attempt + 1}"
        await self._db.transact(
            lambda session: self._queue.enqueue(session, job, *args, key=again, delay_s=delay, attempt=attempt + 1)
        )

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with suppress(Exception):  # a database that is away is told by everything else; the next beat tries again
                await self._db.transact(self._beat)
                await self._take_over()

    def _beat(self, session: Session) -> None:
        updated = session.execute(sa.update(_nodes).where(_nodes.c.id == self._node_id).values(seen_at=utcnow()))
        if not updated.rowcount:  # type: ignore[attr-defined]
            session.execute(sa.insert(_nodes).values(id=self._node_id, seen_at=utcnow()))

    async def _take_over(self) -> None:
        """Puts the running jobs of nodes that are silent back into the queue, where each is handed out once."""
        silent = await self._db.read(self._silent_nodes)
        for node in silent:
            handles = await asyncio.to_thread(_requeue, node)
            log.warning("jobs_taken_over", node=node, jobs=handles)
            await self._db.transact(
                lambda session, node=node: session.execute(  # type: ignore[misc]
                    sa.delete(_nodes).where(_nodes.c.id == node, _nodes.c.seen_at < utcnow() - SILENT_AFTER)
                )
            )

    def _silent_nodes(self, session: Session) -> list[str]:
        query = sa.select(_nodes.c.id).where(_nodes.c.id != self._node_id, _nodes.c.seen_at < utcnow() - SILENT_AFTER)
        return list(session.execute(query).scalars())

    async def _prune_forever(self) -> None:
        while True:
            with suppress(Exception):
                await asyncio.to_thread(_prune)
            await asyncio.sleep(PRUNE_EVERY_S)


def backoff_s(attempt: int) -> float:
    """2, 4, 8 … seconds up to an hour, give or take a quarter, so that what failed together does not return so."""
    delay = min(FIRST_RETRY_S * 2.0 ** (attempt - 1), LONGEST_RETRY_S)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311 - spreading load, not a secret


def _requeue(node: str) -> int:
    running = DBOS.list_workflows(status="PENDING", executor_id=node, load_input=False, load_output=False)
    if running:
        DBOS.resume_workflows([workflow.workflow_id for workflow in running], queue_name=QUEUE)
    return len(running)


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
