"""Amounts in minor units and how people read them. The exponent is ISO 4217's, never CLDR's.

CLDR rounds 13 currencies to other digits than ISO 4217 (it writes a dinar of Iraq without its thousandths), so every
pattern here gets its fraction digits from the ISO table.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.numbers import NumberPattern, get_currency_name, get_currency_symbol, parse_pattern
from iso4217 import Currency

# Stripe's largest charge is eight digits of the minor unit (docs.stripe.com/currencies, "minimum and maximum").
MAX_AMOUNT = 99_999_999
# ISO 4217 lists these for funds, metals and tests; nobody pays a bill in them.
NOT_MONEY = frozenset(
    {"XAU", "XAG", "XPT", "XPD", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XTS", "XXX"}
    | {"CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "BOV"}
)
DEFAULT_LOCALE = "en_GB"
# Signs of several currencies, each of which some language means its own by: they say little of whose money is meant.
SHARED_SYMBOLS = frozenset({"$", "¥", "\uffe5"})
# CLDR's currencySpacing: a symbol that ends in a letter is set apart, KWD 0.500 and not KWD0.500.
LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")
LATIN = re.compile("[A-Za-z]")
FIRST_DIGIT, LAST_DIGIT = re.compile(r"\d"), re.compile(r"\d(?=\D*$)")


class UnknownCurrency(ValueError):
    """Not an ISO 4217 code in which a person can pay."""


@cache
def exponent(currency: str) -> int:
    """How many decimals the currency has: 2 for GBP, 0 for JPY, 3 for KWD."""
    if currency not in currencies():
        raise UnknownCurrency(currency)
    return currencies()[currency]


@cache
def currencies() -> dict[str, int]:
    """Every payable ISO 4217 code with its exponent."""
    return {c.code: int(c.exponent or 0) for c in Currency if c.code not in NOT_MONEY and c.exponent is not None}


def currency_name(currency: str, locale: str = DEFAULT_LOCALE) -> str:
    return get_currency_name(currency, locale=_locale(locale))


def format_amount(amount: int, currency: str, locale: str = DEFAULT_LOCALE, *, by_code: bool = False) -> str:
    """``4999, "GBP"`` → ``£49.99``: the symbol where the locale puts it, the digits of ISO 4217.

    The ISO code stands in the symbol's place where the symbol could be another currency's, and ``by_code`` always.
    """
    digits = exponent(currency)
    sign = symbol(currency, locale)
    # Written from the right, a sign of letters and more is torn apart: UK£ shows as £UK.
    torn = _locale(locale).text_direction == "rtl" and LATIN.search(sign) is not None
    coded = by_code or sign in SHARED_SYMBOLS or torn
    pattern = _pattern(_locale(locale), digits, coded)
    value = Decimal(amount).scaleb(-digits)
    text = str(pattern.apply(value, _locale(locale), currency=currency, currency_digits=False))
    return LETTER_BEFORE_DIGIT.sub("\u00a0", text)


@dataclass(frozen=True, slots=True)
class Writing:
    """How ``format_amount`` writes a currency, for a page that writes amounts while they are typed.

    ``groups``: how many digits stand together, the last group first and then each further one.
    """

    before: str
    after: str
    point: str
    group: str
    groups: tuple[int, int]
    exponent: int


def writing(currency: str, locale: str = DEFAULT_LOCALE) -> Writing:
    """Taken from an amount that was written, so that nothing can differ."""
    known, digits = _locale(locale), exponent(currency)
    pattern, symbols = _pattern(known, digits, False), known.number_symbols["latn"]
    sample = format_amount(1, currency, locale)
    first, last = (found.search(sample) for found in (FIRST_DIGIT, LAST_DIGIT))
    assert first is not None and last is not None  # noqa: S101, PT018 - an amount without digits is no amount
    return Writing(
        before=sample[: first.start()],
        after=sample[last.end() :],
        point=symbols["decimal"],
        group=symbols["group"],
        groups=pattern.grouping,
        exponent=digits,
    )


def format_plain(amount: int, currency: str) -> str:
    """``49.99 GBP``: the same everywhere, for logs, CSV and machines."""
    digits = exponent(currency)
    whole, rest = divmod(amount, 10**digits)
    return f"{whole}.{rest:0{digits}d} {currency}" if digits else f"{whole} {currency}"


def symbol(currency: str, locale: str = DEFAULT_LOCALE) -> str:
    return get_currency_symbol(currency, locale=_locale(locale))


@cache
def _pattern(locale: Locale, digits: int, coded: bool) -> NumberPattern:
    text = locale.currency_formats["standard"].pattern
    if coded:
        text = text.replace("¤", "¤¤")
    fraction = "." + "0" * digits if digits else ""
    return parse_pattern(re.sub(r"0(\.[0#]+)?", f"0{fraction}", text, count=0))


@cache
def _locale(tag: str) -> Locale:
    try:
        return Locale.parse(tag.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(DEFAULT_LOCALE)
