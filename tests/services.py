"""Real servers for the tests: a PostgreSQL cluster and a Redis, each in a folder of its own and on a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

START_S = 30
# Without a flush per commit: the tests end processes, not the machine.
POSTGRES_SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=300")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path else None


@contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """A fresh cluster; yields the address of its maintenance database. ``settings``: as in ``postgresql.conf``.

    In a folder of its own: PostgreSQL runs as another user than root, and pytest closes its folders to others each
    time it starts, even while another run is at work in them.
    """
    with tempfile.TemporaryDirectory(prefix="paylink-postgres-") as name:
        folder, port = Path(name), free_port()
        # PostgreSQL refuses to run as root; Debian's package brings a user for it.
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, "postgres")
        server = _start_postgres(folder, port, user, settings or POSTGRES_SETTINGS)
        try:
            url = f"postgresql://paylink@127.0.0.1:{port}/postgres"
            wait_until(lambda: _answers(url), what="PostgreSQL", process=server)
            yield url
        finally:
            _stop_postgres(folder, user)
            server.wait(START_S)


def _start_postgres(folder: Path, port: int, user: Sequence[str], settings: Sequence[str]) -> "subprocess.Popen[bytes]":
    binaries, data = postgres_bin(), folder / "data"
    assert binaries is not None
    options = ["-U", "paylink", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*user, binaries / "initdb", "-D", data, *options], check=True, capture_output=True, cwd=folder)
    given = [part for setting in (*settings, "listen_addresses=127.0.0.1") for part in ("-c", setting)]
    command = [*user, binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, *given]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)


def _stop_postgres(folder: Path, user: Sequence[str]) -> None:
    binaries = postgres_bin()
    assert binaries is not None
    command = [*user, binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"]
    subprocess.run(command, check=False, capture_output=True, cwd=folder)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    server = start_redis(folder, port)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(START_S)


def start_redis(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: _listens(port), what="Redis", process=server)
    return server


def wait_until(
    check: Callable[[], bool], *, what: str, process: "subprocess.Popen[bytes] | None" = None, seconds: float = START_S
) -> None:
    """Polls until ``check`` is true. Fails with ``what`` after ``seconds``, or at once when the process has ended."""
    end = time.monotonic() + seconds
    while not check():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what} ended with {process.returncode}")
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
