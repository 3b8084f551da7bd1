"""Making a link: the full product against FastAPI without a database, and against a plain FastAPI + SQLAlchemy service.

Each link the product makes is a row for the link, one for its token, its event counter and its event, in one durable
transaction, behind an API key. The peer writes three rows and checks nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import sides, wrk
from tests.bench.measure import Effort, Goal, Result, Row, Series
from tests.bench.processes import awake, cpu_s
from tests.bench.sides import BODY, Side

OVER_FLOOR = Goal(0.20, 0.35)
OVER_PEER = Goal(2.0, 3.5)
P99_OVER_PEER = Goal(0.5, 0.3, at_most=True)
OVER_STATEMENTS = Goal(1.5, 2.3)
STYLES = {"orm": "ORM", "core": "Core"}

HOLDS = (
    f"body: {BODY}; each create of paylink writes link + token row + event, behind an API key, with "
    "log line and metrics; rate limits off, no Idempotency-Key"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """``cpu_ms``: processor time of the server per answer; the least disturbed by neighbours."""

    rate: float
    p50: float
    p99: float
    cpu_ms: float


Samples = dict[tuple[str, int], list[Sample]]


def sqlite(effort: Effort, folder: Path) -> Result:
    wrk.need()
    with ExitStack() as stack:
        floor = stack.enter_context(sides.floor(folder))
        ours = stack.enter_context(sides.paylink(folder / "paylink", f"sqlite:///{folder / 'paylink' / 'paylink.db'}"))
        peer_url = f"sqlite+aiosqlite:///{folder / 'peer.db'}"
        peer = stack.enter_context(sides.peer(folder, "FastAPI + ORM, aiosqlite", peer_url, "orm"))
        product = sides.paylink_side(ours)
        found = run([floor, product, peer], effort)
    rows = [
        _rate("rate, 32 connections", found, product, floor, 32, OVER_FLOOR),
        _rate("rate, 8 connections", found, product, peer, 8, OVER_PEER),
        _p99("p99, 8 connections", found, product, peer, 8, P99_OVER_PEER),
        _rate("rate, 32 connections", found, product, peer, 32),
        _p99("p99, 32 connections", found, product, peer, 32),
        _cpu("processor time per link", found, product, floor, 32),
    ]
    return Result("create-sqlite", "Create a link, SQLite (WAL, synchronous=FULL)", rows, [HOLDS])


def postgres(effort: Effort, folder: Path) -> Result:
    wrk.need()
    with ExitStack() as stack:
        server = stack.enter_context(sides.postgres())
        floor = stack.enter_context(sides.floor(folder))
        ours = stack.enter_context(sides.paylink(folder / "paylink", sides.new_database(server, "paylink")))
        orm = stack.enter_context(_postgres_peer(folder, server, "orm"))
        core = stack.enter_context(_postgres_peer(folder, server, "core"))
        product = sides.paylink_side(ours)
        found = run([floor, product, orm, core], effort)
    rows = [
        _rate("rate, 8 connections", found, product, orm, 8, OVER_PEER),
        _p99("p99, 8 connections", found, product, orm, 8, P99_OVER_PEER),
        _rate("rate, 32 connections", found, product, core, 32, OVER_STATEMENTS),
        _rate("rate, 32 connections", found, product, orm, 32),
        _rate("rate, 32 connections", found, product, floor, 32),
        _cpu("processor time per link", found, product, floor, 32),
    ]
    return Result("create-postgres", "Create a link, PostgreSQL (fsync=on, synchronous_commit=on)", rows, [HOLDS])


def _postgres_peer(folder: Path, server: str, style: str) -> AbstractContextManager[Side]:
    url = sides.new_database(server, f"peer_{style}").replace("postgresql://", "postgresql+psycopg://")
    return sides.peer(folder, f"FastAPI + {STYLES[style]}, psycopg", url, style)


def run(servers: Sequence[Side], effort: Effort, connections: Sequence[int] = (32, 8)) -> Samples:
    """All sides in turn, round after round, beginning with another one each time; the others sleep meanwhile."""
    for side in servers:
        sides.check(side)
    found: Samples = {}
    for number in range(effort.rounds):
        start = number % len(servers)
        for side in [*servers[start:], *servers[:start]]:
            with awake(side.pid, [other.pid for other in servers]):
                _load(side, connections[0], effort.warm_up_s)
                for count in connections:
                    found.setdefault((side.name, count), []).append(_load(side, count, effort.seconds))
    return found


def _load(side: Side, connections: int, seconds: float) -> Sample:
    before = cpu_s(side.pid)
    load = wrk.post(side.url, BODY, side.headers, connections=connections, seconds=seconds)
    return Sample(load.rate, load.p50, load.p99, (cpu_s(side.pid) - before) * 1000 / max(1, load.requests))


def _series(found: Samples, side: Side, connections: int, name: str) -> Series:
    return Series.of([getattr(sample, name) for sample in found[side.name, connections]])


def _row(
    kind: str, unit: str, what: str, found: Samples, ours: Side, other: Side, connections: int, goal: Goal | None
) -> Row:
    mine, theirs = (_series(found, side, connections, kind) for side in (ours, other))
    return Row(what, unit, mine, other.name, theirs, goal)


def _rate(what: str, found: Samples, ours: Side, other: Side, connections: int, goal: Goal | None = None) -> Row:
    return _row("rate", "/s", what, found, ours, other, connections, goal)


def _p99(what: str, found: Samples, ours: Side, other: Side, connections: int, goal: Goal | None = None) -> Row:
    return _row("p99", "ms", what, found, ours, other, connections, goal)


def _cpu(what: str, found: Samples, ours: Side, other: Side, connections: int) -> Row:
    return _row("cpu_ms", "ms", what, found, ours, other, connections, None)
