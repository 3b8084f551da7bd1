"""Message templates on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from paylink.channels.base import ChannelName
from paylink.errors import Invalid
from paylink.kit import i18n
from paylink.kit.clock import rfc3339
from paylink.kit.text import refuse_card_number, refuse_control_characters
from paylink.messages.models import MessageTemplate
from paylink.messages.render import Rendered
from paylink.messages.service import CHANNELS

_checks = (AfterValidator(refuse_control_characters), AfterValidator(refuse_card_number))
Subject = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), *_checks]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4_000), *_checks]
Mjml = Annotated[str, StringConstraints(min_length=1, max_length=40_000), *_checks]


class TemplateIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    subject: Subject | None = Field(None, description="Of an e-mail; left out, the built-in one")
    text: Text = Field(description="Jinja: names in double braces, `if`, simple filters; must hold `{{ url }}`")
    mjml: Mjml | None = Field(None, description="Layout of an e-mail; left out, it is sent as plain text")


class TemplatePreviewIn(TemplateIn):
    channel: ChannelName
    language: Annotated[str, Field(max_length=64)]


class TemplateOut(BaseModel):
    object: Literal["message_template"] = "message_template"
    channel: ChannelName
    language: str
    subject: str | None
    text: str
    mjml: str | None
    custom: bool = Field(description="False: the built-in one")
    updated_at: datetime | None


class TemplateList(BaseModel):
    object: Literal["list"] = "list"
    data: list[TemplateOut]
    has_more: bool


class SegmentsOut(BaseModel):
    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    units: int
    segments: int
    price_factor: int = Field(description="How many times the price of one text message this one costs")


class TemplatePreviewOut(BaseModel):
    subject: str | None
    text: str
    html: str | None
    segments: SegmentsOut | None


def with_words(channel: ChannelName) -> ChannelName:
    """Raises ``Invalid`` for a channel whose messages have no words."""
    if channel not in CHANNELS:
        raise Invalid.one("channel", "channel_without_message", "This channel carries no words")
    return channel


def spoken(tag: str) -> str:
    """The language of ours that ``tag`` means. Raises ``Invalid``."""
    language = i18n.match(tag)
    if language is None:
        raise Invalid.one("language", "language_unknown", f"Messages are written in {', '.join(i18n.LANGUAGES)}")
    return language


def own_form(template: MessageTemplate) -> dict[str, Any]:
    return {
        "object": "message_template",
        "channel": template.channel,
        "language": template.language,
        "subject": template.subject,
        "text": template.text,
        "mjml": template.mjml,
        "custom": True,
        "updated_at": rfc3339(template.updated_at),
    }


def built_in_form(channel: ChannelName, language: str, words: dict[str, str | None]) -> dict[str, Any]:
    place = {"object": "message_template", "channel": channel.value, "language": language}
    return {**place, **words, "custom": False, "updated_at": None}


def preview_form(rendered: Rendered, segments: dict[str, Any] | None) -> dict[str, Any]:
    return {"subject": rendered.subject, "text": rendered.text, "html": rendered.html, "segments": segments}
