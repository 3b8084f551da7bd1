"""Confirming an intent: authentication first where the card asks for it, then the screening, then the bank."""

from typing import Any

from paylink.kit.crypto import random_text
from paylink.sandbox import charges, intents, methods, reviews
from paylink.sandbox.cards import Card
from paylink.sandbox.errors import card_error, invalid, missing, refused, unexpected_state
from paylink.sandbox.events import Call, book, emit, stripe_id
from paylink.sandbox.store import Json

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)
AUTHENTICATION_REQUIRED = "Your card was declined. This transaction requires authentication."
NEEDS_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these "
    "payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want "
    "to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
# Which field of the form a decline points at.
_PARAMS = {"incorrect_cvc": "cvc", "expired_card": "exp_month"}


def confirm(call: Call, intent_id: str, params: Json) -> Json:
    """The intent after the attempt. Raises 402 ``card_error`` with its effects kept when the attempt failed."""
    intent = intents.load(call, intent_id)
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(intent, verb="confirm", legal=f"confirmed: {', '.join(CONFIRMABLE)}")
    _require_return_url(call, intent, params)
    for name in ("capture_method", "receipt_email", "setup_future_usage", "shipping"):
        if name in params:
            intent[name] = params[name]
    if options := params.get("payment_method_options"):
        intent["payment_method_options"]["card"].update(options.get("card") or {})
    method = _method(call, intent, params)
    card = methods.behaviour(call, method["id"])
    intent.update(payment_method=method["id"], last_payment_error=None, next_action=None)
    if _authentication_wanted(intent, card):
        return _ask_for_authentication(call, intent, method, params)
    return _charge(call, intent, method, card, authenticated=False)


def authenticate(call: Call, token: str, *, approve: bool) -> Json:
    """The payer's answer to 3-D Secure. A second answer changes nothing. Returns the intent, paid or not.

    Raises 404 for an unknown token, 402 with its effects kept for a refusal or a decline that follows.
    """
    attempt = load_attempt(call, token)
    intent = intents.load(call, attempt["payment_intent"])
    if attempt["status"] != "pending" or pending_attempt(intent) != token:
        return intent
    attempt["status"] = "approved" if approve else "refused"
    call.tx.put(attempt)
    intent["next_action"] = None
    method = methods.resolve(call, attempt["payment_method"])
    if approve:
        return _charge(call, intent, method, methods.behaviour(call, method["id"]), authenticated=True)
    error = {
        "code": "payment_intent_authentication_failure",
        "message": AUTHENTICATION_FAILED,
        "type": "invalid_request_error",
    }
    _fail(call, intent, method, error)
    raise refused(
        AUTHENTICATION_FAILED,
        code="payment_intent_authentication_failure",
        keep_effects=True,
        payment_intent=intent,
    )


def load_attempt(call: Call, token: str) -> Json:
    found = call.tx.get(token, "authentication")
    if found is None:
        raise missing("authentication", token, param="authentication")
    return found


def pending_attempt(intent: Json) -> str | None:
    """The token of the authentication that the intent waits for."""
    action = intent["next_action"] or {}
    details = action.get(action.get("type", ""), {})
    url: str = details.get("stripe_js") or details.get("url") or ""
    return url.rpartition("/")[2] or None


def _require_return_url(call: Call, intent: Json, params: Json) -> None:
    automatic = intent["automatic_payment_methods"]
    redirects = automatic and automatic["allow_redirects"] == "always"
    if redirects and not (call.publishable or params.get("return_url") or params.get("use_stripe_sdk")):
        raise invalid(NEEDS_RETURN_URL, param="return_url")


def _method(call: Call, intent: Json, params: Json) -> Json:
    if params.get("payment_method") or params.get("payment_method_data"):
        return intents.attach_method(call, params)
    if intent["payment_method"] and intent["status"] != "requires_payment_method":
        return methods.resolve(call, intent["payment_method"])
    raise refused(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
        "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
        "method or ConfirmationToken.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def _authentication_wanted(intent: Json, card: Card) -> bool:
    asked = intent["payment_method_options"]["card"]["request_three_d_secure"] in ("any", "challenge")
    return card.authenticate or (asked and not card.decline)


def _ask_for_authentication(call: Call, intent: Json, method: Json, params: Json) -> Json:
    if params.get("off_session") or params.get("error_on_requires_action"):
        error = {
            "code": "authentication_required",
            "decline_code": "authentication_required",
            "message": AUTHENTICATION_REQUIRED,
            "type": "card_error",
        }
        _fail(call, intent, method, error)
        raise card_error(
            AUTHENTICATION_REQUIRED, code="authentication_required", decline_code="authentication_required",
            payment_intent=intent, payment_method=method,
        )  # fmt: skip
    token = f"{stripe_id('payatt')}{random_text(12)}"
    attempt = {
        "id": token,
        "object": "authentication",
        "created": call.now,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        # In a frame over the page there is nowhere to go back to: the script takes the payer on.
        "return_url": None if params.get("use_stripe_sdk") else params.get("return_url"),
        "status": "pending",
    }
    call.tx.put(attempt, parent=intent["id"])
    intent.update(status="requires_action", next_action=_next_action(call, token, params))
    return intents.save(call, intent, "payment_intent.requires_action")


def _next_action(call: Call, token: str, params: Json) -> dict[str, Any]:
    url = f"{call.sandbox_url}/3ds/{token}"
    if params.get("use_stripe_sdk") or not params.get("return_url"):
        details = {"type": "three_d_secure_redirect", "source": token, "stripe_js": url}
        return {"type": "use_stripe_sdk", "use_stripe_sdk": details}
    details = {"return_url": params["return_url"], "url": url}
    return {"type": "redirect_to_url", "redirect_to_url": details}


def _charge(call: Call, intent: Json, method: Json, card: Card, *, authenticated: bool) -> Json:
    manual = intent["capture_method"] == "manual"
    charge = charges.build(call, intent, method, card, authenticated=authenticated, captured=not manual)
    intent["latest_charge"] = charge["id"]
    if card.decline:
        raise _declined(call, intent, method, card, charge)
    review = reviews.open_for(call, intent, charge) if card.risk_level == "elevated" else None
    charge["review"] = intent["review"] = review and review["id"]
    call.tx.put(charge, parent=intent["id"])
    book(call, intent, "authorized", intent["amount"], reference=charge["id"])
    emit(call, "charge.succeeded", charge)
    if manual:
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        intents.save(call, intent, "payment_intent.amount_capturable_updated")
        intents.watch_authorization(call, intent)
    else:
        book(call, intent, "captured", intent["amount"], reference=charge["id"])
        intent.update(status="succeeded", amount_received=intent["amount"])
        intents.save(call, intent, "payment_intent.succeeded")
        intents.watch_dispute(call, charge)
    if review:
        emit(call, "review.opened", review)
    return intent


def _declined(call: Call, intent: Json, method: Json, card: Card, charge: Json) -> Exception:
    decline = card.decline
    assert decline is not None  # noqa: S101 - only called for declining cards
    call.tx.put(charge, parent=intent["id"])
    emit(call, "charge.failed", charge)
    fields = {"param": _PARAMS.get(decline.code), "charge": charge["id"]}
    error = {
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "type": "card_error",
        **{name: value for name, value in fields.items() if value},
    }
    _fail(call, intent, method, error)
    return card_error(
        decline.message,
        code=decline.code,
        decline_code=decline.decline_code,
        payment_intent=intent,
        payment_method=method,
        **fields,
    )


def _fail(call: Call, intent: Json, method: Json, error: dict[str, Any]) -> None:
    doc_url = f"https://stripe.com/docs/error-codes/{error['code'].replace('_', '-')}"
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error={**error, "doc_url": doc_url, "payment_method": method},
    )
    intents.save(call, intent, "payment_intent.payment_failed")
