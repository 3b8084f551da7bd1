"""Stripe's objects as they come over the wire, cut down to what matters here."""

from typing import Any

INTENT = "pi_3Test"
CHARGE = "ch_3Test"


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": CHARGE,
        "object": "charge",
        "amount_refunded": 0,
        "disputed": False,
        "payment_intent": INTENT,
        "outcome": {
            "type": "authorized",
            "risk_level": "normal",
            "risk_score": 12,
            "reason": None,
            "network_status": "approved_by_network",
            "seller_message": "Payment complete.",
        },
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa",
                "last4": "4242",
                "country": "GB",
                "fingerprint": "fp1",
                "three_d_secure": None,
                "capture_before": 1_795_604_800,
            },
        },
        **changes,
    }


def intent(**changes: Any) -> dict[str, Any]:
    return {
        "id": INTENT,
        "object": "payment_intent",
        "status": "requires_capture",
        "amount": 4999,
        "amount_capturable": 4999,
        "amount_received": 0,
        "currency": "gbp",
        "livemode": False,
        "metadata": {"payment_id": "pay_1"},
        "latest_charge": charge(),
        "last_payment_error": None,
        "client_secret": f"{INTENT}_secret_abc",
        "created": 1_795_000_000,
        "review": None,
        **changes,
    }


def declined(code: str, decline_code: str | None = None, **error: Any) -> dict[str, Any]:
    """A payment whose last try failed."""
    outcome = {"type": "issuer_declined", "risk_level": "normal", "reason": decline_code}
    return intent(
        status="requires_payment_method",
        amount_capturable=0,
        latest_charge=charge(outcome=outcome),
        last_payment_error={
            "type": "card_error",
            "code": code,
            "decline_code": decline_code,
            "charge": CHARGE,
            "message": "Your card was declined.",
            "payment_method": {"id": "pm_1", "card": {"brand": "visa", "last4": "0002", "country": "US"}},
            **error,
        },
    )


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_3Test",
        "object": "refund",
        "status": "succeeded",
        "amount": 1000,
        "currency": "gbp",
        "payment_intent": INTENT,
        "metadata": {"refund_id": "re_1"},
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    return {
        "id": "du_1Test",
        "object": "dispute",
        "status": "needs_response",
        "amount": 4999,
        "currency": "gbp",
        "charge": CHARGE,
        "payment_intent": INTENT,
        "created": 1_795_000_000,
        "livemode": False,
        "reason": "fraudulent",
        "is_charge_refundable": False,
        "evidence_details": {"due_by": 1_795_777_600, "has_evidence": False, "past_due": False, "submission_count": 0},
        **changes,
    }


def review(**changes: Any) -> dict[str, Any]:
    return {
        "id": "prv_1Test",
        "object": "review",
        "open": False,
        "opened_reason": "rule",
        "closed_reason": "approved",
        "reason": "approved",
        "charge": CHARGE,
        "payment_intent": INTENT,
        "created": 1_795_000_000,
        "livemode": False,
        **changes,
    }


def error(kind: str, code: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": "said by Stripe: 4242424242424242", **fields}}


def event(about: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": 1_795_000_000,
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": about},
        **changes,
    }
