"""Refunds: never more than was captured, whatever asks at the same time (there is one writer)."""

from paylink.sandbox import intents, methods, reviews
from paylink.sandbox.errors import invalid, missing, refused
from paylink.sandbox.events import Call, book, changed, emit, set_timer, stripe_id
from paylink.sandbox.store import Json


def create(call: Call, params: Json) -> Json:
    """Refunds a captured charge or a part of it, found by ``payment_intent`` or ``charge``."""
    charge = _charge(call, params)
    intent = intents.load(call, charge["payment_intent"])
    if _charged_back(call, charge):
        raise refused(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = _refundable(call, charge)
    if left <= 0:
        raise refused(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = params.get("amount", left)
    if amount > left:
        raise refused(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
            code="amount_too_large",
        )
    behaviour = methods.behaviour(call, charge["payment_method"]).refund
    refund = _blank(call, charge, params, amount=amount, status="pending" if behaviour == "pending" else "succeeded")
    call.tx.put(refund, parent=charge["id"])
    _take_back(call, intent, charge, amount, reference=refund["id"])
    emit(call, "refund.created", refund)
    if behaviour != "succeeded":
        set_timer(call.tx, f"refund_{behaviour}", target=refund["id"], after=call.refund_delay)
    reviews.close_open(call, intent, reason="refunded_as_fraud" if params.get("reason") == "fraudulent" else "refunded")
    return refund


def _charged_back(call: Call, charge: Json) -> bool:
    """A bank that only asks has taken nothing, and one that lost has given it back."""
    disputes = call.tx.children(charge["id"], "dispute")
    return any(dispute["status"] in ("needs_response", "under_review", "lost") for dispute in disputes)


def load(call: Call, refund_id: str) -> Json:
    found = call.tx.get(refund_id, "refund")
    if found is None:
        raise missing("refund", refund_id, param="id")
    return found


def update(call: Call, refund_id: str, params: Json) -> Json:
    refund = load(call, refund_id)
    if "metadata" in params:
        refund["metadata"] = intents.merged_metadata(refund["metadata"], params["metadata"])
    call.tx.put(refund)
    emit(call, "refund.updated", refund)
    return refund


def settle_pending(call: Call, refund_id: str) -> None:
    """The bank took a pending refund."""
    refund = load(call, refund_id)
    refund["status"] = "succeeded"
    call.tx.put(refund)
    emit(call, "refund.updated", refund, previous={"status": "pending"})


def fail(call: Call, refund_id: str) -> None:
    """The bank sent the money back, some time after the refund had looked done."""
    refund = load(call, refund_id)
    charge = call.tx.get(refund["charge"], "charge") or {}
    intent = intents.load(call, charge["payment_intent"])
    refund.update(
        status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=stripe_id("txn")
    )
    call.tx.put(refund)
    before = dict(charge)
    charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    call.tx.put(charge)
    book(call, intent, "refund_failed", refund["amount"], reference=refund["id"])
    emit(call, "refund.failed", refund, previous={"status": "succeeded", "failure_reason": None})
    emit(call, "charge.updated", charge, previous=changed(before, charge))


def _charge(call: Call, params: Json) -> Json:
    if ("payment_intent" in params) == ("charge" in params):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    charge_id = params.get("charge")
    if params.get("payment_intent"):
        intent = intents.load(call, params["payment_intent"])
        charge_id = intent["latest_charge"]
        if intent["status"] != "succeeded":
            raise refused(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
                code="payment_intent_unexpected_state",
                payment_intent=intent,
            )
    charge = call.tx.get(charge_id or "", "charge")
    if charge is None:
        raise missing("charge", str(charge_id), param="charge")
    if not charge["captured"]:
        message = f"Charge {charge['id']} has not been captured, so it cannot be refunded."
        raise refused(message, code="charge_not_refundable")
    return charge


def _refundable(call: Call, charge: Json) -> int:
    counted = [r for r in call.tx.children(charge["id"], "refund") if r["status"] in ("succeeded", "pending")]
    return int(charge["amount_captured"]) - sum(int(refund["amount"]) for refund in counted)


def _take_back(call: Call, intent: Json, charge: Json, amount: int, *, reference: str) -> None:
    before = dict(charge)
    total = charge["amount_refunded"] + amount
    charge.update(amount_refunded=total, refunded=total >= charge["amount"])
    call.tx.put(charge)
    book(call, intent, "refunded", amount, reference=reference)
    emit(call, "charge.refunded", charge, previous=changed(before, charge))


def _blank(call: Call, charge: Json, params: Json, *, amount: int, status: str) -> Json:
    return {
        "id": stripe_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": stripe_id("txn"),
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": intents.merged_metadata({}, params.get("metadata") or {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
