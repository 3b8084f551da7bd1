"""Our own rules at their edges."""

from dataclasses import replace
from typing import Any

import pytest

from paylink.fraud.checks import FraudInput, Outcome, Verdict
from paylink.fraud.rules import Limits, OwnRules, assess
from paylink.psp.base import RiskLevel, RiskOutcome, Screening

HONEST = FraudInput(amount=4999, currency="GBP", card_country="GB", customer_country="GB", amount_ceiling=100_000)
LIMITS = Limits()


def own(**changes: Any) -> Verdict:
    return OwnRules().judge(replace(HONEST, **changes))


def test_an_honest_payment_passes() -> None:
    assert own() == Verdict(Outcome.ALLOW, RiskLevel.UNKNOWN, ())


def test_nothing_known_is_not_held_against_anyone() -> None:
    assert OwnRules().judge(FraudInput(amount=1, currency="GBP")).outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    ("field", "limit", "beyond", "code"),
    [
        ("distinct_cards_on_link", LIMITS.cards_on_link, Outcome.REVIEW, "many_cards"),
        ("distinct_cards_on_link", LIMITS.cards_on_link_block, Outcome.BLOCK, "many_cards"),
        ("link_attempts", LIMITS.link_attempts, Outcome.REVIEW, "link_velocity"),
        ("link_attempts", LIMITS.link_attempts_block, Outcome.BLOCK, "link_velocity"),
        ("customer_attempts_1h", LIMITS.customer_attempts_1h, Outcome.REVIEW, "customer_velocity"),
        ("address_attempts_1h", LIMITS.address_attempts_1h, Outcome.REVIEW, "address_velocity"),
        ("address_attempts_1h", LIMITS.address_attempts_1h_block, Outcome.BLOCK, "address_velocity"),
        ("amount", 100_000, Outcome.REVIEW, "amount_ceiling"),
    ],
)
def test_each_limit_at_its_edge(field: str, limit: int, beyond: Outcome, code: str) -> None:
    softer = {Outcome.REVIEW: Outcome.ALLOW, Outcome.BLOCK: Outcome.REVIEW}[beyond]
    assert own(**{field: limit}).outcome is softer
    verdict = own(**{field: limit + 1})
    assert (verdict.outcome, verdict.codes) == (beyond, (code,))


def test_limits_can_be_set() -> None:
    strict = OwnRules(Limits(customer_attempts_1h=1))
    assert strict.judge(replace(HONEST, customer_attempts_1h=2)).outcome is Outcome.REVIEW


def test_a_card_from_abroad_is_noted_and_passes() -> None:
    verdict = own(card_country="US")
    assert (verdict.outcome, verdict.risk_level) == (Outcome.ALLOW, RiskLevel.UNKNOWN)
    assert verdict.reasons == ("The card is from US, the customer's phone number from GB.",)


@pytest.mark.parametrize("countries", [(None, "GB"), ("GB", None), ("gb", "GB"), ("", "GB")])
def test_no_mismatch(countries: tuple[str | None, str | None]) -> None:
    assert own(card_country=countries[0], customer_country=countries[1]).details == ()


def test_two_signs_together_hold() -> None:
    assert own(distinct_cards_on_link=3, link_attempts=3).outcome is Outcome.ALLOW
    verdict = own(card_country="US", distinct_cards_on_link=3, link_attempts=3)
    assert (verdict.outcome, verdict.risk_level) == (Outcome.REVIEW, RiskLevel.ELEVATED)
    assert verdict.codes == ("country_mismatch", "many_cards")
    assert own(card_country="US", link_attempts=5).codes == ("country_mismatch", "link_velocity")


def test_a_card_and_its_try_are_one_sign() -> None:
    verdict = own(distinct_cards_on_link=6, link_attempts=6)
    assert (verdict.outcome, verdict.codes) == (Outcome.ALLOW, ("many_cards",))


def test_a_hold_names_the_signs_too() -> None:
    verdict = own(card_country="US", amount=200_000)
    assert verdict.codes == ("amount_ceiling", "country_mismatch")
    assert verdict.risk_level is RiskLevel.UNKNOWN
    assert verdict.reasons[0] == "2000.00 GBP is above the 1000.00 GBP that pass unseen."


def test_many_tries_from_one_address() -> None:
    assert own(address_attempts_1h=10_000).outcome is Outcome.BLOCK


def test_provider_and_rules_together() -> None:
    elevated = RiskOutcome(Screening.AUTHORIZED, RiskLevel.ELEVATED)
    blocked = RiskOutcome(Screening.BLOCKED, RiskLevel.HIGHEST)
    normal = RiskOutcome(Screening.AUTHORIZED, RiskLevel.NORMAL)
    assert assess(replace(HONEST, risk=normal)) == Verdict(Outcome.ALLOW, RiskLevel.NORMAL)
    held = assess(replace(HONEST, risk=elevated, amount=200_000))
    assert (held.outcome, held.codes) == (Outcome.REVIEW, ("provider_elevated_risk", "amount_ceiling"))
    stopped = assess(replace(HONEST, risk=blocked, amount=200_000))
    assert (stopped.outcome, stopped.codes) == (Outcome.BLOCK, ("provider_blocked", "amount_ceiling"))
    assert assess(replace(HONEST, risk=normal, link_attempts=31)).outcome is Outcome.BLOCK
