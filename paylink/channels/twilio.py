"""Text messages by Twilio: ``POST …/Messages.json``, and its signed callbacks.

Twilio knows no idempotency key. When its answer is lost, the message may be on its way and a second try would send it
twice. So nothing is tried again in here, the fault asks for a pause, and every message has our own id in the address
that its reports go to: the first report tells that it was taken, and then there is no second try. Only a message whose
answer and whose first reports are all lost is sent again.
"""

import base64
import hmac
import re
from typing import ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from paylink.channels import twilio_codes
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
from paylink.channels.http import ANSWER_LOST_S, Caller
from paylink.channels.sender import Sender
from paylink.kit.clock import utcnow
from paylink.kit.crypto import same

LONGEST_TEXT: Final = 1600
LARGEST_CALLBACK: Final = 64 * 1024
MOST_FIELDS: Final = 200
# What Twilio insists on as the answer to a message: instructions, here none.
NO_INSTRUCTIONS: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
# Before ``sent`` there is nothing to tell: that Twilio has it is known from its answer.
STATUSES: Final = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.FAILED,
}
_SID: Final = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_ERROR: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_PORTS: Final = {"https": 443, "http": 80}


class TwilioConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    account_sid: str = Field(
        title="Account SID",
        description="On the first page of Twilio's console; begins with AC",
        pattern=r"^AC[0-9a-fA-F]{32}$",
    )
    auth_token: SecretStr = Field(
        title="Auth token",
        description="Below the account SID. Twilio signs its callbacks with it, so it is needed beside an API key too",
        min_length=16,
        max_length=128,
    )
    sender: Sender = Field(
        "",
        title="Sender",
        description="A number of yours at Twilio, such as +15551230000, or a short code or registered name. People "
        "cannot reply to a name. May be left empty with a messaging service",
    )
    messaging_service_sid: str = Field(
        "",
        title="Messaging service SID",
        description="Chooses the sender itself; begins with MG",
        pattern=r"^(MG[0-9a-fA-F]{32})?$",
        validate_default=True,
    )
    api_key_sid: str = Field(
        "",
        title="API key SID",
        description="To sign in by an API key and not by the auth token; begins with SK",
        pattern=r"^(SK[0-9a-fA-F]{32})?$",
    )
    api_key_secret: SecretStr = Field(
        SecretStr(""),
        title="API key secret",
        description="Only with an API key SID",
        max_length=128,
        validate_default=True,
    )
    api_url: str = Field(
        "https://api.twilio.com",
        title="Twilio's address",
        description="Another one for accounts in a region, such as https://api.dublin.ie1.twilio.com",
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=200,
        json_schema_extra={"format": "uri"},
    )

    @field_validator("messaging_service_sid")
    @classmethod
    def _has_a_sender(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("sender") == "":
            raise ValueError("is needed where there is no sender")
        return value

    @field_validator("api_key_secret")
    @classmethod
    def _belongs_to_a_key(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(value.get_secret_value()) != bool(info.data.get("api_key_sid")):
            raise ValueError("and API key SID are needed together, or not at all")
        return value


class TwilioChannel:
    Config: ClassVar[type[BaseModel]] = TwilioConfig
    name = "twilio"
    capabilities: ClassVar = Capabilities(delivered=True, replies=True)

    def __init__(self, config: TwilioConfig, *, callback_url: str) -> None:
        self._config = config
        self._callback_url = callback_url
        self._auth_token = config.auth_token.get_secret_value().encode()
        self._caller = Caller(
            "Twilio",
            base_url=config.api_url,
            headers={"Authorization": _basic(config)},
            lost_pause_s=ANSWER_LOST_S,
        )

    async def send(self, message: Message) -> str:
        if len(message.text) > LONGEST_TEXT:
            raise FinalRefusal(twilio_codes.FINAL[21617], code="21617")
        path = f"/2010-04-01/Accounts/{self._config.account_sid}/Messages.json"
        answer = await self._caller.post(path, data=self._form(message))
        if not answer.ok:
            raise twilio_codes.of_answer(answer)
        sid = answer.content.get("sid")
        # Taken, whatever the answer looks like: its reports name our own id.
        return sid if isinstance(sid, str) and _SID.fullmatch(sid) else ""

    def parse_callback(self, callback: Callback) -> Parsed:
        fields = self._verified(callback)
        if fields.get("AccountSid") != self._config.account_sid:
            raise CallbackRefused("of another account")
        sid = fields.get("MessageSid", "")
        if not _SID.fullmatch(sid):
            raise CallbackRefused("names no message")
        if "MessageStatus" in fields and fields["MessageStatus"] not in {"received", "receiving"}:
            return _reported(fields, sid, reference=callback.query.get("id", ""))
        return _replied(fields, sid)

    async def close(self) -> None:
        await self._caller.close()

    def _form(self, message: Message) -> dict[str, str]:
        sender = {"From": self._config.sender, "MessagingServiceSid": self._config.messaging_service_sid}
        return {
            "To": message.to,
            **{name: value for name, value in sender.items() if value},
            "Body": message.text,
            "StatusCallback": f"{self._callback_url}?id={message.id}",
        }

    def _verified(self, callback: Callback) -> dict[str, str]:
        """The form's fields, each once: Twilio repeats none, and which of two is meant would be a guess."""
        if callback.method != "POST" or len(callback.body) > LARGEST_CALLBACK:
            raise CallbackRefused("not a callback of Twilio's")
        given = callback.headers.get("x-twilio-signature", "")
        try:
            fields = _fields(callback)
            if not any(same(_signature(url, fields, self._auth_token), given) for url in _addresses(callback.url)):
                raise CallbackRefused("the signature does not fit")
        except ValueError as error:
            raise CallbackRefused("not a form") from error
        if any(len(values) > 1 for values in fields.values()):
            raise CallbackRefused("a field is there twice")
        return {name: values[0] for name, values in fields.items()}


def _reported(fields: dict[str, str], sid: str, *, reference: str) -> Parsed:
    said = fields["MessageStatus"]
    status = STATUSES.get(said)
    if status is None:
        return Parsed()
    reason = code = None
    if status is DeliveryStatus.FAILED:
        given = fields.get("ErrorCode", "")
        number = int(given) if _ERROR.fullmatch(given) else 0
        status, code = twilio_codes.ended_as(number), str(number or said)
        reason = "The message was canceled at Twilio" if said == "canceled" else twilio_codes.sentence(number)
    report = Report(
        id=f"{sid}.{said}",
        status=status,
        # Twilio does not say when; its callbacks come within moments.
        occurred_at=utcnow(),
        reference=reference,
        message_id=sid,
        reason=reason,
        code=code,
    )
    return Parsed(reports=[report])


def _replied(fields: dict[str, str], sid: str) -> Parsed:
    """``OptOutType`` is what Twilio itself understood and acts on, in whichever language the word was."""
    understood = fields.get("OptOutType")
    reply = Reply(
        id=sid,
        sender=fields.get("From", ""),
        text=understood if understood in {"STOP", "START"} else fields.get("Body", ""),
        occurred_at=utcnow(),
        to=fields.get("To", ""),
    )
    return Parsed(replies=[reply], body=NO_INSTRUCTIONS, media_type="text/xml")


def _fields(callback: Callback) -> dict[str, list[str]]:
    """Untrimmed, empty ones too: all of it is signed. Raises ``ValueError``."""
    kind = callback.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ValueError(kind)
    return parse_qs(callback.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)


def _signature(url: str, fields: dict[str, list[str]], key: bytes) -> str:
    """twilio.com/docs/usage/security: the address, then every field's name and value, by name."""
    parts = [name + value for name in sorted(fields) for value in sorted(set(fields[name]))]
    return base64.b64encode(hmac.digest(key, (url + "".join(parts)).encode(), "sha1")).decode()


def _addresses(url: str) -> set[str]:
    """Twilio signs the address with the default port or without it, depending on which of its services calls.

    Raises ``ValueError``.
    """
    parts = urlsplit(url)
    default = _PORTS.get(parts.scheme)
    if parts.port is None:
        return {url, parts._replace(netloc=f"{parts.netloc}:{default}").geturl()} if default else {url}
    return {url, parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")).geturl()}


def _basic(config: TwilioConfig) -> str:
    user, password = config.account_sid, config.auth_token
    if config.api_key_sid:
        user, password = config.api_key_sid, config.api_key_secret
    return "Basic " + base64.b64encode(f"{user}:{password.get_secret_value()}".encode()).decode()
