"""The field in which a customer says how much of a link to pay now. What its script may do is decided here; whether the
amount is paid is decided by ``payments.service`` and by nobody else."""

from dataclasses import asdict, dataclass
from typing import Any

from paylink.kit.money import format_amount, writing
from paylink.payments.customer import PageView
from paylink.payments.parts import Parts
from paylink.psp.base import Charging


@dataclass(frozen=True, slots=True)
class AmountField:
    """``value`` is all that is left, as it stands in the field; ``data`` is for the page's script."""

    value: str
    least: str
    before: str
    after: str
    inputmode: str
    data: dict[str, Any]


def amount_field(view: PageView, charging: Charging | None) -> AmountField | None:
    """``None`` where there is nothing to choose: paid in one sum, or what is left can only be paid whole."""
    parts = Parts.of(
        currency=view.currency, left=view.amount_left, minimum_amount=view.minimum_amount, charging=charging
    )
    if parts is None or not parts.choice:
        return None
    style = writing(view.currency)
    value = plain(parts.left, style.exponent, style.point)
    texts = {fault.value: text for fault, text in parts.sentences().items()}
    data = {
        "left": parts.left,
        "least": parts.least,
        "step": parts.step,
        "writing": asdict(style),
        "texts": {**texts, "unreadable": f"Please enter an amount like {value}.", "pay": "Pay {amount}", "none": "Pay"},
    }
    return AmountField(
        value=value,
        least=format_amount(parts.least, view.currency),
        before=style.before.strip(),
        after=style.after.strip(),
        inputmode="decimal" if style.exponent else "numeric",
        data=data,
    )


def plain(amount: int, exponent: int, point: str) -> str:
    """``4999, 2, "."`` → ``49.99``: without sign and groups, as a field is best filled in."""
    whole, rest = divmod(amount, 10**exponent)
    return f"{whole}{point}{rest:0{exponent}d}" if exponent else str(whole)
