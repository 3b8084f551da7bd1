"""Kannel itself, from Debian's packages, with a centre that delivers all and one that has an end for each digit."""

import asyncio
import hmac
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from pydantic import ValidationError

from paylink.channels.base import (
    Callback,
    CallbackRefused,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Report,
    TemporaryFault,
)
from paylink.channels.http import ANSWER_LOST_S
from paylink.channels.kannel import KannelChannel, KannelConfig
from paylink.delivery.states import RANK, outranked_by
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from tests.channels import kannel as gateway
from tests.channels.kannel import Kannel
from tests.channels.listener import Given, Listener, Request, listener, serving

PATH = "/webhooks/messaging/kannel/chn_01k9"
REPORT_SECRET, REPLY_KEY = "report-secret-canary-01", "reply-key-canary-0123"
SETTINGS: dict[str, Any] = {
    "url": "http://127.0.0.1:9/cgi-bin/sendsms",
    "username": gateway.USER,
    "password": gateway.PASSWORD,
    "sender": "ACME",
    "report_secret": REPORT_SECRET,
    "reply_key": REPLY_KEY,
}
SENT, DELIVERED, FAILED = DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED


@pytest.fixture(scope="module")
def ours() -> Iterator[Listener]:
    with listener(PATH) as found:
        found.pages["/blacklist"] = gateway.BLACKLISTED + "\n"
        yield found


@pytest.fixture(scope="module")
def kannel(ours: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    folder = tmp_path_factory.mktemp("kannel")
    blacklist = ours.base + "/blacklist"
    with gateway.kannel(folder, callback=ours.url, reply_key=REPLY_KEY, blacklist=blacklist) as found:
        found.start_centre()
        yield found


@pytest.fixture
async def smpp(kannel: Kannel, ours: Listener) -> AsyncIterator[KannelChannel]:
    """By the centre that has an end for each digit."""
    ours.clear()
    async with made(ours.url, url=kannel.sendsms, smsc="SMPP") as ours.channel:
        yield ours.channel


@pytest.fixture
async def fake(kannel: Kannel, ours: Listener) -> AsyncIterator[KannelChannel]:
    """By the centre that delivers everything."""
    ours.clear()
    async with made(ours.url, url=kannel.sendsms, smsc="FAKE") as ours.channel:
        yield ours.channel


@asynccontextmanager
async def made(callback_url: str = "https://a.example", **changes: Any) -> AsyncIterator[KannelChannel]:
    found = KannelChannel(KannelConfig.model_validate({**SETTINGS, **changes}), callback_url=callback_url)
    try:
        yield found
    finally:
        await found.close()


def message(digit: int = 0, text: str = "Acme: pay £49.99") -> Message:
    return Message(id=new_id("dlv"), channel="sms", to=f"+1555123000{digit}", text=text)


def end_of(reports: list[Report]) -> DeliveryStatus:
    """As deliveries merge them: a report counts where it outranks what is known."""
    status = DeliveryStatus.QUEUED
    for report in reports:
        status = report.status if status in outranked_by(report.status) else status
    return status


def reported(ours: Listener, sent: Message, *wanted: DeliveryStatus) -> Callable[[], bool]:
    return lambda: sorted(report.status for report in ours.of(sent.id)) == sorted(wanted)


@pytest.mark.parametrize(
    ("digit", "wanted", "code", "words"),
    [
        (0, [SENT, DELIVERED], None, None),
        (1, [SENT, FAILED], "UNDELIV", "could not be delivered"),
        (2, [SENT, DeliveryStatus.EXPIRED], "EXPIRED/027", "could not be reached in time"),
        (3, [SENT, FAILED], "REJECTD", "carrier refused"),
        (4, [SENT, FAILED], "DELETED", "carrier deleted"),
        (5, [SENT, FAILED], "UNKNOWN", "does not say why"),
        (6, [SENT, SENT], None, None),
        (8, [SENT, SENT, DELIVERED], None, None),
        (9, [FAILED], "0x0000000b", "Invalid Destination Address"),
    ],
)
async def test_each_outcome_is_reported(
    smpp: KannelChannel, ours: Listener, digit: int, wanted: list[DeliveryStatus], code: str | None, words: str | None
) -> None:
    sent = message(digit)
    assert await smpp.send(sent) == sent.id
    ours.wait(reported(ours, sent, *wanted), f"{wanted}")
    last = max(ours.of(sent.id), key=lambda report: RANK[report.status])
    assert last.code == code
    assert (words or "") in (last.reason or "")
    assert abs(last.occurred_at - utcnow()) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("text", "coding", "parts"),
    [
        ("Zażółć? No: 49.99 EUR", 8, 1),
        ("Grüße: 49,99 € [x] ~ ñ", 0, 1),
        ("x" * 160, 0, 1),
        ("x" * 161, 0, 2),
        ("я" * 114, 8, 2),
        ("🙂 50 % & + = ?", 8, 1),
    ],
)
async def test_a_text_travels_in_the_alphabet_it_needs(
    smpp: KannelChannel, ours: Listener, kannel: Kannel, text: str, coding: int, parts: int
) -> None:
    sent = message(0, text)
    while not kannel.submitted.empty():
        kannel.submitted.get()
    await smpp.send(sent)
    ours.wait(lambda: end_of(ours.of(sent.id)) is DELIVERED, "delivery")
    taken = [kannel.submitted.get(timeout=10) for _ in range(parts)]
    assert [one["coding"] for one in taken] == [coding] * parts
    assert "".join(one["text"] for one in taken) == text
    assert kannel.submitted.empty()


async def test_a_hundred_quick_sends_are_all_reported(fake: KannelChannel, ours: Listener) -> None:
    sent = [message() for _ in range(100)]
    assert await asyncio.gather(*(fake.send(one) for one in sent)) == [one.id for one in sent]
    ours.wait(lambda: len(ours.reports) >= 200, "200 reports")
    assert {one.id for one in sent} == {report.reference for report in ours.reports}
    assert all(end_of(ours.of(one.id)) is DELIVERED for one in sent)
    assert len({report.id for report in ours.reports}) == len(ours.reports) == 200


async def test_delivered_before_accepted_and_each_twice(fake: KannelChannel, ours: Listener) -> None:
    """The first ``accepted`` meets an overloaded service, so that Kannel says it again, after ``delivered``."""
    refused = itertools.count()
    ours.judge = lambda callback: 503 if callback.query["type"] == "8" and next(refused) == 0 else 200
    sent = message()
    await fake.send(sent)
    ours.wait(reported(ours, sent, SENT, DELIVERED), "both reports")
    assert [report.status for report in ours.of(sent.id)] == [DELIVERED, SENT]
    assert end_of(ours.of(sent.id)) is DELIVERED
    again = [report for callback in ours.callbacks for report in fake.parse_callback(callback).reports]
    assert len(again) == 3
    assert {report.id for report in again} == {report.id for report in ours.of(sent.id)}


async def test_what_is_sent_while_the_centre_is_down_arrives_when_it_is_back(
    fake: KannelChannel, ours: Listener, kannel: Kannel
) -> None:
    kannel.stop_centre()
    sent = message()
    assert await fake.send(sent) == sent.id
    assert not ours.of(sent.id)
    kannel.start_centre()
    ours.wait(reported(ours, sent, SENT, DELIVERED), "the delivery of what waited")


async def test_a_number_on_kannels_black_list(fake: KannelChannel, ours: Listener) -> None:
    sent = replace(message(), to=gateway.BLACKLISTED)
    with pytest.raises(FinalRefusal, match="no way to this number"):
        await fake.send(sent)
    ours.wait(reported(ours, sent, FAILED), "its report")
    [report] = ours.of(sent.id)
    assert (report.code, report.reason) == ("rejected", "The carrier refused the message: receiver in black-list")


@pytest.mark.parametrize("text", ["STOP", "START", "Ist das echt? 49,99 & mehr", "توقف", "停止 🙂", "a+b=c %41"])
def test_what_a_person_writes_back(smpp: KannelChannel, ours: Listener, kannel: Kannel, text: str) -> None:
    kannel.say("+15551230007", text)
    ours.wait(lambda: any(reply.sender == "+15551230007" for reply in ours.replies), "reply")
    [reply] = (reply for reply in ours.replies if reply.sender == "+15551230007")
    assert (reply.to, reply.text) == (gateway.SERVICE_NUMBER, text)
    [again] = smpp.parse_callback(ours.callbacks[-1]).replies
    assert again.id in {reply.id for reply in ours.replies}, "the same when it is repeated"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("word", ["STOP", "START"])
def test_stop_and_start_by_the_other_centre(ours: Listener, kannel: Kannel, word: str) -> None:
    kannel.stop_centre()
    kannel.start_centre(f"+15551230001 {gateway.SERVICE_NUMBER} text {word}")
    ours.wait(lambda: any(reply.sender == "+15551230001" for reply in ours.replies), "reply")
    [reply] = (reply for reply in ours.replies if reply.sender == "+15551230001")
    assert (reply.to, reply.text) == (gateway.SERVICE_NUMBER, word)


async def test_a_wrong_password_loses_no_message(kannel: Kannel) -> None:
    async with made(url=kannel.sendsms, password="wrong-password") as channel:
        with pytest.raises(TemporaryFault, match="password in the settings") as caught:
            await channel.send(message())
    assert "wrong-password" not in repr(caught.value)


async def test_a_wrong_address_loses_no_message(kannel: Kannel) -> None:
    async with made(url=kannel.sendsms + "/nothing") as channel:
        with pytest.raises(TemporaryFault, match="is no Kannel"):
            await channel.send(message())


@pytest.mark.parametrize("to", ["", "not a number", "+1555x"])
async def test_a_number_that_kannel_refuses_is_final(smpp: KannelChannel, to: str) -> None:
    with pytest.raises(FinalRefusal):
        await smpp.send(replace(message(), to=to))


async def test_a_text_that_is_too_long_is_not_even_sent(smpp: KannelChannel, ours: Listener) -> None:
    longest = message(0, "x" * 1530)
    await smpp.send(longest)
    ours.wait(lambda: end_of(ours.of(longest.id)) is DELIVERED, "delivery of ten parts")
    with pytest.raises(FinalRefusal, match="too long"):
        await smpp.send(message(0, "x" * 1531))


@pytest.mark.parametrize(
    ("given", "code", "wait_s"),
    [
        (Given(503, b"Temporal failure, try again later."), "503", ANSWER_LOST_S),
        (Given(302, headers={"Location": "https://elsewhere.example"}), "302", None),
        (Given(200, b"<html>Welcome</html>"), "200", None),
        (Given(200, b"0" * 70_000), "no_answer", ANSWER_LOST_S),
        (Given(200, b"0: packed", headers={"Content-Encoding": "gzip"}), "no_answer", ANSWER_LOST_S),
        (Given(0), "no_answer", ANSWER_LOST_S),
    ],
)
async def test_other_answers_are_passing_faults_and_are_not_followed(
    given: Given, code: str, wait_s: float | None
) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Given:
        asked.append(request.target)
        return given

    with serving(answer) as url:
        async with made(url=url) as channel:
            with pytest.raises(TemporaryFault) as caught:
                await channel.send(message())
    assert (caught.value.code, caught.value.retry_after_s) == (code, wait_s)
    assert len(asked) == 1
    assert gateway.PASSWORD in asked[0]
    assert gateway.PASSWORD not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_a_gateway_that_is_not_there_is_a_passing_fault() -> None:
    async with made() as channel:
        with pytest.raises(TemporaryFault) as caught:
            await channel.send(message())
    assert (caught.value.code, caught.value.retry_after_s) == ("unreachable", None)


async def test_the_password_is_in_no_log_of_ours(
    smpp: KannelChannel, ours: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    sent = message()
    await smpp.send(sent)
    ours.wait(reported(ours, sent, SENT, DELIVERED), "both reports")
    assert gateway.PASSWORD not in caplog.text


def callback_of(query: str, method: str = "GET") -> Callback:
    return Callback(method, f"https://a.example{PATH}?{query}", dict(parse_qsl(query)), {}, b"")


def mac_of(message_id: str, secret: str = REPORT_SECRET) -> str:
    return hmac.new(secret.encode(), f"report:{message_id}".encode(), "sha256").hexdigest()


def report_of(**changes: str) -> str:
    return urlencode({"id": "dlv_1", "mac": mac_of("dlv_1"), "type": "1", "fid": "7", "ts": "1795311146", **changes})


def reply_of(**changes: str) -> str:
    known = {"from": "+15551230001", "to": "12345", "text": "STOP", "charset": "UTF-8", "id": "a-b", "mac": REPLY_KEY}
    return urlencode({**known, **changes})


@pytest.mark.parametrize(
    "wrong",
    [
        callback_of(report_of(id="dlv_2")),
        callback_of(report_of(mac="")),
        callback_of(report_of(mac="é")),
        callback_of(report_of(mac=mac_of("dlv_1", "another-secret-0123"))),
        callback_of(report_of(mac=REPLY_KEY)),
        callback_of(report_of(id="", mac=mac_of(""))),
        callback_of(report_of() + "&type=2"),
        callback_of(report_of(), method="POST"),
        callback_of(report_of(answer="x" * 9000)),
        callback_of(report_of() + "&a=" * 30),
        callback_of(reply_of(mac="")),
        callback_of(reply_of(mac=REPORT_SECRET)),
        callback_of(reply_of(mac=mac_of("dlv_1"))),
        callback_of(""),
        callback_of("text=\u4e2d"),
    ],
    ids=range(15),
)
async def test_what_is_not_our_gateways_is_refused(wrong: Callback) -> None:
    async with made() as channel:
        assert channel.parse_callback(callback_of(report_of())).reports
        assert channel.parse_callback(callback_of(reply_of())).replies
        with pytest.raises(CallbackRefused):
            channel.parse_callback(wrong)


async def test_without_a_reply_key_nobody_can_write() -> None:
    async with made(reply_key="") as channel:
        for query in (reply_of(), reply_of(mac="")):
            with pytest.raises(CallbackRefused):
                channel.parse_callback(callback_of(query))


@pytest.mark.parametrize(
    ("sender", "address"),
    [("0015551230001", "+15551230001"), ("15551230001", "+15551230001"), ("ACME", "ACME"), ("12345", "12345")],
)
async def test_a_sender_in_the_form_that_messages_go_to(sender: str, address: str) -> None:
    async with made() as channel:
        [reply] = channel.parse_callback(callback_of(reply_of(**{"from": sender}))).replies
    assert reply.sender == address


async def test_reports_that_say_little_or_nonsense() -> None:
    async with made() as channel:
        assert channel.parse_callback(callback_of(report_of(type="32"))).reports == ()
        [report] = channel.parse_callback(callback_of(report_of(type="2", answer="é\x00", ts="9" * 11))).reports
        assert (report.status, report.code) == (FAILED, "UNKNOWN")
        assert report.occurred_at <= utcnow()
        [report] = channel.parse_callback(callback_of(report_of(fid="x" * 500, ts="-1"))).reports
        assert len(report.id) < 100
        [report] = channel.parse_callback(callback_of(report_of(type="16", answer="NACK/é<b>"))).reports
        assert report.reason == "The carrier refused the message: <b>"


async def test_the_report_address_names_the_message_and_no_secret() -> None:
    asked: list[str] = []

    def answer(request: Request) -> Given:
        asked.append(request.target)
        return Given(202, b"3: Queued for later delivery")

    sent = message()
    with serving(answer) as url:
        async with made("https://a.example/50%25/chn_1", url=url, sender="", smsc="") as channel:
            assert await channel.send(sent) == sent.id
    given = dict(parse_qsl(urlsplit(asked[0]).query))
    assert not {"from", "smsc"} & set(given)
    address = f"https://a.example/50%%25/chn_1?id={sent.id}&mac={mac_of(sent.id)}"
    assert given["dlr-url"] == address + "&type=%d&smsc=%i&fid=%F&answer=%A&ts=%T"
    assert REPORT_SECRET not in asked[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "gateway.example.com"},
        {"url": "https://user@gateway.example.com/"},
        {"url": "https://gateway.example.com/?a=1"},
        {"password": ""},
        {"report_secret": ""},
        {"report_secret": "short"},
        {"report_secret": "with spaces and & more"},
        {"reply_key": "with spaces and & more"},
        {"sender": "Much too long a name"},
        {"smsc": "a b"},
        {"surplus": "1"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, str]) -> None:
    assert KannelConfig.model_validate(SETTINGS)
    with pytest.raises(ValidationError):
        KannelConfig.model_validate({**SETTINGS, **changes})
