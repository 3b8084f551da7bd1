"""The provider's word, and how several verdicts add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.fraud.checks import SEVERITY, FraudInput, Outcome, ProviderScreening, Reason, Verdict, worst
from paylink.psp.base import RiskLevel, RiskOutcome, Screening

verdicts = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.sampled_from(RiskLevel),
    st.lists(st.builds(Reason, st.just("code"), st.text(max_size=5)), max_size=2).map(tuple),
)


def judged(screening: Screening = Screening.UNKNOWN, level: RiskLevel = RiskLevel.UNKNOWN, **more: int) -> Verdict:
    risk = RiskOutcome(screening=screening, risk_level=level, risk_score=more.get("score"))
    return ProviderScreening().judge(FraudInput(amount=4999, currency="GBP", risk=risk))


@pytest.mark.parametrize(
    ("screening", "level", "outcome", "codes"),
    [
        (Screening.AUTHORIZED, RiskLevel.NORMAL, Outcome.ALLOW, ()),
        (Screening.AUTHORIZED, RiskLevel.UNKNOWN, Outcome.ALLOW, ()),
        (Screening.UNKNOWN, RiskLevel.UNKNOWN, Outcome.ALLOW, ()),
        (Screening.DECLINED, RiskLevel.NORMAL, Outcome.ALLOW, ()),
        (Screening.AUTHORIZED, RiskLevel.ELEVATED, Outcome.REVIEW, ("provider_elevated_risk",)),
        (Screening.MANUAL_REVIEW, RiskLevel.NORMAL, Outcome.REVIEW, ("provider_review",)),
        (Screening.MANUAL_REVIEW, RiskLevel.HIGHEST, Outcome.BLOCK, ("provider_highest_risk",)),
        (Screening.AUTHORIZED, RiskLevel.HIGHEST, Outcome.BLOCK, ("provider_highest_risk",)),
        (Screening.BLOCKED, RiskLevel.NORMAL, Outcome.BLOCK, ("provider_blocked",)),
    ],
)
def test_what_the_provider_decided(
    screening: Screening, level: RiskLevel, outcome: Outcome, codes: tuple[str, ...]
) -> None:
    verdict = judged(screening, level)
    assert (verdict.outcome, verdict.risk_level, verdict.codes) == (outcome, level, codes)


def test_every_screening_and_level_has_a_verdict() -> None:
    for screening in Screening:
        for level in RiskLevel:
            verdict = judged(screening, level)
            assert bool(verdict.reasons) is (verdict.outcome is not Outcome.ALLOW)


def test_no_provider_no_verdict() -> None:
    assert ProviderScreening().judge(FraudInput(amount=1, currency="GBP")) == Verdict()


def test_the_score_is_told_where_there_is_one() -> None:
    assert judged(level=RiskLevel.ELEVATED, score=74).reasons == (
        "The payment provider sees an elevated risk of fraud. Its score is 74 of 100.",
    )
    assert "score" not in judged(level=RiskLevel.ELEVATED).reasons[0]


def test_the_worst_wins_and_speaks_first() -> None:
    review = Verdict(Outcome.REVIEW, RiskLevel.HIGHEST, (Reason("r", "held"),))
    block = Verdict(Outcome.BLOCK, RiskLevel.ELEVATED, (Reason("b", "stopped"),))
    found = worst([Verdict(), review, block])
    assert (found.outcome, found.risk_level) == (Outcome.BLOCK, RiskLevel.HIGHEST)
    assert found.reasons == ("stopped", "held")
    assert found.codes == ("b", "r")


def test_nobody_asked_nothing_said() -> None:
    assert worst([]) == Verdict()


@given(st.lists(verdicts, min_size=1, max_size=5))
def test_no_verdict_softens_another(given_verdicts: list[Verdict]) -> None:
    found = worst(given_verdicts)
    assert SEVERITY[found.outcome] == max(SEVERITY[v.outcome] for v in given_verdicts)
    assert sorted(found.reasons) == sorted(text for v in given_verdicts for text in v.reasons)
    assert found.outcome is worst(reversed(given_verdicts)).outcome
