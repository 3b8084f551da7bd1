"""The e-mail itself: read back by the standard library, its signature checked by dkimpy against a key in DNS."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from paylink.channels.base import Message
from paylink.channels.mail import Letterhead, Mailbox, Signer, Unmailable, Verp, compose, read_key
from tests.channels.mailserver import pem_of

ID = "dlv_01k9zzzzzzzzzzzzzzzzzzzzzz"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SENDER = Mailbox.of("pay@acme.example")
VERP = Verp("bounces@mail.acme.example", b"k" * 32)
UNSUBSCRIBE = {
    "List-Unsubscribe": f"<https://pay.example/u/{'x' * 120}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
HOSTILE = [
    "Acme\r\nBcc: eve@evil.example",
    "Acme\nX-Evil: 1",
    "Acme\rX-Evil: 1",
    "Acme\r\n\r\n<script>",
    "Acme\u2028X-Evil: 1",
    "Acme\x85X-Evil: 1",
    'Acme" <eve@evil.example>, "',
    "Acme\\",
    "=?utf-8?q?Acme=0D=0ABcc:_eve?=",
    "Acme\u202egpj.exe",
    "Müller & Söhne GmbH " * 20,
    "店" * 300,
    "\ud800",
]


def message(**more: Any) -> Message:
    values = {"to": "maria@customers.example", "text": "To pay: £5", "subject": "Your payment", "merchant": "Acme"}
    return Message(**{"id": ID, "channel": "email"} | values | more)


def composed(letterhead: Letterhead | None = None, **more: Any) -> bytes:
    return compose(message(**more), letterhead or Letterhead(SENDER), now=NOW).content


def read(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def test_what_stands_in_it() -> None:
    mail = compose(message(html="<p>£5</p>", thread="plink_1", headers=UNSUBSCRIBE), Letterhead(SENDER), now=NOW)
    found = read(mail.content)
    assert str(found["from"]) == "Acme <pay@acme.example>"
    assert found["to"].addresses == (Address("", "maria", "customers.example"),)
    assert found["subject"] == "Your payment"
    assert parsedate_to_datetime(found["date"]) == NOW
    assert found["message-id"] == mail.message_id == f"<{ID}@acme.example>"
    assert found["in-reply-to"] == found["references"] == "<plink_1@acme.example>"
    assert found["auto-submitted"] == "auto-generated"
    assert {name: found[name] for name in UNSUBSCRIBE} == UNSUBSCRIBE
    assert found.get_content_type() == "multipart/alternative"
    text, html = found.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert (text.get_content(), html.get_content()) == ("To pay: £5\r\n", "<p>£5</p>\r\n")


def test_without_html_it_is_plain_text_and_without_a_name_it_has_none() -> None:
    found = read(composed(merchant=""))
    assert found.get_content_type() == "text/plain"
    assert str(found["from"]) == "<pay@acme.example>" or str(found["from"]) == "pay@acme.example"
    assert "list-unsubscribe" not in found
    assert "references" not in found


def test_the_account_may_name_the_sender_and_who_is_answered() -> None:
    letterhead = Letterhead(SENDER, name="Acme Payments", reply_to=Mailbox.of("help@acme.example"))
    found = read(composed(letterhead))
    assert str(found["from"]) == "Acme Payments <pay@acme.example>"
    assert str(found["reply-to"]) == "help@acme.example" or str(found["reply-to"]) == "<help@acme.example>"


def test_every_try_has_the_same_message_id() -> None:
    ids = {compose(message(), Letterhead(SENDER), now=now).message_id for now in (NOW, datetime.now(UTC))}
    assert ids == {f"<{ID}@acme.example>"}


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("field", ["merchant", "subject", "thread"])
def test_no_value_becomes_a_header_of_its_own(field: str, text: str) -> None:
    found = read(composed(**{field: text, "thread": text if field == "thread" else "plink_1"}))
    expected = [
        *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References"),
        *("Auto-Submitted", "X-Auto-Response-Suppress", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    ]
    assert sorted(found.keys()) == sorted(expected)
    assert [str(address.addr_spec) for address in found["from"].addresses] == ["pay@acme.example"]
    assert "\u202e" not in str(found["from"]) + found["subject"]


def test_names_come_through_whole() -> None:
    found = read(composed(merchant='Müller "Söhne", GmbH', subject="Zahlung: 5 € — بوابة 付款"))
    assert found["from"].addresses[0].display_name == 'Müller "Söhne", GmbH'
    assert found["subject"] == "Zahlung: 5 € — بوابة 付款"
    found = read(composed(merchant='A "B", \\ Ltd', subject="=?utf-8?q?no?="))
    assert found["from"].addresses[0].display_name == 'A "B", \\ Ltd'
    assert found["subject"] == "=?utf-8?q?no?="


@pytest.mark.parametrize(
    "text", ["x" * 5000, "é" * 5000, "付" * 3000, "https://pay.example/" + "a" * 2000, ".\r\n.\r\n"]
)
def test_no_line_is_too_long_and_nothing_is_lost(text: str) -> None:
    content = composed(text=text, html=f"<p>{text}</p>", subject=text, merchant=text, headers=UNSUBSCRIBE)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert content.isascii()
    plain, html = read(content).iter_parts()
    assert plain.get_content().strip() == text.strip()
    assert text.strip() in html.get_content()
    assert read(content)["list-unsubscribe"] == UNSUBSCRIBE["List-Unsubscribe"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"List-Unsubscribe": "<https://x>\r\nBcc: eve@evil.example"}},
        {"headers": {"List-Unsubscribe": "<https://é>"}},
        {"headers": {"List-Unsubscribe": f"<https://{'x' * 1000}>"}},
        {"id": "dlv_1>\r\nBcc: eve@evil.example"},
        {"id": ""},
        {"to": "nobody"},
        {"text": "\ud800"},
    ],
    ids=repr,
)
def test_what_cannot_be_mailed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unmailable):
        composed(**wrong)


def test_headers_of_no_use_are_left_out() -> None:
    found = read(composed(headers={"Bcc": "eve@evil.example", "From": "eve@evil.example"}))
    assert "bcc" not in found
    assert len(found.get_all("from", [])) == 1


def test_nothing_is_loaded_when_it_is_opened() -> None:
    html = read(composed(html="<p>Hello</p>"))
    assert b"<img" not in html.as_bytes()
    assert b"http" not in html.as_bytes()


@cache
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65537, 1024)


@cache
def ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def in_dns(key: Any) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(key.public_key().public_bytes_raw())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def verified(content: bytes, key: Any) -> bool:
    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return in_dns(key) if name == b"s1._domainkey.acme.example." else None

    return bool(dkim.verify(content, dnsfunc=dns))


def signed(key: Any, **more: Any) -> bytes:
    signer = Signer(domain="acme.example", selector="s1", private_key=pem_of(key))
    return composed(Letterhead(SENDER, signer=signer), html="<p>Hi</p>", headers=UNSUBSCRIBE, **more)


@pytest.mark.parametrize("key", [rsa_key, ed25519_key])
def test_the_signature_holds_until_something_is_changed(key: Callable[[], Any]) -> None:
    content = signed(key(), thread="plink_1", merchant="Müller")
    assert verified(content, key())
    for old, new in [
        (b"Hi", b"Ho"),
        (b"To: <maria", b"To: <mario"),
        (b"One-Click", b"Two-Click"),
        (b"<https://pay.example/u", b"<https://eve.example/u"),
        (b"Subject: Your", b"Subject: Our"),
        (b"From: ", b"From: Eve <eve@evil.example>\r\nFrom: "),
        (b"Subject: ", b"Subject: Eve\r\nSubject: "),
        (b"To: ", b"Reply-To: <eve@evil.example>\r\nTo: "),
        (b"plink_1", b"plink_2"),
    ]:
        assert old in content
        assert not verified(content.replace(old, new, 1), key()), old


def test_the_unsubscribe_headers_are_named_in_the_signature() -> None:
    header = read(signed(rsa_key()))["dkim-signature"]
    covered = header.partition("h=")[2].partition(";")[0].replace(" ", "").split(":")
    assert {"from", "to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"} <= set(covered)
    assert covered.count("from") == 2


def test_a_relay_that_folds_lines_anew_does_no_harm() -> None:
    content = signed(rsa_key()).replace(b"Subject: Your payment", b"subject:  Your\r\n\tpayment")
    assert verified(content, rsa_key())


def test_a_key_from_a_form_of_one_line_is_read() -> None:
    for key in (rsa_key(), ed25519_key()):
        pem = pem_of(key)
        bare = "".join(pem.splitlines()[1:-1])
        for text in (pem, pem.replace("\n", " "), pem.replace("\n", "\r\n"), bare):
            assert type(read_key(text)) is type(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        pem_of(ec.generate_private_key(ec.SECP256R1())),
    ],
)
def test_what_is_no_key_for_dkim(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        read_key(text)


def test_return_addresses_are_ours_alone() -> None:
    address = VERP.address(ID)
    assert address.startswith(f"bounces+{ID}.")
    assert address.endswith("@mail.acme.example")
    assert len(address.partition("@")[0]) <= 64
    assert VERP.message_id(address) == VERP.message_id(address.upper()) == ID
    other = VERP.address("dlv_01k9zzzzzzzzzzzzzzzzzzzzz0")
    mac = address.partition("@")[0].rpartition(".")[2]
    for forged in [
        address.replace(mac, "a" * 16),
        address.replace(mac, ""),
        address.replace(mac, mac[:-1]),
        address.replace("@mail.acme", "@mail.evil"),
        address.replace("bounces", "bounce"),
        other.rpartition(".")[0] + mac,
        other.replace(other.partition("@")[0].rpartition(".")[2], mac),
        "",
        "bounces+@mail.acme.example",
        "bounces@mail.acme.example",
        Verp("bounces@mail.acme.example", b"K" * 32).address(ID),
    ]:
        assert VERP.message_id(forged) is None, forged


def test_the_envelope_has_the_return_address() -> None:
    mail = compose(message(), Letterhead(SENDER, verp=VERP), now=NOW)
    assert mail.sender == VERP.address(ID)
    assert b"bounces" not in mail.content
