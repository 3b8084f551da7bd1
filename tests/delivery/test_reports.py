"""What a carrier reports: signed, fresh and well formed, or refused."""

import base64
import hmac
import json
import time
from typing import Any

import pytest

from paylink.channels.base import Callback, CallbackRefused, DeliveryStatus, Parsed
from paylink.channels.sandbox import TOLERANCE_S, SandboxChannel

SECRET = "s" * 32
GOOD = {"id": "rep_1", "reference": "dlv_1", "status": "delivered", "occurred_at": "2026-11-21T12:00:00.000Z"}
carrier = SandboxChannel("http://127.0.0.1:9", SECRET)


def signed(body: bytes, *, stamp: str | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time())) if stamp is None else stamp
    mac = base64.b64encode(hmac.digest(secret.encode(), f"msg_1.{stamp}.".encode() + body, "sha256")).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,bm8= v1,{mac}"}


def read(body: bytes, headers: dict[str, str]) -> Parsed:
    return carrier.parse_callback(Callback("POST", "http://test/webhooks/messaging/sandbox", {}, headers, body))


def parse(content: Any) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    (report,) = read(body, signed(body)).reports
    return [report]


def test_a_signed_report_is_read() -> None:
    (report,) = parse(GOOD | {"reason": "x"})
    assert (report.id, report.reference, report.status, report.reason) == (
        "rep_1",
        "dlv_1",
        DeliveryStatus.DELIVERED,
        "x",
    )
    assert report.occurred_at.utcoffset() is not None


@pytest.mark.parametrize(
    "content",
    [
        *({}, [], None, "x", 1, b"", b"{", b"\xff", b"[" * 50_000, GOOD | {"status": "eaten"}, GOOD | {"status": None}),
        *(GOOD | {"occurred_at": "soon"}, GOOD | {"occurred_at": 5}, GOOD | {"occurred_at": "2026-11-21T12:00:00"}),
        *({name: GOOD[name] for name in GOOD if name != missing} for missing in GOOD),
    ],
    ids=repr,
)
def test_what_is_no_report_is_refused(content: Any) -> None:
    with pytest.raises(CallbackRefused):
        parse(content)


@pytest.mark.parametrize("reason", [5, {"deep": 1}, ["x"]])
def test_a_reason_of_another_kind_becomes_text(reason: Any) -> None:
    assert parse(GOOD | {"reason": reason})[0].reason == str(reason)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 30},
        {"webhook-timestamp": "-1"},
    ],
    ids=repr,
)
def test_a_wrong_signature_is_refused(change: dict[str, str]) -> None:
    body = json.dumps(GOOD).encode()
    with pytest.raises(CallbackRefused):
        read(body, signed(body) | change)


def test_a_signature_is_good_for_its_body_its_secret_and_its_time() -> None:
    body = json.dumps(GOOD).encode()
    read(body, signed(body))
    for headers in (
        signed(body + b" "),
        signed(body, secret="other"),
        signed(body, stamp=str(int(time.time()) - TOLERANCE_S - 5)),
        signed(body, stamp=str(int(time.time()) + TOLERANCE_S + 5)),
        {},
    ):
        with pytest.raises(CallbackRefused):
            read(body, headers)
