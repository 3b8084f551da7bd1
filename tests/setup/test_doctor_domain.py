"""``paylink doctor domain`` against a name server of the test's own."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from typer.testing import CliRunner, Result

from paylink import doctor_command
from paylink.channels import service
from paylink.channels.models import ChannelAccount
from paylink.cli import app
from paylink.config import Settings
from paylink.db import Database
from paylink.doctor_domain import Advice, Mailing, PublicKey, examine_domain
from paylink.kit import logs
from paylink.seed import seed
from tests.channels.mailserver import pem_of

Zone = dict[tuple[str, str], list[str]]


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def published(key: PublicKey, more: str = "") -> str:
    if isinstance(key, rsa.RSAPublicKey):
        raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa;{more} p={base64.b64encode(raw).decode()}"
    return f"v=DKIM1; k=ed25519;{more} p={base64.b64encode(key.public_bytes_raw()).decode()}"


def good() -> Zone:
    return {
        ("acme.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 include:_spf.relay.example -all", "something=else"],
        ("_spf.relay.example", "TXT"): ["v=spf1 a:mail.relay.example -all"],
        ("mail.relay.example", "A"): ["198.51.100.7"],
        ("s1._domainkey.acme.example", "TXT"): [published(rsa_key().public_key())],
        ("_dmarc.acme.example", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc@acme.example"],
        ("acme.example", "MX"): ["10 mx.acme.example."],
        ("mx.acme.example", "A"): ["192.0.2.1"],
    }


class NameServer:
    """Answers from ``zone``; stays silent about the names in ``silent``."""

    def __init__(self) -> None:
        self.zone: Zone = {}
        self.silent: set[str] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])

    def serve(self) -> None:
        while True:
            packet, address = self.socket.recvfrom(4096)
            if packet == b"stop":
                return
            answer = self._answer(dns.message.from_wire(packet))
            if answer is not None:
                self.socket.sendto(answer.to_wire(max_size=65535), address)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        if name in self.silent:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        if texts := self.zone.get((name, kind)):
            records = [_quoted(text) if kind == "TXT" else text for text in texts]
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def resolver(self) -> dns.resolver.Resolver:
        found = dns.resolver.Resolver(configure=False)
        found.nameservers, found.port, found.lifetime = ["127.0.0.1"], self.port, 2
        return found


def _quoted(text: str) -> str:
    """In pieces of 255 at most, as DNS has them."""
    pieces = [text[at : at + 255] for at in range(0, len(text), 255)] or [""]
    return " ".join(
        '"' + "".join(f"\\{ord(char):03d}" if char in '"\\' or ord(char) < 32 else char for char in piece) + '"'
        for piece in pieces
    )


@contextmanager
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", ("127.0.0.1", server.port))
        thread.join()
        server.socket.close()


@pytest.fixture(scope="module")
def running() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def names(running: NameServer) -> NameServer:
    running.zone, running.silent = good(), set()
    return running


def mailing(**more: Any) -> Mailing:
    return Mailing(**{"domain": "acme.example", "selector": "s1", "key": rsa_key().public_key()} | more)


def examined(names: NameServer, **more: Any) -> list[Advice]:
    return examine_domain(mailing(**more), names.resolver())


def about(found: list[Advice], what: str) -> list[str]:
    return [advice.level for advice in found if advice.what.startswith(what)]


def worst(found: list[Advice]) -> set[str]:
    return {advice.level for advice in found}


def test_a_domain_in_order(names: NameServer) -> None:
    found = examined(names)
    assert worst(found) == {"ok"}, found
    assert [advice.what.split()[0] for advice in found] == ["SPF", "DKIM", "DMARC", "Alignment", "MX"]
    assert "2 of 10 lookups" in found[0].found
    assert found[1].found.endswith("RSA, 2048 bits, the key that signs")


def test_an_empty_domain_says_what_to_do(names: NameServer) -> None:
    names.zone = {}
    found = examined(names)
    assert about(found, "SPF") == about(found, "DKIM") == about(found, "DMARC") == about(found, "MX") == ["bad"]
    assert all(advice.do for advice in found)
    assert published(rsa_key().public_key()) in next(advice.do for advice in found if advice.what.startswith("DKIM"))


@pytest.mark.parametrize(
    ("record", "level"),
    [
        ("v=spf1 ~all", "ok"),
        ("V=SPF1 -ALL", "ok"),
        ("v=spf1 redirect=_spf.relay.example", "ok"),
        ("v=spf1 ip4:192.0.2.1", "warn"),
        ("v=spf1 +all", "bad"),
        ("v=spf1 all", "bad"),
        ("v=spf1 ?all", "bad"),
        ("v=spf1 include:nothing.example -all", "bad"),
        ("v=spf1 include:acme.example -all", "bad"),
        ("v=spf1 ip4:nonsense -all", "bad"),
        ("v=spf1 mechanism:x -all", "bad"),
        ("v=spf1 a mx exists:%{i}.x.example exp=why.example ptr -all", "ok"),
        ("v=spf1 a:mail.relay.example/99999 a//64 mx/24//64 -all", "ok"),
        ("v=spf1 " + "a:mail.relay.example " * 10 + "-all", "ok"),
        ("v=spf1 " + "a:mail.relay.example " * 11 + "-all", "bad"),
        ("v=spf10 -all", "bad"),
    ],
)
def test_spf(names: NameServer, record: str, level: str) -> None:
    names.zone["acme.example", "TXT"] = [record]
    levels = about(examined(names), "SPF")
    assert max(levels, key=["ok", "warn", "bad"].index) == level, levels


def test_two_spf_records_count_as_none(names: NameServer) -> None:
    names.zone["acme.example", "TXT"] = ["v=spf1 -all", "v=spf1 ~all"]
    assert about(examined(names), "SPF") == ["bad"]


def test_lookups_are_counted_through_all_that_is_included(names: NameServer) -> None:
    names.zone["acme.example", "TXT"] = ["v=spf1 include:i0.example -all"]
    for number in range(9):
        names.zone[f"i{number}.example", "TXT"] = [f"v=spf1 include:i{number + 1}.example ~all"]
    names.zone["i9.example", "TXT"] = ["v=spf1 ip4:192.0.2.9 ~all"]
    assert about(examined(names, relay="192.0.2.9"), "SPF") == ["ok", "ok"]
    names.zone["i9.example", "TXT"] = ["v=spf1 mx -all"]
    assert about(examined(names), "SPF") == ["bad"]


@pytest.mark.parametrize(
    ("relay", "level"),
    [
        ("192.0.2.77", "ok"),
        ("198.51.100.7", "ok"),
        ("203.0.113.1", "bad"),
        ("2001:db8::1", "bad"),
        ("mail.relay.example", "ok"),
        ("_spf.relay.example", "ok"),
        ("mx.acme.example", "ok"),
        ("unknown.example", "bad"),
    ],
)
def test_the_relay_must_be_allowed(names: NameServer, relay: str, level: str) -> None:
    assert about(examined(names, relay=relay), "SPF") == ["ok", level]


def test_what_spf_forbids_is_not_allowed(names: NameServer) -> None:
    names.zone["acme.example", "TXT"] = ["v=spf1 -ip4:192.0.2.7 -a:mail.relay.example ~all"]
    assert about(examined(names, relay="192.0.2.7"), "SPF") == ["ok", "bad"]
    assert about(examined(names, relay="mail.relay.example"), "SPF") == ["ok", "bad"]


@pytest.mark.parametrize(
    ("record", "level", "says"),
    [
        (lambda: published(rsa_key(3072).public_key()), "bad", "not the one that signs"),
        (lambda: "v=DKIM1; k=rsa; p=", "bad", "withdrawn"),
        (lambda: "v=DKIM1; k=rsa; p=AAAA", "bad", "cannot be read"),
        (lambda: "v=DKIM1; k=ed25519; p=AAAA", "bad", "cannot be read"),
        (lambda: published(rsa_key().public_key(), " h=sha1;"), "bad", "SHA-256"),
        (lambda: published(rsa_key().public_key(), " h=sha1:sha256;"), "ok", "signs"),
        (lambda: published(rsa_key().public_key(), " t=y:s;"), "warn", "test"),
        (lambda: "hello", "bad", "no key"),
    ],
)
def test_dkim(names: NameServer, record: Any, level: str, says: str) -> None:
    names.zone["s1._domainkey.acme.example", "TXT"] = [record()]
    (advice,) = [advice for advice in examined(names) if advice.what.startswith("DKIM")]
    assert (advice.level, says in advice.found) == (level, True), advice


@pytest.mark.parametrize(("bits", "level"), [(1024, "warn"), (2048, "ok")])
def test_the_length_of_the_key(names: NameServer, bits: int, level: str) -> None:
    names.zone["s1._domainkey.acme.example", "TXT"] = [published(rsa_key(bits).public_key())]
    assert about(examined(names, key=None), "DKIM") == [level]


def test_a_key_too_short_to_be_believed(names: NameServer) -> None:
    # Of 512 bits; nothing makes these any more.
    short = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK8bYvXqN0XnGSXvG7BZNl5kOaPlz5Kc1d"
        "XoVQeXn5Qf3m3VnQ8F6lB0e9W5m1V6D3g0y7GQ0Yh8n2Fv1p8y3FkCAwEAAQ=="
    )
    names.zone["s1._domainkey.acme.example", "TXT"] = [f"v=DKIM1; p={short}"]
    (advice,) = [advice for advice in examined(names, key=None) if advice.what.startswith("DKIM")]
    assert (advice.level, advice.found) == ("bad", "512 bits: too short to be believed")


def test_an_ed25519_key(names: NameServer) -> None:
    names.zone["s1._domainkey.acme.example", "TXT"] = [published(ed25519_key().public_key())]
    assert about(examined(names, key=ed25519_key().public_key()), "DKIM") == ["ok"]
    assert about(examined(names), "DKIM") == ["bad"]


def test_without_a_selector_no_key_is_looked_for(names: NameServer) -> None:
    assert about(examined(names, selector=None), "DKIM") == ["warn"]


@pytest.mark.parametrize(
    ("records", "level"),
    [
        (["v=DMARC1; p=quarantine"], "ok"),
        (["v=DMARC1;p=REJECT;"], "ok"),
        (["v=DMARC1; p=none; rua=mailto:x@acme.example"], "warn"),
        (["v=DMARC1; rua=mailto:x@acme.example"], "bad"),
        (["v=DMARC1; p=maybe"], "bad"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "bad"),
        (["v=spf1 -all"], "bad"),
    ],
)
def test_dmarc(names: NameServer, records: list[str], level: str) -> None:
    names.zone["_dmarc.acme.example", "TXT"] = records
    assert about(examined(names), "DMARC") == [level]


def test_dmarc_of_the_organisation_counts_for_what_is_below(names: NameServer) -> None:
    names.zone |= {(name.replace("acme", "pay.acme"), kind): texts for (name, kind), texts in good().items()}
    del names.zone["_dmarc.pay.acme.example", "TXT"]
    names.zone["_dmarc.acme.example", "TXT"] = ["v=DMARC1; p=reject; sp=none"]
    found = examined(names, domain="pay.acme.example", envelope="bounces.acme.example")
    assert about(found, "DMARC") == ["warn"]
    assert about(found, "Alignment") == ["ok"]


@pytest.mark.parametrize(
    ("more", "dmarc", "level"),
    [
        ({}, "", "ok"),
        ({"dkim_domain": "mail.acme.example"}, "", "ok"),
        ({"dkim_domain": "mail.acme.example", "envelope": "relay.example"}, "; adkim=s", "bad"),
        ({"dkim_domain": "relay.example"}, "", "warn"),
        ({"dkim_domain": "relay.example", "envelope": "relay.example"}, "", "bad"),
        ({"dkim_domain": "notacme.example", "envelope": "relay.example"}, "", "bad"),
        ({"envelope": "relay.example"}, "", "ok"),
        ({"selector": None, "envelope": "relay.example"}, "", "bad"),
        ({"selector": None, "envelope": "bounces.acme.example"}, "; aspf=s", "bad"),
        ({"dkim_domain": "example", "envelope": "example"}, "", "bad"),
    ],
    ids=repr,
)
def test_alignment(names: NameServer, more: dict[str, Any], dmarc: str, level: str) -> None:
    names.zone["_dmarc.acme.example", "TXT"] = [f"v=DMARC1; p=reject{dmarc}"]
    assert about(examined(names, **more), "Alignment") == [level]


@pytest.mark.parametrize(
    ("zone", "level"),
    [
        ({("b.example", "MX"): ["10 mx.acme.example.", "20 lost.example."]}, "warn"),
        ({("b.example", "MX"): ["10 lost.example."]}, "bad"),
        ({("b.example", "MX"): ["0 ."]}, "bad"),
        ({("b.example", "A"): ["192.0.2.1"]}, "warn"),
        ({("b.example", "MX"): ["10 mx.acme.example."]}, "ok"),
        ({}, "bad"),
    ],
    ids=repr,
)
def test_where_bounces_go(names: NameServer, zone: Zone, level: str) -> None:
    names.zone |= zone
    assert about(examined(names, envelope="b.example"), "MX") == [level]


def test_dns_that_does_not_answer_is_not_dns_that_says_no(names: NameServer) -> None:
    names.silent = {"_dmarc.acme.example"}
    resolver = names.resolver()
    resolver.lifetime = resolver.timeout = 0.2
    found = examine_domain(mailing(), resolver)
    assert [advice.found for advice in found if advice.level == "bad"] == [
        "DNS does not answer for _dmarc.acme.example"
    ]
    assert about(found, "MX") == ["ok"]


@pytest.fixture
def run(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    monkeypatch.chdir("/")
    monkeypatch.setattr(doctor_command, "out", Console(width=500))

    def run_it(database: str, *more: str) -> Result:
        monkeypatch.setenv("PAYLINK_DATABASE_URL", database)
        return CliRunner().invoke(app, ["doctor", "domain", *more, "--nameserver", f"127.0.0.1#{names.port}"])

    yield run_it
    logs.configure(level="CRITICAL", json=False)


def test_the_command_looks_at_the_accounts_and_ends_with_one_when_something_is_wrong(
    names: NameServer, sqlite_database: str, run: Callable[..., Result]
) -> None:
    keep_account(sqlite_database)
    ran = run(sqlite_database, "acme.example")
    assert (ran.exit_code, "✗" in ran.stdout) == (0, False), ran.output
    assert "the key that signs" in ran.stdout
    names.zone["acme.example", "TXT"] = ["v=spf1 \x1b[31m[bold]x[/bold] +all"]
    ran = run(sqlite_database, "acme.example")
    assert ran.exit_code == 1, ran.output
    assert "\x1b" not in ran.stdout
    assert "[bold]x[/bold]" in ran.stdout


def test_the_command_takes_what_it_is_given(tmp_path: Path, run: Callable[..., Result]) -> None:
    path = tmp_path / "key.pem"
    path.write_text(pem_of(rsa_key()))
    nowhere = f"sqlite:///{tmp_path}/none.db"
    ran = run(nowhere, "acme.example", "--selector", "s1", "--key", str(path), "--relay", "192.0.2.7")
    assert (ran.exit_code, "the key that signs" in ran.stdout, "allows 192.0.2.7" in ran.stdout) == (0, True, True), ran
    for wrong in (["acme.example", "--key", "/dev/null"], ["acme.example", "--key", "/nowhere"], ["not a domain"]):
        assert run(nowhere, *wrong).exit_code == 2


def test_the_doctor_alone_looks_at_the_settings_as_ever(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Result]
) -> None:
    monkeypatch.setenv("PAYLINK_DATABASE_URL", sqlite_database)
    ran = CliRunner().invoke(app, ["doctor"])
    assert "Environment" in ran.stdout
    assert "SPF" not in ran.stdout


def keep_account(database: str) -> None:
    settings = Settings(database_url=database)
    db = Database(database)
    try:
        merchant = seed(db, settings.keyring).merchant
        config = {
            "host": "localhost",
            "sender_address": "pay@acme.example",
            "dkim_domain": "acme.example",
            "dkim_selector": "s1",
            "dkim_private_key": pem_of(rsa_key()),
        }
        account = ChannelAccount(
            id="chn_1",
            merchant_id=merchant,
            channel="email",
            provider="smtp",
            name="Mail",
            config_sealed=settings.keyring.seal(
                json.dumps(config).encode(), purpose=service.CONFIG_PURPOSE, bound_to="chn_1"
            ),
            position=1,
        )
        db.transact_sync(lambda session: session.add(account))
    finally:
        db.close()
