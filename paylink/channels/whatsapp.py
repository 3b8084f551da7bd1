"""WhatsApp Cloud API: a template with a button that leads to the link, its reports, and what people write back.

Outside the day after a person last wrote, WhatsApp takes nothing but templates that it has approved. Ours has places
in its text, filled by position, and one URL button that ends in ``/p/{{1}}``, which gets the last part of the address.
The API knows no idempotency key: when its answer is lost, what was sent is told by a callback with our own id.
"""

import hmac
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from paylink.channels import whatsapp_errors
from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    Reply,
    Report,
)
from paylink.channels.http import Caller, Unusable
from paylink.kit.crypto import same

# What Meta takes in one place of a template, and in a text.
LONGEST_PART: Final = 200
LONGEST_TEXT: Final = 4096
# An empty place is refused.
NOTHING: Final = "–"
# By then a callback has told, under our own id, whether a message whose answer was lost went out.
ANSWER_LOST_S: Final = 60.0

_WAMID: Final = re.compile(r"[\w.=+/-]{1,200}", re.ASCII)
_CHALLENGE: Final = re.compile(r"[\w-]{1,200}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{5,15}")
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\s*[=:]\s*([a-z]{2,3}(?:_[A-Za-z]{2,4})?)")
_STATUS: Final = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "failed": DeliveryStatus.FAILED,
}


class Form(StrEnum):
    TEMPLATE = "template"
    # For conversations that the customer opened within the last 24 hours.
    TEXT = "text"


class Part(StrEnum):
    MERCHANT = "merchant"
    AMOUNT = "amount"
    DESCRIPTION = "description"
    REFERENCE = "reference"
    WORDS = "words"


class WhatsAppConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    phone_number_id: str = Field(
        title="Phone number ID", description="In Meta's app dashboard under WhatsApp, API setup", pattern=r"^\d{5,20}$"
    )
    access_token: SecretStr = Field(
        title="Access token", description="Of a system user with the right whatsapp_business_messaging", min_length=20
    )
    app_secret: SecretStr = Field(
        title="App secret", description="In the app's basic settings; Meta signs its callbacks with it", min_length=16
    )
    verify_token: SecretStr = Field(
        title="Verify token",
        description="Make one up and enter it here and at Meta, next to the callback address; subscribe to messages",
        min_length=8,
    )
    form: Form = Field(
        Form.TEMPLATE,
        title="Send as",
        description="Text reaches only people who wrote to this number within the last 24 hours",
    )
    template_name: str = Field(
        "",
        title="Template",
        description="Its name; it needs one URL button that ends in /p/{{1}}",
        pattern=r"^[a-z0-9_]{0,512}$",
    )
    template_languages: str = Field(
        "en = en",
        title="Languages of the template",
        description="Ours = Meta's, comma-separated, such as: en = en_GB, de = de. The first is used for all others",
        max_length=1000,
        json_schema_extra={"format": "text"},
    )
    template_parameters: str = Field(
        "merchant, amount",
        title="Places in the template's text",
        description="In their order, comma-separated: merchant, amount, description, reference, words",
        max_length=200,
    )
    api_url: str = Field(
        "https://graph.facebook.com/v24.0",
        title="Graph API",
        description="Its address with the version",
        pattern=r"^https?://[^\s?#]+/v\d{1,3}\.\d{1,2}$",
        max_length=300,
        json_schema_extra={"format": "uri"},
    )

    @field_validator("template_languages")
    @classmethod
    def _are_languages(cls, value: str) -> str:
        languages_of(value)
        return value

    @field_validator("template_parameters")
    @classmethod
    def _are_parts(cls, value: str) -> str:
        parts_of(value)
        return value

    @model_validator(mode="after")
    def _has_a_template(self) -> Self:
        if self.form is Form.TEMPLATE and not self.template_name:
            raise ValueError("a template needs its name")
        return self


def languages_of(text: str) -> dict[str, str]:
    """Meta's code by ours in lower case. Raises ``ValueError``."""
    found = {}
    for part in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        pair = _LANGUAGE.fullmatch(part)
        if pair is None:
            raise ValueError("must be pairs such as: en = en_GB, de = de")
        found[pair[1].lower()] = pair[2]
    if not found:
        raise ValueError("must name at least one language")
    return found


def parts_of(text: str) -> list[Part]:
    """Raises ``ValueError``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names if name not in set(Part)]:
        raise ValueError(f"knows no {wrong[0][:20]}; there are {', '.join(Part)}")
    return [Part(name) for name in names]


class WhatsAppChannel:
    Config: ClassVar[type[BaseModel]] = WhatsAppConfig
    name = "whatsapp"
    capabilities: ClassVar = Capabilities(delivered=True, read=True, replies=True)

    def __init__(self, config: WhatsAppConfig, *, callback_url: str) -> None:
        self._config = config
        self._languages = languages_of(config.template_languages)
        self._parts = parts_of(config.template_parameters)
        self._caller = Caller(
            "WhatsApp",
            base_url=config.api_url,
            headers={"Authorization": f"Bearer {config.access_token.get_secret_value()}"},
            lost_pause_s=ANSWER_LOST_S,
        )

    async def send(self, message: Message) -> str:
        try:
            answer = await self._caller.post(f"/{self._config.phone_number_id}/messages", json=self._form(message))
        except Unusable as fault:
            raise whatsapp_errors.of_answer(fault.answer, pause_s=fault.retry_after_s) from None
        if not answer.ok:
            raise whatsapp_errors.of_answer(answer)
        message_id = _first(answer.content.get("messages")).get("id")
        if not isinstance(message_id, str) or not _WAMID.fullmatch(message_id):
            # Taken, all the same: a second try would send it twice. Reports name it by our own id.
            return ""
        return message_id

    def parse_callback(self, callback: Callback) -> Parsed:
        if callback.method == "GET":
            return self._confirmed(callback)
        self._verify(callback)
        try:
            content = json.loads(callback.body)
        except (ValueError, RecursionError) as error:
            raise CallbackRefused("not JSON") from error
        if not isinstance(content, dict) or content.get("object") != "whatsapp_business_account":
            raise CallbackRefused("not of a WhatsApp business account")
        values = list(self._values(content))
        return Parsed(
            reports=[report for value in values for one in _dicts(value, "statuses") if (report := _report(one))],
            replies=[
                reply
                for value in values
                for one in _dicts(value, "messages")
                if (reply := _reply(one, to=_number(_dict(value, "metadata").get("display_phone_number"))))
            ],
        )

    async def close(self) -> None:
        await self._caller.close()

    def _form(self, message: Message) -> dict[str, Any]:
        form: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to,
            "biz_opaque_callback_data": message.id,
        }
        # A template's button needs an address: what has none, such as a receipt, goes as text.
        if self._config.form is Form.TEXT or not message.url:
            return form | {"type": "text", "text": {"preview_url": False, "body": message.text[:LONGEST_TEXT]}}
        return form | {"type": "template", "template": self._template(message)}

    def _template(self, message: Message) -> dict[str, Any]:
        token = urlsplit(message.url).path.rpartition("/")[2]
        if not token:
            raise FinalRefusal("The message has no link for the template's button")
        places = [{"type": "text", "text": _place(message, part)} for part in self._parts]
        button = {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": token}]}
        return {
            "name": self._config.template_name,
            "language": {"code": self._language(message.locale)},
            "components": [*([{"type": "body", "parameters": places}] if places else []), button],
        }

    def _language(self, locale: str) -> str:
        """The template's language for ours: exactly, else without region or script, else its first."""
        tag = locale.lower()
        while tag and tag not in self._languages:
            tag = tag.rpartition("-")[0]
        return self._languages.get(tag) or next(iter(self._languages.values()))

    def _confirmed(self, callback: Callback) -> Parsed:
        """Meta asks once, when the address is entered there, whether it is ours."""
        token, challenge = callback.query.get("hub.verify_token", ""), callback.query.get("hub.challenge", "")
        ours = same(token, self._config.verify_token.get_secret_value())
        if not ours or callback.query.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
            raise CallbackRefused("the verify token does not fit")
        return Parsed(body=challenge)

    def _verify(self, callback: Callback) -> None:
        secret = self._config.app_secret.get_secret_value().encode()
        wanted = "sha256=" + hmac.digest(secret, callback.body, "sha256").hex()
        if not same(callback.headers.get("x-hub-signature-256", ""), wanted):
            raise CallbackRefused("the signature does not fit")

    def _values(self, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What is about our number: one app hears of every number of its business accounts."""
        for entry in _dicts(content, "entry"):
            for change in _dicts(entry, "changes"):
                value = _dict(change, "value")
                ours = _dict(value, "metadata").get("phone_number_id") == self._config.phone_number_id
                if ours and change.get("field") == "messages":
                    yield value


def _place(message: Message, part: Part) -> str:
    """Meta refuses line breaks, tabs and runs of spaces."""
    text = message.merchant if part is Part.MERCHANT else message.parts.get(part.value, "")
    return " ".join(text.split())[:LONGEST_PART].strip() or NOTHING


def _report(status: dict[str, Any]) -> Report | None:
    """``None`` for what is not known here. Statuses come in disorder and more than once."""
    message_id, kind, moment = _wamid(status), status.get("status"), _moment(status.get("timestamp"))
    if message_id is None or moment is None or not isinstance(kind, str) or kind not in _STATUS:
        return None
    known, reason, code = _STATUS[kind], None, None
    if known is DeliveryStatus.FAILED:
        known, reason, code = whatsapp_errors.of_report(_first(status.get("errors")))
    reference = status.get("biz_opaque_callback_data")
    return Report(
        id=f"{message_id}:{kind}:{int(moment.timestamp())}",
        status=known,
        occurred_at=moment,
        reference=reference if isinstance(reference, str) and len(reference) <= 64 else "",
        message_id=message_id,
        reason=reason,
        code=code,
    )


def _reply(message: dict[str, Any], *, to: str) -> Reply | None:
    """A text, or the words on the button that was tapped; ``None`` for pictures and the like."""
    message_id, moment = _wamid(message), _moment(message.get("timestamp"))
    sender, text = _number(message.get("from")), _words(message)
    if message_id is None or moment is None or not sender or not text:
        return None
    return Reply(id=message_id, sender=sender, text=text[:LONGEST_TEXT], occurred_at=moment, to=to)


def _words(message: dict[str, Any]) -> str:
    interactive = _dict(message, "interactive")
    found: object = {
        "text": _dict(message, "text").get("body"),
        "button": _dict(message, "button").get("text"),
        "interactive": (_dict(interactive, "button_reply") or _dict(interactive, "list_reply")).get("title"),
    }.get(str(message.get("type")))
    return found.strip() if isinstance(found, str) else ""


def _wamid(item: dict[str, Any]) -> str | None:
    found = item.get("id")
    return found if isinstance(found, str) and _WAMID.fullmatch(found) else None


def _moment(value: object) -> datetime | None:
    """Seconds since 1970, as text."""
    digits = str(value)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        return None
    return datetime.fromtimestamp(int(digits), UTC)


def _number(value: object) -> str:
    """E.164 of what Meta writes without a plus, or spaced for people; empty for what is no number, such as the id of
    a person who keeps theirs to themselves."""
    digits = re.sub(r"[ ()+-]", "", value) if isinstance(value, str) and len(value) <= 30 else ""
    return f"+{digits}" if _DIGITS.fullmatch(digits) else ""


def _dict(item: dict[str, Any], name: str) -> dict[str, Any]:
    found = item.get(name)
    return found if isinstance(found, dict) else {}


def _dicts(item: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = item.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _first(found: object) -> dict[str, Any]:
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
