"""Durable jobs: how many one worker process does in a second, and how soon it begins a single one.

Each round is a process of its own on a fresh database: ``python -m tests.bench.work DATABASE_URL COUNT``.
"""

import json
import subprocess
import sys
from pathlib import Path

import uvloop

from paylink.db import Database
from paylink.schema import migrate
from tests.bench import sides
from tests.bench.measure import Effort, Missing, Result, Row, Series
from tests.jobs.throughput import measure_jobs


def run(effort: Effort, folder: Path) -> Result:
    count, rounds = (200, 1) if effort.quick else (1000, min(effort.rounds, 3))
    rows = _rows("SQLite", [_measured(f"sqlite:///{folder / f'{number}.db'}", count) for number in range(rounds)])
    notes = [f"{count} jobs that do nothing, 16 at a time, one process; sending a message or a callback is one job"]
    try:
        with sides.postgres() as server:
            urls = [sides.new_database(server, f"jobs_{number}") for number in range(rounds)]
            rows += _rows("PostgreSQL", [_measured(url, count) for url in urls])
    except Missing as missing:
        notes.append(str(missing))
    return Result("jobs", "Durable jobs", rows, notes)


def _rows(database: str, found: list[tuple[float, float]]) -> list[Row]:
    rates, waits = zip(*found, strict=True)
    return [
        Row(f"jobs per second, {database}", "/s", Series.of(rates)),
        Row(f"commit to handler, one job on an idle worker, {database}", "ms", Series.of(waits)),
    ]


def _measured(url: str, count: int) -> tuple[float, float]:
    """Jobs per second; milliseconds until a single one begins."""
    command = [sys.executable, "-m", "tests.bench.work", url, str(count)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    rate, wait = json.loads(done.stdout.splitlines()[-1])
    return rate, wait


def main(url: str, count: int) -> None:
    db = Database(url)
    migrate(db)
    db.close()
    found = uvloop.run(measure_jobs(url, jobs=count))
    print(json.dumps([found.per_second, found.first_s * 1000]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
