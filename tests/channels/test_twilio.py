"""Twilio against a fake that takes only the documented form, with Twilio's own library as the judge of signatures."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr, ValidationError
from twilio.request_validator import RequestValidator

from paylink.channels.base import Callback, CallbackRefused, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.channels.http import ANSWER_LOST_S
from paylink.channels.twilio import TwilioChannel, TwilioConfig
from paylink.delivery.states import RANK
from paylink.kit.ids import new_id
from tests.channels import fake_twilio as twilio
from tests.channels.fake_twilio import FakeTwilio
from tests.channels.listener import Listener, listener

PATH = "/webhooks/messaging/twilio/chn_01k9"
CONFIG = TwilioConfig(
    account_sid=twilio.ACCOUNT, auth_token=SecretStr(twilio.TOKEN), sender=twilio.SENDER, api_url="http://127.0.0.1:9"
)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTwilio]:
    with twilio.fake_twilio() as found:
        yield found


@pytest.fixture(scope="module")
def ours() -> Iterator[Listener]:
    with listener(PATH) as found:
        yield found


@pytest.fixture
async def channel(fake: FakeTwilio, ours: Listener) -> AsyncIterator[TwilioChannel]:
    ours.clear()
    async with made(callback_url=ours.url, api_url=fake.url) as ours.channel:
        yield ours.channel


@asynccontextmanager
async def made(callback_url: str = "https://a.example", **changes: object) -> AsyncIterator[TwilioChannel]:
    config = TwilioConfig.model_validate({**CONFIG.model_dump(), **changes})
    found = TwilioChannel(config, callback_url=callback_url)
    try:
        yield found
    finally:
        await found.close()


def message(to: str = "+15005550006", text: str = "Acme: pay £49.99 · café 中文 & 1+1=2") -> Message:
    return Message(id=new_id("dlv"), channel="sms", to=to, text=text)


def signed(fields: dict[str, str], url: str, *, token: str = twilio.TOKEN, body: str | None = None) -> Callback:
    """As Twilio's own library signs it."""
    return Callback(
        method="POST",
        url=url,
        query={},
        headers={
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": RequestValidator(token).compute_signature(url, fields),
        },
        body=(urlencode(fields) if body is None else body).encode(),
    )


def status_of(sid: str, status: str = "delivered", **more: str) -> dict[str, str]:
    return {"AccountSid": twilio.ACCOUNT, "MessageSid": sid, "MessageStatus": status, **more}


SID = "SM" + "0" * 32
URL = f"https://console.example.com{PATH}?id=dlv_1"


async def test_a_message_goes_in_the_documented_form(channel: TwilioChannel, fake: FakeTwilio, ours: Listener) -> None:
    sent = message()
    sid = await channel.send(sent)
    assert fake.messages[sid] == {
        "To": sent.to,
        "From": twilio.SENDER,
        "Body": sent.text,
        "StatusCallback": f"{ours.url}?id={sent.id}",
    }


async def test_an_api_key_and_a_messaging_service(fake: FakeTwilio) -> None:
    changes = {"sender": "", "messaging_service_sid": twilio.SERVICE, "api_key_sid": twilio.KEY}
    async with made(api_url=fake.url, **changes, api_key_secret=SecretStr(twilio.KEY_SECRET)) as channel:
        form = fake.messages[await channel.send(message())]
    assert form["MessagingServiceSid"] == twilio.SERVICE
    assert "From" not in form


@pytest.mark.parametrize(
    ("to", "code", "status", "words"),
    [
        ("+15005550001", "21211", DeliveryStatus.FAILED, "not a phone number"),
        ("+15005550002", "21612", DeliveryStatus.FAILED, "cannot reach this number"),
        ("+15005550003", "21408", DeliveryStatus.FAILED, "may not send to this country"),
        ("+15005550004", "21610", DeliveryStatus.OPTED_OUT, "asked not to get messages"),
        ("+15005550009", "21614", DeliveryStatus.FAILED, "landline"),
        ("+15005550400", "29999", DeliveryStatus.FAILED, "Twilio refused the message"),
        ("07700900123", "21211", DeliveryStatus.FAILED, "not a phone number"),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    channel: TwilioChannel, to: str, code: str, status: DeliveryStatus, words: str
) -> None:
    with pytest.raises(FinalRefusal, match=words) as caught:
        await channel.send(message(to))
    assert (caught.value.code, caught.value.status) == (code, status)
    assert to not in caught.value.reason


@pytest.mark.parametrize(
    ("to", "code", "wait_s"),
    [
        ("+15005550429", "429", 7.0),
        ("+15005550503", "503", ANSWER_LOST_S),
        ("+15005550611", "21611", None),
        (twilio.LOST, "no_answer", ANSWER_LOST_S),
    ],
)
async def test_a_passing_fault_is_worth_another_try(
    channel: TwilioChannel, to: str, code: str, wait_s: float | None
) -> None:
    with pytest.raises(TemporaryFault) as caught:
        await channel.send(message(to))
    assert (caught.value.code, caught.value.retry_after_s) == (code, wait_s)


async def test_a_message_whose_answer_was_lost_is_reported_under_our_own_id(
    channel: TwilioChannel, fake: FakeTwilio, ours: Listener
) -> None:
    sent = message(twilio.LOST)
    before = len(fake.messages)
    with pytest.raises(TemporaryFault):
        await channel.send(sent)
    assert len(fake.messages) == before + 1, "tried once, not again in here"
    fake.report(list(fake.messages)[-1], "sent")
    assert [report.status for report in ours.of(sent.id)] == [DeliveryStatus.SENT]


@pytest.mark.parametrize("changes", [{"auth_token": SecretStr("x" * 32)}, {"account_sid": "AC" + "0" * 32}])
async def test_wrong_credentials_lose_no_message(fake: FakeTwilio, changes: dict[str, object]) -> None:
    async with made(api_url=fake.url, **changes) as channel:
        with pytest.raises(TemporaryFault, match="settings") as caught:
            await channel.send(message())
    assert caught.value.code in {"20003", "20404"}
    assert "x" * 32 not in str(caught.value)


async def test_an_unreachable_twilio_is_a_passing_fault() -> None:
    async with made() as channel:
        with pytest.raises(TemporaryFault) as caught:
            await channel.send(message())
    assert (caught.value.code, caught.value.retry_after_s) == ("unreachable", None)


async def test_a_text_that_is_too_long_is_not_even_sent(channel: TwilioChannel, fake: FakeTwilio) -> None:
    await channel.send(message(text="x" * 1600))
    before = len(fake.messages) + len(fake.refused)
    with pytest.raises(FinalRefusal, match="too long"):
        await channel.send(message(text="x" * 1601))
    assert len(fake.messages) + len(fake.refused) == before


async def test_reports_twice_and_in_disorder_end_alike(
    channel: TwilioChannel, fake: FakeTwilio, ours: Listener
) -> None:
    for order in itertools.permutations(["sending", "sent", "delivered"]):
        sent = message()
        sid = await channel.send(sent)
        for status in (*order, *order):
            answer = await asyncio.to_thread(fake.report, sid, status)
            assert answer.status_code == 200
        reports = ours.of(sent.id)
        assert len(reports) == 4
        assert {report.id for report in reports} == {f"{sid}.sent", f"{sid}.delivered"}, "repeats have the same id"
        assert max((report.status for report in reports), key=RANK.__getitem__) is DeliveryStatus.DELIVERED
        assert {report.message_id for report in reports} == {sid}


@pytest.mark.parametrize(
    ("said", "error_code", "status", "code", "words"),
    [
        ("undelivered", 30003, DeliveryStatus.FAILED, "30003", "could not be reached"),
        ("undelivered", 30007, DeliveryStatus.FAILED, "30007", "spam"),
        ("failed", 21610, DeliveryStatus.OPTED_OUT, "21610", "asked not to get"),
        ("failed", 30036, DeliveryStatus.EXPIRED, "30036", "in time"),
        ("failed", 39999, DeliveryStatus.FAILED, "39999", "does not say why"),
        ("failed", None, DeliveryStatus.FAILED, "failed", "does not say why"),
        ("canceled", None, DeliveryStatus.FAILED, "canceled", "canceled"),
    ],
)
async def test_what_went_wrong_later_is_told(
    channel: TwilioChannel,
    fake: FakeTwilio,
    ours: Listener,
    said: str,
    error_code: int | None,
    status: DeliveryStatus,
    code: str,
    words: str,
) -> None:
    sent = message()
    fake.report(await channel.send(sent), said, error_code=error_code)
    [report] = ours.of(sent.id)
    assert (report.status, report.code) == (status, code)
    assert words in (report.reason or "")


@pytest.mark.parametrize("said", ["accepted", "scheduled", "queued", "sending", "something_new"])
def test_what_says_nothing_new_is_taken_and_told_nowhere(channel: TwilioChannel, said: str) -> None:
    assert channel.parse_callback(signed(status_of(SID, said), URL)).reports == ()


@pytest.mark.parametrize(
    ("body", "opt_out_type", "text"),
    [
        ("  Is this real?  ", None, "  Is this real?  "),
        ("STOP", None, "STOP"),
        ("Arrêtez !", "STOP", "STOP"),
        ("jo", "START", "START"),
        ("?", "HELP", "?"),
    ],
)
def test_what_a_person_writes_back(
    channel: TwilioChannel, fake: FakeTwilio, ours: Listener, body: str, opt_out_type: str | None, text: str
) -> None:
    answer = fake.write(ours.url, body, opt_out_type=opt_out_type)
    assert answer.headers["content-type"] == "text/xml"
    assert answer.text.endswith("<Response/>"), "nothing for Twilio to say in our name"
    [reply] = ours.replies
    assert (reply.text, reply.sender, reply.to) == (text, "+15005550010", twilio.SENDER)


URLS = [
    URL,
    "https://console.example.com/webhooks",
    "https://console.example.com:443/webhooks?a=1",
    "https://console.example.com:8443/webhooks?a=1&b=%20x&b=2",
    "http://console.example.com/webhooks?empty=",
    "http://localhost:8000/webhooks?q=caf%C3%A9+x",
]
FIELDS = [
    status_of(SID),
    status_of(SID, Body="  naïve – 中文 🙂 & = + %  ", Empty="", ErrorCode="30003"),
    {**status_of(SID), "zeta": "1", "Alpha": "2", "alpha": "3"},
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("fields", FIELDS)
def test_twilios_own_validator_agrees(channel: TwilioChannel, url: str, fields: dict[str, str]) -> None:
    callback = signed(fields, url)
    signature = callback.headers["x-twilio-signature"]
    judge = RequestValidator(twilio.TOKEN)
    assert judge.validate(url, fields, signature)
    assert len(channel.parse_callback(callback).reports) == 1
    for wrong in (
        signed(fields, url, token="another-token"),
        replace(callback, url=url + "&x=1"),
        replace(callback, url=url.replace("webhooks", "Webhooks")),
        signed(fields, url, body=urlencode({**fields, "MessageStatus": "read"})),
        signed(fields, url, body=urlencode(fields) + "&added=1"),
        replace(callback, headers={**callback.headers, "x-twilio-signature": ""}),
        replace(callback, headers={"content-type": callback.headers["content-type"]}),
    ):
        with pytest.raises(CallbackRefused):
            channel.parse_callback(wrong)


@pytest.mark.parametrize(
    ("signed_for", "called"),
    [
        ("https://a.example:443/x?y=1", "https://a.example/x?y=1"),
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("https://a.example/x", "https://a.example:8443/x"),
    ],
)
def test_the_port_may_be_left_out_of_what_is_signed(channel: TwilioChannel, signed_for: str, called: str) -> None:
    callback = replace(signed(status_of(SID), signed_for), url=called)
    signature = callback.headers["x-twilio-signature"]
    assert RequestValidator(twilio.TOKEN).validate(called, status_of(SID), signature)
    assert channel.parse_callback(callback).reports


async def test_the_example_of_twilios_documents() -> None:
    """twilio.com/docs/usage/security: this address and these fields, and this signature."""
    fields = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675310", "Digits": "1234"}
    fields |= {"From": "+14158675310", "To": "+18005551212"}
    callback = signed(fields, "https://example.com/myapp.php?foo=1&bar=2", token="12345")
    # Its own token has 5 characters, which no account's has.
    channel = TwilioChannel(CONFIG.model_copy(update={"auth_token": SecretStr("12345")}), callback_url="")
    with pytest.raises(CallbackRefused, match="another account"):  # and not: the signature
        channel.parse_callback(callback)
    await channel.close()
    assert callback.headers["x-twilio-signature"] == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize(
    "callback",
    [
        replace(signed(status_of(SID), URL), method="GET"),
        signed(status_of("SMnone"), URL),
        signed({**status_of(SID), "AccountSid": "AC" + "0" * 32}, URL),
        replace(signed(status_of(SID), URL), url="https://[broken/"),
        replace(signed(status_of(SID), URL), url="https://a.example:port/"),
        replace(signed(status_of(SID), URL), body=b"MessageStatus=%ff"),
        replace(signed(status_of(SID), URL), body="Body=\u00e9".encode()),
        replace(signed(status_of(SID), URL), body=b"a=1&" * 300),
        replace(signed(status_of(SID), URL), body=b"a" * 70_000),
        replace(signed(status_of(SID), URL), headers={"content-type": "application/json"}),
        replace(
            signed(status_of(SID), URL), headers={**signed(status_of(SID), URL).headers, "x-twilio-signature": "é"}
        ),
    ],
)
def test_what_is_not_twilios_is_refused(channel: TwilioChannel, callback: Callback) -> None:
    with pytest.raises(CallbackRefused):
        channel.parse_callback(callback)


def test_a_field_that_is_there_twice_is_refused(channel: TwilioChannel) -> None:
    """Signed as Twilio's library signs repeated fields: each value once, in order."""
    fields = status_of(SID)
    url = f"https://console.example.com{PATH}"
    values = {**fields, "MessageStatus": "deliveredMessageStatusread"}
    callback = signed(values, url, body=urlencode(fields) + "&MessageStatus=read")
    with pytest.raises(CallbackRefused, match="twice"):
        channel.parse_callback(callback)


@pytest.mark.parametrize(
    "changes",
    [
        {"account_sid": "AC123"},
        {"auth_token": ""},
        {"sender": ""},
        {"sender": "Twelve chars"},
        {"sender": "12 34"},
        {"sender": "+1555<script>"},
        {"api_key_sid": twilio.KEY},
        {"api_key_secret": "a secret"},
        {"api_url": "https://user@api.twilio.com"},
        {"surplus": "1"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, str]) -> None:
    whole = {"account_sid": twilio.ACCOUNT, "auth_token": twilio.TOKEN, "sender": " ACME "}
    assert TwilioConfig.model_validate(whole).model_dump()["sender"] == "ACME"
    with pytest.raises(ValidationError):
        TwilioConfig.model_validate({**whole, **changes})
