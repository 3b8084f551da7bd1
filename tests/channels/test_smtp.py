"""Sending by SMTP: over TLS or not at all, what each answer means, and a connection lost at each stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from paylink.channels import smtp
from paylink.channels.base import ChannelError, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.channels.providers import PROVIDERS
from paylink.channels.smtp import SmtpChannel, SmtpConfig
from tests.channels.mailserver import (
    PASSWORD,
    USER,
    Certificates,
    certificates,
    mail_server,
    scripted,
)

ID = "dlv_01k9zzzzzzzzzzzzzzzzzzzzzz"
CALLBACK = "https://pay.example/webhooks/messaging/smtp/chn_1"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certs"))


def message(to: str = "maria@customers.example", text: str = "https://pay.example/p/x") -> Message:
    return Message(id=ID, channel="email", to=to, text=text, subject="To pay", merchant="Acme")


def config(port: int, **more: Any) -> SmtpConfig:
    values = {"host": "localhost", "port": port, "security": "starttls", "sender_address": "pay@acme.example"}
    return SmtpConfig.model_validate(values | more)


@asynccontextmanager
async def channel(port: int, certs: Certificates | None = None, **more: Any) -> AsyncIterator[SmtpChannel]:
    more.setdefault("security", "starttls" if certs else "none")
    made = SmtpChannel(config(port, **more), callback_url=CALLBACK, ca_file=certs.ca if certs else None)
    yield made
    await made.close()


async def refused(port: int, kind: type[ChannelError], to: str = "maria@customers.example", **more: Any) -> Any:
    async with channel(port, **more) as sender:
        with pytest.raises(kind) as caught:
            await sender.send(message(to))
    return caught.value


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_message_goes_over_tls_signed_in(certs: Certificates, security: str) -> None:
    signed_in = {"username": USER, "password": PASSWORD}
    async with (
        mail_server(certs, implicit=security == "tls", auth=True) as server,
        channel(server.port, certs, security=security, **signed_in) as sender,
    ):
        assert await sender.send(message()) == f"<{ID}@acme.example>"
    (envelope,) = server.seen
    assert (envelope.mail_from, envelope.rcpt_tos) == ("pay@acme.example", ["maria@customers.example"])
    assert server.sessions[0].ssl is not None or security == "tls"
    assert server.sessions[0].authenticated


async def test_a_line_of_one_dot_ends_nothing() -> None:
    async with mail_server() as server, channel(server.port) as sender:
        await sender.send(message(text="before\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n"))
    (envelope,) = server.seen
    assert envelope.content.endswith(b"before\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n")


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_wrong_certificate_is_refused(certs: Certificates, security: str, wrong: str) -> None:
    host, trusted = ("localhost", certs.stranger) if wrong == "authority" else ("127.0.0.2", certs.ca)
    listens_at = "127.0.0.1" if wrong == "authority" else host
    async with mail_server(certs, implicit=security == "tls", auth=True, host=listens_at) as server:
        settings = config(server.port, security=security, host=host, username=USER, password=PASSWORD)
        sender = SmtpChannel(settings, callback_url=CALLBACK, ca_file=trusted)
        with pytest.raises(TemporaryFault) as caught:
            await sender.send(message())
        await sender.close()
    assert caught.value.code == "certificate"


async def test_a_server_that_hides_starttls_gets_nothing() -> None:
    async with scripted(EHLO="250 mail.test") as server:
        fault = await refused(server.port, TemporaryFault, security="starttls")
    assert fault.code == "not_offered"
    assert server.heard == ["EHLO"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("10.1.2.3", True), ("mail", True), ("mail.internal", True)),
        *(("mail.example.com", False), ("8.8.8.8", False), ("169.254.169.254", False), ("[::1]", False)),
    ],
)
def test_without_tls_only_on_the_own_network(host: str, allowed: bool) -> None:
    if allowed:
        assert config(25, host=host, security="none").host == host
    else:
        with pytest.raises(ValidationError):
            config(25, host=host, security="none")


async def test_where_a_name_leads_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted() as server:
        monkeypatch.setattr(smtp, "_own_network", lambda host: host == "localhost")
        fault = await refused(server.port, FinalRefusal, username=USER, password=PASSWORD)
    assert "own network" in fault.reason
    assert not [command for command in server.heard if command != "EHLO"]


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        ("550 5.1.1 <maria@customers.example> user unknown", "bounced", "5.1.1"),
        ("550 no such user", "bounced", "550"),
        ("552 5.2.2 mailbox full", "bounced", "5.2.2"),
        ("554 5.7.1 not wanted here", "failed", "5.7.1"),
        ("550 5.7.1 not wanted here", "failed", "5.7.1"),
        ("530 sign in first", "failed", "530"),
        ("550-several\r\n550 5.1.10 lines", "bounced", "5.1.10"),
    ],
)
async def test_a_refused_recipient(answer: str, state: str, code: str) -> None:
    async with mail_server() as server:
        server.rcpt = [answer]
        fault = await refused(server.port, FinalRefusal)
    assert (fault.status, fault.code) == (DeliveryStatus(state), code)
    assert "@" not in fault.reason


async def test_a_refused_message() -> None:
    async with mail_server() as server:
        server.data = [
            "554 5.7.1 spam, see https://filter.example/why and https://pay.example/p/x, call 4242424242424242"
        ]
        fault = await refused(server.port, FinalRefusal)
    assert (fault.status, fault.code) == (DeliveryStatus.FAILED, "5.7.1")
    assert fault.reason == "The mail server refuses the message by its rules: spam, see and call"


async def test_greylisting_is_told_to_come_back() -> None:
    async with mail_server() as server, channel(server.port) as sender:
        server.rcpt = ["451 4.7.1 greylisted, try again in 5 minutes"]
        with pytest.raises(TemporaryFault) as caught:
            await sender.send(message())
        assert (caught.value.code, caught.value.retry_after_s) == ("4.7.1", 300)
        await sender.send(message())
    (envelope,) = server.seen
    assert f"Message-ID: <{ID}@acme.example>".encode() in envelope.content
    assert len(server.connections) == 1


STAGES = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT", "END")


@pytest.mark.parametrize("stage", STAGES)
async def test_a_connection_lost_at_any_stage_is_tried_again(stage: str) -> None:
    async with scripted(**{stage: None}) as server, channel(server.port) as sender:
        with pytest.raises(TemporaryFault) as caught:
            await sender.send(message())
        assert ("not known" in caught.value.reason) is (stage in {"DATA", "CONTENT", "END"})
        server.said.clear()
        assert await sender.send(message()) == f"<{ID}@acme.example>"
    assert server.connections == 2


async def test_a_server_that_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "CONNECT_S", 0.1)
    silent = await asyncio.start_server(lambda _reader, writer: asyncio.sleep(1, writer.close()), "127.0.0.1", 0)
    async with silent:
        fault = await refused(silent.sockets[0].getsockname()[1], TemporaryFault)
    assert "in time" in fault.reason


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"GREETING": "554 5.7.1 we do not know you"}, FinalRefusal),
        ({"GREETING": "421 too busy"}, TemporaryFault),
        ({"GREETING": "HTTP/1.1 400 Bad Request"}, TemporaryFault),
        ({"MAIL": "550 5.7.1 not your address"}, FinalRefusal),
        ({"MAIL": "421 4.3.2 shutting down"}, TemporaryFault),
        ({"END": "452 4.3.1 disk full"}, TemporaryFault),
        ({"END": "five hundred"}, TemporaryFault),
    ],
)
async def test_other_answers(said: dict[str, str | None], kind: type[ChannelError]) -> None:
    async with scripted(**said) as server:
        await refused(server.port, kind)


async def test_nobody_there() -> None:
    async with scripted() as server:
        pass
    await refused(server.port, TemporaryFault)


async def test_a_wrong_password_is_final_and_in_no_log(certs: Certificates) -> None:
    secret = "never-to-be-seen"
    async with (
        mail_server(certs, auth=True) as server,
        channel(server.port, certs, username=USER, password=secret) as sender,
    ):
        with structlog.testing.capture_logs() as logs, pytest.raises(FinalRefusal) as caught:
            await sender.send(message())
    assert (caught.value.code, caught.value.reason) == ("5.7.8", "The mail server refuses our sign-in")
    assert secret not in f"{logs} {caught.value} {sender!r} {config(1, username=USER, password=secret)!r}"


async def test_addresses_beyond_ascii() -> None:
    async with mail_server() as server, channel(server.port) as sender:
        await sender.send(message("josé@exämple.org"))
        await sender.send(message("jose@exämple.org"))
    assert [envelope.rcpt_tos for envelope in server.seen] == [
        ["josé@xn--exmple-cua.org"],
        ["jose@xn--exmple-cua.org"],
    ]
    assert [envelope.smtp_utf8 for envelope in server.seen] == [True, False]
    async with mail_server(utf8=False) as server:
        fault = await refused(server.port, FinalRefusal, "josé@exämple.org")
    assert fault.code == "smtputf8"


@pytest.mark.parametrize(
    "to", ["", "x", "a@b", "a@b.example\r\nRCPT TO:<c@d.example>", "a@b.example, c@d.example", "<a>@b"]
)
async def test_what_is_no_address_reaches_no_server(to: str) -> None:
    async with scripted() as server:
        await refused(server.port, FinalRefusal, to)
    assert not server.heard


async def test_few_connections_carry_many_messages() -> None:
    async with mail_server() as server, channel(server.port) as sender:
        await asyncio.gather(*(sender.send(message()) for _ in range(20)))
        assert len(server.connections) <= 4
        assert len(server.seen) == 20


async def test_a_kept_connection_that_died_is_replaced() -> None:
    async with mail_server() as server, channel(server.port) as sender:
        await sender.send(message())
        server.hang_up()
        await sender.send(message())
    assert len(server.seen) == 2


async def test_a_connection_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paylink.channels.smtp_pool.IDLE_S", 0.01)
    async with scripted() as server, channel(server.port) as sender:
        await sender.send(message())
        await asyncio.wait_for(server.left.wait(), 5)
    assert server.heard[-1] == "QUIT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "http://x"},
        {"host": "a b"},
        {"port": 0},
        {"security": "maybe"},
        {"username": "x"},
        {"password": "x"},
        {"sender_address": ""},
        {"sender_address": "nobody"},
        {"sender_address": "a@b.example\nBcc: c@d.example"},
        {"dkim_domain": "acme.example"},
        {"dkim_domain": "acme.example", "dkim_selector": "a b", "dkim_private_key": "x"},
        {"dkim_domain": "acme.example", "dkim_selector": "s1", "dkim_private_key": "x"},
        {"bounce_address": "bounces@acme.example"},
        {"bounce_address": "bounces@acme.example", "bounce_key": "short"},
        {"bounce_address": "all-our-bounces@acme.example", "bounce_key": "k" * 16},
        {"check_certificates": False},
    ],
    ids=repr,
)
def test_settings_that_are_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**({"port": 587} | wrong))


def test_it_is_one_of_the_providers() -> None:
    assert PROVIDERS["smtp"].load() is SmtpChannel  # type: ignore[comparison-overlap]
