"""Events: written in the transaction that made them true, put in the outbox in the same one."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paylink.kit.ids import new_id
from paylink.sandbox.specs import API_VERSION
from paylink.sandbox.store import Json, Tx

PSP_CHANNEL = "psp"


@dataclass
class Call:
    """What the services know of the call they serve."""

    tx: Tx
    fingerprint_key: bytes
    sandbox_url: str
    dispute_delay: float = 2.0
    refund_delay: float = 2.0
    # How long an authorisation holds, as Stripe says for cards that are not present.
    authorization_seconds: int = 7 * 24 * 3600
    request_id: str | None = None
    idempotency_key: str | None = None
    publishable: bool = False

    @property
    def now(self) -> int:
        return int(time.time())


def stripe_id(prefix: str) -> str:
    """``pi_01k9…``: Stripe's ids are opaque, so paylink's own do."""
    return new_id(prefix)


def emit(
    call: Call, kind: str, obj: Mapping[str, Any], *, previous: Json | None = None, lane: str | None = None
) -> str:
    """Stores the event and queues its webhook. ``lane`` (a payment intent) keeps its webhooks in order."""
    data: Json = {"object": obj}
    if previous:
        data["previous_attributes"] = previous
    event = {
        "id": stripe_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": call.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
        "type": kind,
    }
    intent = obj["id"] if obj["object"] == "payment_intent" else obj.get("payment_intent")
    call.tx.put(event, parent=intent)
    call.tx.do(
        "INSERT INTO outbox (channel, lane, source, body, due) VALUES (?, ?, ?, ?, ?)",
        PSP_CHANNEL, lane or intent or event["id"], event["id"], json.dumps(event), time.time(),
    )  # fmt: skip
    call.tx.wake = True
    return str(event["id"])


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """``previous_attributes``: the old values of what changed."""
    return {name: value for name, value in before.items() if after.get(name) != value}


def drop_timer(tx: Tx, name: str, *, target: str) -> None:
    tx.do("DELETE FROM timers WHERE target = ? AND name = ?", target, name)


def set_timer(tx: Tx, name: str, *, target: str, after: float) -> None:
    tx.do("INSERT INTO timers (name, target, due) VALUES (?, ?, ?)", name, target, time.time() + after)
    tx.wake = True


def book(call: Call, intent: Mapping[str, Any], entry: str, amount: int, *, reference: str) -> None:
    """One line in the ledger, the judge of what was really charged. Lines are never changed."""
    call.tx.do(
        "INSERT INTO ledger (payment_intent, entry, amount, currency, reference, at) VALUES (?, ?, ?, ?, ?, ?)",
        intent["id"], entry, amount, intent["currency"], reference, int(time.time() * 1000),
    )  # fmt: skip
