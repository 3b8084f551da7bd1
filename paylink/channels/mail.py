"""An e-mail as it goes over the wire: its header written by rule, its parts encoded, signed, and its return address.

The header is written here line by line and not by the ``email`` package, which breaks long identifiers and addresses
of web pages into encoded words that nobody reads back. Every value that people or merchants gave is stripped of line
breaks and control characters first, so none can begin a line of its own.
"""

import base64
import binascii
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from importlib.util import find_spec
from typing import Any, Final

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from email_validator import EmailNotValidError, validate_email

from paylink.channels.base import Message
from paylink.kit.crypto import same

# RFC 5322, 2.1.1, without the line break.
LONGEST_LINE: Final = 998
LONGEST_SUBJECT: Final = 200
LONGEST_NAME: Final = 100
# RFC 5321, 4.5.3.1.1.
LONGEST_LOCAL_PART: Final = 64
# RFC 8301 forbids verifiers to accept less.
SMALLEST_RSA_KEY: Final = 1024
# What a message may bring of its own: see RFC 2369 and RFC 8058.
ALLOWED_HEADERS: Final = ("List-Unsubscribe", "List-Unsubscribe-Post")

# Signed once more than they are there, so that nobody can add a second one that mail programs would show instead.
_SINGLE: Final = (b"from", b"to", b"subject", b"date", b"reply-to")
_MAC_CHARACTERS: Final = 16
_ID: Final = re.compile(r"[a-z]+_[0-9a-z]+")
_PEM: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END \1-----", re.DOTALL)


class Unmailable(ValueError):
    """This message cannot be made into an e-mail. The text says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address as it stands in an envelope. ``utf8``: the server must speak SMTPUTF8 (RFC 6531)."""

    address: str
    utf8: bool

    @classmethod
    def of(cls, text: str) -> "Mailbox":
        """The domain in its ASCII form, so that most addresses need nothing special. Raises ``Unmailable``."""
        try:
            found = validate_email(text, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            raise Unmailable("This is not an e-mail address") from None
        if found.ascii_email is not None:
            return cls(found.ascii_email, utf8=False)
        return cls(f"{found.local_part}@{found.ascii_domain}", utf8=True)

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Verp:
    """Return addresses of our own, one for each message: ``bounces+<id>.<mac>@domain``.

    Whoever gets a message sees its return address. The mac keeps them from making up those of others.
    """

    def __init__(self, address: str, key: bytes) -> None:
        self._local, _, self._domain = Mailbox.of(address).address.rpartition("@")
        self._key = key

    def address(self, message_id: str) -> str:
        """Raises ``Unmailable`` for an id that no mail server would carry."""
        local = f"{self._local}+{message_id}.{self._mac(message_id)}"
        if not _ID.fullmatch(message_id) or len(local) > LONGEST_LOCAL_PART:
            raise Unmailable("The return address is too long")
        return f"{local}@{self._domain}"

    def message_id(self, address: str) -> str | None:
        """Our id from an address of ours; ``None`` for any other. Mail servers may have changed its case."""
        if not self.looks_like_ours(address):
            return None
        local = address.strip().lower().rpartition("@")[0]
        message_id, _, mac = local.removeprefix(f"{self._local.lower()}+").partition(".")
        return message_id if _ID.fullmatch(message_id) and same(mac, self._mac(message_id)) else None

    def looks_like_ours(self, address: str) -> bool:
        local, _, domain = address.strip().lower().rpartition("@")
        return local.startswith(f"{self._local.lower()}+") and domain == self._domain.lower()

    def _mac(self, message_id: str) -> str:
        digest = hmac.digest(self._key, b"verp:" + message_id.encode(), "sha256")
        return base64.b32encode(digest).decode().lower()[:_MAC_CHARACTERS]


class Signer:
    """DKIM (RFC 6376; Ed25519 by RFC 8463), relaxed in header and body, since relays fold lines anew."""

    def __init__(self, *, domain: str, selector: str, private_key: str) -> None:
        """``private_key``: PEM, or its inside alone, with or without its line breaks. Raises ``ValueError``."""
        key = read_key(private_key)
        self._domain, self._selector = domain.encode("idna"), selector.encode("ascii")
        if isinstance(key, RSAPrivateKey):
            self._algorithm = b"rsa-sha256"
            self._key = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        else:
            if find_spec("nacl") is None:
                raise ValueError("is an Ed25519 key, which needs the package PyNaCl on this server; use an RSA key")
            self._algorithm = b"ed25519-sha256"
            self._key = base64.b64encode(key.private_bytes_raw())

    def signed(self, content: bytes) -> bytes:
        signing: Any = dkim.DKIM(content, linesep=b"\r\n")
        present = [name.lower() for name, _ in signing.headers]
        header: bytes = signing.sign(
            self._selector,
            self._domain,
            self._key,
            signature_algorithm=self._algorithm,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[*present, *_SINGLE],
        )
        return header + content


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who writes. ``name``: ``None`` for the merchant's own. ``reply_to``: ``None`` for the sender's address."""

    sender: Mailbox
    name: str | None = None
    reply_to: Mailbox | None = None
    verp: Verp | None = None
    signer: Signer | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """Ready to be handed over. ``message_id`` has its angle brackets."""

    sender: str
    recipient: str
    message_id: str
    content: bytes
    utf8: bool


def compose(message: Message, letterhead: Letterhead, *, now: datetime) -> Mail:
    """Raises ``Unmailable``. ``Message-ID`` depends on our id alone: every try has the same one, so that a mailbox
    that got two copies can tell."""
    recipient = Mailbox.of(message.to)
    if not _ID.fullmatch(message.id):
        raise Unmailable("The message's id is not one of ours")
    message_id = f"<{message.id}@{letterhead.sender.domain}>"
    content = _header(message, letterhead, recipient, message_id=message_id, now=now) + _body(message)
    if any(len(line) > LONGEST_LINE for line in content.split(b"\r\n")):
        raise Unmailable("A line of the message is too long")
    if letterhead.signer is not None:
        content = letterhead.signer.signed(content)
    return Mail(
        sender=letterhead.verp.address(message.id) if letterhead.verp else letterhead.sender.address,
        recipient=recipient.address,
        message_id=message_id,
        content=content,
        utf8=recipient.utf8 or letterhead.sender.utf8,
    )


def _header(message: Message, letterhead: Letterhead, recipient: Mailbox, *, message_id: str, now: datetime) -> bytes:
    sender = letterhead.sender
    lines = {
        "From": f"{phrase(letterhead.name or message.merchant)} <{sender.address}>".strip(),
        "To": f"<{recipient.address}>",
        "Subject": words(message.subject or "", longest=LONGEST_SUBJECT, name="Subject"),
        "Date": format_datetime(now),
        "Message-ID": message_id,
    }
    if letterhead.reply_to is not None:
        lines["Reply-To"] = f"<{letterhead.reply_to.address}>"
    if message.thread is not None:
        # No message has this id. Mailboxes put those together that answer the same one, there or not.
        root = f"<{_token(message.thread)}@{sender.domain}>"
        lines |= {"In-Reply-To": root, "References": root}
    # RFC 3834; the second is what Exchange looks at.
    lines |= {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
    lines |= _extra(message.headers)
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()


def _extra(headers: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in ALLOWED_HEADERS:
        value = headers.get(name)
        if value is not None:
            if not value.isascii() or not value.isprintable():
                raise Unmailable(f"{name} has characters that cannot stand in a header")
            found[name] = value
    return found


def _body(message: Message) -> bytes:
    """Quoted-printable throughout: no line is long, and no server on the way has a reason to change the encoding,
    which would break the signature."""
    mime = EmailMessage(policy=SMTP)
    try:
        mime.set_content(message.text, cte="quoted-printable")
        if message.html is not None:
            mime.add_alternative(message.html, subtype="html", cte="quoted-printable")
    except UnicodeError:
        raise Unmailable("The text has characters that do not exist") from None
    return mime.as_bytes(policy=SMTP)


def phrase(name: str) -> str:
    """A person's or merchant's name for ``From``; empty for an empty one."""
    plain = one_line(name)[:LONGEST_NAME]
    if not plain:
        return ""
    if plain.isascii() and "=?" not in plain:
        escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _encoded(plain, name="From")


def words(text: str, *, longest: int, name: str) -> str:
    """Text for a header without structure, folded and encoded where it must be."""
    plain = one_line(text)[:longest]
    # What looks like an encoded word would be read as one.
    return plain if plain.isascii() and "=?" not in plain else _encoded(plain, name=name)


def _encoded(plain: str, *, name: str) -> str:
    return Header(plain, "utf-8", maxlinelen=75, header_name=name).encode(linesep="\r\n")


def one_line(text: str) -> str:
    """Without line breaks, control characters, and those that turn the direction of what follows."""
    visible = (" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text)
    return " ".join("".join(char for char in visible if unicodedata.category(char) not in {"Cf", "Cs"}).split())


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:64]


def read_key(text: str) -> RSAPrivateKey | Ed25519PrivateKey:
    """Raises ``ValueError`` with a sentence for whoever pasted it; a form may have eaten its line breaks."""
    found = _PEM.search(text)
    label, inside = (found[1], found[2]) if found else ("PRIVATE KEY", text)
    try:
        raw = base64.b64decode("".join(inside.split()), validate=True)
        lines = base64.encodebytes(raw).decode()
        pem = f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n".encode()
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form without a password") from None
    match key:
        case Ed25519PrivateKey():
            return key
        case RSAPrivateKey() if key.key_size >= SMALLEST_RSA_KEY:
            return key
        case RSAPrivateKey():
            raise ValueError(f"has {key.key_size} bits; at least {SMALLEST_RSA_KEY} are needed, 2048 are usual")
        case _:
            raise ValueError("must be an RSA or an Ed25519 key")
