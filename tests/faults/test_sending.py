"""A node is killed around the moment a message is sent: the message is sent, once, and its events say so once."""

import os
import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.product import Node, Product, product
from tests.services import wait_until

ROUNDS = 2 * int(os.environ.get("PAYLINK_PROVE", "1"))
LONG = pytest.mark.skipif("PAYLINK_PROVE" not in os.environ, reason="takes a minute: set PAYLINK_PROVE=1")
pytestmark = pytest.mark.timeout(120 + 20 * ROUNDS)


def order(made: Product, node: Node, number: int) -> httpx.Response:
    body = {"amount": 4999, "currency": "GBP", "deliver": [{"channel": "sms", "to": phone(number)}]}
    with made.client(node) as client:
        return client.post("/v1/payment_links", json=body, headers={"Idempotency-Key": f"order-{number}"})


def phone(number: int) -> str:
    return f"+447700900{number:03}"


def told(made: Product, node: Node, link_id: str) -> Counter[str]:
    with made.client(node) as client:
        answer = client.get(f"/v1/payment_links/{link_id}/events")
    return Counter(event["type"] for event in answer.json()["data"])


def sent_once(made: Product, node: Node, number: int) -> None:
    """The same order again answers with the same link, whatever became of the first try."""
    answer = order(made, node, number)
    assert answer.status_code in {200, 201}, answer.text
    link_id = answer.json()["id"]
    wait_until(
        lambda: told(made, node, link_id)["delivery.delivered"] == 1, what=f"message {number} is delivered", seconds=60
    )
    assert len(made.messages(phone(number))) == 1
    events = told(made, node, link_id)
    assert {kind: times for kind, times in events.items() if kind.startswith(("link.created", "delivery."))} == {
        "link.created": 1,
        "delivery.queued": 1,
        "delivery.sent": 1,
        "delivery.delivered": 1,
    }


@pytest.mark.parametrize("database", ["sqlite_database", "postgres_database"])
def test_killed_and_started_again_it_sends_once(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    chance = random.Random(database)
    with product(tmp_path, request.getfixturevalue(database)) as made:
        for number in range(100, 100 + ROUNDS):
            cut = threading.Timer(chance.uniform(0, 0.25), made.node.kill)
            cut.start()
            with suppress(httpx.TransportError):  # killed before it answered: nobody knows what became of the order
                order(made, made.node, number)
            cut.join()
            made.restart(made.node)
            sent_once(made, made.node, number)


@LONG
def test_killed_for_good_its_messages_are_sent_by_the_other(postgres_database: str, tmp_path: Path) -> None:
    """With the real time-out: a node counts as gone after 20 s, and its jobs are done within 60."""
    with product(tmp_path, postgres_database) as made, socket.create_server(("127.0.0.1", 0)) as silent:
        # A carrier that takes the connection and says nothing: what this worker picks up, it has at hand when it dies.
        doomed = made.start("worker", PAYLINK_SANDBOX_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        numbers = range(200, 230)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: order(made, made.node, number), numbers))
        doomed.kill()
        began = time.monotonic()
        for number in numbers:
            sent_once(made, made.node, number)
        took = time.monotonic() - began
        log = made.node.log.read_text()
        print(f"\nall {len(numbers)} sent {took:.1f} s after the kill")
        assert "jobs_taken_over" in log
        assert took < 60
