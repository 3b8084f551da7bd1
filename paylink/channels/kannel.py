"""Text messages by Kannel, the open SMS gateway: its ``sendsms`` interface, delivery reports and incoming messages.

Kannel signs nothing. So the address that reports go to carries our own id and a code made from it and the account's
secret, and the address for incoming messages carries a key that the operator has put there. In ``kannel.conf``:

    group = sms-service
    keyword = default
    catch-all = true
    max-messages = 0
    get-url = "{callback address}?from=%p&to=%P&text=%a&charset=%C&time=%T&id=%I&mac={reply key}"

and for the account itself, where ``concatenation`` lets long texts through:

    group = sendsms-user
    username = …
    password = …
    concatenation = true
    max-messages = 10

Kannel takes the password in the address of its interface, so that address appears in no log and in no error. It knows
no idempotency key: after a lost answer the fault asks for a pause, in which the first report can tell that the message
was taken, and nothing is tried again in here.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    ChannelError,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    Reply,
    Report,
    TemporaryFault,
)
from paylink.channels.http import ANSWER_LOST_S, Answer, Caller
from paylink.channels.sender import Sender
from paylink.kit import gsm7
from paylink.kit.clock import utcnow
from paylink.kit.crypto import same

# What ``max-messages`` above lets through.
MOST_SEGMENTS: Final = 10
LONGEST_URL: Final = 8192
MOST_FIELDS: Final = 20
# Kannel's own words for the bits of a report, one bit in each; 31 asks for all of them.
ALL_REPORTS: Final = "31"
STATUSES: Final = {
    "1": DeliveryStatus.DELIVERED,
    "2": DeliveryStatus.FAILED,
    "4": DeliveryStatus.SENT,  # waits at the centre
    "8": DeliveryStatus.SENT,  # taken by the centre
    "16": DeliveryStatus.FAILED,  # refused by the centre, or by Kannel
}
# ``stat`` of an SMPP delivery receipt (SMPP 3.4, appendix B).
ENDS: Final = {
    "EXPIRED": (DeliveryStatus.EXPIRED, "The phone could not be reached in time: it may be off or without reception"),
    "UNDELIV": (DeliveryStatus.FAILED, "The message could not be delivered to this number"),
    "REJECTD": (DeliveryStatus.FAILED, "The carrier refused the message"),
    "DELETED": (DeliveryStatus.FAILED, "The carrier deleted the message"),
    "UNKNOWN": (DeliveryStatus.FAILED, "The message did not arrive; the carrier does not say why"),
}
_REFUSED: Final = "The carrier refused the message"
_CODES: Final = "type=%d&smsc=%i&fid=%F&answer=%A&ts=%T"
_STAT: Final = re.compile(r"\bstat:([A-Z]{1,10})")
_ERROR: Final = re.compile(r"\berr:([0-9A-Za-z]{1,8})")
_NACK: Final = re.compile(r"NACK/(0x[0-9a-f]{8})/?(.*)", re.ASCII)
_PLAIN_ID: Final = re.compile(r"[\w.-]{1,80}", re.ASCII)
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
_DIGITS: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})", re.ASCII)
# What centres write their texts in; the names are Kannel's.
_CHARSETS: Final = frozenset({"utf-8", "utf-16be", "iso-8859-1", "iso-8859-15", "windows-1252", "ascii"})


class KannelConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    url: str = Field(
        title="Address of sendsms",
        description="Of your gateway, such as https://gateway.example.com:13013/cgi-bin/sendsms",
        pattern=r"^https?://[^\s?#@]+$",
        max_length=300,
        json_schema_extra={"format": "uri"},
    )
    username: str = Field(
        title="User name", description="Of a sendsms-user of the gateway", min_length=1, max_length=64
    )
    password: SecretStr = Field(title="Password", description="Of the sendsms-user", min_length=1, max_length=128)
    sender: Sender = Field(
        "",
        title="Sender",
        description="A number, or a name of at most 11 letters and digits. Left empty, the gateway's own is used",
    )
    smsc: str = Field(
        "",
        title="SMSC",
        description="To send by one centre of the gateway only: its smsc-id",
        pattern=r"^[A-Za-z0-9_.-]{0,64}$",
    )
    report_secret: SecretStr = Field(
        title="Report secret",
        description="Make one up, of 16 letters and digits or more. The gateway signs nothing: this proves its reports",
    )
    reply_key: SecretStr = Field(
        SecretStr(""),
        title="Reply key",
        description="To get replies, STOP among them: make up another one and end the gateway's get-url with it: "
        "<callback address>?from=%p&to=%P&text=%a&charset=%C&time=%T&id=%I&mac=<reply key>",
    )

    @field_validator("report_secret", "reply_key")
    @classmethod
    def _fits_an_address(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("must be 16 to 128 letters, digits, - and _")
        return value

    @field_validator("report_secret")
    @classmethod
    def _is_there(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("is needed")
        return value


class KannelChannel:
    Config: ClassVar[type[BaseModel]] = KannelConfig
    name = "kannel"
    capabilities: ClassVar = Capabilities(delivered=True, replies=True)

    def __init__(self, config: KannelConfig, *, callback_url: str) -> None:
        self._config = config
        self._callback_url = callback_url
        self._report_secret = config.report_secret.get_secret_value().encode()
        self._reply_key = config.reply_key.get_secret_value()
        self._caller = Caller("The SMS gateway", headers={"Accept": "*/*"}, lost_pause_s=ANSWER_LOST_S)

    async def send(self, message: Message) -> str:
        if gsm7.count(message.text).segments > MOST_SEGMENTS:
            raise FinalRefusal("The message is too long", code="too_long")
        answer = await self._caller.get(self._config.url, params=self._params(message))
        # 0: handed to a centre; 3: kept until one is there.
        if answer.ok and answer.text.startswith(("0:", "3:")):
            return message.id
        raise _error(answer)

    def parse_callback(self, callback: Callback) -> Parsed:
        if callback.method != "GET" or len(callback.url) > LONGEST_URL:
            raise CallbackRefused("not a callback of Kannel's")
        fields = _fields(callback.url)
        return self._report(fields) if "type" in fields else self._reply(fields)

    async def close(self) -> None:
        await self._caller.close()

    def _params(self, message: Message) -> dict[str, str]:
        chosen = {"from": self._config.sender, "smsc": self._config.smsc}
        return {
            "username": self._config.username,
            "password": self._config.password.get_secret_value(),
            "to": message.to,
            "text": message.text,
            "charset": "UTF-8",
            "coding": "0" if gsm7.fits(message.text) else "2",
            "dlr-mask": ALL_REPORTS,
            "dlr-url": self._report_url(message.id),
            **{name: value for name, value in chosen.items() if value},
        }

    def _report_url(self, message_id: str) -> str:
        """Kannel fills in what begins with ``%``, and takes ``%%`` for ``%``."""
        base = self._callback_url.replace("%", "%%")
        return f"{base}?id={message_id}&mac={self._mac(message_id)}&{_CODES}"

    def _mac(self, message_id: str) -> str:
        return hmac.digest(self._report_secret, b"report:" + message_id.encode(), "sha256").hex()

    def _report(self, fields: Mapping[str, bytes]) -> Parsed:
        message_id, kind = _ascii(fields, "id"), _ascii(fields, "type")
        if not message_id or not same(self._mac(message_id), fields.get("mac", b"")):
            raise CallbackRefused("the code does not fit")
        status = STATUSES.get(kind)
        if status is None:
            return Parsed()
        reason = code = None
        if status is DeliveryStatus.FAILED:
            status, reason, code = _why(kind, fields.get("answer", b"").decode("ascii", "replace"))
        report = Report(
            id=".".join((message_id, kind, _short(_ascii(fields, "fid")))),
            status=status,
            occurred_at=_moment(_ascii(fields, "ts")),
            reference=message_id,
            reason=reason,
            code=code,
        )
        return Parsed(reports=[report])

    def _reply(self, fields: Mapping[str, bytes]) -> Parsed:
        if not self._reply_key or not same(self._reply_key, fields.get("mac", b"")):
            raise CallbackRefused("the key does not fit")
        sender, text = _number(_ascii(fields, "from")), _text(fields)
        moment = _ascii(fields, "time")
        reply = Reply(
            id=_short(_ascii(fields, "id") or f"{sender} {moment} {text}"),
            sender=sender,
            text=text,
            occurred_at=_moment(moment),
            to=_number(_ascii(fields, "to")),
        )
        return Parsed(replies=[reply])


def _error(answer: Answer) -> ChannelError:
    """smsbox's answers, as it words them. What is wrong with the account is put right without losing a message."""
    said = answer.text[:200]
    if answer.status == 403 and "uthorization failed" in said:
        return TemporaryFault("The SMS gateway does not accept the user name or password in the settings", code="403")
    if answer.status == 404 or answer.ok:
        return TemporaryFault("At the SMS gateway's address in the settings is no Kannel", code=str(answer.status))
    if answer.status == 403:
        return FinalRefusal("The SMS gateway has no way to this number", code="not_routable")
    if "has been denied" in said or "have been denied" in said:
        return FinalRefusal("The SMS gateway does not send to this number", code="denied")
    if "ender missing" in said:
        return FinalRefusal("The settings name no sender, and the SMS gateway has none of its own", code="no_sender")
    return FinalRefusal("The SMS gateway refused the message", code=str(answer.status))


def _why(kind: str, answer: str) -> tuple[DeliveryStatus, str, str]:
    """Status, sentence and code, from a receipt, or from ``NACK/<command status>/<its name>``."""
    if kind == "16":
        given = _NACK.match(answer)
        code, name = (given[1], given[2]) if given else ("rejected", answer.removeprefix("NACK/"))
        words = _printable(name)
        return DeliveryStatus.FAILED, f"{_REFUSED}: {words}" if words else _REFUSED, code
    stat, error = _STAT.search(answer), _ERROR.search(answer)
    said = stat[1] if stat else "UNKNOWN"
    status, sentence = ENDS.get(said, ENDS["UNKNOWN"])
    number = error[1] if error and error[1].strip("0") else ""
    return status, sentence, f"{said}/{number}" if number else said


def _fields(url: str) -> dict[str, bytes]:
    """The query as bytes, since a text comes in the charset that ``charset`` names. No field may be there twice."""
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, encoding="latin-1", max_num_fields=MOST_FIELDS)
        found = {name: value.encode("latin-1") for name, value in pairs}
    except ValueError as error:
        raise CallbackRefused("not a query") from error
    if len(found) != len(pairs):
        raise CallbackRefused("a field is there twice")
    return found


def _ascii(fields: Mapping[str, bytes], name: str) -> str:
    return fields.get(name, b"").decode("ascii", "replace").strip()


def _text(fields: Mapping[str, bytes]) -> str:
    charset = _ascii(fields, "charset").lower()
    return fields.get("text", b"").decode(charset if charset in _CHARSETS else "utf-8", "replace")


def _number(text: str) -> str:
    """Centres write international numbers with ``+``, with ``00`` or bare; short codes and names stay."""
    found = _DIGITS.fullmatch(text)
    return f"+{found[1]}" if found else text


def _moment(text: str) -> datetime:
    """Seconds since 1970; now, where there are none or they lie ahead."""
    if not (text.isascii() and text.isdigit()) or len(text) > 11:
        return utcnow()
    return min(datetime.fromtimestamp(int(text), UTC), utcnow())


def _short(text: str) -> str:
    """As it is where that is plain and short, so that people can compare it; a hash of anything else."""
    return text if not text or _PLAIN_ID.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isascii() and char.isprintable())[:80].strip()
