"""The product in processes of its own, with everything it stands on: each can be killed and started again.

Nodes run by ``tests.prove.node``, which is ``paylink serve`` with shorter time-outs where a proof asks for them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.service import create_api_key
from paylink.config import Settings
from paylink.db import Database
from paylink.kit.ids import new_id
from paylink.schema import migrate
from tests.prove.run import Missing
from tests.services import POSTGRES_SETTINGS, free_port, postgres_bin, wait_until

ROOT = Path(__file__).parents[2]
START_S = 60
RESTARTS = 5
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Server:
    """One process: how it is started, and how it shows that it is ready."""

    name: str
    command: list[str]
    env: dict[str, str]
    folder: Path
    ready: Callable[["Server"], bool]
    # Whom it runs as: PostgreSQL refuses to be root. As our own child, so that nobody else has to bury it.
    user: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    # Where its log of this start begins.
    offset: int = 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def said(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self.offset)
            return log.read()

    def start(self) -> None:
        self.offset = self.log.stat().st_size if self.log.exists() else 0
        env = {name: value for name, value in os.environ.items() if not name.startswith("PAYLINK_")}
        env |= {"PYTHONPATH": str(ROOT), **self.env}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, env=env, cwd=self.folder, stdout=out, stderr=out, user=self.user, group=self.user
            )
        try:
            wait_until(lambda: self.ready(self), what=self.name, process=self.process, seconds=START_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said().decode(errors='replace')[-2000:]}") from None

    def kill(self) -> None:
        """As a power cut would end it, with all its children at once."""
        for one in self._tree():
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if self.process is not None:
            self.process.wait(20)

    def restart(self) -> None:
        """After a kill. A child that outlived its parent by a moment may hold what the next one needs."""
        for _ in range(RESTARTS - 1):
            try:
                return self.start()
            except AssertionError:
                self.kill()
                time.sleep(0.2)
        return self.start()

    def _tree(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        return []


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant. What is counted per merchant must not tie one case to another, so there are many."""

    merchant_id: str
    api_key: str


@dataclass
class Cluster:
    """One product: its database, its provider, its nodes. ``extra`` are settings that every node gets."""

    folder: Path
    database_url: str
    extra: dict[str, str] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    consoles: list[str] = field(default_factory=list)
    checkouts: list[str] = field(default_factory=list)
    sandbox: str = ""
    # Chosen before the first node is there: the provider sends its callbacks to it.
    first: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))

    @property
    def settings(self) -> Settings:
        given: dict[str, Any] = {"_env_file": None, "sandbox_url": self.sandbox}
        return Settings(**given)

    def add_sandbox(self) -> None:
        port = free_port()
        self.sandbox = f"http://127.0.0.1:{port}"
        env = {
            "PAYLINK_SANDBOX_BIND": f"127.0.0.1:{port}",
            "PAYLINK_SANDBOX_DATABASE_URL": f"sqlite:///{self.folder / 'sandbox.db'}",
            "PAYLINK_CONSOLE_URL": f"http://127.0.0.1:{self.first[0]}",
            "PAYLINK_CHECKOUT_URL": f"http://127.0.0.1:{self.first[1]}",
            "PAYLINK_LOG_LEVEL": "ERROR",
        }
        self._add("sandbox", "sandbox", env, lambda _: answers(f"{self.sandbox}/healthz"))

    def add_node(self, name: str, **settings: str) -> None:
        """API, checkout and worker in one."""
        console, checkout = (free_port(), free_port()) if self.consoles else self.first
        address = f"http://127.0.0.1:{console}"
        self.consoles.append(address)
        self.checkouts.append(f"http://127.0.0.1:{checkout}")
        binds = {
            "PAYLINK_CONSOLE_BIND": f"127.0.0.1:{console}",
            "PAYLINK_CHECKOUT_BIND": f"127.0.0.1:{checkout}",
            # Its own part of the sandbox is asked by nobody.
            "PAYLINK_SANDBOX_BIND": f"127.0.0.1:{free_port()}",
            "PAYLINK_SANDBOX_DATABASE_URL": f"sqlite:///{self.folder / f'unused-{name}.db'}",
            "PAYLINK_LOG_LEVEL": "WARNING",
        }
        self._add(name, "all", self._env(name) | binds | settings, lambda _: answers(f"{address}/healthz"))

    def add_worker(self, name: str, **settings: str) -> None:
        env = self._env(name) | {"PAYLINK_LOG_LEVEL": "INFO", "PAYLINK_CHECKOUT_URL": self.checkouts[0]} | settings
        self._add(name, "worker", env, lambda server: b"worker_started" in server.said())

    def shops(self, count: int) -> list[Shop]:
        keyring = self.settings.keyring

        def plant(session: Session) -> list[Shop]:
            made = []
            for number in range(count):
                merchant_id = new_id("mer")
                session.add(Merchant(id=merchant_id, name=f"Shop {number}"))
                session.flush()
                _, key = create_api_key(session, merchant_id=merchant_id, name="prove", live=False, keyring=keyring)
                made.append(Shop(merchant_id, key))
            return made

        db = Database(self.database_url)
        try:
            return db.transact_sync(plant)
        finally:
            db.close()

    def errors(self, *, most: int = 3) -> list[str]:
        """The last lines of what the nodes did not expect, once each."""
        found = Counter(
            block.strip().splitlines()[-1][:200]
            for server in self.servers.values()
            if server.name not in {"postgresql", "redis"} and server.log.exists()
            for block in ANSI.sub("", server.log.read_text(errors="replace")).split("Traceback (most recent")[1:]
        )
        return [f"{line} (×{times})" for line, times in found.most_common(most)]

    def order(self, **orders: object) -> None:
        """Tells the provider how to behave."""
        httpx.post(f"{self.sandbox}/_control", json=orders, trust_env=False).raise_for_status()

    def _env(self, name: str) -> dict[str, str]:
        return {
            "PAYLINK_DATABASE_URL": self.database_url,
            "PAYLINK_RATE_LIMITS": "off",
            "PAYLINK_SANDBOX_URL": self.sandbox,
            "PAYLINK_NODE_ID": name,
            **self.extra,
        }

    def _add(self, name: str, role: str, env: dict[str, str], ready: Callable[[Server], bool]) -> None:
        command = [sys.executable, "-m", "tests.prove.node", "serve", "--role", role]
        self.servers[name] = Server(name, command, env, self.folder, ready)
        self.servers[name].start()


@contextmanager
def cluster(database: str, *, extra: dict[str, str] | None = None) -> Iterator[Cluster]:
    """``database``: sqlite or postgresql. Empty and migrated, with a provider, no node yet. All ends at the end."""
    with ExitStack() as own:
        name = own.enter_context(tempfile.TemporaryDirectory(prefix="paylink-prove-"))
        folder = Path(name)
        made = Cluster(folder, f"sqlite:///{folder / 'paylink.db'}", extra or {})
        own.callback(_stop_all, made)
        if database == "postgresql":
            made.servers["postgresql"], made.database_url = postgresql(folder)
        db = Database(made.database_url)
        migrate(db)
        db.close()
        made.add_sandbox()
        yield made


def postgresql(folder: Path) -> tuple[Server, str]:
    """A running server with an empty database in a folder of its own, which root must give to another user."""
    binaries = postgres_bin()
    if binaries is None:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    home, port = folder / "postgresql", free_port()
    home.mkdir()
    folder.chmod(0o755)
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(home, user)
    options = ["-U", "paylink", "-A", "trust", "-E", "UTF8", "--no-sync"]
    initdb = [str(binaries / "initdb"), "-D", str(home / "data"), *options]
    subprocess.run(initdb, check=True, capture_output=True, cwd=home, user=user, group=user)
    given = [part for setting in (*POSTGRES_SETTINGS, "listen_addresses=127.0.0.1") for part in ("-c", setting)]
    command = [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port), "-k", str(home), *given]
    url = f"postgresql://paylink@127.0.0.1:{port}"

    def ready(_server: Server) -> bool:
        try:
            with psycopg.connect(f"{url}/postgres", connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    server = Server("postgresql", command, {}, home, ready, user=user)
    server.start()
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE paylink")
    return server, f"{url}/paylink"


def redis(folder: Path) -> tuple[Server, str]:
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("Redis is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def ready(server: Server) -> bool:
        return b"Ready to accept connections" in server.said()

    server = Server("redis", command, {}, folder, ready)
    server.start()
    return server, f"redis://127.0.0.1:{port}/0"


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


def _stop_all(made: Cluster) -> None:
    for server in reversed(made.servers.values()):
        server.kill()
