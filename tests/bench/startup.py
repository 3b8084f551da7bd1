"""From spawn to the first answer, and the memory of a process that has nothing to do yet."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import Effort, Goal, Result, Row, Series
from tests.bench.processes import answers, pss_kib, start
from tests.product import PAYLINK, environment, spawn
from tests.services import free_port

POLL_S = 0.002
PATIENCE_S = 60
SETTLE_S = 2.0
TIME = Goal(2.0, 1.6, at_most=True)
MEMORY = Goal(95, 70, at_most=True)
ROLES = ("all", "api")

Spawn = Callable[[], "tuple[subprocess.Popen[bytes], str]"]


def run(effort: Effort, folder: Path) -> Result:
    """The database is at its newest schema before the clock starts; ``all`` looks for that itself, which counts."""
    settings = {"PAYLINK_DATABASE_URL": f"sqlite:///{folder / 'paylink.db'}"}
    subprocess.run([PAYLINK, "migrate"], env=environment(settings), cwd=folder, check=True, capture_output=True)
    spawns: dict[str, Spawn] = {"floor": lambda: start("tests.bench.floor:app", folder)}
    spawns |= {role: _paylink(role, settings, folder) for role in ROLES}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in spawns}
    for _ in range(effort.rounds):
        for name, one in spawns.items():
            found[name].append(_sample(one))
    rows: list[Row] = []
    for role in ROLES:
        ours, floor = ([Series.of(column) for column in zip(*found[name], strict=True)] for name in (role, "floor"))
        rows += [
            Row(f"spawn to first answer, role {role}", "ms", ours[0], "FastAPI alone", floor[0], TIME),
            Row(f"memory at rest, role {role}", "MiB", ours[1], goal=MEMORY),
            Row(f"memory at rest, role {role}", "MiB", ours[1], "FastAPI alone", floor[1]),
        ]
    return Result("startup", "Start-up and memory, SQLite", rows, ["role all: console, API, checkout, sandbox, worker"])


def _paylink(role: str, settings: dict[str, str], folder: Path) -> Spawn:
    def one() -> "tuple[subprocess.Popen[bytes], str]":
        ports = {name: free_port() for name in ("console", "checkout", "sandbox")}
        binds = {f"PAYLINK_{name.upper()}_BIND": f"127.0.0.1:{port}" for name, port in ports.items()}
        process = spawn(settings | binds, folder / "startup.log", role, folder)
        return process, f"http://127.0.0.1:{ports['console']}"

    return one


def _sample(one: Spawn) -> tuple[float, float]:
    """Milliseconds to the first answer, MiB of proportional memory a moment later."""
    started = time.perf_counter()
    process, address = one()
    try:
        while not answers(address):
            if process.poll() is not None or time.perf_counter() - started > PATIENCE_S:
                raise RuntimeError(f"{address} did not come up")
            time.sleep(POLL_S)
        took = (time.perf_counter() - started) * 1000
        time.sleep(SETTLE_S)
        return took, pss_kib(process.pid) / 1024
    finally:
        process.terminate()
        process.wait(30)
