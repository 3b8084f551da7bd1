"""The test cards and what each does. A number is looked up once and forgotten: only the behaviour's name is kept."""

import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime

from paylink.kit.cards import luhn_valid
from paylink.kit.clock import utcnow


@dataclass(frozen=True)
class Decline:
    """How a charge fails: Stripe's ``code``, ``decline_code`` and the sentence for the payer."""

    code: str
    decline_code: str | None
    message: str
    reason: str | None = None


@dataclass(frozen=True)
class Card:
    """One behaviour. ``name`` is what is stored, and after ``pm_card_`` what a program may pay with."""

    name: str
    last4: str = "4242"
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    # Blocked by the provider's screening: the bank is never asked.
    blocked: bool = False
    risk_level: str = "normal"
    risk_score: int = 18
    authenticate: bool = False
    disputed: bool = False
    refund: str = "succeeded"


_DECLINED = "Your card was declined."
_GENERIC = Decline("card_declined", "generic_decline", _DECLINED, "generic_decline")
_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", "insufficient_funds")
_LOST = Decline("card_declined", "lost_card", _DECLINED, "lost_card")
_STOLEN = Decline("card_declined", "stolen_card", _DECLINED, "stolen_card")
_VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "card_velocity_exceeded",
)
_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "expired_card")
_PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "processing_error",
)
_FRAUD = Decline("card_declined", "fraudulent", _DECLINED, "highest_risk_level")
UNKNOWN = Card(
    "unknown",
    decline=Decline(
        "card_declined",
        "test_mode_live_card",
        "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test "
        "cards, visit: https://stripe.com/docs/testing.",
        "test_mode_live_card",
    ),
)

_TABLE: dict[str, Card] = {
    "4242424242424242": Card("visa"),
    "4000056655665556": Card("visa_debit", last4="5556", funding="debit"),
    "5555555555554444": Card("mastercard", last4="4444", brand="mastercard"),
    "2223003122003222": Card("mastercard_2series", last4="3222", brand="mastercard"),
    "5200828282828210": Card("mastercard_debit", last4="8210", brand="mastercard", funding="debit"),
    "378282246310005": Card("amex", last4="0005", brand="amex"),
    "371449635398431": Card("amex_2", last4="8431", brand="amex"),
    "6011111111111117": Card("discover", last4="1117", brand="discover"),
    "3056930009020004": Card("diners", last4="0004", brand="diners"),
    "3566002020360505": Card("jcb", last4="0505", brand="jcb", country="JP"),
    "6200000000000005": Card("unionpay", last4="0005", brand="unionpay", country="CN"),
    "4000008260000000": Card("gb", last4="0000", country="GB"),
    "4000002760000016": Card("de", last4="0016", country="DE"),
    "4000000000000002": Card("chargeDeclined", last4="0002", decline=_GENERIC),
    "4000000000000341": Card("chargeCustomerFail", last4="0341", decline=_GENERIC),
    "4000000000009995": Card("chargeDeclinedInsufficientFunds", last4="9995", decline=_FUNDS),
    "4000000000009987": Card("chargeDeclinedLostCard", last4="9987", decline=_LOST),
    "4000000000009979": Card("chargeDeclinedStolenCard", last4="9979", decline=_STOLEN),
    "4000000000006975": Card("chargeDeclinedVelocityLimitExceeded", last4="6975", decline=_VELOCITY),
    "4000000000000127": Card("chargeDeclinedIncorrectCvc", last4="0127", decline=_CVC),
    "4000000000000069": Card("chargeDeclinedExpiredCard", last4="0069", decline=_EXPIRED),
    "4000000000000119": Card("chargeDeclinedProcessingError", last4="0119", decline=_PROCESSING),
    "4000002500003155": Card("authenticationRequired", last4="3155", authenticate=True),
    "4000002760003184": Card("authenticationRequiredAlways", last4="3184", authenticate=True, country="DE"),
    "4000000000003220": Card("threeDSecure2Required", last4="3220", authenticate=True),
    "4000008260003178": Card(
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        last4="3178", country="GB", authenticate=True, decline=_FUNDS,
    ),
    "4000000000009235": Card("riskLevelElevated", last4="9235", risk_level="elevated", risk_score=72),
    "4000000000004954": Card("riskLevelHighest", last4="4954", risk_level="highest", risk_score=87),
    "4100000000000019": Card(
        "radarBlock", last4="0019", risk_level="highest", risk_score=92, blocked=True, decline=_FRAUD
    ),
    "4000000000000259": Card("createDispute", last4="0259", disputed=True),
    "4000000000007726": Card("pendingRefund", last4="7726", refund="pending"),
    "4000000000005126": Card("refundFail", last4="5126", refund="failed"),
}  # fmt: skip
BY_NAME = {card.name: card for card in [*_TABLE.values(), UNKNOWN]}
# Longer names that Stripe also documents.
_ALIASES = {
    **{f"visa_{name}": name for name in BY_NAME if name.startswith("chargeDeclined")},
    "visa_chargeDeclined": "chargeDeclined",
    "chargeDeclinedFraudulent": "radarBlock",
    "authenticationRequiredOnSetup": "authenticationRequired",
    "threeDSecureRequired": "threeDSecure2Required",
}

_BRANDS = (
    ("amex", re.compile(r"^3[47]")),
    ("diners", re.compile(r"^3(?:0[0-5]|[689])")),
    ("jcb", re.compile(r"^35")),
    ("mastercard", re.compile(r"^(?:5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720))")),
    ("discover", re.compile(r"^6(?:011|4[4-9]|5)")),
    ("unionpay", re.compile(r"^62")),
    ("visa", re.compile(r"^4")),
)


class InvalidCard(ValueError):
    """What the payer typed cannot be a card. ``code`` and the message are Stripe's, ``param`` the field."""

    def __init__(self, message: str, *, code: str, param: str) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def by_payment_method(article: str) -> Card | None:
    """``pm_card_visa`` and its kin: cards for programs without a browser."""
    name = article.removeprefix("pm_card_")
    return BY_NAME.get(_ALIASES.get(name, name)) if article.startswith("pm_card_") else None


def by_number(number: str) -> Card:
    """The behaviour of a typed number. The answer holds the last four digits and no more. Raises ``InvalidCard``."""
    digits = re.sub(r"[ \-]", "", number)
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19 and luhn_valid(digits)):
        raise InvalidCard("Your card number is incorrect.", code="incorrect_number", param="number")
    known = _TABLE.get(digits)
    brand = next((name for name, pattern in _BRANDS if pattern.match(digits)), "unknown")
    return known or replace(UNKNOWN, last4=digits[-4:], brand=brand)


def check_expiry(month: int, year: int, *, now: datetime | None = None) -> None:
    """Raises ``InvalidCard`` unless the card is good until the end of a month that has not passed."""
    moment = now or utcnow()
    full_year = year + 2000 if year < 100 else year
    if not 1 <= month <= 12:
        raise InvalidCard("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")
    if not moment.year <= full_year <= moment.year + 50:
        raise InvalidCard("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    if (full_year, month) < (moment.year, moment.month):
        raise InvalidCard("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")


def check_cvc(cvc: str, *, brand: str) -> None:
    lengths = (3, 4) if brand in ("amex", "unknown") else (3,)
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) in lengths):
        raise InvalidCard("Your card's security code is invalid.", code="invalid_cvc", param="cvc")


def fingerprint(number: str, *, key: bytes) -> str:
    """Stripe's 16 characters that tell two cards apart, keyed so that they cannot be searched back to a number."""
    return hmac.digest(key, re.sub(r"[ \-]", "", number).encode(), "sha256").hex()[:16]
