"""What single steps cost, in microseconds of one thread."""

import hashlib
import hmac
import json
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import stripe

from paylink.delivery import qr
from paylink.kit.crypto import Keyring
from paylink.links import tokens
from paylink.psp import stripe_webhooks
from tests.bench.measure import Effort, Goal, Result, Row, Series

SECRET = "whsec_" + "x" * 32
URL = "https://pay.example.com/p/0123456789abcdefghijkl"
OVER_SDK = Goal(0.2, 0.1, at_most=True)


def run(effort: Effort, _folder: Path) -> Result:
    body = _event()
    stamp = int(time.time())
    mark = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={stamp},v1={mark}"
    keyring = Keyring(["k" * 32])
    ours = _cost(effort, lambda: stripe_webhooks.parse(body, {"stripe-signature": header}, secrets=[SECRET]))
    sdk = _cost(effort, lambda: stripe.Webhook.construct_event(body, header, SECRET))
    rows = [
        Row("callback: verify and parse", "µs", ours, "stripe construct_event", sdk, OVER_SDK),
        Row("link token: mint and hash", "µs", _cost(effort, lambda: tokens.mint(keyring))),
        Row("QR code, SVG", "µs", _cost(effort, lambda: qr.svg(URL))),
        Row("QR code, PNG", "µs", _cost(effort, lambda: qr.png(URL))),
    ]
    return Result("operations", "Single steps", rows, [f"callback of {len(body)} bytes"])


def _cost(effort: Effort, step: Callable[[], object]) -> Series:
    timer = timeit.Timer(step)
    number = max(1, timer.autorange()[0] // 4)
    return Series.of([timer.timeit(number) / number * 1e6 for _ in range(effort.rounds)])


def _event() -> bytes:
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 4999,
        "currency": "gbp",
        "status": "succeeded",
        "metadata": {f"key_{number}": "x" * 40 for number in range(25)},
    }
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": int(time.time())}
    return json.dumps(event | {"livemode": False, "data": {"object": intent}}).encode()
