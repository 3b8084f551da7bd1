"""Processes under measurement: started on cores of their own, paused while another is measured, weighed."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.product import environment
from tests.services import free_port, wait_until

# With two cores or more the server under test has the first to itself and the load the last. Databases go where the
# system puts them.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
APART = len(CORES) > 1


def pin_server(pid: int) -> None:
    """Every thread of the process and its children, on the first core."""
    if APART:
        for process in tree(pid):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {CORES[0]})


def pin_load(pid: int = 0) -> None:
    if APART:
        os.sched_setaffinity(pid, {CORES[-1]})


@contextmanager
def load_on_last_core() -> Iterator[None]:
    """For load that this process makes itself."""
    before = os.sched_getaffinity(0) if APART else set()
    pin_load()
    try:
        yield
    finally:
        if APART:
            os.sched_setaffinity(0, before)


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def pss_kib(pid: int) -> float:
    """Proportional set size of the process and its children: shared pages are counted once."""
    return float(sum(process.memory_full_info().pss for process in tree(pid))) / 1024


def cpu_s(pid: int) -> float:
    """Processor seconds the process and its children have used."""
    return float(sum(times.user + times.system for times in (process.cpu_times() for process in tree(pid))))


@contextmanager
def awake(pid: int, others: Iterable[int]) -> Iterator[None]:
    """Stops the other sides meanwhile: an idle product still polls, and would take from whoever is measured."""
    asleep = [process for other in others if other != pid for process in tree(other)]
    for process in asleep:
        process.suspend()
    try:
        yield
    finally:
        for process in asleep:
            process.resume()


@contextmanager
def served(app: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """``module:app`` behind uvicorn with the product's own settings; yields its address and process id."""
    process, address = start(app, folder, settings)
    try:
        wait_until(lambda: answers(address), what=app, process=process)
        pin_server(process.pid)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def start(app: str, folder: Path, settings: Mapping[str, str] | None = None) -> "tuple[subprocess.Popen[bytes], str]":
    port = free_port()
    with (folder / f"{app.replace(':', '.')}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.serve", app, str(port)],
            env=environment(settings or {}),
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
        )
    return process, f"http://127.0.0.1:{port}"


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
