"""Whose minor unit is which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit.money import currencies
from paylink.psp.base import PspRefused
from paylink.psp.stripe_currencies import MAXIMUM, MINIMUM, from_provider, to_charge, to_provider


@pytest.mark.parametrize(
    ("currency", "ours", "stripes"),
    [
        ("GBP", 4999, 4999),
        ("JPY", 500, 500),
        ("KWD", 5120, 5120),
        ("ISK", 5, 500),
        ("UGX", 5000, 500_000),
        ("HUF", 17_545, 17_545),
        ("TWD", 80_045, 80_045),
        ("MGA", 500, 5),
    ],
)
def test_both_ways(currency: str, ours: int, stripes: int) -> None:
    assert to_provider(ours, currency) == stripes
    assert from_provider(stripes, currency) == ours


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(5124, "KWD"), (5001, "BHD"), (550, "MGA"), (1000, "IQD"), (1000, "LYD"), (100, "ZZZ"), (100, "gbp")],
)
def test_what_stripe_cannot_be_told(amount: int, currency: str) -> None:
    with pytest.raises(PspRefused) as refused:
        to_provider(amount, currency)
    assert refused.value.code == "amount_not_chargeable"


@pytest.mark.parametrize(("amount", "currency"), [(550, "ISK"), (1, "UGX"), (100, "ZZZ"), (100, "IQD")])
def test_what_iso_cannot_say(amount: int, currency: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_provider(amount, currency)


def test_the_smallest_and_the_largest_charge() -> None:
    assert to_charge(30, "GBP") == 30
    assert to_charge(MAXIMUM, "GBP") == MAXIMUM
    assert to_charge(1, "BMD") == 1
    for amount, currency in ((29, "GBP"), (0, "BMD"), (-5, "BMD"), (MAXIMUM + 1, "GBP"), (10**10, "ISK")):
        with pytest.raises(PspRefused) as refused:
            to_charge(amount, currency)
        assert refused.value.code == "amount_not_chargeable"
    assert to_provider(1, "GBP") == 1


def test_every_minimum_can_be_charged() -> None:
    assert MINIMUM.keys() <= currencies().keys()
    for currency, amount in MINIMUM.items():
        assert to_charge(from_provider(amount, currency), currency) == amount


@given(st.sampled_from(sorted(currencies())), st.integers(0, 10**9))
def test_what_is_sent_comes_back_the_same(currency: str, amount: int) -> None:
    try:
        sent = to_provider(amount, currency)
    except PspRefused:
        return
    assert from_provider(sent, currency) == amount
