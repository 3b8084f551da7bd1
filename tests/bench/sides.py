"""What is compared: the product as an operator runs it, and the servers it is held against."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx
import psycopg

from tests import services
from tests.bench.measure import Missing
from tests.bench.processes import pin_server, served
from tests.product import PAYLINK, Product, environment, product

# What a link is created from, on every side: no customer and no `deliver`, so no message and no job.
BODY = json.dumps(
    {"amount": 4999, "currency": "GBP", "reference": "INV-1042", "metadata": {"ticket": "T-100", "agent": "a1"}}
)
# As durable as in operation: a commit is on the disk before it is answered. The rest are PostgreSQL's defaults.
DURABLE_POSTGRES = ("fsync=on", "synchronous_commit=on")
# Production's form of the log. Rate limits are off: one key must make thousands of links a second.
SETTINGS = {"PAYLINK_LOG_JSON": "true"}


@dataclass(frozen=True, slots=True)
class Side:
    """A server that makes links."""

    name: str
    url: str
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def paylink(folder: Path, database_url: str, **settings: str) -> Iterator[Product]:
    folder.mkdir(parents=True, exist_ok=True)
    if not database_url.startswith("sqlite"):
        env = environment({"PAYLINK_DATABASE_URL": database_url})
        subprocess.run([PAYLINK, "migrate"], env=env, cwd=folder, check=True, capture_output=True)
    with product(folder, database_url, **SETTINGS, **settings) as running:
        pin_server(running.node.process.pid)
        yield running


def paylink_side(running: Product) -> Side:
    headers = {"content-type": "application/json", "authorization": f"Bearer {running.seed['api_key']}"}
    return Side("paylink", f"{running.node.console}/v1/payment_links", running.node.process.pid, headers)


@contextmanager
def floor(folder: Path) -> Iterator[Side]:
    with served("tests.bench.floor:app", folder) as (address, pid):
        yield _plain("FastAPI floor", address, pid)


@contextmanager
def peer(folder: Path, name: str, database_url: str, style: str) -> Iterator[Side]:
    if database_url.startswith("sqlite") and find_spec("aiosqlite") is None:
        raise Missing("aiosqlite is not installed: it is what the peer writes with")
    settings = {"PEER_DATABASE_URL": database_url, "PEER_STYLE": style}
    with served("tests.bench.peer:app", folder, settings) as (address, pid):
        yield _plain(name, address, pid)


def _plain(name: str, address: str, pid: int) -> Side:
    return Side(name, f"{address}/v1/payment_links", pid, {"content-type": "application/json"})


@contextmanager
def postgres() -> Iterator[str]:
    """A cluster that flushes every commit to the disk; yields the address of its maintenance database."""
    if services.postgres_bin() is None:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    with services.postgres(*DURABLE_POSTGRES) as url:
        yield url


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        raise Missing("Redis is not installed: apt-get install redis-server")
    folder.mkdir(parents=True)
    with services.redis(folder) as url:
        yield url


def new_database(maintenance_url: str, name: str) -> str:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{maintenance_url.rpartition('/')[0]}/{name}"


def check(side: Side) -> None:
    """One link, so that a side that refuses is found before it is measured."""
    answer = httpx.post(side.url, content=BODY, headers=side.headers, trust_env=False, timeout=10)
    if answer.status_code != 201 or answer.json()["amount"] != 4999:
        raise RuntimeError(f"{side.name} answered {answer.status_code}: {answer.text[:200]}")
