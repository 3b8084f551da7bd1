"""What comes back by mail: delivery status notifications (RFC 3464), replies of people, and what is neither.

The mail server pipes each message for the bounce address to the account's callback address, as ``message/rfc822``.
With OpenSMTPD or Postfix that is one line in an aliases file, ``bounces: "|/usr/local/bin/paylink-bounce"``, and::

    #!/bin/sh
    curl -sf --max-time 20 -H 'Content-Type: message/rfc822' --data-binary @- "$ADDRESS" >/dev/null; case $? in
    0) exit 0;; 22) exit 0;; *) exit 75;; esac

``ADDRESS`` is the account's callback address with ``?key=`` and the hexadecimal HMAC-SHA256 of that address under the
account's bounce key: ``printf %s "$CALLBACK_URL" | openssl dgst -sha256 -hmac "$BOUNCE_KEY" -r | cut -d ' ' -f 1``.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message as Email
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

from email_validator import EmailNotValidError, validate_email

from paylink.channels import mail_codes
from paylink.channels.base import Callback, CallbackRefused, DeliveryStatus, Parsed, Reply, Report
from paylink.channels.mail import Verp
from paylink.kit.clock import utcnow
from paylink.kit.crypto import same

LONGEST_BODY: Final = 256 * 1024
LONGEST_TEXT: Final = 4000
MOST_PARTS: Final = 50
# The parser makes an object of each part; thousands would keep the process busy for a second.
MOST_BOUNDARIES: Final = 300
MOST_RECIPIENTS: Final = 10
# What a clock elsewhere says is believed within bounds: mail servers try for five days (RFC 5321, 4.5.4.1).
OLDEST: Final = timedelta(days=7)

_RECIPIENT_HEADERS: Final = ("to", "delivered-to", "x-original-to", "envelope-to")
_ANSWERING_MACHINES: Final = ("x-autoreply", "x-autorespond", "x-auto-reply-from", "list-id", "x-failed-recipients")
_SERVER: Final = re.compile(r"(mailer-daemon|postmaster|no-?reply)@.*", re.IGNORECASE)
_QUOTE: Final = re.compile(r"^(>.*|On .{1,200} wrote:|-{2,} ?Original Message ?-{2,}.*|_{20,})$")


def callback_key(callback_url: str, bounce_key: bytes) -> str:
    return hmac.digest(bounce_key, callback_url.encode(), "sha256").hex()


def read(callback: Callback, *, key: str, verp: Verp) -> Parsed:
    """Raises ``CallbackRefused``; for what is neither a notification about our mail nor written by a person, nothing
    is parsed and nothing is wrong."""
    if callback.method != "POST" or not same(callback.query.get("key", "").encode(errors="replace"), key):
        raise CallbackRefused("the key is not right")
    if not 0 < len(callback.body) <= LONGEST_BODY:
        raise CallbackRefused("no message, or one that is too long")
    if callback.body.count(b"\n--") > MOST_BOUNDARIES:
        raise CallbackRefused("a message of too many parts")
    try:
        return _parsed(message_from_bytes(callback.body, policy=policy.compat32), verp)
    # The parser of the standard library has more ways than these to stumble over what is no mail, but all of these
    # kinds.
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise CallbackRefused("not a message that can be read") from error


def _parsed(mail: Email, verp: Verp) -> Parsed:
    status = next((part for part in _parts(mail) if part.get_content_type() == "message/delivery-status"), None)
    if status is not None and _is_notification(mail, verp):
        return Parsed(reports=list(_reports(mail, status, verp)))
    if _automatic(mail):
        return Parsed()
    reply = _reply(mail)
    return Parsed(replies=[reply] if reply else ())


def _is_notification(mail: Email, verp: Verp) -> bool:
    """OpenSMTPD calls its notifications ``multipart/mixed``, as a person's mail is who attaches one."""
    if mail.get_content_type() == "multipart/report":
        return str(mail.get_param("report-type", "delivery-status")).lower() == "delivery-status"
    return any(verp.looks_like_ours(address) for address in _recipients(mail))


def _reports(mail: Email, status_part: Email, verp: Verp) -> Iterator[Report]:
    """Only our own return address says which message it is about: all else in a notification anyone can write."""
    ours = next((found for address in _recipients(mail) if (found := verp.message_id(address))), None)
    if ours is None:
        raise CallbackRefused("not sent to a return address of ours")
    for group in _groups(status_part):
        action = _value(group, "action").lower()
        said = _value(group, "diagnostic-code").partition(";")[2].strip()
        status = _status(_value(group, "status"), said)
        state = _state(action, status)
        if state is not None:
            bad = action == "failed"
            yield Report(
                id=_made_of("dsn", ours, action, status or "", _value(group, "final-recipient"), mail["message-id"]),
                reference=ours,
                status=state,
                occurred_at=_moment(_value(group, "last-attempt-date") or _value(mail, "date")),
                reason=mail_codes.in_words(status, said) if bad else None,
                code=status if bad else None,
            )


def _state(action: str, status: str | None) -> DeliveryStatus | None:
    """``delayed`` and ``relayed`` say no more than that the mail is under way."""
    match action:
        case "failed":
            return mail_codes.state_of(status) if status else DeliveryStatus.BOUNCED
        case "delivered" | "expanded":
            return DeliveryStatus.DELIVERED
        case "delayed" | "relayed":
            return DeliveryStatus.SENT
    return None


def _status(given: str, said: str) -> str | None:
    """What the last server said itself, where the notification says nothing exact (RFC 3464, 2.3.4)."""
    status = mail_codes.find_status(given)
    if status is None or status.endswith(".0.0"):
        return mail_codes.find_status(said) or status
    return status


def _groups(status_part: Email) -> list[Email]:
    """The fields of each recipient: the blocks behind the first one."""
    blocks = status_part.get_payload()
    if not isinstance(blocks, list):
        return []
    return [block for block in blocks if isinstance(block, Email) and "action" in block][:MOST_RECIPIENTS]


def _parts(mail: Email) -> Iterator[Email]:
    for count, part in enumerate(mail.walk()):
        if count == MOST_PARTS:
            return
        yield part


def _recipients(mail: Email) -> Iterator[str]:
    values = [str(value) for name in _RECIPIENT_HEADERS for value in mail.get_all(name, [])[:3]]
    for _, address in getaddresses([value[:1000] for value in values])[:MOST_RECIPIENTS]:
        yield address


def _automatic(mail: Email) -> bool:
    """Holiday notes and the like (RFC 3834), lists, and old kinds of bounces."""
    if _value(mail, "auto-submitted").partition(";")[0].strip().lower() not in {"", "no"}:
        return True
    if _value(mail, "precedence").lower() in {"bulk", "junk", "list", "auto_reply"}:
        return True
    if _value(mail, "return-path") == "<>" or any(name in mail for name in _ANSWERING_MACHINES):
        return True
    return any(_SERVER.fullmatch(address) for _, address in getaddresses([_value(mail, "from")]))


def _reply(mail: Email) -> Reply | None:
    """What a person wrote, without what they quote. Nobody vouches for the sender's address."""
    senders = getaddresses([_value(mail, "from")])
    try:
        sender = validate_email(senders[0][1], check_deliverability=False, test_environment=True).normalized
    except (EmailNotValidError, IndexError):
        return None
    text = _own_words(_text(mail))
    return Reply(
        id=_made_of("mail", mail["message-id"], sender, text),
        sender=sender,
        text=text,
        occurred_at=_moment(_value(mail, "date")),
        to=next(_recipients(mail), ""),
    )


def _text(mail: Email) -> str:
    for part in _parts(mail):
        if part.get_content_type() == "text/plain" and part.get_content_disposition() != "attachment":
            raw = part.get_payload(decode=True)
            if isinstance(raw, bytes):
                return _decoded(raw, part.get_content_charset("utf-8")).replace("\0", "")
    return ""


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset, errors="replace")
    except LookupError:
        return raw.decode(errors="replace")


def _own_words(text: str) -> str:
    lines: list[str] = []
    for line in text[: 4 * LONGEST_TEXT].splitlines():
        if _QUOTE.match(line.strip()):
            break
        lines.append(line)
    return "\n".join(lines).strip()[:LONGEST_TEXT]


def _value(mail: Email, name: str) -> str:
    """A header as text, decoded; empty when it is not there or cannot be read."""
    raw = str(mail.get(name, ""))[:1000]
    try:
        return str(make_header(decode_header(raw))).strip()
    except (ValueError, LookupError):
        return raw.strip()


def _moment(text: str) -> datetime:
    now = utcnow()
    try:
        moment = parsedate_to_datetime(text).astimezone(now.tzinfo)
    except (ValueError, TypeError, OverflowError):
        return now
    return moment if now - OLDEST <= moment <= now else now


def _made_of(kind: str, *parts: object) -> str:
    """The same for the same mail, however often it comes."""
    return f"{kind}:{hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()[:40]}"
