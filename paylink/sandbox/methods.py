"""Payment methods: what is left of a card once its number is forgotten."""

from typing import Any

from paylink.sandbox import cards
from paylink.sandbox.cards import Card, InvalidCard
from paylink.sandbox.errors import StripeError, invalid, missing
from paylink.sandbox.events import Call, stripe_id
from paylink.sandbox.store import Json

RAW_CARD = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens that "
    "map to the test card you are using, see https://stripe.com/docs/testing. To enable testing raw card data APIs, "
    "see https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis."
)
ARTICLE_EXPIRY = (12, 2034)


def create(call: Call, params: Json) -> Json:
    """``POST /v1/payment_methods`` and ``payment_method_data``: a typed card, from the card frame only.

    Raises 402 when what was typed cannot be a card, and 400 when a server sends a number at all.
    """
    typed = params.get("card")
    if typed is None:
        raise invalid("Missing required param: card.", param="card", code="parameter_missing")
    if not call.publishable:
        raise invalid(RAW_CARD, param="card[number]")
    card = _typed_card(typed)
    shown = _shown(
        card,
        expiry=(typed["exp_month"], typed["exp_year"] + (2000 if typed["exp_year"] < 100 else 0)),
        fingerprint=cards.fingerprint(typed["number"], key=call.fingerprint_key),
    )
    return _store(call, card, shown, billing=params.get("billing_details") or {})


def resolve(call: Call, article: str) -> Json:
    """A stored payment method, or a fresh one for a ``pm_card_…`` article. Raises 404 ``resource_missing``."""
    card = cards.by_payment_method(article)
    if card is not None:
        mark = cards.fingerprint(f"article:{card.name}", key=call.fingerprint_key)
        return _store(call, card, _shown(card, expiry=ARTICLE_EXPIRY, fingerprint=mark), billing={})
    found = call.tx.get(article, "payment_method")
    if found is None:
        raise missing("PaymentMethod", article, param="payment_method")
    return found


def behaviour(call: Call, method_id: str) -> Card:
    return cards.BY_NAME[call.tx.hidden(method_id)["behaviour"]]


def _typed_card(typed: dict[str, Any]) -> Card:
    try:
        card = cards.by_number(typed["number"] or "")
        cards.check_expiry(typed["exp_month"], typed["exp_year"])
        if typed.get("cvc") is not None:
            cards.check_cvc(typed["cvc"], brand=card.brand)
    except InvalidCard as wrong:
        raise StripeError(
            str(wrong), status=402, kind="card_error", executed=False, code=wrong.code, param=wrong.param
        ) from None
    return card


def _shown(card: Card, *, expiry: tuple[int, int], fingerprint: str) -> dict[str, Any]:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": expiry[0],
        "exp_year": expiry[1],
        "fingerprint": fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _store(call: Call, card: Card, shown: dict[str, Any], *, billing: dict[str, Any]) -> Json:
    address = billing.get("address") or {}
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    method = {
        "id": stripe_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": {part: address.get(part) for part in parts},
            **{name: billing.get(name) for name in ("email", "name", "phone", "tax_id")},
        },
        "card": shown,
        "created": call.now,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    call.tx.put(method, hidden={"behaviour": card.name})
    return method
