"""Webhooks and receipts: signed, retried, doubled, disordered, and not lost when the sandbox is killed."""

import base64
import hmac
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import stripe

from paylink.config import Environment, Settings, UnsafeSettings
from paylink.sandbox.app import create_app

from .harness import Box, Receiver, free_socket, settings_for, until

SERVER = """
import asyncio, socket, sys, uvicorn
from paylink.config import Settings
from paylink.sandbox.app import create_app
listening = socket.socket(fileno=int(sys.argv[1]))
app = create_app(Settings(_env_file=None))
asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="error")).serve([listening]))
"""


def test_retried_until_taken(box: Box) -> None:
    box.receiver.refusals = 2
    intent = box.stripe.v1.payment_intents.create({"amount": 100, "currency": "gbp"})
    until(lambda: len(box.receiver.requests) == 3)
    bodies = box.receiver.bodies("psp")
    assert len({event["id"] for event in bodies}) == 1
    assert bodies[-1]["data"]["object"]["id"] == intent.id
    until(lambda: not box.stripe.v1.events.list({"delivery_success": False}).data)


def test_a_refused_event_does_not_hold_up_the_next(box: Box) -> None:
    box.receiver.refusals = 1
    box.pay()
    until(lambda: len(box.receiver.requests) == 4)
    assert set(box.receiver.types()) == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    }


def test_copies_and_forgeries(box: Box) -> None:
    box.order(webhooks={"duplicate": 2, "forge": 1})
    box.stripe.v1.payment_intents.create({"amount": 100, "currency": "gbp"})
    until(lambda: len(box.receiver.requests) == 4)
    good = []
    for _, headers, body in box.receiver.requests:
        try:
            stripe.Webhook.construct_event(body, headers["stripe-signature"], box.settings.stripe.webhook_secrets[0])
            good.append(json.loads(body)["data"]["object"]["amount"])
        except stripe.SignatureVerificationError:
            assert json.loads(body)["data"]["object"]["amount"] == 101
    assert good == [100, 100, 100]


def test_disorder(box: Box) -> None:
    box.order(webhooks={"shuffle": True, "delay_ms": [0, 40]})

    def disordered() -> bool:
        box.receiver.requests.clear()
        box.pay(capture_method="automatic")
        until(lambda: len(box.receiver.requests) == 3)
        return box.receiver.types()[0] != "payment_intent.created"

    until(disordered)


def test_paused_and_released(box: Box) -> None:
    box.order(webhooks={"paused": True})
    box.pay()
    assert len(box.stripe.v1.events.list({"delivery_success": False}).data) == 3
    assert not box.receiver.requests
    box.order(reset=True)
    until(lambda: len(box.receiver.requests) == 3)


def test_orders_are_strict(box: Box) -> None:
    assert box.http.post("/_control", json={"webhooks": {"lose": 1}}).status_code == 400
    assert box.http.post("/_control", content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert box.http.get("/_control").json()["webhooks"]["duplicate"] == 0


def test_wipe(box: Box) -> None:
    box.pay()
    box.order(wipe=True)
    assert box.http.get("/_ledger").json() == []


def start(settings: Settings) -> tuple[subprocess.Popen[bytes], str]:
    listening = free_socket()
    names = ("sandbox_url", "console_url", "checkout_url", "sandbox_database_url")
    chosen = {f"PAYLINK_{name.upper()}": getattr(settings, name) for name in names}
    os.set_inheritable(listening.fileno(), True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(listening.fileno())], env={**os.environ, **chosen}, close_fds=False
    )
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.listen()

    def healthy() -> bool:
        try:
            return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    until(healthy)
    listening.close()
    return process, url


def test_nothing_is_lost_by_a_kill(tmp_path: Path, receiver: tuple[Receiver, str]) -> None:
    receiving, console = receiver
    settings = settings_for(tmp_path, sandbox="http://sandbox.test", console=console)
    process, url = start(settings)
    box = Box(settings, url, receiving)
    try:
        box.order(webhooks={"paused": True}, receipts={"paused": True})
        intent = box.pay()
        box.stripe.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "capture"})
        box.send("dlv_1", "+447700900123")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        box.close()
    process, url = start(settings)
    box = Box(settings, url, receiving)
    try:
        assert box.http.get("/_control").json()["webhooks"]["paused"] is True
        again = box.stripe.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "capture"})
        assert again.status == "succeeded"
        assert len(box.ledger(intent.id)["captures"]) == 1
        assert [message["to"] for message in box.http.get("/inbox/messages").json()] == ["+447700900123"]
        assert not receiving.requests
        box.order(reset=True)
        until(lambda: len(receiving.types()) == 5 and receiving.receipts() == ["sent", "delivered"])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        box.close()


def test_refuses_production(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, sandbox="http://a.test", console="http://b.test")
    with pytest.raises(UnsafeSettings):
        create_app(settings.model_copy(update={"env": Environment.PRODUCTION}))


def test_a_message_arrives_and_its_receipts_are_signed(box: Box) -> None:
    first = box.send("dlv_1", "+447700900123", text="Hello")
    assert (first.status_code, first.json()["message_id"][:5]) == (202, "smsg_")
    assert box.send("dlv_1", "+447700900123", text="Hello").json() == first.json()
    messages = box.http.get("/inbox/messages", params={"to": "+447700900123"}).json()
    assert len(messages) == 1
    assert set(messages[0]) == {"id", "channel", "to", "subject", "text", "html", "received_at"}
    assert box.http.get("/inbox/messages?to=+447700900123").json() == messages  # an unescaped plus sign
    assert box.http.get("/inbox/messages", params={"after": messages[0]["id"]}).json() == []
    until(lambda: box.receiver.receipts() == ["sent", "delivered"])
    for _, headers, body in box.receiver.requests:
        receipt = json.loads(body)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = box.settings.sandbox_messaging_secret.encode()
        signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        assert headers["webhook-id"] == receipt["id"]
        assert (receipt["message_id"], receipt["reference"]) == (first.json()["message_id"], "dlv_1")


@pytest.mark.parametrize(
    ("to", "status", "receipts"),
    [
        ("+447700900001", 400, []),
        ("fail@example.test", 400, []),
        ("optout@example.test", 400, []),
        ("+447700900002", 202, ["sent", "failed"]),
        ("bounce@example.test", 202, ["sent", "failed"]),
        ("+447700900005", 202, ["delivered", "delivered", "sent"]),
    ],
)
def test_addresses_that_fail(box: Box, to: str, status: int, receipts: list[str]) -> None:
    answer = box.send("dlv_1", to, channel="email" if "@" in to else "sms")
    assert answer.status_code == status
    until(lambda: box.receiver.receipts() == receipts)
    arrived = box.http.get("/inbox/messages").json()
    assert bool(arrived) is (status == 202 and "failed" not in receipts)


def test_a_busy_carrier(box: Box) -> None:
    answers = [box.send("dlv_1", "+447700900003").status_code for _ in range(4)]
    assert answers == [503, 503, 202, 202]


@pytest.mark.parametrize(("channel", "reads"), [("whatsapp", 1), ("sms", 0)])
def test_reading_is_reported_where_carriers_do(box: Box, channel: str, reads: int) -> None:
    message_id = box.send("dlv_1", "+447700900123", channel=channel).json()["message_id"]
    for _ in range(2):
        assert box.http.post(f"/inbox/messages/{message_id}/open").status_code == 204
    until(lambda: len(box.receiver.receipts()) == 2 + reads)
    assert box.receiver.receipts().count("read") == reads


def test_only_paylink_may_send(box: Box) -> None:
    message = {"id": "x", "channel": "sms", "to": "+447700900123"}
    assert box.http.post("/_messages", json=message).status_code == 401
    headers = {"Authorization": f"Bearer {box.settings.sandbox_messaging_secret}"}
    assert box.http.post("/_messages", json={**message, "colour": 1}, headers=headers).status_code == 400


def test_letters_cannot_run_scripts(box: Box) -> None:
    message_id = box.send("dlv_1", "ada@example.test", channel="email", html="<p>Hi</p>").json()["message_id"]
    answer = box.http.get(f"/inbox/messages/{message_id}/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
