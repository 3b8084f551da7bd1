"""Which parameters each call knows: the part of API version 2026-10-28.endive that the sandbox plays.

A name that Stripe knows and the sandbox does not is refused like an unknown one: better a loud test than a silent lie.
"""

from typing import Any

from paylink.sandbox.errors import StripeError, invalid
from paylink.sandbox.params import Check, Shape, array, boolean, choice, integer, metadata, refuse, text, time_range

API_VERSION = "2026-10-28.endive"
MAX_AMOUNT = 99_999_999  # Stripe: eight digits
# Stripe's presentment currencies.
CURRENCIES = frozenset(
    code
    for line in (
        "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf",
        "chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf",
        "idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop",
        "mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd",
        "scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg",
        "xof xpf yer zar zmw",
    )
    for code in line.split(" ")
)
CANCELLATION_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
REFUND_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def amount(value: Any, param: str) -> int:
    number: int = integer(least=1)(value, param)
    if number > MAX_AMOUNT:
        raise invalid("Amount must be no more than $999,999.99", param=param, code="amount_too_large")
    return number


def currency(value: Any, param: str) -> str:
    code = value.lower() if isinstance(value, str) else ""
    if code not in CURRENCIES:
        listed = ", ".join(sorted(CURRENCIES))
        raise invalid(
            f"Invalid currency: {str(value)[:20].lower()}. Stripe currently supports these currencies: {listed}",
            param=param,
        )
    return str(code)


def return_url(value: Any, param: str) -> str:
    url = str(text(clearable=False)(value, param))
    if "://" not in url:
        raise invalid("Not a valid URL", param=param, code="url_invalid")
    return url


def payment_method_type(value: Any, param: str) -> str:
    if value != "card":
        message = f"The payment method type provided: {str(value)[:40]} is invalid. The sandbox plays cards only."
        raise invalid(message, param=param, code="payment_intent_invalid_parameter")
    return "card"


def _types_are_gone(param: str) -> StripeError:
    """Since 2026-09-30.endive; the field is still in answers."""
    message = (
        f"The `{param}` parameter is no longer supported. Use dynamic payment methods, or "
        "`allowed_payment_method_types` to limit them."
    )
    return invalid(message, param=param, code="payment_method_types_no_longer_supported")


ADDRESS = Shape({name: text() for name in ("city", "country", "line1", "line2", "postal_code", "state")})
BILLING = Shape({"address": ADDRESS, "email": text(), "name": text(), "phone": text()})
SHIPPING = Shape(
    {"address": ADDRESS, "name": text(), "phone": text(), "carrier": text(), "tracking_number": text()},
    required=("address", "name"),
    clearable=True,
)
CARD = Shape(
    {"number": text(), "exp_month": integer(), "exp_year": integer(), "cvc": text()},
    required=("number", "exp_month", "exp_year"),
)
PAYMENT_METHOD_DATA = Shape(
    {
        "type": payment_method_type,
        "card": CARD,
        "billing_details": BILLING,
        "metadata": metadata,
        "allow_redisplay": choice("always", "limited", "unspecified"),
    },
    required=("type",),
)
THREE_D_SECURE = choice("any", "automatic", "challenge")
PAYMENT_METHOD_OPTIONS = Shape(
    {
        "card": Shape(
            {
                "request_three_d_secure": THREE_D_SECURE,
                "capture_method": choice("manual"),
                "setup_future_usage": choice("none", "on_session", "off_session"),
                "statement_descriptor_suffix_kana": text(max_length=22),
                "statement_descriptor_suffix_kanji": text(max_length=17),
            }
        )
    }
)
EXPAND = array(text())
CAPTURE_METHOD = choice("automatic", "automatic_async", "manual")
FUTURE_USAGE = choice("off_session", "on_session", clearable=True)
SUFFIX = text(max_length=22)

_COMMON: dict[str, Check | Shape] = {
    "description": text(max_length=1000),
    "expand": EXPAND,
    "metadata": metadata,
    "payment_method": text(),
    "payment_method_data": PAYMENT_METHOD_DATA,
    "payment_method_options": PAYMENT_METHOD_OPTIONS,
    "allowed_payment_method_types": array(payment_method_type),
    "payment_method_types": refuse(_types_are_gone),
    "receipt_email": text(max_length=800),
    "setup_future_usage": FUTURE_USAGE,
    "shipping": SHIPPING,
    "statement_descriptor": SUFFIX,
    "statement_descriptor_suffix": SUFFIX,
    "transfer_group": text(),
    "customer": text(),
}
INTENT_CREATE = Shape(
    {
        **_COMMON,
        "amount": amount,
        "currency": currency,
        "automatic_payment_methods": Shape(
            {"enabled": boolean, "allow_redirects": choice("always", "never")}, required=("enabled",)
        ),
        "capture_method": CAPTURE_METHOD,
        "confirm": boolean,
        "confirmation_method": choice("automatic", "manual"),
        "error_on_requires_action": boolean,
        "off_session": boolean,
        "return_url": return_url,
        "use_stripe_sdk": boolean,
    },
    required=("amount", "currency"),
)
INTENT_UPDATE = Shape({**_COMMON, "amount": amount, "currency": currency, "capture_method": CAPTURE_METHOD})
INTENT_CONFIRM = Shape(
    {
        "capture_method": CAPTURE_METHOD,
        "client_secret": text(),
        "error_on_requires_action": boolean,
        "expand": EXPAND,
        "off_session": boolean,
        "payment_method": text(),
        "payment_method_data": PAYMENT_METHOD_DATA,
        "payment_method_options": PAYMENT_METHOD_OPTIONS,
        "receipt_email": text(max_length=800),
        "return_url": return_url,
        "setup_future_usage": FUTURE_USAGE,
        "shipping": SHIPPING,
        "use_stripe_sdk": boolean,
        "key": text(),
    }
)
INTENT_RETRIEVE = Shape({"expand": EXPAND, "client_secret": text(), "key": text()})
INTENT_CAPTURE = Shape(
    {
        "amount_to_capture": amount,
        "expand": EXPAND,
        "final_capture": boolean,
        "metadata": metadata,
        "statement_descriptor": SUFFIX,
        "statement_descriptor_suffix": SUFFIX,
    }
)
INTENT_CANCEL = Shape({"cancellation_reason": choice(*CANCELLATION_REASONS), "expand": EXPAND})
INTENT_AUTHENTICATE = Shape({"outcome": choice("approve", "refuse"), "expand": EXPAND}, required=("outcome",))
REFUND_CREATE = Shape(
    {
        "amount": amount,
        "charge": text(),
        "expand": EXPAND,
        "metadata": metadata,
        "payment_intent": text(),
        "reason": choice(*REFUND_REASONS),
    }
)
PAYMENT_METHOD_CREATE = Shape({**PAYMENT_METHOD_DATA.fields, "expand": EXPAND, "key": text()}, required=("type",))
METADATA_UPDATE = Shape({"metadata": metadata, "expand": EXPAND})
RETRIEVE = Shape({"expand": EXPAND})

_PAGE: dict[str, Check | Shape] = {
    "created": time_range,
    "ending_before": text(),
    "expand": EXPAND,
    "limit": integer(),
    "starting_after": text(),
}
LIST = Shape(_PAGE)
LIST_INTENTS = Shape({**_PAGE, "customer": text()})
LIST_CHARGES = Shape({**_PAGE, "payment_intent": text(), "customer": text()})
# Of refunds and disputes.
LIST_OF_CHARGE = Shape({**_PAGE, "payment_intent": text(), "charge": text()})
LIST_EVENTS = Shape({**_PAGE, "type": text(), "types": array(text()), "delivery_success": boolean})
