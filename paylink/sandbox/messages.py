"""The sandbox's carrier: takes messages of every channel, and reports what became of them.

Addresses that fail on demand, by the end of a phone number or the name before the ``@``:

====  ==========  =======================================================
0001  ``fail@``   refused for good: 400 ``invalid_recipient``
0002  ``bounce@``  accepted, then a ``failed`` receipt; it never arrives
0003  ``busy@``   503 twice, then accepted
0004  ``slow@``   the ``delivered`` receipt comes 5 seconds late
0005  ``twice@``  ``delivered`` is reported before ``sent``, and twice
0006  ``optout@``  refused for good: 400 ``recipient_opted_out``
====  ==========  =======================================================
"""

import base64
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.ids import new_id
from paylink.sandbox.store import Tx

CARRIER_CHANNEL = "messaging"
# Channels whose carriers tell when the person has opened the message.
READ_REPORTED = frozenset({"chat", "whatsapp", "messenger", "telegram", "instagram", "viber", "line", "rcs"})
SENT_SECONDS = 0.08
DELIVERED_SECONDS = 0.2
SLOW_SECONDS = 5.0
BUSY_TIMES = 2

Behaviour = Literal["fail", "bounce", "busy", "slow", "twice", "optout"]
_BY_NUMBER: dict[str, Behaviour] = {
    "0001": "fail", "0002": "bounce", "0003": "busy", "0004": "slow", "0005": "twice", "0006": "optout"
}  # fmt: skip
_BY_NAME: dict[str, Behaviour] = {name: name for name in _BY_NUMBER.values()}
_REFUSALS = {
    "fail": ("invalid_recipient", "The recipient does not exist."),
    "optout": ("recipient_opted_out", "The recipient has asked to receive no more messages."),
}

Text = Annotated[str, Field(max_length=500_000)]


class OutgoingMessage(BaseModel):
    """``POST /_messages``. ``id`` is the sender's own: the same one twice is one message."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=200)]
    channel: Annotated[str, Field(min_length=1, max_length=40)]
    to: Annotated[str, Field(min_length=1, max_length=320)]
    subject: Text | None = None
    text: Text | None = None
    html: Text | None = None


class Refused(Exception):
    """The carrier does not take the message. ``status`` 400 is for good, 503 for now."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def behaviour_of(recipient: str) -> Behaviour | None:
    local, at, _ = recipient.partition("@")
    if at:
        return _BY_NAME.get(local.partition("+")[0].lower())
    return _BY_NUMBER.get(recipient[-4:])


def accept(tx: Tx, message: OutgoingMessage) -> str:
    """The carrier's id of the message. Its receipts follow by the outbox. Raises ``Refused``."""
    row = tx.one("SELECT id FROM messages WHERE reference = ?", message.id)
    if row:
        return str(row["id"])
    behaviour = behaviour_of(message.to)
    if behaviour in _REFUSALS:
        code, words = _REFUSALS[behaviour]
        raise Refused(status=400, code=code, message=words)
    if behaviour == "busy" and _count_attempt(tx, message.id) <= BUSY_TIMES:
        raise Refused(status=503, code="temporarily_unavailable", message="The carrier is busy. Try again.")
    message_id = new_id("smsg")
    tx.do(
        "INSERT INTO messages (id, reference, channel, recipient, subject, text, html, received_at, visible) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        message_id, message.id, message.channel, message.to, message.subject, message.text, message.html,
        rfc3339(utcnow()), int(behaviour != "bounce"),
    )  # fmt: skip
    _report_fate(tx, message_id, message.id, behaviour)
    return message_id


def opened(tx: Tx, message_id: str) -> bool:
    """A person looks at the message in the inbox. False for an unknown one; reported once, where carriers do."""
    row = tx.one("SELECT * FROM messages WHERE id = ?", message_id)
    if row is None:
        return False
    first = tx.do("UPDATE messages SET seen = 1 WHERE id = ? AND seen = 0", message_id)
    if first and row["channel"] in READ_REPORTED:
        report(tx, message_id, row["reference"], "read")
    return True


def report(
    tx: Tx,
    message_id: str,
    reference: str,
    status: str,
    *,
    after: float = 0,
    reason: str | None = None,
    copies: int = 1,
) -> None:
    """Queues a receipt that says what happens ``after`` seconds from now; ``copies`` of it have one id."""
    due = time.time() + after
    receipt: dict[str, Any] = {
        "id": new_id("rcpt"),
        "message_id": message_id,
        "reference": reference,
        "status": status,
        "reason": reason,
        "occurred_at": rfc3339(datetime.fromtimestamp(due, UTC)),
    }
    for _ in range(copies):
        tx.do(
            "INSERT INTO outbox (channel, lane, source, body, due) VALUES (?, ?, ?, ?, ?)",
            CARRIER_CHANNEL, message_id, receipt["id"], json.dumps(receipt), due,
        )  # fmt: skip
    tx.wake = True


def sign_receipt(body: str, *, message_id: str, key: str) -> dict[str, str]:
    """Standard Webhooks headers: ``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    timestamp = str(int(time.time()))
    digest = hmac.digest(key.encode(), f"{message_id}.{timestamp}.{body}".encode(), "sha256")
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _report_fate(tx: Tx, message_id: str, reference: str, behaviour: Behaviour | None) -> None:
    if behaviour == "twice":
        report(tx, message_id, reference, "delivered", after=SENT_SECONDS, copies=2)
        report(tx, message_id, reference, "sent", after=DELIVERED_SECONDS)
        return
    report(tx, message_id, reference, "sent", after=SENT_SECONDS)
    if behaviour == "bounce":
        reason = "The recipient's handset or mailbox did not take the message."
        report(tx, message_id, reference, "failed", after=DELIVERED_SECONDS, reason=reason)
    else:
        delay = SLOW_SECONDS if behaviour == "slow" else DELIVERED_SECONDS
        report(tx, message_id, reference, "delivered", after=delay)


def _count_attempt(tx: Tx, reference: str) -> int:
    sql = "INSERT INTO attempts VALUES (?, 1) ON CONFLICT (reference) DO UPDATE SET count = count + 1"
    tx.do(sql, reference)
    row = tx.one("SELECT count FROM attempts WHERE reference = ?", reference)
    return int(row["count"]) if row else 0
