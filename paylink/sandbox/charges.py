"""Charges: one per try to move money, with the outcome of the screening and of the bank."""

from typing import Any

from paylink.sandbox.cards import Card
from paylink.sandbox.events import Call, stripe_id
from paylink.sandbox.store import Json

NOT_SENT = "not_sent_to_network"


def build(call: Call, intent: Json, method: Json, card: Card, *, authenticated: bool, captured: bool) -> Json:
    """The charge of one attempt, not yet stored. A declined card makes a failed one."""
    decline = card.decline
    amount = intent["amount"]
    charge_id = stripe_id("ch")
    return {
        "id": charge_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if captured and not decline else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": stripe_id("txn") if captured and not decline else None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": _descriptor(intent),
        "captured": captured and not decline,
        "created": call.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": outcome(card),
        "paid": not decline,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(call, intent, method, card, authenticated=authenticated),
        "presentment_details": None,
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "failed" if decline else "succeeded",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def outcome(card: Card) -> dict[str, Any]:
    """Stripe's ``charge.outcome``. ``seller_message`` is for the seller; a payer must never read it."""
    base = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": card.risk_level,
        "risk_score": card.risk_score,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    return {**base, **_verdict(card)}


def _verdict(card: Card) -> dict[str, Any]:
    if card.blocked:
        message = "Stripe blocked this payment as too risky."
        return {
            "type": "blocked", "network_status": NOT_SENT, "reason": "highest_risk_level", "seller_message": message
        }  # fmt: skip
    if card.decline and card.decline.reason == "test_mode_live_card":
        message = "This charge request was in test mode, but did not use a Stripe test card number."
        return {
            "type": "invalid", "network_status": NOT_SENT, "reason": "test_mode_live_card", "seller_message": message
        }  # fmt: skip
    if card.decline:
        message = "The bank did not return any further details with this decline."
        return {
            "type": "issuer_declined",
            "network_status": "declined_by_network",
            "network_decline_code": "05",
            "advice_code": "try_again_later" if card.decline.code == "processing_error" else None,
            "reason": card.decline.reason,
            "seller_message": message,
        }
    if card.risk_level == "elevated":
        message = "Stripe evaluated this payment as having elevated risk, and placed it in your manual review queue."
        return {
            "type": "manual_review",
            "reason": "elevated_risk_level",
            "rule": "manual_review_if_elevated_risk",
            "seller_message": message,
        }
    return {}


def _details(call: Call, intent: Json, method: Json, card: Card, *, authenticated: bool) -> dict[str, Any]:
    shown = method["card"]
    cvc = "fail" if card.decline and card.decline.code == "incorrect_cvc" else "pass"
    has_zip = bool(method["billing_details"]["address"]["postal_code"])
    return {
        "type": "card",
        "card": {
            "amount_authorized": None if card.decline else intent["amount"],
            "authorization_code": None if card.decline else charge_code(),
            "brand": shown["brand"],
            "capture_before": call.now + call.authorization_seconds if intent["capture_method"] == "manual" else None,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": "pass" if has_zip else None,
                "cvc_check": cvc,
            },
            "country": shown["country"],
            "exp_month": shown["exp_month"],
            "exp_year": shown["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": shown["fingerprint"],
            "funding": shown["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": shown["last4"],
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": shown["brand"],
            "network_token": {"used": False},
            "network_transaction_id": stripe_id("ntx")[4:19],
            "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": three_d_secure() if authenticated else None,
            "wallet": None,
        },
    }


def three_d_secure() -> dict[str, Any]:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": stripe_id("tds")[4:],
        "version": "2.2.0",
    }


def charge_code() -> str:
    """Six digits, as banks give them."""
    return f"{int(stripe_id('x')[-6:].encode().hex(), 16) % 1_000_000:06d}"


def _descriptor(intent: Json) -> str:
    suffix = intent["statement_descriptor_suffix"]
    return f"PAYLINK SANDBOX* {suffix}"[:22].upper() if suffix else "PAYLINK SANDBOX"
