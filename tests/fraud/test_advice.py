"""What customers and agents are told about a decline."""

import pytest

from paylink.kit.cards import contains_card_number
from paylink.payments.advice import _CODES, ADVICE, DEFAULT, advise

SUSPICIONS = [
    "fraudulent",
    "lost_card",
    "stolen_card",
    "pickup_card",
    "merchant_blacklist",
    "blocked_by_fraud_check",
    "highest_risk_level",
]
# The sandbox's cards (contract), and what they must be told apart by.
SANDBOX = ["insufficient_funds", "incorrect_cvc", "expired_card", "processing_error"]


@pytest.mark.parametrize("code", [*SUSPICIONS, "generic_decline", "card_declined", "a_code_of_tomorrow", "", None])
def test_a_suspicion_looks_like_any_decline(code: str | None) -> None:
    assert advise(code) is DEFAULT


def test_every_suspicion_was_thought_of() -> None:
    assert ADVICE.keys() >= set(SUSPICIONS)


def test_no_sentence_speaks_of_suspicion() -> None:
    words = ("fraud", "stolen", "lost", "suspect", "suspicio", "block", "risk", "review")
    for advice in ADVICE.values():
        for sentence in (advice.customer, advice.agent):
            assert not any(word in sentence.lower() for word in words), sentence


def test_what_helps_is_told_apart() -> None:
    assert len({advise(code) for code in SANDBOX} | {DEFAULT}) == len(SANDBOX) + 1


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_sentences(code: str) -> None:
    advice = advise(code)
    for sentence in (advice.customer, advice.agent):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert len(sentence) < 200
        assert not contains_card_number(sentence)


@pytest.mark.parametrize("code", ["payment_intent_authentication_failure", "authentication_required"])
def test_authentication_has_its_own(code: str) -> None:
    assert "approve" in advise(code).customer


def test_each_code_stands_once() -> None:
    codes = [code for _, line in _CODES for code in line.split()]
    assert sorted(codes) == sorted(set(codes))
