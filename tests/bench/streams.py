"""Thousands of open streams: what one costs, and how soon an event for one of them arrives among the others.

paylink's event is made over HTTP by sending a link again as a QR code: a transaction of six rows, then the log, then
the stream. The peer's goes from its POST into a queue in memory. Each stream of ours follows a link of its own.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import uvloop

from tests.bench import sides
from tests.bench.http import Address, Pool, Stream, address_of, request
from tests.bench.measure import Effort, Goal, Missing, Result, Row, Series, percentile
from tests.bench.processes import load_on_last_core, pss_kib, served
from tests.product import Product

RATE = 100
# Each address has some 28,000 ports of its own towards the server.
SOURCES = [f"127.0.0.{number}" for number in range(2, 6)]
AT_A_TIME = 50
SETTLE_S = 2.0
PATIENCE_S = 60.0
MEMORY = Goal(0.7, 0.3, at_most=True)


@dataclass(frozen=True, slots=True)
class Streams:
    """A server with streams to open: the request that opens each, and the one that makes it speak."""

    name: str
    pid: int
    address: Address
    openings: Sequence[bytes]
    tellings: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """``kib``: proportional memory per stream, without the kernel's. ``p50``, ``p99``: ms from POST to arrival."""

    kib: float
    p50: float
    p99: float


def one_thousand(effort: Effort, folder: Path) -> Result:
    return _measure(1000, effort, folder)


def five_thousand(effort: Effort, folder: Path) -> Result:
    return _measure(5000, effort, folder)


def _measure(count: int, effort: Effort, folder: Path) -> Result:
    if psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0] < count + 100:
        raise Missing(f"{count} streams need as many open files: ulimit -n {2 * count}")
    ours: list[Sample] = []
    theirs: list[Sample] = []
    for number in range(min(effort.rounds, 3)):
        with _bare(folder, count) as server:
            theirs.append(_sample(server, effort.seconds))
        with _paylink(folder / f"paylink-{number}", count) as server:
            ours.append(_sample(server, effort.seconds))
    rows = [
        _row("memory per stream", "KiB", "kib", ours, theirs, MEMORY),
        _row("POST to arrival at one stream, p50", "ms", "p50", ours, theirs),
        _row("POST to arrival at one stream, p99", "ms", "p99", ours, theirs),
    ]
    note = f"{RATE} events/s, each to one stream of {count:,}; a fresh process per round; memory is PSS after a pause"
    return Result(f"streams-{count}", f"{count:,} open streams, SQLite", rows, [note])


def _row(what: str, unit: str, kind: str, ours: list[Sample], theirs: list[Sample], goal: Goal | None = None) -> Row:
    mine, other = (Series.of([getattr(sample, kind) for sample in found]) for found in (ours, theirs))
    return Row(what, unit, mine, "sse-starlette alone", other, goal)


@contextmanager
def _bare(folder: Path, count: int) -> Iterator[Streams]:
    headers = {"Content-Type": "application/json"}
    with served("tests.bench.bare_stream:app", folder) as (address, pid):
        yield Streams(
            "sse-starlette alone",
            pid,
            address_of(address),
            [request("GET", f"/stream/{number}", {}) for number in range(count)],
            [request("POST", f"/tell/{number}", headers, b'{"hello": "world"}') for number in range(count)],
        )


@contextmanager
def _paylink(folder: Path, count: int) -> Iterator[Streams]:
    folder.mkdir()
    with sides.paylink(folder, f"sqlite:///{folder / 'paylink.db'}") as running:
        links = asyncio.run(_links(running, count))
        headers = {"Authorization": f"Bearer {running.seed['api_key']}", "Content-Type": "application/json"}
        body = json.dumps({"channel": "qr"}).encode()
        yield Streams(
            "paylink",
            running.node.process.pid,
            address_of(running.node.console),
            [request("GET", f"/v1/events/stream?payment_link={link}", headers) for link in links],
            [request("POST", f"/v1/payment_links/{link}/deliveries", headers, body) for link in links],
        )


async def _links(running: Product, count: int) -> list[str]:
    headers = {"Authorization": f"Bearer {running.seed['api_key']}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=running.node.console, headers=headers, trust_env=False, timeout=60) as api:
        found: list[str] = []
        while (left := count - len(found)) > 0:
            batch = [api.post("/v1/payment_links", content=sides.BODY) for _ in range(min(AT_A_TIME, left))]
            found += [answer.raise_for_status().json()["id"] for answer in await asyncio.gather(*batch)]
        return found


def _sample(server: Streams, seconds: float) -> Sample:
    with load_on_last_core():
        return uvloop.run(_listen(server, seconds))


async def _listen(server: Streams, seconds: float) -> Sample:
    sent: dict[int, float] = {}
    took: list[float] = []

    def hear(number: int) -> Callable[[bytes, float], None]:
        def heard(_event: bytes, now: float) -> None:
            if (started := sent.pop(number, None)) is not None:
                took.append((now - started) * 1000)

        return heard

    await asyncio.sleep(SETTLE_S)
    before = pss_kib(server.pid)
    streams = await _open(server, hear)
    await asyncio.sleep(SETTLE_S)
    after = pss_kib(server.pid)
    await _speak(server, seconds, sent)
    if lost := sum(stream.lost for stream in streams):
        raise RuntimeError(f"{server.name} lost {lost} of {len(streams)} streams")
    for stream in streams:
        stream.close()
    return Sample((after - before) / len(streams), percentile(took, 0.5), percentile(took, 0.99))


async def _open(server: Streams, hear: Callable[[int], Callable[[bytes, float], None]]) -> list[Stream]:
    loop = asyncio.get_running_loop()

    async def one(number: int) -> Stream:
        _, stream = await loop.create_connection(
            lambda: Stream(server.openings[number], hear(number)),
            *server.address,
            local_addr=(SOURCES[number % len(SOURCES)], 0),
        )
        async with asyncio.timeout(PATIENCE_S):
            await stream.opened
        return stream

    found: list[Stream] = []
    for start in range(0, len(server.openings), AT_A_TIME):
        numbers = range(start, min(len(server.openings), start + AT_A_TIME))
        found += await asyncio.gather(*(one(number) for number in numbers))
    return found


async def _speak(server: Streams, seconds: float, sent: dict[int, float]) -> None:
    """An open loop of ``RATE`` events per second, each to a stream that has none under way."""
    pool, tasks = Pool(server.address), []
    await pool.fill(8)
    begin, chosen = time.perf_counter(), random.Random(1).sample(range(len(server.tellings)), len(server.tellings))
    for turn, number in enumerate(chosen[: round(RATE * seconds)]):
        await asyncio.sleep(max(0.0, begin + turn / RATE - time.perf_counter()))
        sent[number] = time.perf_counter()
        tasks.append(asyncio.create_task(pool.send(server.tellings[number])))
    statuses = await asyncio.gather(*tasks)
    await asyncio.sleep(SETTLE_S)
    pool.close()
    if bad := [status for status in statuses if status >= 300]:
        raise RuntimeError(f"{server.name} refused {len(bad)} events with {bad[0]}")
    if sent:
        raise RuntimeError(f"{server.name}: {len(sent)} of {len(tasks)} events did not arrive")
