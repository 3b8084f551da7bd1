"""How many jobs a worker does in a second: ``measure_jobs(url)`` for the benchmarks."""

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy.orm import Session

from paylink.db import Database
from paylink.jobs import JobQueue, Worker

# Written to the queue in transactions of this many: writing is not what is measured.
PER_TRANSACTION = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """``first_s``: from the commit of a single job on an idle worker to its handler, the median."""

    jobs: int
    seconds: float
    first_s: float

    @property
    def per_second(self) -> float:
        return self.jobs / self.seconds


async def measure_jobs(url: str, *, jobs: int = 500, concurrency: int = 16) -> Measured:
    """One worker process on a migrated database, its handler does nothing. One at a time in a process."""
    db = Database(url)
    queue = JobQueue(db)
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def handler() -> None:
        arrived.put_nowait(time.perf_counter())

    def add(prefix: str, count: int):
        def work(session: Session) -> None:
            for n in range(count):
                queue.enqueue(session, "nothing", key=f"{prefix}:{n}")

        return work

    worker = Worker(db, queue, {"nothing": handler}, node_id="measure", concurrency=concurrency)
    await worker.start()
    await db.transact(add("warm", PER_TRANSACTION))
    for _ in range(PER_TRANSACTION):
        await arrived.get()
    waits = []
    for n in range(21):
        await asyncio.sleep(0.1)
        await db.transact(add(f"single{n}", 1))
        began = time.perf_counter()
        waits.append(await arrived.get() - began)
    began = time.perf_counter()
    for n in range(jobs // PER_TRANSACTION):
        await db.transact(add(f"many{n}", PER_TRANSACTION))
    for _ in range(jobs):
        await arrived.get()
    seconds = time.perf_counter() - began
    await worker.close()
    queue.close()
    db.close()
    return Measured(jobs, seconds, sorted(waits)[len(waits) // 2])
