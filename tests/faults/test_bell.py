"""Two nodes show each other's events: with Redis at once, without it within two seconds, and none is ever lost."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.events.sse import Stream, connect
from tests.product import Product, product
from tests.services import free_port, start_redis, wait_until

pytestmark = pytest.mark.timeout(180)


def create(made: Product, node: int) -> str:
    with made.client(made.nodes[node]) as client:
        answer = client.post("/v1/payment_links", json={"amount": 4999, "currency": "GBP"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def watch(made: Product, node: int) -> Stream:
    key = {"Authorization": f"Bearer {made.seed['api_key']}"}
    return await (await connect(made.nodes[node].console, key)).opened()


async def lag(made: Product, stream: Stream, *, from_node: int) -> float:
    """From the answer that made a link on one node until its event is on the stream of another."""
    link_id = await asyncio.to_thread(create, made, from_node)
    began = time.monotonic()
    seen = await stream.next()
    assert (seen.type, seen.data["payment_link"]) == ("link.created", link_id)
    return time.monotonic() - began


@pytest.fixture
def two(postgres_database: str, tmp_path: Path) -> Iterator[Product]:
    with product(tmp_path, postgres_database) as made:
        made.start("api")
        yield made


async def test_without_redis_events_of_the_other_node_come_within_two_seconds(two: Product) -> None:
    async with await watch(two, 0) as first, await watch(two, 1) as second:
        for _ in range(3):
            began = time.monotonic()
            await lag(two, first, from_node=1)
            await second.next()
            assert time.monotonic() - began < 2
            await lag(two, second, from_node=0)
            await first.next()


async def test_with_redis_they_come_at_once_and_without_it_they_still_come(
    postgres_database: str, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    folder, port = tmp_path / "redis", free_port()
    folder.mkdir()
    server = start_redis(folder, port)
    try:
        with product(tmp_path, postgres_database, PAYLINK_REDIS_URL=f"redis://127.0.0.1:{port}/0") as made:
            node = made.start("api")
            async with await watch(made, 1) as stream:
                lags = sorted([await lag(made, stream, from_node=0) for _ in range(7)])
                print(f"\nwith Redis: {lags[3] * 1000:.0f} ms")
                assert lags[3] < 0.5, "by the bell, not by the poll"

                server.kill()
                server.wait()
                away = [await lag(made, stream, from_node=0) for _ in range(4)]
                print(f"with Redis gone: {max(away) * 1000:.0f} ms at most")
                assert max(away) < 2
                with made.client(node) as client:
                    answer = client.get("/readyz")
                assert (answer.status_code, answer.json()["checks"]["bus"]) == (200, False)

                server = start_redis(folder, port)
                with made.client(node) as client:
                    wait_until(lambda: client.get("/readyz").json()["checks"]["bus"], what="the bell is back")
                await heard(made, stream)
            assert node.stop() == 0
    finally:
        server.kill()
        server.wait()


async def heard(made: Product, stream: Stream) -> None:
    """The bell rings again: a few events in a row come faster than a poll could bring them."""
    for _ in range(20):
        lags = sorted([await lag(made, stream, from_node=0) for _ in range(5)])
        if lags[-1] < 0.3:
            return
    raise AssertionError(f"only the poll is heard: {lags}")
