"""Disputes: the payer's bank takes the money back, some seconds after the disputed card has paid."""

import json

from paylink.sandbox import intents, reviews
from paylink.sandbox.errors import missing
from paylink.sandbox.events import Call, book, changed, emit, stripe_id
from paylink.sandbox.store import Json

EVIDENCE_DAYS = 9


def load(call: Call, dispute_id: str) -> Json:
    found = call.tx.get(dispute_id, "dispute")
    if found is None:
        raise missing("dispute", dispute_id, param="dispute")
    return found


def open_for(call: Call, charge_id: str) -> None:
    charge = call.tx.get(charge_id, "charge") or {}
    intent = intents.load(call, charge["payment_intent"])
    before = dict(charge)
    charge["disputed"] = True
    call.tx.put(charge)
    amount = charge["amount_captured"]
    dispute = _blank(call, charge, amount=amount)
    call.tx.put(dispute, parent=charge["id"])
    book(call, intent, "disputed", amount, reference=dispute["id"])
    emit(call, "charge.dispute.created", dispute)
    emit(call, "charge.dispute.funds_withdrawn", dispute)
    emit(call, "charge.updated", charge, previous=changed(before, charge))
    reviews.close_open(call, intent, reason="disputed")


def set_status(call: Call, dispute_id: str, *, status: str, due_in_s: int | None = None) -> Json:
    """Whatever the bank and the merchant's answer made of it, short of its end."""
    dispute = load(call, dispute_id)
    before = json.loads(json.dumps(dispute))
    dispute["status"] = status
    if due_in_s is not None:
        dispute["evidence_details"]["due_by"] = call.now + due_in_s
    call.tx.put(dispute)
    emit(call, "charge.dispute.updated", dispute, previous=changed(before, dispute))
    return dispute


def close(call: Call, dispute_id: str, *, status: str) -> Json:
    """Ends a dispute as ``won`` (the money comes back) or ``lost``."""
    dispute = load(call, dispute_id)
    previous = {"status": dispute["status"]}
    dispute["status"] = status
    call.tx.put(dispute)
    emit(call, "charge.dispute.closed", dispute, previous=previous)
    if status == "won":
        intent = intents.load(call, dispute["payment_intent"])
        book(call, intent, "dispute_won", dispute["amount"], reference=dispute["id"])
        emit(call, "charge.dispute.funds_reinstated", dispute)
    return dispute


def _blank(call: Call, charge: Json, *, amount: int) -> Json:
    card = charge["payment_method_details"]["card"]
    return {
        "id": stripe_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": call.now + EVIDENCE_DAYS * 86400,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": card["brand"], "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "needs_response",
    }
