"""The words of a message, by channel and language: a merchant's own where there are any, or ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from paylink.channels.base import ChannelName
from paylink.kit import gsm7, i18n
from paylink.kit.money import format_amount, format_plain
from paylink.messages import custom
from paylink.messages.builtin import source
from paylink.messages.custom import TemplateFault
from paylink.messages.models import MessageTemplate

# A text message is paid for by its length: what its writer did not keep short is cut.
SHORT: Final = {"merchant": 40, "description": 80, "reference": 40, "name": 40}
# Phones lay a text out by its first letter, which is often of a merchant's Latin name.
RIGHT_TO_LEFT_MARK: Final = "\u200f"
# What a carrier's template with places of its own may fill in.
PARTS: Final = ("merchant", "amount", "description", "reference", "words", "name")
# By which of our templates a channel's message is written: a chat's for all that have none of their own.
OURS: Final = {ChannelName.SMS.value: "sms.txt", ChannelName.EMAIL.value: "email.txt"}
CHAT: Final = "chat.txt"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message may speak of. ``amount`` in minor units.

    ``words``: the session's, which the agent says and the page shows. ``agent``: the first name of who sends it.
    ``unsubscribe_url``: in reminders. ``replies``: an answer of STOP reaches us from where it is sent.
    """

    merchant: str
    amount: int
    currency: str
    url: str
    expires_at: datetime
    description: str | None = None
    reference: str | None = None
    name: str | None = None
    words: str | None = None
    agent: str | None = None
    unsubscribe_url: str | None = None
    replies: bool = False

    def __repr__(self) -> str:
        return f"Facts({self.merchant!r})"


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt may speak of. Amounts in minor units; ``left``: what is still to be paid of the link.

    ``card``: brand and last four digits in words, of the language ``locale``.
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
    locale: str = i18n.DEFAULT


@dataclass(frozen=True, slots=True)
class Rendered:
    """``parts``: the same facts one by one, for a carrier that fills in a template of its own."""

    text: str
    subject: str | None = None
    html: str | None = None
    locale: str = i18n.DEFAULT
    parts: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Rendered({self.locale})"


def render(
    channel: str, facts: Facts, *, locale: str = i18n.DEFAULT, template: MessageTemplate | None = None
) -> Rendered:
    """The message for ``channel``. Texts for phones are kept in the GSM alphabet where they can be.

    ``template`` is the merchant's own. One that fails is logged and ours is sent: no message is lost to a mistake.
    """
    language = i18n.choose(locale)
    values = values_of(channel, facts, language)
    if template is not None:
        try:
            return fill(channel, values, subject=template.subject, text=template.text, mjml=template.mjml)
        except TemplateFault as fault:
            log.warning("template_failed", template=template.id, channel=channel, line=fault.line, reason=fault.what)
    return fill(channel, values, **ours(channel, language))


def ours(channel: str, language: str) -> dict[str, str | None]:
    """Our template for ``channel``: ``subject``, ``text`` and ``mjml`` as a merchant could have written them."""
    email = channel == ChannelName.EMAIL
    return {
        "text": source(OURS.get(channel, CHAT), language),
        "subject": source("email_subject.txt", language).strip() if email else None,
        "mjml": source("email.mjml", language) if email else None,
    }


def fill(
    channel: str, values: Mapping[str, str | None], *, subject: str | None, text: str | None, mjml: str | None
) -> Rendered:
    """A template filled in. Raises ``TemplateFault``, also for a message that would not hold its link."""
    language = values["language"] or i18n.DEFAULT
    parts = {name: value for name in PARTS if (value := values[name])}
    words = custom.fill(text or "", values)
    if (values["url"] or "") not in words:
        raise TemplateFault(1, "The text must hold the link: {{ url }}")
    if channel == ChannelName.EMAIL:
        headline = _one_line(custom.fill(subject or source("email_subject.txt", language), values))
        html = custom.page(mjml, values) if mjml else None
        return Rendered(tidy(words), headline, html, locale=language, parts=parts)
    return Rendered(_for_phones(words, channel, language), locale=language, parts=parts)


def values_of(channel: str, facts: Facts, language: str) -> dict[str, str | None]:
    """What ``custom.NAMES`` stand for. Nobody's text brings line breaks of its own."""
    rtl = i18n.direction(language) == "rtl"
    free = {
        "merchant": facts.merchant,
        "description": facts.description,
        "reference": facts.reference,
        "name": facts.name,
        "words": facts.words,
        "agent": facts.agent,
    }
    sms = channel == ChannelName.SMS
    shown = {name: _one_line(value) if value else None for name, value in free.items()}
    return {
        **({name: _cut(value, SHORT.get(name)) for name, value in shown.items()} if sms else shown),
        "amount": (_texted if sms else _amount)(facts.amount, facts.currency, language),
        "url": facts.url,
        "expires": i18n.moment(facts.expires_at, language),
        "unsubscribe_url": facts.unsubscribe_url,
        "replies": "yes" if facts.replies else None,
        "language": language,
        "direction": "rtl" if rtl else "ltr",
        "align": "right" if rtl else "left",
    }


def render_receipt(channel: str, facts: ReceiptFacts) -> Rendered:
    """The receipt for ``channel``, an e-mail or a text message."""
    language = i18n.choose(facts.locale)
    texts = receipt_texts(facts)
    if channel == ChannelName.EMAIL:
        values = {
            **{name: _one_line(value) if value else None for name, value in texts.items()},
            "name": _one_line(facts.name) if facts.name else None,
            "language": language,
            "direction": i18n.direction(language),
        }
        return Rendered(
            text=tidy(custom.trusted(source("receipt_email.txt", language), values)),
            subject=_one_line(custom.trusted(source("receipt_email_subject.txt", language), values)),
            html=custom.trusted(source("receipt_email.html", language), values, markup=True),
            locale=language,
        )
    # Short; and a currency's symbol may be none of the alphabet's, its code always is.
    short = {
        **{name: _cut(_one_line(value), SHORT.get(name)) if value else None for name, value in texts.items()},
        "amount": format_plain(facts.amount, facts.currency),
        "left": None if facts.left is None else format_plain(facts.left, facts.currency),
        "when": i18n.moment(facts.paid_at, language, short=True),
    }
    words = custom.trusted(source("receipt_sms.txt", language), short)
    return Rendered(_for_phones(words, channel, language), locale=language)


def receipt_texts(facts: ReceiptFacts) -> dict[str, str | None]:
    """What a receipt says, as people read it; ``None`` for what it has nothing to say of."""
    language = i18n.choose(facts.locale)
    return {
        "merchant": facts.merchant,
        "amount": _with_code(facts.amount, facts.currency, language),
        "when": i18n.moment(facts.paid_at, language),
        "description": facts.description,
        "reference": facts.reference,
        "card": facts.card,
        "left": None if facts.left is None else _with_code(facts.left, facts.currency, language),
        "payment": facts.payment,
    }


def first_name(name: str) -> str:
    """As an agent signs: ``Sam Miller`` → ``Sam``."""
    return name.split(maxsplit=1)[0] if name.split() else name


def tidy(text: str) -> str:
    """Without white space at the ends of lines, and with one empty line at most."""
    lines: list[str] = []
    for line in (one.strip() for one in text.strip().splitlines()):
        if line or lines[-1]:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _for_phones(words: str, channel: str, language: str) -> str:
    text = "\n".join(_one_line(line) for line in tidy(words).splitlines())
    text = RIGHT_TO_LEFT_MARK + text if i18n.direction(language) == "rtl" else text
    return gsm7.normalise(text) if channel == ChannelName.SMS else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str | None, length: int | None) -> str | None:
    return text if text is None or length is None or len(text) <= length else text[: length - 3].rstrip() + "..."


def _amount(amount: int, currency: str, language: str) -> str:
    return format_amount(amount, currency, i18n.written(language))


def _texted(amount: int, currency: str, language: str) -> str:
    """The currency's code where its symbol is not in the alphabet of text messages: 49,99 PLN and not 49,99 zł."""
    text = _amount(amount, currency, language)
    twin = text.translate(gsm7.PLAIN_TWINS)
    return text if gsm7.fits(twin) else format_amount(amount, currency, i18n.written(language), by_code=True)


def _with_code(amount: int, currency: str, language: str) -> str:
    """``£49.99 (GBP)``: a dollar sign alone does not say whose dollars."""
    text = _amount(amount, currency, language)
    return text if currency in text else f"{text} ({currency})"
