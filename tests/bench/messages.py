"""Messages that wait, sent by one worker through a carrier that takes 50 ms for each; and the API meanwhile.

The queue is filled before the worker begins. While it empties, an open loop makes links by the API, as it does again
when nothing is left to send: the same process, the same requests, busy and idle.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import sqlalchemy as sa
import uvloop
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.channels.base import DeliveryStatus
from paylink.config import Settings
from paylink.db import Database
from paylink.delivery import service as deliveries
from paylink.delivery.models import Delivery
from paylink.delivery.service import Wanted
from paylink.events import log
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.links import service as links
from paylink.links.service import NewLink
from tests.bench import sides
from tests.bench.carrier import ANSWER_S
from tests.bench.http import Pool, address_of, request
from tests.bench.measure import Effort, Goal, Missing, Result, Row, Series, percentile
from tests.bench.processes import load_on_last_core, pin_load, pin_server, start
from tests.product import PAYLINK, Product, environment
from tests.services import wait_until

# Links a second by the API: a busy desk, far from what the API can do.
RATE = 50
PER_LINK = 10
LINKS_PER_TRANSACTION = 20
LOOK_S = 0.05
# So many messages a second would be worth giving up on.
SLOWEST = 10
WHILE_BUSY = Goal(1.5, at_most=True)
FLAT = Goal(1.1, at_most=True)
NONE = Goal(0, at_most=True)


@dataclass(frozen=True, slots=True)
class Found:
    """``memory``: MiB of the worker at the start, in the middle, at the end. Latencies of the API in milliseconds."""

    per_second: float
    lost: int
    doubled: int
    memory: tuple[float, float, float]
    busy: list[float]
    idle: list[float]


def run(effort: Effort, folder: Path) -> Result:
    count, idle_s = (1000, 5.0) if effort.quick else (10_000, 20.0)
    with carrier(folder) as address:
        rows = _rows(
            "SQLite", _measured(folder / "sqlite", f"sqlite:///{folder / 'paylink.db'}", address, count, idle_s)
        )
    notes = [
        f"{count} e-mails through a carrier that takes {ANSWER_S * 1000:.0f} ms, by one worker, 16 at a time",
        f"If jobs cost nothing, that would be {16 / ANSWER_S:.0f}/s; {RATE} links/s are made by the API meanwhile",
        "SQLite: one process for API and worker; PostgreSQL: a process each",
    ]
    try:
        with sides.postgres() as server, carrier(folder) as address:
            url = sides.new_database(server, "messages")
            rows += _rows("PostgreSQL", _measured(folder / "postgres", url, address, count, idle_s))
    except Missing as missing:
        notes.append(str(missing))
    return Result("messages", "Sending messages", rows, notes)


def _rows(database: str, found: Found) -> list[Row]:
    first, middle, last = (Series.of([value]) for value in found.memory)
    busy, idle = (Series.of([percentile(took, 0.99)]) for took in (found.busy, found.idle))
    return [
        Row(f"messages per second, {database}", "/s", Series.of([found.per_second])),
        Row(f"lost, {database}", "", Series.of([found.lost]), goal=NONE),
        Row(f"sent twice, {database}", "", Series.of([found.doubled]), goal=NONE),
        Row(f"worker's memory in the middle, {database}", "MiB", middle, "at the start", first, FLAT),
        Row(f"worker's memory at the end, {database}", "MiB", last, "at the start", first, FLAT),
        Row(f"API p99 while it sends, {database}", "ms", busy, "the same API, idle", idle, WHILE_BUSY),
    ]


@contextmanager
def carrier(folder: Path) -> Iterator[str]:
    process, address = start("tests.bench.carrier:app", folder)
    try:
        wait_until(lambda: _answers(address), what="the carrier", process=process)
        pin_load(process.pid)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/counts", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _measured(folder: Path, url: str, address: str, count: int, idle_s: float) -> Found:
    folder.mkdir(parents=True)
    settings = {"PAYLINK_DATABASE_URL": url, "PAYLINK_SANDBOX_URL": address, "PAYLINK_RATE_LIMITS": "off"}
    subprocess.run([PAYLINK, "migrate"], env=environment(settings), cwd=folder, check=True, capture_output=True)
    made = Product(folder, settings | sides.SETTINGS)
    with ExitStack() as stack:
        node = made.start("api")
        stack.callback(lambda: [one.process.poll() is None and one.stop() for one in made.nodes])
        made.plant()
        _fill(made, count)
        if url.startswith("sqlite"):
            node.stop()
            made.restart(node, "all")
            worker = node
        else:
            worker = made.start("worker", PAYLINK_SANDBOX_URL=address)
        pin_server(node.process.pid)
        with load_on_last_core():
            memory, busy, idle = uvloop.run(_watch(made, worker.process.pid, address, count, idle_s))
        taken = httpx.get(f"{address}/counts", trust_env=False).json()
        return Found(
            per_second=(taken["taken"] - 1) / taken["seconds"],
            lost=count - _sent(made),
            doubled=taken["taken"] - taken["different"],
            memory=memory,
            busy=busy,
            idle=idle,
        )


def _fill(made: Product, count: int) -> None:
    """By the services that the API calls too, in larger transactions: filling is not what is measured."""
    given = {name.removeprefix("PAYLINK_").lower(): value for name, value in made.node.env.items()}
    settings = Settings(_env_file=None, **given)
    db = Database(settings.database_url)
    jobs = JobQueue(db)
    try:
        merchant_id = db.read_sync(lambda session: session.scalars(sa.select(Merchant.id)).one())
        who = Principal(PrincipalKind.AGENT, "agt_bench", "Bench", merchant_id, "ses_bench")
        for begin in range(0, count, LINKS_PER_TRANSACTION * PER_LINK):
            db.transact_sync(_some(settings, jobs, who, first=begin, count=count))
    finally:
        jobs.close()
        db.close()


def _some(settings: Settings, jobs: JobQueue, who: Principal, *, first: int, count: int) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        end = min(first + LINKS_PER_TRANSACTION * PER_LINK, count)
        for begin in range(first, end, PER_LINK):
            new = NewLink(amount=4999, currency="GBP", expires_at=utcnow() + timedelta(days=1), reference="INV-1042")
            link = links.create(session, who, new)
            place = {"link_id": link.row["id"], "merchant_id": who.merchant_id}
            wanted = [Wanted("email", f"to{number}@example.com") for number in range(begin, min(begin + PER_LINK, end))]
            _, events = deliveries.add(
                session, jobs, settings.keyring, **place, wanted=wanted, origin=who.origin, later=True
            )
            log.begin(session, **place, events=[link.event, *events])

    return work


def _sent(made: Product) -> int:
    """How many the product itself calls sent, once the last answer is written down."""
    db = Database(made.settings["PAYLINK_DATABASE_URL"])
    waiting = sa.select(sa.func.count()).where(Delivery.status == DeliveryStatus.QUEUED.value)
    sent = sa.select(sa.func.count()).where(Delivery.status == DeliveryStatus.SENT.value, Delivery.channel == "email")
    try:
        wait_until(lambda: db.read_sync(lambda session: session.scalar(waiting)) == 0, what="all are written down")
        return db.read_sync(lambda session: session.scalar(sent)) or 0
    finally:
        db.close()


async def _watch(
    made: Product, worker: int, address: str, count: int, idle_s: float
) -> tuple[tuple[float, float, float], list[float], list[float]]:
    done, memory = asyncio.Event(), list[float]()
    api = asyncio.create_task(_load(made, done))
    process, give_up = psutil.Process(worker), time.monotonic() + 30 + count / SLOWEST
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        for share in (0.1, 0.5, 1.0):
            while (taken := (await client.get("/counts")).json())["taken"] < count * share:
                if time.monotonic() > give_up:
                    raise RuntimeError(f"{taken['taken']} of {count} messages came to the carrier")
                await asyncio.sleep(LOOK_S)
            memory.append(process.memory_info().rss / 2**20)
    done.set()
    busy = await api
    await asyncio.sleep(1)
    quiet = asyncio.Event()
    asyncio.get_running_loop().call_later(idle_s, quiet.set)
    return (memory[0], memory[1], memory[2]), busy, await _load(made, quiet)


async def _load(made: Product, done: asyncio.Event) -> list[float]:
    """Milliseconds for each link, made by the clock whether the ones before are answered or not."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {made.seed['api_key']}"}
    message = request("POST", "/v1/payment_links", headers, sides.BODY.encode())
    pool, took, tasks = Pool(address_of(made.node.console)), list[float](), list[asyncio.Task[None]]()
    await pool.fill(8)

    async def post(due: float) -> None:
        status = await pool.send(message)
        if status != 201:
            raise RuntimeError(f"a link was answered {status}")
        took.append((time.perf_counter() - due) * 1000)

    begin, number = time.perf_counter(), 0
    while not done.is_set():
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(post(time.perf_counter())))
        number += 1
    await asyncio.gather(*tasks)
    pool.close()
    return took
