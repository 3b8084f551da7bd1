"""Text messages by Vonage: its Messages API (version 1) and the callbacks it signs as a JWT.

``client_ref`` is our own id and comes back in every report, so that a message is known even when the answer to it was
lost. Vonage does not promise to take one ``client_ref`` once, so after a lost answer the fault asks for a pause in
which a report can arrive, and nothing is tried again in here.
"""

import base64
import hashlib
import json
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from paylink.channels import vonage_codes
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
from paylink.channels.mail import read_key
from paylink.channels.sender import Sender
from paylink.kit.clock import utcnow
from paylink.kit.crypto import same

# developer.vonage.com/en/api/messages: of ``text`` over SMS.
LONGEST_TEXT: Final = 1000
LARGEST_CALLBACK: Final = 64 * 1024
# Vonage names no window for its signatures; this is what other providers use.
TOLERANCE_S: Final = 300
# Of our own: long enough for a slow connection.
TOKEN_S: Final = 300
# ``undeliverable``: Vonage could not hand it to the carrier at all.
STATUSES: Final = {
    "submitted": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    "rejected": DeliveryStatus.FAILED,
    "undeliverable": DeliveryStatus.FAILED,
}
_UUID: Final = re.compile(r"[0-9A-Fa-f-]{8,64}", re.ASCII)
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)


class VonageConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    api_key: str = Field(
        title="API key", description="On the first page of Vonage's dashboard", pattern=r"^[A-Za-z0-9]{6,32}$"
    )
    api_secret: SecretStr = Field(
        SecretStr(""),
        title="API secret",
        description="To sign in with. Not needed with an application, which Vonage wants where people can reply",
        max_length=128,
    )
    application_id: str = Field(
        "",
        title="Application ID",
        description="Of an application with the capability Messages; enter the callback address there, for status "
        "and inbound",
        pattern=r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$",
    )
    private_key: SecretStr = Field(
        SecretStr(""),
        title="Private key",
        description="The application's key, as in the file that Vonage gave for it",
        max_length=8192,
        validate_default=True,
        json_schema_extra={"format": "text"},
    )
    signature_secret: SecretStr = Field(
        title="Signature secret",
        description="In the dashboard's settings. Vonage signs its callbacks with it; the method does not matter",
        min_length=8,
        max_length=256,
    )
    sender: Sender = Field(
        title="Sender",
        description="A number of yours at Vonage, with its country code, or a name of at most 11 letters and digits. "
        "People cannot reply to a name",
        min_length=1,
    )
    api_url: str = Field(
        "https://api.nexmo.com",
        title="Vonage's address",
        description="Another one for a region, such as https://api-eu.vonage.com",
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=200,
        json_schema_extra={"format": "uri"},
    )

    @field_validator("private_key")
    @classmethod
    def _signs_in(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        key, application = value.get_secret_value(), info.data.get("application_id", "")
        if bool(key) != bool(application):
            raise ValueError("and application ID are needed together, or not at all")
        if key:
            _rsa(key)
        secret = info.data.get("api_secret")
        if not key and secret is not None and not secret.get_secret_value():
            raise ValueError("of an application is needed, or an API secret")
        return value


class VonageChannel:
    Config: ClassVar[type[BaseModel]] = VonageConfig
    name = "vonage"
    capabilities: ClassVar = Capabilities(delivered=True, replies=True)

    def __init__(self, config: VonageConfig, *, callback_url: str) -> None:
        self._config = config
        self._callback_url = callback_url
        self._signature_secret = config.signature_secret.get_secret_value()
        key = config.private_key.get_secret_value()
        self._private_key = _rsa(key) if key else None
        self._caller = Caller("Vonage", base_url=config.api_url, lost_pause_s=ANSWER_LOST_S)

    async def send(self, message: Message) -> str:
        if len(message.text) > LONGEST_TEXT:
            raise FinalRefusal(vonage_codes.FINAL["1090"], code="1090")
        answer = await self._caller.post(
            "/v1/messages", json=self._form(message), headers={"Authorization": self._authorization()}
        )
        if not answer.ok:
            if vonage_codes.code_of(answer.content) == vonage_codes.ALREADY_SENT:
                return ""
            raise vonage_codes.of_answer(answer)
        found = answer.content.get("message_uuid")
        # Taken, whatever the answer looks like: its reports name our own id.
        return found if isinstance(found, str) and _UUID.fullmatch(found) else ""

    def parse_callback(self, callback: Callback) -> Parsed:
        self._verify(callback)
        try:
            content = json.loads(callback.body)
        except (ValueError, RecursionError) as error:
            raise CallbackRefused("not JSON") from error
        if not isinstance(content, dict) or not _UUID.fullmatch(_text(content, "message_uuid")):
            raise CallbackRefused("names no message")
        if content.get("channel", "sms") != "sms":
            raise CallbackRefused("of another channel")
        return _reported(content) if "status" in content else _replied(content)

    async def close(self) -> None:
        await self._caller.close()

    def _form(self, message: Message) -> dict[str, str]:
        """Numbers go without their ``+``."""
        return {
            "message_type": "text",
            "channel": "sms",
            "to": message.to.removeprefix("+"),
            "from": self._config.sender.removeprefix("+"),
            "text": message.text,
            "client_ref": message.id,
            "webhook_url": self._callback_url,
            "webhook_version": "v1",
        }

    def _authorization(self) -> str:
        if self._private_key is None:
            pair = f"{self._config.api_key}:{self._config.api_secret.get_secret_value()}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        now = int(time.time())
        claims = {
            "application_id": self._config.application_id,
            "iat": now,
            "exp": now + TOKEN_S,
            "jti": str(uuid.uuid4()),
        }
        return "Bearer " + jwt.encode(claims, self._private_key, algorithm="RS256")

    def _verify(self, callback: Callback) -> None:
        """developer.vonage.com/en/getting-started/concepts/webhooks, decoding signed webhooks."""
        scheme, _, token = callback.headers.get("authorization", "").partition(" ")
        if callback.method != "POST" or len(callback.body) > LARGEST_CALLBACK or scheme.lower() != "bearer":
            raise CallbackRefused("not a callback of Vonage's")
        try:
            claims: dict[str, Any] = jwt.decode(
                token.strip(),
                self._signature_secret,
                algorithms=["HS256"],
                # Its age is judged below; ``nbf`` and ``aud`` are not part of Vonage's form.
                options={"require": ["iat", "jti", "payload_hash", "api_key"], "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise CallbackRefused("the signature does not fit") from error
        if claims["api_key"] != self._config.api_key:
            raise CallbackRefused("of another account")
        issued = claims["iat"]
        if not isinstance(issued, int | float) or abs(time.time() - issued) > TOLERANCE_S:
            raise CallbackRefused("signed too far from now")
        given = str(claims["payload_hash"]).lower()
        if not same(given, hashlib.sha256(callback.body).hexdigest()):
            raise CallbackRefused("the signature is of another body")


def _reported(content: dict[str, Any]) -> Parsed:
    said, message_id = _text(content, "status"), _text(content, "message_uuid")
    status = STATUSES.get(said)
    if status is None:
        return Parsed()
    reason = code = None
    if status is DeliveryStatus.FAILED:
        number = vonage_codes.code_of(content.get("error"))
        if number == vonage_codes.ALREADY_SENT:
            return Parsed()
        status, code, reason = vonage_codes.ended_as(number), number or said, vonage_codes.sentence(number)
    report = Report(
        id=f"{message_id}.{said}",
        status=status,
        occurred_at=_moment(content.get("timestamp")),
        reference=_text(content, "client_ref"),
        message_id=message_id,
        reason=reason,
        code=code,
    )
    return Parsed(reports=[report])


def _replied(content: dict[str, Any]) -> Parsed:
    if content.get("message_type") != "text":
        return Parsed()
    reply = Reply(
        id=_text(content, "message_uuid"),
        sender=_number(_text(content, "from")),
        text=_text(content, "text"),
        occurred_at=_moment(content.get("timestamp")),
        to=_number(_text(content, "to")),
    )
    return Parsed(replies=[reply])


def _text(content: dict[str, Any], name: str) -> str:
    found = content.get(name)
    return found if isinstance(found, str) else ""


def _number(text: str) -> str:
    return f"+{text}" if _DIGITS.fullmatch(text) else text


def _moment(text: object) -> datetime:
    """When Vonage says it happened; now, where it says nothing that can be read or claims the future.

    Its documents show two forms: ISO 8601, and ``2020-01-01 14:00:00 UTC``.
    """
    try:
        found = datetime.fromisoformat(str(text).removesuffix(" UTC"))
    except ValueError:
        return utcnow()
    return min(found if found.tzinfo else found.replace(tzinfo=UTC), utcnow())


def _rsa(text: str) -> RSAPrivateKey:
    """Raises ``ValueError``."""
    key = read_key(text)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("must be an RSA key")  # noqa: TRY004 - it is a text that is wrong, not a type
    return key
