"""A worker in a process of its own that writes down what it does: ``python -m tests.jobs.node``.

Its job ``work`` takes a while. Every start and every end is a line in the ledger, written at once.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from paylink import jobs, nodes
from paylink.db import Database
from paylink.jobs import JobQueue, Worker
from tests.services import wait_until

WORK_S = 0.3


@dataclass
class Ledger:
    """What all nodes did, in order: ``(what, node, job)``."""

    path: Path

    def lines(self) -> list[tuple[str, str, str]]:
        if not self.path.exists():
            return []
        whole = self.path.read_text().rpartition("\n")[0]
        return [tuple(line.split()) for line in whole.splitlines()]  # type: ignore[misc]

    def of(self, what: str, node: str | None = None) -> list[str]:
        return [job for kind, by, job in self.lines() if kind == what and node in {None, by}]


@dataclass
class Nodes:
    """Worker processes on one database. All that live at the end are killed."""

    url: str
    folder: Path
    silent_after_s: float = 2
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "ledger")

    def start(self, node_id: str, *, package: Path | None = None) -> None:
        """``package``: where another build of the product is."""
        root = Path(__file__).parents[2]
        path = os.pathsep.join(str(part) for part in (package, root) if part)
        with (self.folder / f"{node_id}.log").open("ab") as log:
            self.processes[node_id] = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.jobs.node",
                    self.url,
                    node_id,
                    self.ledger.path,
                    str(self.silent_after_s),
                ],
                env=os.environ | {"PYTHONPATH": path},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        ready = len(self.ledger.of("ready", node_id)) + 1
        wait_until(
            lambda: len(self.ledger.of("ready", node_id)) == ready, what=node_id, process=self.processes[node_id]
        )

    def end(self, node_id: str, how: signal.Signals = signal.SIGKILL) -> int:
        self.processes[node_id].send_signal(how)
        return self.processes[node_id].wait(30)

    def log(self, node_id: str) -> str:
        return (self.folder / f"{node_id}.log").read_text()


@contextmanager
def nodes_on(url: str, folder: Path, **options: float) -> Iterator[Nodes]:
    made = Nodes(url, folder, **options)
    try:
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait(30)


async def main(url: str, node_id: str, ledger: str, silent_after_s: str) -> None:
    jobs.HEARTBEAT_S = float(silent_after_s) / 6  # type: ignore[misc]
    nodes.SILENT_AFTER = jobs.SILENT_AFTER = timedelta(seconds=float(silent_after_s))  # type: ignore[misc]
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, job: str) -> None:
        os.write(file, f"{what} {node_id} {job}\n".encode())

    async def work(job: str) -> None:
        note("begin", job)
        await asyncio.sleep(WORK_S)
        note("end", job)

    db = Database(url)
    queue = JobQueue(db)
    worker = Worker(db, queue, {"work": work}, node_id=node_id, concurrency=4)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await worker.start()
    note("ready", "-")
    await stop.wait()
    await worker.close()
    queue.close()
    db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
