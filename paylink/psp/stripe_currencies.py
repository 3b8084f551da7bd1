"""Amounts as Stripe counts them. Ours follow ISO 4217's exponent, Stripe's follow a table of its own.

Source: docs.stripe.com/currencies ("Zero-decimal currencies", "Special cases", "Minimum and maximum charge amounts"),
read in stored copies of 2026-07 to 2026-09. What those copies do not settle:

- The rule for three-decimal currencies (last digit 0) stands in the page of 2022-12; the present page lists no
  three-decimal currencies, though its metadata still speaks of them.
- UGX stands both in the zero-decimal list and among the special cases, which contradict each other; the special case is
  the one written for charges.
- The minimum follows the currency of the merchant's bank account, which is not known here. Stripe has the last word.
"""

from paylink.kit.money import UnknownCurrency, exponent
from paylink.psp.base import PspRefused

NOT_CHARGEABLE = "amount_not_chargeable"

ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# ISO 4217 counts these in thousandths and Stripe's page names them nowhere: a guess could be wrong tenfold.
UNCERTAIN = frozenset({"IQD", "LYD"})

# The smallest charge in Stripe's unit, where the account is settled in the charge's currency.
MINIMUM = {
    "AED": 200, "ARS": 50, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50, "KRW": 50, "MXN": 1000, "MYR": 200,
    "NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
    "ZAR": 50,
}  # fmt: skip
# Twelve digits for most cards, nine for American Express; the API reference still says eight. Stripe refuses the rest.
MAXIMUM = 999_999_999_999


def decimals(currency: str) -> int:
    """How many decimals Stripe counts the currency in. Raises ``PspRefused`` where that is not known.

    Two unless said otherwise. So for ISK and UGX too, which have none: "to charge 5 ISK, provide an amount value of
    500".
    """
    if currency in UNCERTAIN:
        raise PspRefused(f"how Stripe counts {currency} is not known", code=NOT_CHARGEABLE)
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_provider(amount: int, currency: str) -> int:
    """ISO 4217 minor units → Stripe's. Raises ``PspRefused`` with ``amount_not_chargeable`` where it cannot be said.

    HUF and TWD are plain two-decimal currencies here: their rule of whole units is for payouts.
    """
    try:
        shift = decimals(currency) - exponent(currency)
    except UnknownCurrency:
        raise PspRefused("not a currency of ISO 4217", code=NOT_CHARGEABLE) from None
    value, rest = _shifted(amount, shift)
    if rest:
        raise PspRefused(f"Stripe takes whole units of {currency} only", code=NOT_CHARGEABLE)
    if currency in THREE_DECIMAL and value % 10:
        raise PspRefused(f"Stripe takes {currency} in steps of ten thousandths only", code=NOT_CHARGEABLE)
    return value


def to_charge(amount: int, currency: str) -> int:
    """``to_provider`` for a new charge, within Stripe's smallest and largest amounts. A refund knows no minimum."""
    value = to_provider(amount, currency)
    if not max(1, MINIMUM.get(currency, 1)) <= value <= MAXIMUM:
        raise PspRefused(f"outside what Stripe charges in {currency}", code=NOT_CHARGEABLE)
    return value


def from_provider(amount: int, currency: str) -> int:
    """Stripe's unit → ISO 4217 minor units. Raises ``ValueError`` for a currency or a fraction that ISO cannot say."""
    try:
        shift = exponent(currency) - decimals(currency)
    except PspRefused as error:
        raise ValueError(str(error)) from None
    value, rest = _shifted(amount, shift)
    if rest:
        raise ValueError(f"{currency} has no such fraction")
    return value


def _shifted(amount: int, shift: int) -> tuple[int, int]:
    if shift >= 0:
        return amount * int(10**shift), 0
    return divmod(amount, int(10**-shift))
