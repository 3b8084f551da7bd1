"""Durable jobs per second of one worker process: queued before the clock starts, each doing nothing.

Run as a program it is that process: ``python -m tests.bench.work DATABASE_URL COUNT`` prints jobs per second.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import uvloop
from sqlalchemy.orm import Session

from paylink.db import Database
from paylink.jobs import JobQueue, Worker
from paylink.schema import migrate
from tests.bench import sides
from tests.bench.measure import Effort, Missing, Result, Row, Series

JOB = "bench.nothing"
CONCURRENCY = 16
PATIENCE_S = 300


def run(effort: Effort, folder: Path) -> Result:
    count = 200 if effort.quick else 1000
    rounds = min(effort.rounds, 3)
    lite = [_measured(f"sqlite:///{folder / f'{number}.db'}", count) for number in range(rounds)]
    rows = [Row("jobs per second, SQLite", "/s", Series.of(lite))]
    notes = [f"{count} empty jobs, {CONCURRENCY} at a time, one process; a delivery or a callback is one job"]
    try:
        with sides.postgres() as server:
            found = [_measured(sides.new_database(server, f"jobs_{number}"), count) for number in range(rounds)]
        rows.append(Row("jobs per second, PostgreSQL", "/s", Series.of(found)))
    except Missing as missing:
        notes.append(str(missing))
    return Result("jobs", "Durable jobs", rows, notes)


def _measured(url: str, count: int) -> float:
    command = [sys.executable, "-m", "tests.bench.work", url, str(count)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


async def _drain(url: str, count: int) -> float:
    db = Database(url)
    migrate(db)
    jobs, done, left = JobQueue(db), asyncio.Event(), count

    async def nothing(_number: str) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            done.set()

    def enqueue(session: Session) -> None:
        for number in range(count):
            jobs.enqueue(session, JOB, str(number), key=f"{JOB}:{number}")

    await db.transact(enqueue)
    worker = Worker(db, jobs, {JOB: nothing}, node_id="bench", concurrency=CONCURRENCY)
    started = time.perf_counter()
    await worker.start()
    async with asyncio.timeout(PATIENCE_S):
        await done.wait()
    took = time.perf_counter() - started
    await worker.close()
    jobs.close()
    db.close()
    return count / took


if __name__ == "__main__":
    print(uvloop.run(_drain(sys.argv[1], int(sys.argv[2]))))
