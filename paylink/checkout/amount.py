"""The field in which a customer says how much of a link to pay now. What its script may do is decided here; whether the
amount is paid is decided by ``payments.service`` and by nobody else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from paylink.kit import i18n
from paylink.kit.money import format_amount, writing
from paylink.payments.customer import PageView
from paylink.payments.parts import Parts
from paylink.psp.base import Charging

# Spaces, and marks of direction, which show nothing on their own.
BLANK: Final = " \u00a0\u202f\u200e\u200f\u061c"


@dataclass(frozen=True, slots=True)
class AmountField:
    """``value`` is all that is left, or what was chosen before, as it stands in the field; ``data`` is for the page's
    script."""

    value: str
    least: str
    before: str
    after: str
    inputmode: str
    data: dict[str, Any]


def amount_field(
    view: PageView, charging: Charging | None, language: str, *, draft: Mapping[str, Any]
) -> AmountField | None:
    """``None`` where there is nothing to choose: paid in one sum, or what is left can only be paid whole.

    ``draft``: ``amount`` of ``left`` that the customer had chosen, on this device or the one before.
    """
    parts = Parts.of(
        currency=view.currency, left=view.amount_left, minimum_amount=view.minimum_amount, charging=charging
    )
    if parts is None or not parts.choice:
        return None
    locale, _ = i18n.written(language), i18n.translator(language).gettext
    style = writing(view.currency, locale)
    example = plain(parts.left, style.exponent, style.point)
    chosen = _chosen(parts, draft)
    texts = {fault.value: text for fault, text in parts.sentences(language).items()}
    texts |= {
        "unreadable": _("Please enter an amount like %(amount)s.") % {"amount": i18n.isolated(example, language)},
        "pay": _("Pay %(amount)s") % {"amount": i18n.isolated("{amount}", language)},
        "none": _("Pay"),
    }
    data = {
        "left": parts.left,
        "least": parts.least,
        "step": parts.step,
        "writing": asdict(style),
        "texts": texts,
    }
    return AmountField(
        value=plain(chosen, style.exponent, style.point),
        least=format_amount(parts.least, view.currency, locale),
        before=style.before.strip(BLANK),
        after=style.after.strip(BLANK),
        inputmode="decimal" if style.exponent else "numeric",
        data=data,
    )


def _chosen(parts: Parts, draft: Mapping[str, Any]) -> int:
    """What was chosen of another rest than this one was paid, or is wrong by now."""
    amount = draft.get("amount")
    if not isinstance(amount, int) or draft.get("left") != parts.left or parts.fault(amount):
        return parts.left
    return amount


def plain(amount: int, exponent: int, point: str) -> str:
    """``4999, 2, "."`` → ``49.99``: without sign and groups, as a field is best filled in."""
    whole, rest = divmod(amount, 10**exponent)
    return f"{whole}{point}{rest:0{exponent}d}" if exponent else str(whole)
