"""A worker in this process, with handlers that a test chooses."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from paylink.db import Database
from paylink.jobs import Handler, JobQueue, Worker

Start = Callable[..., Awaitable[Worker]]
# What a handler can do to a job does not depend on the database; processes on PostgreSQL are in ``test_nodes``.
DATABASES = ["sqlite", "postgresql"] if "PAYLINK_PROVE" in os.environ else ["sqlite"]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    return str(request.getfixturevalue(name))


@pytest.fixture
async def queue(db: Database) -> AsyncIterator[JobQueue]:
    made = JobQueue(db)
    yield made
    made.close()


@pytest.fixture
async def start(db: Database, queue: JobQueue) -> AsyncIterator[Start]:
    """``await start(job=handler, …)``: a process has one worker at a time."""
    async with AsyncExitStack() as stack:

        async def begin(node_id: str = "here", concurrency: int = 4, **handlers: Handler) -> Worker:
            worker = Worker(db, queue, handlers, node_id=node_id, concurrency=concurrency)
            await worker.start()
            stack.push_async_callback(worker.close, drain_s=1)
            return worker

        yield begin


async def soon(check: Callable[[], bool], *, what: str, seconds: float = 20) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not check():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None
