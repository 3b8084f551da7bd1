"""What comes back by mail: notifications about our messages, people's answers, and what is neither."""

import http.server
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from paylink.channels.base import Callback, CallbackRefused, DeliveryStatus, FinalRefusal, Message, Parsed, Report
from paylink.channels.bounces import LONGEST_BODY, LONGEST_TEXT
from paylink.channels.mail import Verp
from paylink.channels.smtp import SmtpChannel, SmtpConfig
from tests.channels.mailserver import OpenSmtpd, opensmtpd, opensmtpd_missing, wait_until

ID = "dlv_01k9zzzzzzzzzzzzzzzzzzzzzz"
KEY = "a key of sixteen or more"
CALLBACK = "https://pay.example/webhooks/messaging/smtp/chn_1"
SETTINGS = {
    "host": "localhost",
    "sender_address": "pay@acme.example",
    "bounce_address": "bounces@acme.example",
    "bounce_key": KEY,
}
NOW = datetime.now(UTC).replace(microsecond=0)
channel = SmtpChannel(SmtpConfig.model_validate(SETTINGS), callback_url=CALLBACK)
RETURN_ADDRESS = Verp("bounces@acme.example", KEY.encode()).address(ID)

# As Postfix writes it.
DSN = """Return-Path: <>
Date: {date}
From: MAILER-DAEMON@mx.customers.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9F0B1.1795/mx"
Message-Id: <20261121.9F0B1@mx.customers.example>

This is a MIME-encapsulated message.

--9F0B1.1795/mx
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--9F0B1.1795/mx
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.customers.example
X-Postfix-Queue-ID: 9F0B1
Arrival-Date: {date}

{group}

--9F0B1.1795/mx
Content-Type: text/rfc822-headers

Return-Path: <{to}>
From: Acme <pay@acme.example>
Subject: To pay
Message-ID: <{id}@acme.example>

--9F0B1.1795/mx--
"""
GROUP = """Final-Recipient: rfc822; maria@customers.example
Original-Recipient: rfc822;maria@customers.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.customers.example
Diagnostic-Code: smtp; 550 5.1.1 <maria@customers.example>: Recipient address
    rejected: User unknown"""
PERSON = """From: Maria García <maria@customers.example>
To: Acme <pay@acme.example>
Subject: Re: To pay
Date: {date}
Message-ID: <1@customers.example>
Content-Type: text/plain; charset=utf-8
{more}
STOP, por favor

On Sat, 21 Nov 2026 at 12:00, Acme wrote:
> To pay
"""


def read(text: str | bytes, *, address: str | None = channel.callback_address, method: str = "POST") -> Parsed:
    body = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
    assert address is not None
    query = dict(parse_qsl(urlsplit(address).query))
    return channel.parse_callback(Callback(method, address, query, {"content-type": "message/rfc822"}, body))


def notification(*, to: str = RETURN_ADDRESS, group: str = GROUP, date: datetime = NOW) -> str:
    return DSN.format(to=to, group=group, id=ID, date=format_datetime(date))


def group(**fields: str) -> str:
    return "\n".join(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())


def written(more: str = "", date: datetime = NOW) -> str:
    return PERSON.format(more=f"{more}\n" if more else "", date=format_datetime(date))


def reported(text: str) -> Report:
    (report,) = read(text).reports
    return report


def test_an_unknown_user_is_a_bounce() -> None:
    report = reported(notification())
    assert (report.reference, report.status, report.code) == (ID, DeliveryStatus.BOUNCED, "5.1.1")
    assert report.reason == "There is no such address: Recipient address rejected: User unknown"
    assert report.occurred_at == NOW


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"Action": "failed", "Status": "5.1.1"}, "bounced", "5.1.1"),
        ({"Action": "FAILED", "Status": "5.2.2 (mailbox full)"}, "bounced", "5.2.2"),
        ({"Action": "failed", "Status": "5.0.0"}, "bounced", "5.0.0"),
        (
            {"Action": "failed", "Status": "5.0.0", "Diagnostic-Code": "smtp; 554 5.7.1 no thanks"},
            "failed",
            "5.7.1",
        ),
        ({"Action": "failed", "Status": "5.7.26"}, "failed", "5.7.26"),
        ({"Action": "failed", "Status": "4.4.7"}, "expired", "4.4.7"),
        ({"Action": "failed"}, "bounced", None),
        ({"Action": "failed", "Status": "nonsense"}, "bounced", None),
        ({"Action": "delayed", "Status": "4.4.1"}, "sent", None),
        ({"Action": "relayed", "Status": "2.1.9"}, "sent", None),
        ({"Action": "delivered", "Status": "2.0.0"}, "delivered", None),
    ],
)
def test_what_the_actions_mean(fields: dict[str, str], status: str, code: str | None) -> None:
    report = reported(notification(group=group(Final_Recipient="rfc822; maria@customers.example", **fields)))
    assert (report.status, report.code) == (DeliveryStatus(status), code)
    assert (report.reason is not None) is (fields["Action"].lower() == "failed")


def test_an_action_that_is_not_known_says_nothing() -> None:
    assert read(notification(group=group(Action="eaten", Status="5.1.1"))) == Parsed(reports=[])


def test_the_same_notification_has_the_same_id_and_another_has_another() -> None:
    first, again = reported(notification()), reported(notification())
    assert first.id == again.id
    assert len(first.id) <= 255
    assert first.id != reported(notification(group=GROUP.replace("5.1.1", "5.2.2"))).id


def test_several_recipients_are_bounded() -> None:
    many = "\n\n".join(group(Final_Recipient=f"rfc822; m{i}@customers.example", Action="failed") for i in range(30))
    assert len(read(notification(group=many)).reports) == 10


def test_dates_of_others_are_believed_within_bounds() -> None:
    for wrong in (NOW + timedelta(days=3), NOW - timedelta(days=30)):
        assert abs(reported(notification(date=wrong)).occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    earlier = NOW - timedelta(days=1)
    assert reported(notification(date=earlier)).occurred_at == earlier


MAC = RETURN_ADDRESS.partition("@")[0].rpartition(".")[2]
FORGED = [
    RETURN_ADDRESS.replace(MAC, "a" * 16),
    RETURN_ADDRESS.replace(ID, "dlv_01k9zzzzzzzzzzzzzzzzzzzzz0"),
    RETURN_ADDRESS.replace("acme.example", "evil.example"),
    "bounces@acme.example",
    "",
    Verp("bounces@acme.example", b"another key, as long as it is").address(ID),
]


@pytest.mark.parametrize("to", FORGED)
def test_a_forged_return_address_is_refused(to: str) -> None:
    with pytest.raises(CallbackRefused, match="return address"):
        read(notification(to=to))


@pytest.mark.parametrize("address", [CALLBACK, f"{CALLBACK}?key=", f"{CALLBACK}?key={'0' * 64}", f"{CALLBACK}?key=%ff"])
def test_without_the_key_nothing_is_read(address: str) -> None:
    with pytest.raises(CallbackRefused, match="key"):
        read(notification(), address=address)


def test_the_key_is_of_this_account_alone() -> None:
    other = SmtpChannel(SmtpConfig.model_validate(SETTINGS), callback_url=CALLBACK.replace("chn_1", "chn_2"))
    with pytest.raises(CallbackRefused, match="key"):
        read(notification(), address=other.callback_address)


def test_an_account_without_a_bounce_address_reads_nothing() -> None:
    plain = {name: value for name, value in SETTINGS.items() if not name.startswith("bounce")}
    bare = SmtpChannel(SmtpConfig.model_validate(plain), callback_url=CALLBACK)
    assert bare.callback_address is None
    with pytest.raises(CallbackRefused):
        bare.parse_callback(Callback("POST", CALLBACK, {"key": ""}, {}, notification().encode()))


def test_only_post_and_only_what_is_not_too_long() -> None:
    for method, body in [("GET", b"x"), ("POST", b""), ("POST", b"x" * (LONGEST_BODY + 1))]:
        with pytest.raises(CallbackRefused):
            read(body, method=method)


def test_a_message_of_thousands_of_parts_is_not_taken_apart() -> None:
    assert read(written() + "\n--b" * 100).replies
    with pytest.raises(CallbackRefused, match="parts"):
        read(written() + "\n--b" * 1000)


def test_a_person_who_answers_is_heard_without_what_they_quote() -> None:
    (reply,) = read(written()).replies
    assert (reply.sender, reply.text, reply.to) == ("maria@customers.example", "STOP, por favor", "pay@acme.example")
    assert reply.occurred_at == NOW
    assert read(written()).replies[0].id == reply.id


def test_a_long_answer_is_cut() -> None:
    (reply,) = read(written().replace("por favor", "x" * 20_000)).replies
    assert len(reply.text) == LONGEST_TEXT


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "Return-Path: <>",
        "List-Id: <news.customers.example>",
    ],
)
def test_answering_machines_are_not_people(header: str) -> None:
    assert read(written(header)) == Parsed()
    assert read(written("Auto-Submitted: no")).replies


def test_read_receipts_and_complaints_are_no_bounces() -> None:
    for kind in ("disposition-notification", "feedback-report"):
        assert read(notification().replace("delivery-status;", f"{kind};", 1)) == Parsed()


def test_some_servers_call_it_mixed_and_do_not_say_who_they_are() -> None:
    mixed = unmarked(notification())
    assert reported(mixed).reference == ID
    with pytest.raises(CallbackRefused, match="return address"):
        read(unmarked(notification(to=FORGED[0])))


def test_a_notification_that_a_person_attaches_is_theirs() -> None:
    attached = unmarked(notification(to="pay@acme.example")).replace("MAILER-DAEMON@mx", "maria@mx")
    parsed = read(attached)
    assert not parsed.reports
    assert [reply.sender for reply in parsed.replies] == ["maria@mx.customers.example"]
    assert read(attached.replace("maria@mx.customers", "MAILER-DAEMON@mx.customers")) == Parsed()


def unmarked(text: str) -> str:
    mixed = text.replace("multipart/report; report-type=delivery-status;", "multipart/mixed;")
    return mixed.replace("Auto-Submitted: auto-replied\n", "").replace("Return-Path: <>\n", "", 1)


def hostile() -> Iterator[bytes]:
    yield b"\x00" * 1000
    yield b"\xff\xfe" * 1000
    yield b"From: \xff\xfe@\xff\r\nTo: =?utf-8?b?!!?=\r\n\r\n"
    yield b"From: =?nonsense?q?x?= <a@b.example>\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff"
    yield b"From: a@b.example\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!"
    yield b"From: a@b.example\r\nContent-Type: text/plain; charset=rot13\r\n\r\nx"
    yield b"From: a@b.example\r\nContent-Type: text/plain; charset*=x'y'%ff\r\n\r\nx"
    yield b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(4000))
    yield b"Content-Type: message/rfc822\r\n\r\n" * 6000
    yield b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 30_000
    yield b"From: " + b"a@b.example," * 20_000 + b"\r\n\r\n"
    yield b"From: " + b"(" * 200_000 + b"\r\n\r\n"
    yield b"From: a@b.example\r\n" + b"To: a@b.example\r\n" * 14_000 + b"\r\n"
    yield b"From: a@b.example\r\n\r\n" + b"On " + b"wrote " * 40_000
    yield b"From: a@b.example\r\nDate: Sat, 99 Foo 99999 99:99:99 +9999\r\n\r\nx"
    whole = notification().replace("\n", "\r\n").encode()
    yield from (whole[: len(whole) * part // 8] for part in range(8))
    yield whole.replace(b"message/delivery-status", b"message/delivery-status; charset=\xff")
    yield whole.replace(b"Action:", b"Action: =?utf-8?q?=ff?=\r\nAction:")


@pytest.mark.parametrize("number", range(25))
def test_what_is_no_mail_does_no_harm(number: int) -> None:
    content = list(hostile())[number]
    begun = time.monotonic()
    try:
        parsed = read(content[:LONGEST_BODY])
    except CallbackRefused:
        parsed = Parsed()
    assert time.monotonic() - begun < 2
    assert not [reply for reply in parsed.replies if "\0" in reply.text or len(reply.text) > LONGEST_TEXT]
    assert not [report for report in parsed.reports if report.reference != ID]


@contextmanager
def callback_server() -> Iterator[tuple[str, list[Callback]]]:
    """What the pipe of a mail server calls: answers as the product does to what an adapter takes or refuses."""
    taken: list[Callback] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            query = dict(parse_qsl(urlsplit(self.path).query))
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.append(Callback("POST", self.path, query, headers, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/messaging/smtp/chn_1", taken
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def real() -> Iterator[OpenSmtpd]:
    if (why := opensmtpd_missing()) is not None:
        pytest.skip(why)
    # The server's own users come this way, as they do not into a folder of pytest's.
    with tempfile.TemporaryDirectory(prefix="paylink-smtpd-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with opensmtpd(Path(folder)) as server:
            yield server


@pytest.fixture
async def sender(real: OpenSmtpd) -> AsyncIterator[tuple[SmtpChannel, list[Callback]]]:
    settings = SmtpConfig.model_validate({**SETTINGS, "port": real.port, "security": "none"})
    with callback_server() as (url, taken):
        made = SmtpChannel(settings, callback_url=url)
        # As the module says how: the key is made with openssl from what the operator has at hand.
        real.pipe.write_text(
            f"ADDRESS={url}?key=$(printf %s {url} | openssl dgst -sha256 -hmac '{KEY}' -r | cut -d ' ' -f 1)\n"
            "curl -sf --max-time 20 -H 'Content-Type: message/rfc822' --data-binary @- \"$ADDRESS\" >/dev/null\n"
            "case $? in 0|22) exit 0;; *) exit 75;; esac\n"
        )
        yield made, taken
        await made.close()


def message(to: str) -> Message:
    return Message(id=ID, channel="email", to=to, text="https://pay.example/p/x", subject="To pay", merchant="Acme")


async def test_a_real_server_delivers_it(real: OpenSmtpd, sender: tuple[SmtpChannel, list[Callback]]) -> None:
    await sender[0].send(message("nobody@local.example"))
    delivered = real.wait_for_mail()
    assert f"Message-ID: <{ID}@acme.example>".encode() in delivered
    assert f"Return-Path: <{RETURN_ADDRESS}>".encode() in delivered


async def test_a_real_server_refuses_an_unknown_user(sender: tuple[SmtpChannel, list[Callback]]) -> None:
    with pytest.raises(FinalRefusal) as caught:
        await sender[0].send(message("not-a-user@local.example"))
    assert caught.value.status is DeliveryStatus.BOUNCED


async def test_a_real_server_sends_a_bounce_through_its_pipe(sender: tuple[SmtpChannel, list[Callback]]) -> None:
    made, taken = sender
    await made.send(message("not-a-user@away.example"))
    (callback,) = wait_until(lambda: taken)
    (report,) = made.parse_callback(callback).reports
    assert (report.reference, report.status) == (ID, DeliveryStatus.BOUNCED)
    assert report.code is not None
    assert report.code.startswith("5.")
