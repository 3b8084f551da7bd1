"""Paying a link in parts: which amounts may be paid at once, and the sentence for those that may not.

What is left is paid whole, or so that both the part and the rest are at least the link's minimum and something the
provider can charge. So no link ever keeps a rest that nobody can pay. The page is given the same sentences, but what
the browser says is a wish: the amount is judged again under the link's lock.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from paylink.errors import Invalid
from paylink.kit import i18n
from paylink.kit.money import format_amount
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.psp.base import Charging


class Fault(StrEnum):
    """What is wrong with an amount. The values are ``code`` in the API's and the page's errors."""

    TOO_SMALL = "amount_too_small"
    TOO_LARGE = "amount_too_large"
    LEAVES_TOO_LITTLE = "amount_leaves_too_little"
    WHOLE_ONLY = "amount_must_be_whole"
    STEP = "amount_not_chargeable"
    NOT_TAKEN = "amount_not_accepted"


@dataclass(frozen=True, slots=True)
class Parts:
    """In minor units: ``left`` to pay, at least ``least`` at once, in steps of ``step``."""

    currency: str
    left: int
    least: int
    step: int = 1

    @classmethod
    def of(cls, *, currency: str, left: int, minimum_amount: int | None, charging: Charging | None) -> Self | None:
        """``None`` for a link that is paid in one sum."""
        if minimum_amount is None:
            return None
        can = charging or Charging(1, left)
        return cls(currency, left, max(minimum_amount, can.minimum), can.step)

    @property
    def choice(self) -> bool:
        """Whether what is left can be split at all."""
        return self.left >= 2 * self.least

    def fault(self, amount: int) -> Fault | None:
        if amount == self.left:
            return None
        faults = {
            Fault.TOO_LARGE: amount > self.left,
            Fault.WHOLE_ONLY: not self.choice,
            Fault.TOO_SMALL: amount < self.least,
            Fault.LEAVES_TOO_LITTLE: self.left - amount < self.least,
            Fault.STEP: amount % self.step != 0,
        }
        return next((fault for fault, found in faults.items() if found), None)

    def check(self, amount: int) -> None:
        """Raises ``Invalid``."""
        if fault := self.fault(amount):
            raise Invalid.one("amount", fault.value, self.sentences()[fault])

    def sentences(self, language: str = i18n.DEFAULT) -> dict[Fault, str]:
        """Each fault in words for the customer."""
        _, locale = i18n.translator(language).gettext, i18n.written(language)
        amounts = {"left": self.left, "least": self.least, "step": self.step}
        written = {name: format_amount(amount, self.currency, locale) for name, amount in amounts.items()}
        values = {name: i18n.isolated(text, language) for name, text in written.items()}
        sentences = {
            Fault.TOO_SMALL: _("Please pay at least %(least)s."),
            Fault.TOO_LARGE: _("Only %(left)s is left to pay."),
            Fault.LEAVES_TOO_LITTLE: _("Please pay all of the %(left)s, or leave at least %(least)s to pay later."),
            Fault.WHOLE_ONLY: _("Please pay the %(left)s in one payment."),
            Fault.STEP: _("Please enter an amount in steps of %(step)s."),
        }
        return {fault: text % values for fault, text in sentences.items()}


def payable(link: PaymentLink, wanted: int | None, charging: Charging | None) -> int:
    """What is paid now: ``wanted``, or all that is left. Raises ``Invalid`` for an amount that cannot be paid."""
    left = link.amount - link.amount_paid
    if wanted is None:
        return left
    parts = Parts.of(currency=link.currency, left=left, minimum_amount=link.minimum_amount, charging=charging)
    if parts is None:
        raise Invalid.one("amount", Fault.NOT_TAKEN.value, "This link is paid in one payment")
    parts.check(wanted)
    return wanted


def fits(link: PaymentLink, amount: int) -> bool:
    """Whether ``amount`` can be taken without the link being paid beyond its amount, or after its end."""
    return link.status in OPEN and amount <= link.amount - link.amount_paid
