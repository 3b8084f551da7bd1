"""Finding card numbers: every way of writing one, and as little else as can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit.cards import contains_card_number, contains_issued_card_number, find_card_numbers, fold, luhn_valid

# The networks' own test numbers: Visa (16, 13 and 19 digits), Mastercard, Amex, Discover, JCB, Diners, UnionPay.
NUMBERS = [
    *("4242424242424242", "4222222222222", "4000000000000000006", "5555555555554444", "2223003122003222"),
    *("378282246310005", "6011111111111117", "3566002020360505", "30569309025904", "6200000000000005"),
]
SEPARATORS = ["", " ", "-", ".", "/", "_", "\u00a0", "\u202f", "\u2013", "\u2011", "\u200b", "\n", "\t", "  ", " -"]


def check_digit(digits: str) -> str:
    return next(digit for digit in "0123456789" if luhn_valid(digits + digit))


bodies = st.text("0123456789", min_size=12, max_size=18).filter(lambda digits: digits.strip("0"))
valid = bodies.map(lambda digits: digits + check_digit(digits))
words = st.text(st.characters(categories=["L", "P", "Zs"], max_codepoint=0x2FF), max_size=12)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_number_in_groups_is_found(number: str, separator: str) -> None:
    groups = [number[at : at + 4] for at in range(0, len(number), 4)]
    assert contains_card_number(f"Card {separator.join(groups)}, please")


@given(number=valid, before=words, after=words)
def test_any_valid_number_among_words_is_found(number: str, before: str, after: str) -> None:
    assert contains_card_number(f"{before}x{number}x{after}")


@given(number=valid, base=st.sampled_from([0xFF10, 0x0660, 0x06F0, 0x0966, 0x1D7CE]))
def test_a_number_in_other_digits_is_found(number: str, base: int) -> None:
    assert contains_card_number("".join(chr(base + int(digit)) for digit in number))


@given(number=valid)
def test_a_number_with_one_wrong_digit_alone_is_no_card(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not contains_card_number(wrong)


@pytest.mark.parametrize(
    "text",
    [
        *("4242 4242 4242 4242 12/30 123", "2 4242 4242 4242 4242", "1: 4242424242424242", "4242424242424242 12 30"),
        *("99 99 4242-4242-4242-4242 99", "4242424242424242 4242424242424241", "4242424242424241 4242424242424242"),
        *("4242 4242\n4242 4242", "x4242424242424242x", "№4242424242424242", "4242424242424242/1230/123"),
    ],
)
def test_what_stands_around_a_number_does_not_hide_it(text: str) -> None:
    assert "4242" in "".join(find_card_numbers(fold(text)))
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "0000000000000000",
            "424242424242",
            "42424242424242424242",
            "4242424242424241",
            "INV-1042",
            "+447700900123",
        ),
        *(
            "2026-11-21T18:48:39.123Z",
            "4242 and 4242 and 4242 and 4242",
            "4242a4242b4242c4242",
            "4,242,424,242,424,242.00",
        ),
    ],
)
def test_what_is_no_card_number_is_not_found(text: str) -> None:
    assert not contains_card_number(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_search(text: str) -> None:
    for found in find_card_numbers(fold(text)):
        digits = "".join(char for char in found if char.isdigit())
        assert 13 <= len(digits) <= 19
        assert luhn_valid(digits)


def test_long_runs_are_searched_in_no_time() -> None:
    for text in ("1 " * 30_000, "1" * 60_000, "12-" * 20_000, "\u200b" * 60_000):
        contains_card_number(text)


@pytest.mark.parametrize("number", NUMBERS)
def test_what_networks_issue_begins_like_their_numbers(number: str) -> None:
    assert contains_issued_card_number(number)


@given(moment=st.integers(1_500_000_000_000, 1_999_999_999_999))
def test_a_clock_is_not_taken_for_a_network(moment: int) -> None:
    assert not contains_issued_card_number(f"order-{moment}")
