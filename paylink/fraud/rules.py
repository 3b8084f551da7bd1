"""Our own rules, for what the provider cannot see: the link, the customer behind it, the merchant's ceiling.

A rule that stands for itself holds or blocks. A sign that is common among honest people (a card from abroad, a second
card) is noted, and holds the payment only together with another sign.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from paylink.fraud.checks import FraudCheck, FraudInput, Outcome, ProviderScreening, Reason, Verdict, worst
from paylink.kit.money import format_plain
from paylink.psp.base import RiskLevel

SIGNS_TO_HOLD = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that passes without a person, and the most that passes at all. Counts, per link or per hour."""

    # A household has few cards. Whoever tests stolen ones goes through dozens on a page that lets them.
    cards_on_link: int = 6
    cards_on_link_block: int = 12
    link_attempts: int = 12
    link_attempts_block: int = 30
    customer_attempts_1h: int = 20
    # A company or a mobile network shares one address among many people.
    address_attempts_1h: int = 40
    address_attempts_1h_block: int = 150
    # From here on these are signs only.
    cards_sign: int = 3
    attempts_sign: int = 5


class OwnRules:
    """Velocity per link, customer and address; the merchant's ceiling; countries that do not match."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def judge(self, given: FraudInput) -> Verdict:
        blocks = tuple(self._blocks(given))
        holds = tuple(self._holds(given))
        signs = tuple(self._signs(given))
        if blocks:
            return Verdict(Outcome.BLOCK, RiskLevel.HIGHEST, blocks + signs)
        if holds or len(signs) >= SIGNS_TO_HOLD:
            return Verdict(Outcome.REVIEW, _risk_of(holds), holds + signs)
        return Verdict(Outcome.ALLOW, RiskLevel.UNKNOWN, signs)

    def _blocks(self, given: FraudInput) -> Iterator[Reason]:
        limits = self._limits
        if given.distinct_cards_on_link > limits.cards_on_link_block:
            yield _cards(given)
        if given.link_attempts > limits.link_attempts_block:
            yield _link_attempts(given)
        if given.address_attempts_1h > limits.address_attempts_1h_block:
            yield _address(given)

    def _holds(self, given: FraudInput) -> Iterator[Reason]:
        limits = self._limits
        if given.amount_ceiling is not None and given.amount > given.amount_ceiling:
            ceiling = format_plain(given.amount_ceiling, given.currency)
            yield Reason(
                "amount_ceiling",
                f"{format_plain(given.amount, given.currency)} is above the {ceiling} that pass unseen.",
            )
        if given.distinct_cards_on_link > limits.cards_on_link:
            yield _cards(given)
        if given.link_attempts > limits.link_attempts:
            yield _link_attempts(given)
        if given.customer_attempts_1h > limits.customer_attempts_1h:
            yield Reason(
                "customer_velocity", f"This customer tried to pay {given.customer_attempts_1h} times within an hour."
            )
        if given.address_attempts_1h > limits.address_attempts_1h:
            yield _address(given)

    def _signs(self, given: FraudInput) -> Iterator[Reason]:
        limits = self._limits
        if _differ(given.card_country, given.customer_country):
            yield Reason(
                "country_mismatch",
                f"The card is from {given.card_country}, the customer's phone number from {given.customer_country}.",
            )
        if limits.cards_sign <= given.distinct_cards_on_link <= limits.cards_on_link:
            yield _cards(given)
        elif limits.attempts_sign <= given.link_attempts <= limits.link_attempts:
            # Not beside the cards: a new card is a new try, and one thing seen twice is one sign.
            yield _link_attempts(given)


CHECKS: tuple[FraudCheck, ...] = (ProviderScreening(), OwnRules())


def assess(given: FraudInput, *, checks: tuple[FraudCheck, ...] = CHECKS) -> Verdict:
    return worst(check.judge(given) for check in checks)


def _risk_of(holds: tuple[Reason, ...]) -> RiskLevel:
    """A large amount is a reason to look and not in itself a risk."""
    risky = not holds or any(reason.code != "amount_ceiling" for reason in holds)
    return RiskLevel.ELEVATED if risky else RiskLevel.UNKNOWN


def _cards(given: FraudInput) -> Reason:
    return Reason("many_cards", f"{given.distinct_cards_on_link} different cards were tried on this link.")


def _link_attempts(given: FraudInput) -> Reason:
    return Reason("link_velocity", f"There were {given.link_attempts} tries to pay on this link.")


def _address(given: FraudInput) -> Reason:
    return Reason(
        "address_velocity", f"There were {given.address_attempts_1h} tries from the same address within an hour."
    )


def _differ(left: str | None, right: str | None) -> bool:
    return bool(left and right) and str(left).upper() != str(right).upper()
