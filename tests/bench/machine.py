"""What the figures were measured on."""

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tests.bench.measure import percentile
from tests.services import postgres_bin

PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "sqlalchemy", "psycopg", "aiosqlite", "sse-starlette", "dbos")
# Above this load per core before we begin, somebody else is at work and the figures are not to be quoted.
IDLE = 0.25


def describe(folder: Path) -> dict[str, str]:
    load = os.getloadavg()[0]
    busy = "" if load / (os.cpu_count() or 1) <= IDLE else ": BUSY, figures are not to be quoted"
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "disk": f"fdatasync of 4 KiB {_fdatasync_ms(folder):.2f} ms (median of 200)",
        "load before": f"{load:.2f}{busy}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "programs": ", ".join(_programs()),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _fdatasync_ms(folder: Path) -> float:
    took: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(200):
            os.write(file.fileno(), b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    return percentile(took, 0.5)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _programs() -> list[str]:
    postgres = postgres_bin()
    commands = {
        "wrk": ["wrk", "-v"],
        "PostgreSQL": [str(postgres / "postgres") if postgres else "postgres", "--version"],
        "Redis": ["redis-server", "--version"],
    }
    found = [f"{name} {_first_number(command)}" for name, command in commands.items()]
    return [f"SQLite {sqlite3.sqlite_version}", *found]


def _first_number(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return "missing"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "?"
