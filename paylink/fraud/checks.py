"""Whether an authorised payment may be captured: what is known, what each check says of it, and how they add up.

Pure: no database, no network. A check sees ``FraudInput`` and answers ``Verdict``; of several, the worst wins. The
customer never learns of any of it; the reasons are for the merchant's people.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from paylink.psp.base import RiskLevel, RiskOutcome, Screening


class Outcome(StrEnum):
    """In rising order of severity: capture, hold for a person, let go."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


SEVERITY = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.BLOCK: 2}
RISK_SEVERITY = {RiskLevel.UNKNOWN: 0, RiskLevel.NORMAL: 1, RiskLevel.ELEVATED: 2, RiskLevel.HIGHEST: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudInput:
    """What is known when the bank has said yes. Counts include the payment at hand; countries are ISO 3166 alpha-2.

    Amounts are minor units. ``None`` is what nobody knows, and is never held against the customer.
    """

    amount: int
    currency: str
    link_attempts: int = 1
    distinct_cards_on_link: int = 1
    customer_attempts_1h: int = 1
    # Of the payer's network address, where it is a public one: a private one is a proxy's, or one's own machine.
    address_attempts_1h: int = 1
    card_country: str | None = None
    customer_country: str | None = None
    # The merchant's own ceiling in the payment's currency: above it a person decides.
    amount_ceiling: int | None = None
    risk: RiskOutcome | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """``code`` is stable and for programs; ``text`` is a sentence for an agent."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``details`` may be there with ``allow`` too: worth knowing, not worth holding the money for."""

    outcome: Outcome = Outcome.ALLOW
    risk_level: str = RiskLevel.UNKNOWN
    details: tuple[Reason, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(reason.text for reason in self.details)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(reason.code for reason in self.details)


class FraudCheck(Protocol):
    def judge(self, given: FraudInput) -> Verdict: ...


class ProviderScreening:
    """What the provider's own screening decided.

    Where it decided nothing (a method it does not score, an account without it), our own rules stand alone: an unknown
    risk is not a high one, and holding every such payment would teach people to approve without looking.
    """

    def judge(self, given: FraudInput) -> Verdict:
        risk = given.risk or RiskOutcome()
        if risk.screening is Screening.BLOCKED:
            return self._verdict(risk, Outcome.BLOCK, "provider_blocked", "The payment provider blocked this payment.")
        if risk.risk_level is RiskLevel.HIGHEST:
            return self._verdict(
                risk, Outcome.BLOCK, "provider_highest_risk", "The payment provider sees the highest risk of fraud."
            )
        if risk.screening is Screening.MANUAL_REVIEW:
            return self._verdict(
                risk, Outcome.REVIEW, "provider_review", "The payment provider asks for a person to look at this."
            )
        if risk.risk_level is RiskLevel.ELEVATED:
            return self._verdict(
                risk, Outcome.REVIEW, "provider_elevated_risk", "The payment provider sees an elevated risk of fraud."
            )
        return Verdict(risk_level=risk.risk_level)

    @staticmethod
    def _verdict(risk: RiskOutcome, outcome: Outcome, code: str, text: str) -> Verdict:
        score = f" Its score is {risk.risk_score} of 100." if risk.risk_score is not None else ""
        return Verdict(outcome, risk.risk_level, (Reason(code, text + score),))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe outcome and risk level; every reason, those of the most severe verdict first."""
    ranked = sorted(verdicts, key=lambda verdict: -SEVERITY[verdict.outcome])
    if not ranked:
        return Verdict()
    levels = [RiskLevel(verdict.risk_level) for verdict in ranked]
    return Verdict(
        outcome=ranked[0].outcome,
        risk_level=max(levels, key=lambda level: RISK_SEVERITY[level]),
        details=tuple(reason for verdict in ranked for reason in verdict.details),
    )
