"""Every ISO 4217 currency is written with the decimals of ISO 4217, wherever CLDR would round."""

import re
from decimal import Decimal

import pytest
from babel import Locale
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit import money

LOCALES = ["en_GB", "en", "de", "fr", "ja", "pt-BR", "sv", "hi", "de-CH", "ar"]
CLDR = get_global("currency_fractions")
DIFFERING = sorted(code for code, digits in money.currencies().items() if CLDR.get(code, CLDR["DEFAULT"])[0] != digits)


def test_iso_and_cldr_differ_where_it_hurts() -> None:
    assert {"IQD", "LBP", "HUF", "ISK"} & set(DIFFERING) >= {"IQD", "LBP"}
    assert len(DIFFERING) >= 12


@pytest.mark.parametrize("code", sorted(money.currencies()))
def test_every_currency_reads_back_as_it_was_written(code: str) -> None:
    digits = money.exponent(code)
    for amount in (1, 10, 99, 100, 1000, 123_456, 4999, money.MAX_AMOUNT):
        for locale in LOCALES:
            assert read(money.format_amount(amount, code, locale), locale, digits) == amount
        assert money.format_plain(amount, code) == f"{Decimal(amount).scaleb(-digits):f} {code}"


def read(text: str, locale: str, digits: int) -> int:
    """The minor units that a person reads in ``text``."""
    point = Locale.parse(locale.replace("-", "_")).number_symbols["latn"]["decimal"]
    symbols = re.sub(rf"(?<!\d){re.escape(point)}|{re.escape(point)}(?!\d)", "", text)
    whole, found, fraction = symbols.rpartition(point) if digits else (symbols, "", "")
    assert bool(found) == bool(digits), text
    figures = "".join(char for char in fraction if char.isdigit())
    assert len(figures) == digits, text
    return int("".join(char for char in whole if char.isdigit()) + figures)


@pytest.mark.parametrize(
    ("amount", "code", "locale", "text"),
    [
        (4999, "GBP", "en_GB", "£49.99"),
        (4999, "EUR", "en_GB", "€49.99"),
        (4999, "EUR", "de", "49,99\u00a0€"),
        (4999, "JPY", "en_GB", "JP¥4,999"),
        (1, "KWD", "en_GB", "KWD\u00a00.001"),
        (1_234_567, "IQD", "en_GB", "IQD\u00a01,234.567"),
        (100_000, "INR", "hi", "₹1,000.00"),
        (5, "GBP", "nonsense", "£0.05"),
    ],
)
def test_amounts_are_written_as_people_write_them(amount: int, code: str, locale: str, text: str) -> None:
    assert money.format_amount(amount, code, locale) == text


@given(st.integers(1, money.MAX_AMOUNT), st.sampled_from(DIFFERING))
def test_no_thousandth_is_lost(amount: int, code: str) -> None:
    assert read(money.format_amount(amount, code), "en_GB", money.exponent(code)) == amount


@pytest.mark.parametrize("locale", [*LOCALES, "nl", "pl", "nb", "tr", "he"])
@pytest.mark.parametrize("code", ["GBP", "JPY", "KWD", "HUF", "UGX", "MGA", "INR"])
def test_a_page_that_is_told_how_amounts_are_written_writes_them_alike(code: str, locale: str) -> None:
    style = money.writing(code, locale)
    for amount in (1, 99, 1000, 123_456, 1_234_567, money.MAX_AMOUNT):
        whole, rest = divmod(amount, 10**style.exponent)
        fraction = f"{style.point}{rest:0{style.exponent}d}" if style.exponent else ""
        figures = style.group.join(grouped(str(whole), *style.groups))
        assert style.before + figures + fraction + style.after == money.format_amount(amount, code, locale)


def grouped(whole: str, last: int, further: int) -> list[str]:
    """``1234567, 3, 2`` → ``12 34 567``."""
    if len(whole) <= last:
        return [whole]
    return [*grouped(whole[:-last], further, further), whole[-last:]]


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "CHE", "gbp", "", "ZZZ"])
def test_what_nobody_pays_in_is_no_currency(code: str) -> None:
    with pytest.raises(money.UnknownCurrency):
        money.exponent(code)
