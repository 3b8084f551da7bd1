"""The ledger, read: per payment intent, what was really held, taken and given back."""

import json
from typing import Any

from paylink.sandbox.store import Tx

# Which sum each kind of line counts in, and with which sign.
_SUMS = {
    "authorized": ("authorized", 1),
    "captured": ("captured", 1),
    "refunded": ("refunded", 1),
    "refund_failed": ("refunded", -1),
    "disputed": ("disputed", 1),
    "dispute_won": ("disputed", -1),
}
_INTENTS = "SELECT body FROM objects WHERE kind = 'payment_intent' AND id = coalesce(?, id) ORDER BY seq"
_LINES = "SELECT * FROM ledger WHERE payment_intent = coalesce(?, payment_intent) ORDER BY seq"


def read_ledger(tx: Tx, *, payment_intent: str | None = None) -> list[dict[str, Any]]:
    """Oldest first, minor units. ``captures`` has one entry per capture: more than one would be a double charge."""
    accounts = {}
    for row in tx.all(_INTENTS, payment_intent):
        intent = json.loads(row["body"])
        accounts[intent["id"]] = _account(intent)
    for row in tx.all(_LINES, payment_intent):
        _add(accounts[row["payment_intent"]], row["entry"], row["amount"], row["reference"], row["at"])
    return list(accounts.values())


def _account(intent: dict[str, Any]) -> dict[str, Any]:
    return {
        "payment_intent": intent["id"],
        "metadata": intent["metadata"],
        "amount": intent["amount"],
        "currency": intent["currency"],
        "status": intent["status"],
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "disputed": 0,
        "canceled": False,
        "captures": [],
        "refunds": [],
    }


def _add(account: dict[str, Any], entry: str, amount: int, reference: str, at: int) -> None:
    if entry == "canceled":
        account["canceled"] = True
        return
    name, sign = _SUMS[entry]
    account[name] += sign * amount
    if entry in ("captured", "refunded"):
        line = {"amount": amount, "reference": reference, "at_ms": at}
        account["captures" if entry == "captured" else "refunds"].append(line)
