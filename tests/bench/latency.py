"""From a customer's browser to the agent's screen: a beacon is posted at the checkout, its event arrives at a stream.

An open loop: beacons leave by the clock, whether the ones before are answered or not. Each is timed from the moment it
is written to its socket until the event's bytes are read from the stream, by one clock in one process.
"""

import asyncio
import gc
import json
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import uvloop

from tests.bench import sides
from tests.bench.customers import STEPS, customers
from tests.bench.http import Address, Pool, Stream, address_of, request
from tests.bench.measure import Effort, Goal, Result, Row, Series, percentile
from tests.bench.processes import cpu_s, load_on_last_core
from tests.product import Product

RATE = 200
# For what is still under way when the last beacon is sent.
PATIENCE_S = 5.0
NOTE = f"open loop, {RATE} beacons/s from many browsers; one stream over the whole merchant; one node"
# A link and the number of its event.
Key = tuple[str, int]


def sqlite(effort: Effort, folder: Path) -> Result:
    with sides.paylink(folder, f"sqlite:///{folder / 'paylink.db'}") as running:
        rows = _rows(running, effort, Goal(10, 5, at_most=True))
    return Result("beacon-sqlite", "Beacon to stream, SQLite", rows, [NOTE])


def postgres(effort: Effort, folder: Path) -> Result:
    with ExitStack() as stack:
        server = stack.enter_context(sides.postgres())
        bus = stack.enter_context(sides.redis(folder / "redis"))
        url = sides.new_database(server, "paylink")
        running = stack.enter_context(sides.paylink(folder / "paylink", url, PAYLINK_REDIS_URL=bus))
        rows = _rows(running, effort, Goal(20, 10, at_most=True))
    return Result("beacon-postgres", "Beacon to stream, PostgreSQL and Redis", rows, [NOTE])


def _rows(running: Product, effort: Effort, goal: Goal) -> list[Row]:
    rounds: list[list[float]] = []
    late: list[float] = []
    spent: list[float] = []
    with load_on_last_core():
        for _ in range(effort.rounds):
            took, latest, used = uvloop.run(_round(running, effort.seconds))
            spent.append(used)
            rounds.append(took)
            late.append(latest)
    return [
        Row("p50", "ms", Series.of([percentile(took, 0.5) for took in rounds])),
        Row("p99", "ms", Series.of([percentile(took, 0.99) for took in rounds]), goal=goal),
        Row("slowest", "ms", Series.of([max(took) for took in rounds])),
        Row("processor time per beacon", "ms", Series.of(spent)),
        Row("sent late by the generator, p99", "ms", Series.of(late)),
    ]


async def _round(running: Product, seconds: float) -> tuple[list[float], float, float]:
    """Milliseconds per event, the 99th percentile of how late a beacon left, the server's CPU milliseconds for each."""
    count = round(RATE * seconds)
    people = await customers(running, -(-count // len(STEPS)))
    plan = [
        ((person.link_id, person.told + number), message)
        for number, messages in enumerate(zip(*(person.beacons() for person in people), strict=True), start=1)
        for person, message in zip(people, messages, strict=True)
    ][:count]
    sent: dict[Key, float] = {}
    took: list[float] = []
    complete = asyncio.Event()

    def heard(event: bytes, now: float) -> None:
        data = json.loads(event.partition(b"data: ")[2])
        started = sent.get((data["payment_link"], data["seq"]))
        if started is not None:
            took.append((now - started) * 1000)
        if len(took) == count:
            complete.set()

    headers = {"Authorization": f"Bearer {running.seed['api_key']}"}
    message = request("GET", "/v1/events/stream", headers)
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(message, heard), *address_of(running.node.console))
    await stream.opened
    before = cpu_s(running.node.process.pid)
    late = await _send_by_the_clock(address_of(running.node.checkout), plan, sent)
    with suppress(TimeoutError):
        await asyncio.wait_for(complete.wait(), PATIENCE_S)
    stream.close()
    if len(took) < count:
        raise RuntimeError(f"{count - len(took)} of {count} events did not arrive")
    return took, percentile(late, 0.99), (cpu_s(running.node.process.pid) - before) * 1000 / count


async def _send_by_the_clock(address: Address, plan: list[tuple[Key, bytes]], sent: dict[Key, float]) -> list[float]:
    """How late each beacon left, in milliseconds."""
    pool, late, tasks = Pool(address), [], []
    await pool.fill(16)

    async def post(key: Key, message: bytes) -> None:
        sent[key] = time.perf_counter()
        status = await pool.send(message)
        if status != 204:
            raise RuntimeError(f"a beacon was answered {status}")

    gc.collect()
    gc.disable()
    begin = time.perf_counter() + 0.1
    for number, (key, message) in enumerate(plan):
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late.append((time.perf_counter() - due) * 1000)
        tasks.append(asyncio.create_task(post(key, message)))
    await asyncio.gather(*tasks)
    gc.enable()
    pool.close()
    return late
