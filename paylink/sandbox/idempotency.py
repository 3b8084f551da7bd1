"""Idempotency keys, with Stripe's rules.

The first answer is kept once execution began, errors included, in the transaction of its effects. The same key with
other parameters is refused, a key whose first request still runs is a conflict, and keys are forgotten after a day.
"""

import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from paylink.sandbox.errors import StripeError
from paylink.sandbox.store import Json, Tx

KEPT_SECONDS = 24 * 3600
MAX_LENGTH = 255


@dataclass(frozen=True)
class Reply:
    status: int
    body: Json
    replayed: bool = False


def request_hash(key: bytes, *, method: str, path: str, params: Json) -> str:
    """Keyed: a plain hash of a form with a card number in it could be searched back to the number."""
    text = f"{method} {path} {json.dumps(params, sort_keys=True)}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def find(tx: Tx, key: str, *, request: str) -> Reply | None:
    """The saved answer. Raises 400 ``idempotency_error`` when the key was used for something else."""
    row = tx.one("SELECT * FROM idempotency WHERE key = ? AND created > ?", key, int(time.time()) - KEPT_SECONDS)
    if row is None:
        return None
    if row["request"] != request:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request.",
            status=400,
            kind="idempotency_error",
            executed=False,
        )
    return Reply(row["status"], json.loads(row["body"]), replayed=True)


def save(tx: Tx, key: str, *, request: str, reply: Reply) -> None:
    tx.do(
        "INSERT OR REPLACE INTO idempotency (key, request, status, body, created) VALUES (?, ?, ?, ?, ?)",
        key, request, reply.status, json.dumps(reply.body), int(time.time()),
    )  # fmt: skip


def prune(tx: Tx, *, older_than: float = KEPT_SECONDS) -> int:
    return tx.do("DELETE FROM idempotency WHERE created <= ?", int(time.time() - older_than))


def in_progress(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        status=409,
        kind="idempotency_error",
        executed=False,
        code="idempotency_key_in_use",
    )


def too_long() -> StripeError:
    fields: dict[str, Any] = {"status": 400, "kind": "invalid_request_error", "executed": False}
    return StripeError(f"Idempotency keys can be at most {MAX_LENGTH} characters long.", **fields)
