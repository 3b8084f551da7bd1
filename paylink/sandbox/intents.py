"""PaymentIntents: create, update, capture, cancel. Confirming is in ``confirm``."""

from typing import Any

from paylink.kit.crypto import random_text
from paylink.sandbox import methods, reviews
from paylink.sandbox.errors import invalid, missing, refused, unexpected_state
from paylink.sandbox.events import Call, book, changed, drop_timer, emit, set_timer, stripe_id
from paylink.sandbox.store import Json

UPDATABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*UPDATABLE, "requires_capture", "processing")
_PLAIN = (
    "capture_method", "description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group", "customer",
)  # fmt: skip


def load(call: Call, intent_id: str) -> Json:
    found = call.tx.get(intent_id, "payment_intent")
    if found is None:
        raise missing("payment_intent", intent_id, param="intent")
    return found


def save(call: Call, intent: Json, kind: str | None = None) -> Json:
    """Stores the intent and, when ``kind`` is given, tells of it."""
    call.tx.put(intent)
    if kind:
        emit(call, kind, intent)
    return intent


def create(call: Call, params: Json) -> Json:
    """A new intent; with ``confirm`` the caller goes on to confirm it."""
    if "allowed_payment_method_types" in params and "automatic_payment_methods" in params:
        raise invalid(
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
            param="automatic_payment_methods",
        )
    if "return_url" in params and not params.get("confirm"):
        message = (
            "The parameter `return_url` cannot be passed when creating a PaymentIntent unless `confirm` is set to true."
        )
        raise invalid(message, param="return_url")
    intent = _blank(call, params)
    if params.get("payment_method") or params.get("payment_method_data"):
        intent["payment_method"] = attach_method(call, params)["id"]
        intent["status"] = "requires_confirmation"
    return save(call, intent, "payment_intent.created")


def attach_method(call: Call, params: Json) -> Json:
    if params.get("payment_method_data"):
        return methods.create(call, params["payment_method_data"])
    return methods.resolve(call, params["payment_method"])


def update(call: Call, intent_id: str, params: Json) -> Json:
    intent = load(call, intent_id)
    frozen = [name for name in params if name not in ("metadata", "description", "receipt_email", "expand")]
    if frozen and intent["status"] not in UPDATABLE:
        raise refused(
            f"This PaymentIntent's {frozen[0]} could not be updated because it has a status of {intent['status']}. "
            f"You may only update the {frozen[0]} of a PaymentIntent with one of the following statuses: "
            f"{', '.join(UPDATABLE)}.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    for name in ("amount", "currency", *_PLAIN):
        if name in params:
            intent[name] = params[name]
    if "metadata" in params:
        intent["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if params.get("payment_method") or params.get("payment_method_data"):
        intent["payment_method"] = attach_method(call, params)["id"]
        intent["status"] = "requires_confirmation"
    return save(call, intent)


def capture(call: Call, intent_id: str, params: Json) -> Json:
    """Takes the held money, or a part of it; what is not taken is released. Refuses more than is held."""
    intent = load(call, intent_id)
    if intent["status"] != "requires_capture":
        already = "This PaymentIntent could not be captured because it has already been captured."
        if intent["status"] == "succeeded":
            raise refused(already, code="payment_intent_unexpected_state", payment_intent=intent)
        raise refused(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    amount = int(params.get("amount_to_capture") or intent["amount_capturable"])
    if amount > intent["amount_capturable"]:
        raise refused(
            "The amount to capture must be less than or equal to the amount that can be captured "
            f"({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if "metadata" in params:
        intent["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    return _take(call, intent, amount)


def _take(call: Call, intent: Json, amount: int) -> Json:
    charge = call.tx.get(intent["latest_charge"], "charge") or {}
    before = dict(charge)
    released = charge["amount"] - amount
    # Stripe counts the released remainder as refunded on the charge, though no refund object is made.
    charge.update(captured=True, amount_captured=amount, amount_refunded=released, balance_transaction=stripe_id("txn"))
    call.tx.put(charge)
    drop_timer(call.tx, "expire", target=intent["id"])
    book(call, intent, "captured", amount, reference=charge["id"])
    emit(call, "charge.captured", charge, previous=changed(before, charge))
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    save(call, intent, "payment_intent.succeeded")
    watch_dispute(call, charge)
    return intent


def watch_dispute(call: Call, charge: Json) -> None:
    """The card that is disputed is so some seconds after its money was taken."""
    if methods.behaviour(call, charge["payment_method"]).disputed:
        set_timer(call.tx, "dispute", target=charge["id"], after=call.dispute_delay)


def watch_authorization(call: Call, intent: Json) -> None:
    set_timer(call.tx, "expire", target=intent["id"], after=call.authorization_seconds)


def set_authorization_end(call: Call, payment_intent: str, in_s: int) -> None:
    """Lets an uncaptured authorisation end in so many seconds; not in the future: at once."""
    intent = load(call, payment_intent)
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, verb="expire", legal="expired: requires_capture")
    charge = call.tx.get(intent["latest_charge"], "charge") or {}
    charge["payment_method_details"]["card"]["capture_before"] = call.now + in_s
    call.tx.put(charge)
    if in_s <= 0:
        expire(call, payment_intent)
        return
    drop_timer(call.tx, "expire", target=payment_intent)
    set_timer(call.tx, "expire", target=payment_intent, after=in_s)


def expire(call: Call, intent_id: str) -> None:
    """Nobody took the money in time: the bank lets go of it, and Stripe cancels the intent."""
    if load(call, intent_id)["status"] == "requires_capture":
        _end(call, intent_id, reason="automatic", kind="charge.expired")


def cancel(call: Call, intent_id: str, params: Json) -> Json:
    """Ends an intent that has not taken money; a held amount is released."""
    return _end(call, intent_id, reason=params.get("cancellation_reason"), kind="charge.refunded")


def _end(call: Call, intent_id: str, *, reason: str | None, kind: str) -> Json:
    intent = load(call, intent_id)
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(intent, verb="cancel", legal=f"canceled: {', '.join(CANCELABLE)}")
    held = intent["status"] == "requires_capture"
    intent.update(
        status="canceled",
        canceled_at=call.now,
        cancellation_reason=reason,
        amount_capturable=0,
        next_action=None,
    )
    if held:
        drop_timer(call.tx, "expire", target=intent["id"])
        _release(call, intent, kind)
    else:
        book(call, intent, "canceled", 0, reference=intent["id"])
    save(call, intent, "payment_intent.canceled")
    reviews.close_open(call, intent, reason="canceled")
    return intent


def _release(call: Call, intent: Json, kind: str) -> None:
    charge = call.tx.get(intent["latest_charge"], "charge") or {}
    before = dict(charge)
    charge.update(refunded=True, amount_refunded=charge["amount"])
    call.tx.put(charge)
    book(call, intent, "canceled", charge["amount"], reference=charge["id"])
    emit(call, kind, charge, previous=changed(before, charge))


def merged_metadata(old: dict[str, str], new: dict[str, str | None]) -> dict[str, str]:
    """An empty value unsets its key, an empty hash all of them."""
    if not new:
        return {}
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def _blank(call: Call, params: Json) -> Json:
    intent_id = stripe_id("pi")
    automatic = params.get("automatic_payment_methods")
    if automatic is None and "allowed_payment_method_types" not in params:
        automatic = {"enabled": True}  # the default of API versions since 2023-08-16
    if automatic is not None:
        automatic = {"allow_redirects": "always", **automatic} if automatic["enabled"] else None
    defaults: dict[str, Any] = {name: params.get(name) for name in _PLAIN}
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{random_text(18)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": call.now,
        "currency": params["currency"],
        "customer_account": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": merged_metadata({}, params.get("metadata") or {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": _options(params),
        "payment_method_types": ["card"],
        "processing": None,
        "review": None,
        "source": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        **defaults,
        "capture_method": params.get("capture_method", "automatic_async"),
    }


def _options(params: Json) -> Json:
    chosen = (params.get("payment_method_options") or {}).get("card") or {}
    base = {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    return {"card": {**base, **chosen}}
