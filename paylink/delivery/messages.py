"""The words of a message, by channel and language."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from babel.dates import format_datetime
from jinja2 import PackageLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

from paylink.delivery.states import ChannelName
from paylink.kit import gsm7
from paylink.kit.money import format_amount

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


def _template(name: str, values: dict[str, str | None]) -> str:
    return _environment().get_template(f"{LANGUAGE}/{name}").render(values)


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=PackageLoader("paylink.delivery"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
