"""``SIGTERM``: streams end and their clients go on elsewhere, work is finished, the process ends with 0."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.events.sse import Stream, connect
from tests.faults.test_bell import create
from tests.product import Product, product

STREAMS = 200


async def watch(made: Product, node: int, last_event_id: int | None = None) -> Stream:
    key = {"Authorization": f"Bearer {made.seed['api_key']}"}
    return await connect(made.nodes[node].console, key, last_event_id=last_event_id)


async def test_with_many_streams_open_it_ends_cleanly_and_nothing_is_missed(
    postgres_database: str, tmp_path: Path
) -> None:
    with product(tmp_path, postgres_database) as made:
        made.start("api")
        streams = [await (await watch(made, 0)).opened() for _ in range(STREAMS)]
        before = create(made, 0)
        assert {(await stream.next()).data["payment_link"] for stream in streams} == {before}
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(made.nodes[0].stop))
        rests = await asyncio.gather(*(stream.rest() for stream in streams))
        ended = time.monotonic() - began
        assert rests == [[]] * STREAMS
        missed = await asyncio.to_thread(create, made, 1)
        again = [await watch(made, 1, stream.last_id) for stream in streams]
        seen = [await stream.next() for stream in again]
        assert [one.data["payment_link"] for one in seen] == [missed] * STREAMS
        assert await stopping == 0
        print(f"\n{STREAMS} streams ended after {ended:.2f} s, the process after {time.monotonic() - began:.2f} s")
        assert ended < 5
        for stream in (*streams, *again):
            stream.cut()
        assert "Traceback" not in made.nodes[0].log.read_text()


@pytest.mark.parametrize("database", ["sqlite_database", "postgres_database"])
def test_an_idle_node_stops_at_once(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with product(tmp_path, request.getfixturevalue(database)) as made:
        began = time.monotonic()
        assert made.node.stop() == 0
        took = time.monotonic() - began
        print(f"\nan idle node stops in {took:.2f} s")
        assert took < 5
        log = made.node.log.read_text()
        assert "Traceback" not in log
        assert "[warning" not in log
