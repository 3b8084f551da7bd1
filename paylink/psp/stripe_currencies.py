"""Amounts as Stripe counts them. Ours follow ISO 4217's exponent, Stripe's follow a table of its own.

Source: docs.stripe.com/currencies ("Supported presentment currencies", "Zero-decimal currencies", "Three-decimal
currencies", "Special cases", "Minimum and maximum charge amounts"), read in stored copies of 2022-06 to 2026-09. What
those copies do not settle:

- The rule for three-decimal currencies (last digit 0) stands in the page of 2022; the present page lists no
  three-decimal currencies, though its metadata still speaks of them.
- UGX stands both in the zero-decimal list and among the special cases, which contradict each other; the special case is
  the one written for charges.
- The minimum follows the currency of the merchant's bank account, which is not known here. Stripe has the last word.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from paylink.kit.money import UnknownCurrency, currencies, exponent
from paylink.psp.base import Charging, PspRefused

NOT_CHARGEABLE = "amount_not_chargeable"


@dataclass(frozen=True, slots=True)
class Rule:
    """How Stripe counts a currency: its decimals there, and the step of an amount in that count.

    ``source`` is the part of the page that says so. ``decimals`` of ``None``: the page does not say.
    """

    decimals: int | None
    step: int = 1
    source: str = "Supported presentment currencies"


def _same(codes: str, rule: Rule) -> Iterable[tuple[str, Rule]]:
    return ((code, rule) for code in codes.split())


PLAIN: Final = Rule(2)
# Every currency that is not counted in hundredths, or whose hundredths have a rule of their own.
SPECIAL: Final[dict[str, Rule]] = dict(
    [
        *_same(
            "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF", Rule(0, source="Zero-decimal currencies")
        ),
        # "5.124 KWD must be rounded to 5120 or 5130."
        *_same("BHD JOD KWD OMR TND", Rule(3, step=10, source="Three-decimal currencies")),
        # Without decimals at ISO and in truth, with two at Stripe: "to charge 5 ISK, provide an amount value of 500".
        *_same("ISK UGX", Rule(2, step=100, source="Special cases")),
        # Charged with two decimals like most; their whole units are a rule of payouts, which are not made here.
        *_same("HUF TWD", Rule(2, source="Special cases")),
        # ISO counts these in thousandths and the page names them nowhere: a guess could be wrong tenfold.
        *_same("IQD LYD", Rule(None, source="named nowhere")),
    ]
)
# What can be charged at all, as the page lists it.
_LISTED: Final = """
    USD AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK
    JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN
    NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD
    SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
"""
CHARGED: Final = frozenset(_LISTED.split())

# The smallest charge in Stripe's unit, where the account is settled in the charge's currency.
MINIMUM: Final = {
    "AED": 200, "ARS": 50, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50, "KRW": 50, "MXN": 1000, "MYR": 200,
    "NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
    "ZAR": 50,
}  # fmt: skip
# "Up to eight digits": the API reference of the pinned version. The page on currencies has twelve for most cards; an
# amount between the two is refused where the link is made, and not where its customer stands with a card.
MAXIMUM: Final = 99_999_999


@cache
def charging(currency: str) -> Charging | None:
    """What can be charged in ``currency``, in ISO 4217 minor units; ``None`` where nothing can or it is not known."""
    rule = SPECIAL.get(currency, PLAIN)
    if currency not in CHARGED & currencies().keys() or rule.decimals is None:
        return None
    shift = rule.decimals - exponent(currency)
    # One of our minor units is so many of Stripe's, or the other way round.
    theirs, ours = (10**shift, 1) if shift >= 0 else (1, 10**-shift)
    step = max(1, rule.step // theirs) * ours
    least = -(-MINIMUM.get(currency, 1) * ours // theirs)
    most = MAXIMUM * ours // theirs
    return Charging(minimum=-(-max(1, least) // step) * step, maximum=most // step * step, step=step, shift=shift)


def to_provider(amount: int, currency: str) -> int:
    """ISO 4217 minor units → Stripe's. Raises ``PspRefused`` with ``amount_not_chargeable`` where it cannot be said."""
    try:
        shift = _decimals(currency) - exponent(currency)
    except UnknownCurrency:
        raise PspRefused("not a currency of ISO 4217", code=NOT_CHARGEABLE) from None
    value, rest = _shifted(amount, shift)
    if rest or value % SPECIAL.get(currency, PLAIN).step:
        raise PspRefused(f"Stripe does not take {currency} in so small steps", code=NOT_CHARGEABLE)
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
        shift = exponent(currency) - _decimals(currency)
    except PspRefused as error:
        raise ValueError(str(error)) from None
    value, rest = _shifted(amount, shift)
    if rest:
        raise ValueError(f"{currency} has no such fraction")
    return value


def _decimals(currency: str) -> int:
    found = SPECIAL.get(currency, PLAIN).decimals
    if found is None:
        raise PspRefused(f"how Stripe counts {currency} is not known", code=NOT_CHARGEABLE)
    return found


def _shifted(amount: int, shift: int) -> tuple[int, int]:
    if shift >= 0:
        return amount * int(10**shift), 0
    return divmod(amount, int(10**-shift))
