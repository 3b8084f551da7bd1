"""WhatsApp and Matrix in the product as an operator runs it: sent, read, and answered with STOP."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.channels import fake_whatsapp as meta
from tests.channels.fake_whatsapp import FakeWhatsApp, notification, signed, value
from tests.channels.synapse import synapse
from tests.product import Product, product

NUMBER = "+447700900123"


@pytest.fixture(scope="module")
def made(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    database = folder / "paylink.db"
    database.write_bytes(sqlite_template.read_bytes())
    with product(folder, f"sqlite:///{database}") as made:
        yield made
        # Nothing is at stake: a job that compares the books would be waited for.
        made.node.kill()


@pytest.fixture(scope="module")
def agent(made: Product) -> Iterator[httpx.Client]:
    origin = {"Origin": made.node.env.get("PAYLINK_CONSOLE_URL", made.node.console), "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=made.node.console, headers=origin, timeout=30, trust_env=False) as http:
        answer = http.post("/v1/sessions", json=made.seed["agent"])
        assert answer.status_code == 201, answer.text
        yield http


def account(agent: httpx.Client, provider: str, **config: str) -> str:
    answer = agent.post("/v1/channel_accounts", json={"provider": provider, "name": provider, "config": config})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def deliver(agent: httpx.Client, **delivery: str) -> dict[str, Any]:
    body = {"amount": 4999, "currency": "GBP", "description": "Boiler repair", "deliver": [delivery]}
    answer = agent.post("/v1/payment_links", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def until(check: Callable[[], Any]) -> Any:
    """What ``check`` gives once it gives something."""
    end = time.monotonic() + 30
    while not (found := check()):
        assert time.monotonic() < end, "not within 30 s"
        time.sleep(0.05)
    return found


def delivery_of(agent: httpx.Client, link: dict[str, Any]) -> dict[str, Any]:
    (found,) = agent.get(f"/v1/payment_links/{link['id']}").json()["deliveries"]
    return dict(found)


def stopped(agent: httpx.Client, channel: str, address: str) -> list[str]:
    found = agent.get("/v1/suppressions", params={"channel": channel, "address": address}).json()["data"]
    return [one["reason"] for one in found]


def told(agent: httpx.Client, link: dict[str, Any]) -> list[str]:
    events = agent.get(f"/v1/payment_links/{link['id']}/events", params={"after_seq": 0}).json()["data"]
    return [event["type"] for event in events if event["type"].startswith("delivery.")]


STEPS = ["delivery.queued", "delivery.sent", "delivery.delivered", "delivery.read"]


@pytest.fixture(scope="module")
def whatsapp() -> Iterator[FakeWhatsApp]:
    with meta.fake_whatsapp() as fake:
        yield fake


def test_whatsapp_from_the_template_to_stop(made: Product, agent: httpx.Client, whatsapp: FakeWhatsApp) -> None:
    via = account(
        agent,
        "whatsapp",
        phone_number_id=meta.PHONE_NUMBER_ID,
        access_token=meta.ACCESS_TOKEN,
        app_secret=meta.APP_SECRET,
        verify_token=meta.VERIFY_TOKEN,
        template_name="payment_request",
        template_languages="en = en_GB",
        template_parameters="merchant, amount, description",
        api_url=whatsapp.url,
    )
    place = f"{made.node.console}/webhooks/messaging/whatsapp/{via}"
    question = {"hub.mode": "subscribe", "hub.verify_token": meta.VERIFY_TOKEN, "hub.challenge": "1158201444"}
    assert httpx.get(place, params=question, trust_env=False).text == "1158201444"

    link = deliver(agent, channel="whatsapp", to=NUMBER)
    (taken,) = until(lambda: whatsapp.taken)
    body, button = ([one["text"] for one in part["parameters"]] for part in taken["template"]["components"])
    assert (taken["to"], body[1:]) == (NUMBER, ["£49.99", "Boiler repair"])
    assert httpx.get(f"{made.node.checkout}/p/{button[0]}", trust_env=False).status_code == 200

    def call(**members: Any) -> int:
        callback = signed(notification([value(**members)]))
        return httpx.post(place, content=callback.body, headers=dict(callback.headers), trust_env=False).status_code

    at = int(time.time())
    for kind in ("read", "sent", "delivered", "sent", "read"):
        assert call(statuses=[whatsapp.status(1, kind, at=at)]) == 200
    until(lambda: delivery_of(agent, link)["status"] == "read")
    until(lambda: told(agent, link) == STEPS)

    stop = {"from": NUMBER[1:], "id": "wamid.IN=", "timestamp": str(at), "type": "text", "text": {"body": "STOP"}}
    assert call(messages=[stop]) == 200
    until(lambda: stopped(agent, "whatsapp", NUMBER) == ["stop"])
    assert len(whatsapp.taken) == 1
    assert whatsapp.refused == []


def test_matrix_from_a_first_message_to_stop(agent: httpx.Client) -> None:
    with synapse() as homeserver:
        bot, ann = homeserver.person("payments"), homeserver.person("ann")
        account(agent, "matrix", homeserver_url=homeserver.url, access_token=bot.token)
        link = deliver(agent, channel="chat", to=ann.user_id)
        (room,) = until(ann.invitations)
        ann.join(room)
        (message,) = until(lambda: ann.messages(room))
        assert "£49.99" in message["content"]["body"]
        sent = until(lambda: (one := delivery_of(agent, link))["status"] == "sent" and one)
        assert (sent["provider"], sent["to"]) == ("matrix", ann.user_id)
        ann.read(room, message["event_id"])
        until(lambda: delivery_of(agent, link)["status"] == "read")
        ann.write(room, "STOP")
        until(lambda: stopped(agent, "chat", ann.user_id) == ["stop"])
        assert stopped(agent, "chat", room) == ["stop"]
