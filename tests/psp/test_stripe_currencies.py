"""Whose minor unit is which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit.money import MAX_AMOUNT, currencies
from paylink.psp.base import Charging, PspRefused
from paylink.psp.stripe_currencies import (
    CHARGED,
    MAXIMUM,
    MINIMUM,
    charging,
    from_provider,
    to_charge,
    to_provider,
)

OFFERED = sorted(code for code in currencies() if charging(code))


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


@pytest.mark.parametrize(
    ("currency", "least", "step", "shift"),
    [
        ("GBP", 30, 1, 0),
        ("JPY", 50, 1, 0),
        ("KWD", 10, 10, 0),
        ("ISK", 1, 1, 2),
        ("UGX", 1, 1, 2),
        ("MGA", 100, 100, -2),
        ("HUF", 17_500, 1, 0),
        ("TWD", 1, 1, 0),
    ],
)
def test_what_can_be_charged_in_our_own_units(currency: str, least: int, step: int, shift: int) -> None:
    found = charging(currency)
    assert found
    assert (found.minimum, found.step, found.shift) == (least, step, shift)


@pytest.mark.parametrize("currency", ["IQD", "LYD", "IRR", "KPW", "ANG", "ZZZ", "gbp", ""])
def test_what_cannot_be_charged_at_all(currency: str) -> None:
    assert charging(currency) is None


def test_the_offer_leaves_out_only_what_stripe_or_iso_does_not_know() -> None:
    assert len(OFFERED) > 125
    assert currencies().keys() & CHARGED == set(OFFERED)


@pytest.mark.parametrize("currency", OFFERED)
def test_the_bounds_are_exactly_those_of_a_charge(currency: str) -> None:
    found = charging(currency)
    assert found
    for amount in (found.minimum, found.maximum):
        assert chargeable(amount, currency)
        assert found.takes(amount)
    assert not chargeable(found.minimum - found.step, currency)
    assert not chargeable(found.maximum + found.step, currency)


@given(st.sampled_from(OFFERED), st.integers(-10, MAX_AMOUNT))
def test_what_is_offered_is_charged_and_read_back_as_the_same(currency: str, amount: int) -> None:
    found: Charging | None = charging(currency)
    assert found
    assert found.takes(amount) == chargeable(amount, currency)
    if found.takes(amount):
        sent = to_charge(amount, currency)
        assert from_provider(sent, currency) == amount
        # As the provider's script in the browser is told.
        assert sent * 10 ** max(0, -found.shift) == amount * 10 ** max(0, found.shift)


def chargeable(amount: int, currency: str) -> bool:
    try:
        to_charge(amount, currency)
    except PspRefused:
        return False
    return True


@given(st.sampled_from(sorted(currencies())), st.integers(0, 10**9))
def test_what_is_sent_comes_back_the_same(currency: str, amount: int) -> None:
    try:
        sent = to_provider(amount, currency)
    except PspRefused:
        return
    assert from_provider(sent, currency) == amount
