"""The words of a message, by channel and language."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from babel.dates import format_datetime
from jinja2 import PackageLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

from paylink.channels.base import ChannelName
from paylink.kit import gsm7
from paylink.kit.money import format_amount, format_plain

LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message may speak of."""

    merchant: str
    amount: int
    currency: str
    url: str
    expires_at: datetime
    description: str | None = None
    reference: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt may speak of. Amounts in minor units; ``left``: what is still to be paid of the link.

    ``card``: brand and last four digits in words.
    """

    merchant: str
    amount: int
    currency: str
    paid_at: datetime
    payment: str
    description: str | None = None
    reference: str | None = None
    card: str | None = None
    left: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    text: str
    subject: str | None = None
    html: str | None = None


def render(channel: str, facts: Facts) -> Rendered:
    """The message for ``channel``. Texts for phones are kept in the GSM alphabet where they can be."""
    values = {
        "merchant": facts.merchant,
        "amount": format_amount(facts.amount, facts.currency),
        "url": facts.url,
        "expires": format_datetime(facts.expires_at, "d MMMM y, HH:mm 'UTC'", locale="en_GB"),
        "description": facts.description,
        "reference": facts.reference,
        "name": facts.name,
    }
    if channel == ChannelName.EMAIL:
        return Rendered(
            text=_template("email.txt", values),
            subject=" ".join(_template("email_subject.txt", values).split()),
            html=_template("email.html", values),
        )
    if channel == ChannelName.SMS:
        return Rendered(gsm7.normalise(" ".join(_template("sms.txt", values).split())))
    return Rendered(" ".join(_template("chat.txt", values).split()))


def render_receipt(channel: str, facts: ReceiptFacts) -> Rendered:
    """The receipt for ``channel``, an e-mail or a text message."""
    if channel == ChannelName.EMAIL:
        values = {**receipt_texts(facts), "name": facts.name}
        return Rendered(
            text=_template("receipt_email.txt", values),
            subject=" ".join(_template("receipt_email_subject.txt", values).split()),
            html=_template("receipt_email.html", values),
        )
    # Short; and a currency's symbol may be none of the alphabet's, its code always is.
    short = {
        "amount": format_plain(facts.amount, facts.currency),
        "left": None if facts.left is None else format_plain(facts.left, facts.currency),
        "when": format_datetime(facts.paid_at, "d MMM y HH:mm 'UTC'", locale="en_GB"),
    }
    words = _template("receipt_sms.txt", {**receipt_texts(facts), **short})
    return Rendered(gsm7.normalise(" ".join(words.split())))


def receipt_texts(facts: ReceiptFacts) -> dict[str, str | None]:
    """What a receipt says, as people read it; ``None`` for what it has nothing to say of."""
    return {
        "merchant": facts.merchant,
        "amount": _with_code(facts.amount, facts.currency),
        "when": format_datetime(facts.paid_at, "d MMMM y, HH:mm 'UTC'", locale="en_GB"),
        "description": facts.description,
        "reference": facts.reference,
        "card": facts.card,
        "left": None if facts.left is None else _with_code(facts.left, facts.currency),
        "payment": facts.payment,
    }


def _with_code(amount: int, currency: str) -> str:
    """``£49.99 (GBP)``: a dollar sign alone does not say whose dollars."""
    text = format_amount(amount, currency)
    return text if currency in text else f"{text} ({currency})"


def _template(name: str, values: dict[str, str | None]) -> str:
    return _environment().get_template(f"{LANGUAGE}/{name}").render(values)


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=PackageLoader("paylink.messages"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
