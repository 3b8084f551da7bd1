"""Reviews: payments that the screening lets through and wants a person to look at."""

from paylink.sandbox.errors import missing, refused
from paylink.sandbox.events import Call, emit, stripe_id
from paylink.sandbox.store import Json


def open_for(call: Call, intent: Json, charge: Json) -> Json:
    review = {
        "id": stripe_id("prv"),
        "object": "review",
        "billing_zip": charge["billing_details"]["address"]["postal_code"],
        "charge": charge["id"],
        "closed_reason": None,
        "created": call.now,
        "ip_address": None,
        "ip_address_location": None,
        "livemode": False,
        "open": True,
        "opened_reason": "rule",
        "payment_intent": intent["id"],
        "reason": "rule",
        "session": None,
    }
    call.tx.put(review, parent=intent["id"])
    return review


def load(call: Call, review_id: str) -> Json:
    found = call.tx.get(review_id, "review")
    if found is None:
        raise missing("review", review_id, param="review")
    return found


def approve(call: Call, review_id: str) -> Json:
    """Closes it as approved. Approving captures nothing, as at Stripe."""
    review = load(call, review_id)
    if not review["open"]:
        raise refused("This review has already been closed.", code="resource_already_exists")
    return _close(call, review, reason="approved")


def close(call: Call, review_id: str, *, reason: str) -> Json:
    """What somebody did at Stripe's own desk. Closing moves no money: whoever holds the intent has to."""
    return _close(call, load(call, review_id), reason=reason)


def close_open(call: Call, intent: Json, *, reason: str) -> None:
    """What ends a payment also ends its review. ``reason``: canceled, refunded, refunded_as_fraud, disputed."""
    review = call.tx.get(intent["review"], "review") if intent["review"] else None
    if review and review["open"]:
        _close(call, review, reason=reason)


def _close(call: Call, review: Json, *, reason: str) -> Json:
    review.update(open=False, closed_reason=reason, reason=reason)
    call.tx.put(review)
    emit(call, "review.closed", review, previous={"open": True, "closed_reason": None, "reason": "rule"})
    return review
