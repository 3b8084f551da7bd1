"""The product as an operator runs it: ``paylink serve`` in processes of its own, and a client for its API."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from paylink.config import Settings
from paylink.db import Database
from paylink.seed import seed
from tests.services import free_port, wait_until

PAYLINK = Path(sys.executable).parent / "paylink"
TIMEOUT_S = 30


@dataclass
class Node:
    """One process and its three addresses. Its log is kept in ``log``."""

    process: "subprocess.Popen[bytes]"
    env: dict[str, str]
    log: Path
    console: str
    checkout: str
    sandbox: str

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT_S)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT_S)


@dataclass
class Product:
    """Nodes on one database, with the demo merchant planted."""

    folder: Path
    settings: dict[str, str]
    nodes: list[Node] = field(default_factory=list)
    seed: dict[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> Node:
        return self.nodes[0]

    def start(self, role: str = "all", **settings: str) -> Node:
        """Starts a node and waits until it is ready. The first one's sandbox serves all."""
        number = len(self.nodes)
        ports = {name: free_port() for name in ("console", "checkout", "sandbox")}
        env = self.settings | {
            **{f"PAYLINK_{name.upper()}_BIND": f"127.0.0.1:{port}" for name, port in ports.items()},
            "PAYLINK_SANDBOX_DATABASE_URL": f"sqlite:///{self.folder / 'sandbox.db'}",
            "PAYLINK_NODE_ID": f"node-{number}",
            **({"PAYLINK_SANDBOX_URL": self.nodes[0].sandbox} if self.nodes else {}),
            **settings,
        }
        log = self.folder / f"node-{number}.log"
        node = Node(
            process=spawn(env, log, role, self.folder),
            env=env,
            log=log,
            console=f"http://127.0.0.1:{ports['console']}",
            checkout=f"http://127.0.0.1:{ports['checkout']}",
            sandbox=env.get("PAYLINK_SANDBOX_URL", f"http://127.0.0.1:{ports['sandbox']}"),
        )
        self.nodes.append(node)
        wait_ready(node, role)
        return node

    def restart(self, node: Node, role: str = "all") -> None:
        """The same process again: same addresses, same name, same database."""
        node.process = spawn(node.env, node.log, role, self.folder)
        wait_ready(node, role)

    def plant(self) -> None:
        """As ``paylink seed`` does, without a process of its own."""
        given = {name.removeprefix("PAYLINK_").lower(): value for name, value in self.node.env.items()}
        settings = Settings(_env_file=None, **given)
        db = Database(settings.database_url)
        try:
            self.seed = seed(db, settings.keyring).form(settings)
        finally:
            db.close()

    def client(self, node: Node | None = None) -> httpx.Client:
        """The API with the demo merchant's key."""
        headers = {"Authorization": f"Bearer {self.seed['api_key']}"}
        return httpx.Client(base_url=(node or self.node).console, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def messages(self, to: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.node.sandbox}/inbox/messages", params={"to": to}, trust_env=False)
        return list(answer.json())

    def ledger(self) -> list[dict[str, Any]]:
        return list(httpx.get(f"{self.node.sandbox}/_ledger", trust_env=False).json())


@contextmanager
def product(folder: Path, database_url: str, **settings: str) -> Iterator[Product]:
    """One node with everything in it, planted; more by ``start``. All are ended at the end."""
    made = Product(folder, {"PAYLINK_DATABASE_URL": database_url, "PAYLINK_RATE_LIMITS": "off", **settings})
    try:
        made.start()
        made.plant()
        yield made
    finally:
        for node in made.nodes:
            node.process.terminate()
        for node in made.nodes:
            try:
                node.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                node.kill()


def spawn(env: Mapping[str, str], log: Path, role: str, folder: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        return subprocess.Popen(
            [PAYLINK, "serve", "--role", role], env=environment(env), cwd=folder, stdout=out, stderr=out
        )


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYLINK_")}
    return kept | dict(settings)


def wait_ready(node: Node, role: str) -> None:
    address = {"checkout": node.checkout, "sandbox": node.sandbox}.get(role, node.console)

    def answers() -> bool:
        if role == "worker":
            return b"worker_started" in node.log.read_bytes()
        try:
            return httpx.get(f"{address}/healthz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, what=f"paylink serve --role {role}", process=node.process)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{node.log.read_text()[-2000:]}") from None
