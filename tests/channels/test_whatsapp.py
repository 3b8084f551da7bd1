"""WhatsApp against a strict Cloud API of our own."""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from paylink.channels.base import (
    Callback,
    CallbackRefused,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    Reply,
    TemporaryFault,
)
from paylink.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from tests.channels import fake_whatsapp as meta
from tests.channels.fake_whatsapp import FakeWhatsApp, notification, signed, value
from tests.services import free_port

TOKEN = "3q2-7vX0aBcDeFgHiJkLmN"
MESSAGE = Message(
    id="dlv_01abc",
    channel="whatsapp",
    to="+16505551234",
    text=f"Acme asks for £49.99: https://pay.example.com/p/{TOKEN}",
    url=f"https://pay.example.com/p/{TOKEN}",
    locale="en-GB",
    merchant="Acme",
    parts={"amount": "£49.99", "words": "amber river seven"},
)
SENT_AT = 1763771000
WHEN = datetime.fromtimestamp(SENT_AT, UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeWhatsApp]:
    with meta.fake_whatsapp() as fake:
        yield fake


@pytest.fixture
def fake(server: FakeWhatsApp) -> FakeWhatsApp:
    server.taken.clear()
    server.refused.clear()
    server.faults.clear()
    return server


def config(fake: FakeWhatsApp, **changes: Any) -> WhatsAppConfig:
    fields = {
        "phone_number_id": meta.PHONE_NUMBER_ID,
        "access_token": meta.ACCESS_TOKEN,
        "app_secret": meta.APP_SECRET,
        "verify_token": meta.VERIFY_TOKEN,
        "template_name": "payment_request",
        "template_languages": "en = en_GB, de = de\nzh-Hans: zh_CN",
        "template_parameters": "merchant, amount, words",
        "api_url": fake.url,
    }
    return WhatsAppConfig.model_validate(fields | changes)


@pytest.fixture
async def channel(fake: FakeWhatsApp) -> AsyncIterator[WhatsAppChannel]:
    channel = WhatsAppChannel(config(fake), callback_url=meta.CALLBACK_URL)
    yield channel
    await channel.close()


async def send(fake: FakeWhatsApp, message: Message, **changes: Any) -> str:
    channel = WhatsAppChannel(config(fake, **changes), callback_url=meta.CALLBACK_URL)
    try:
        return await channel.send(message)
    finally:
        await channel.close()


def texts(component: dict[str, Any]) -> list[str]:
    return [parameter["text"] for parameter in component["parameters"]]


async def test_a_link_goes_out_by_the_template_and_its_button(fake: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    assert await channel.send(MESSAGE) == fake.wamid(1)
    (taken,) = fake.taken
    assert (taken["to"], taken["biz_opaque_callback_data"]) == (MESSAGE.to, MESSAGE.id)
    assert (taken["template"]["name"], taken["template"]["language"]) == ("payment_request", {"code": "en_GB"})
    body, button = taken["template"]["components"]
    assert texts(body) == ["Acme", "£49.99", "amber river seven"]
    assert texts(button) == [TOKEN]


async def test_a_place_holds_what_whatsapp_takes(fake: FakeWhatsApp) -> None:
    parts = {"reference": "INV\n7\t8     9", "description": "x" * 999}
    message = dataclasses.replace(MESSAGE, parts=parts)
    await send(fake, message, template_parameters="reference,description,words")
    body, _ = fake.taken[0]["template"]["components"]
    assert texts(body) == ["INV 7 8 9", "x" * 200, "–"]


async def test_a_template_without_places_has_its_button_only(fake: FakeWhatsApp) -> None:
    await send(fake, MESSAGE, template_name="bare_link", template_parameters="", template_languages="en=en")
    (button,) = fake.taken[0]["template"]["components"]
    assert texts(button) == [TOKEN]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("de", "de"), ("de-AT", "de"), ("zh-Hans", "zh_CN"), ("zh-Hans-SG", "zh_CN"), ("ar", "en_GB"), ("", "en_GB")],
)
async def test_the_template_is_in_the_language_of_the_message(
    fake: FakeWhatsApp, channel: WhatsAppChannel, ours: str, theirs: str
) -> None:
    await channel.send(dataclasses.replace(MESSAGE, locale=ours))
    assert fake.taken[0]["template"]["language"]["code"] == theirs


async def test_in_an_open_conversation_a_text_will_do(fake: FakeWhatsApp) -> None:
    await send(fake, MESSAGE, form="text", template_name="")
    assert fake.taken[0]["text"] == {"preview_url": False, "body": MESSAGE.text}


async def test_what_has_no_link_goes_as_text(fake: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    await channel.send(dataclasses.replace(MESSAGE, url="", text="r" * 5000))
    assert fake.taken[0]["text"] == {"preview_url": False, "body": "r" * 4096}


async def test_an_address_without_a_last_part_is_no_link(fake: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    with pytest.raises(FinalRefusal):
        await channel.send(dataclasses.replace(MESSAGE, url="https://pay.example.com/p/"))
    assert fake.taken == fake.refused == []


@pytest.mark.parametrize(
    "code", [1, 2, 3, 4, 10, 190, 200, 299, 80007, 130429, 131000, 131005, 131016, 131056, 131057, 133004]
)
async def test_what_passes_is_tried_again(fake: FakeWhatsApp, channel: WhatsAppChannel, code: int) -> None:
    fake.faults[MESSAGE.to] = {"code": code}
    with pytest.raises(TemporaryFault) as fault:
        await channel.send(MESSAGE)
    assert (fault.value.code, len(fault.value.reason) > 20) == (str(code), True)


@pytest.mark.parametrize(
    "code", [33, 100, 131026, 131047, 131048, 131049, 131053, 132000, 132001, 132015, 132999, 133010, 777777]
)
async def test_what_will_not_change_is_final(fake: FakeWhatsApp, channel: WhatsAppChannel, code: int) -> None:
    fake.faults[MESSAGE.to] = {"code": code, "details": "4242 4242 4242 4242"}
    with pytest.raises(FinalRefusal) as refusal:
        await channel.send(MESSAGE)
    assert (refusal.value.code, refusal.value.status) == (str(code), DeliveryStatus.FAILED)
    assert "4242" not in refusal.value.reason


async def test_a_person_who_wants_no_such_messages_has_opted_out(fake: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    fake.faults[MESSAGE.to] = {"code": 131050}
    with pytest.raises(FinalRefusal) as refusal:
        await channel.send(MESSAGE)
    assert refusal.value.status is DeliveryStatus.OPTED_OUT


async def test_an_unknown_fault_passes_if_meta_says_so(fake: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    for fault in ({"code": 777777, "transient": True}, 500, 502, 429, 302):
        fake.faults[MESSAGE.to] = fault
        with pytest.raises(TemporaryFault):
            await channel.send(MESSAGE)
    fake.faults[MESSAGE.to] = 404
    with pytest.raises(FinalRefusal):
        await channel.send(MESSAGE)


async def test_a_token_that_is_not_accepted_is_said_in_plain_words(fake: FakeWhatsApp) -> None:
    with pytest.raises(TemporaryFault, match="access token; put a new one into its settings") as fault:
        await send(fake, MESSAGE, access_token="EAAJB-a-token-that-has-ended")
    assert "EAAJB" not in str(vars(fault.value))


async def test_a_server_that_cannot_be_reached_is_asked_again(fake: FakeWhatsApp) -> None:
    with pytest.raises(TemporaryFault):
        await send(fake, MESSAGE, api_url=f"http://127.0.0.1:{free_port()}/v24.0")


async def test_a_lost_answer_leaves_time_for_the_report_that_it_went_out(
    fake: FakeWhatsApp, channel: WhatsAppChannel
) -> None:
    fake.faults[MESSAGE.to] = 0
    with pytest.raises(TemporaryFault) as fault:
        await channel.send(MESSAGE)
    assert fault.value.retry_after_s == 60
    gone = fake.status(1, "sent", at=SENT_AT)
    (report,) = channel.parse_callback(signed(notification([value(statuses=[gone])]))).reports
    assert (report.status, report.reference) == (DeliveryStatus.SENT, MESSAGE.id)


@pytest.fixture
async def sent(fake: FakeWhatsApp, channel: WhatsAppChannel) -> FakeWhatsApp:
    await channel.send(MESSAGE)
    return fake


async def test_reports_come_twice_and_in_disorder_and_are_told_apart(
    sent: FakeWhatsApp, channel: WhatsAppChannel
) -> None:
    read, delivered, gone = (
        sent.status(1, kind, at=SENT_AT + place) for place, kind in ((9, "read"), (2, "delivered"), (0, "sent"))
    )
    callbacks = [
        notification([value(statuses=[read, gone])]),
        notification([value(statuses=[delivered])], [value(statuses=[gone]), value(statuses=[read])]),
        notification([value(statuses=[delivered])]),
    ]
    parsed = [report for one in callbacks for report in channel.parse_callback(signed(one)).reports]
    assert [report.status for report in parsed] == ["read", "sent", "delivered", "sent", "read", "delivered"]
    assert len({report.id for report in parsed}) == 3
    assert {(report.reference, report.message_id) for report in parsed} == {(MESSAGE.id, sent.wamid(1))}
    assert {(report.reason, report.code) for report in parsed} == {(None, None)}
    assert {report.occurred_at for report in parsed if report.status == "sent"} == {WHEN}


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (131026, DeliveryStatus.FAILED, "The number has no WhatsApp"),
        (131047, DeliveryStatus.FAILED, "More than 24 hours"),
        (131049, DeliveryStatus.FAILED, "WhatsApp did not deliver this"),
        (131050, DeliveryStatus.OPTED_OUT, "The person does not want"),
        (131000, DeliveryStatus.FAILED, "WhatsApp had a fault of its own"),
        (132042, DeliveryStatus.FAILED, "WhatsApp refused the account's template"),
    ],
)
async def test_a_message_that_failed_says_why(
    sent: FakeWhatsApp, channel: WhatsAppChannel, code: int, status: DeliveryStatus, words: str
) -> None:
    errors = [{"code": code, "title": "Title", "message": "Title", "error_data": {"details": "Details."}, "href": "/"}]
    failed = sent.status(1, "failed", at=SENT_AT, errors=errors)
    (report,) = channel.parse_callback(signed(notification([value(statuses=[failed])]))).reports
    assert (report.status, report.code) == (status, str(code))
    assert (report.reason or "").startswith(words)


@pytest.mark.parametrize("errors", [None, [], ["x"], [{}], [{"code": "131026"}], [{"code": True}], {"code": 1}])
async def test_a_failure_without_a_usable_code_is_one_still(
    sent: FakeWhatsApp, channel: WhatsAppChannel, errors: Any
) -> None:
    failed = sent.status(1, "failed", at=SENT_AT) | {"errors": errors}
    (report,) = channel.parse_callback(signed(notification([value(statuses=[failed])]))).reports
    assert (report.status, report.code) == (DeliveryStatus.FAILED, None)
    assert report.reason == "WhatsApp refused the message"


def inbound(**members: Any) -> dict[str, Any]:
    return {"from": "16505551234", "id": "wamid.IN=", "timestamp": str(SENT_AT), **members}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"type": "text", "text": {"body": " STOP "}}, "STOP"),
        ({"type": "button", "button": {"payload": "stop-it", "text": "Stop"}}, "Stop"),
        ({"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"title": "Yes"}}}, "Yes"),
        ({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"title": "No"}}}, "No"),
        ({"type": "text", "text": {"body": "x" * 9000}}, "x" * 4096),
        ({"type": "image", "image": {"caption": "STOP"}}, None),
        ({"type": "text", "text": {"body": ""}}, None),
        ({"type": "text", "text": "STOP"}, None),
        ({"type": "text", "text": {"body": "STOP"}, "from": None}, None),
        ({"type": "text", "text": {"body": "STOP"}, "from": "US.13491208655302741918"}, None),
        ({"type": "text", "text": {"body": "STOP"}, "timestamp": "soon"}, None),
        ({"type": ["text"], "text": {"body": "STOP"}}, None),
    ],
)
def test_what_people_write_back_is_read(channel: WhatsAppChannel, members: dict[str, Any], text: str | None) -> None:
    parsed = channel.parse_callback(signed(notification([value(messages=[inbound(**members)])])))
    replies = [Reply(id="wamid.IN=", sender="+16505551234", text=text, occurred_at=WHEN, to="+15550783881")]
    assert list(parsed.replies) == (replies if text is not None else [])


async def test_what_is_another_numbers_or_not_about_messages_is_left_alone(
    sent: FakeWhatsApp, channel: WhatsAppChannel
) -> None:
    read = sent.status(1, "read", at=SENT_AT)
    foreign = value(number_id="999999999999999", statuses=[read], messages=[inbound(type="text", text={"body": "a"})])
    for content in (
        notification([foreign]),
        notification([value(statuses=[read])], change="calls"),
        notification([value(statuses=[read | {"status": "played"}, read | {"status": None}, read | {"id": "x\n"}])]),
        notification([value(statuses=[read | {"timestamp": "9" * 11}, read | {"timestamp": "-1"}, 7])]),
        {"object": "whatsapp_business_account", "entry": [None, {"changes": [{"value": None}]}, {"changes": 7}]},
        {"object": "whatsapp_business_account"},
    ):
        assert channel.parse_callback(signed(content)) == Parsed(reports=[], replies=[])


async def test_a_reference_of_someone_else_is_not_taken_for_ours(sent: FakeWhatsApp, channel: WhatsAppChannel) -> None:
    for data in ("x" * 65, 7, None):
        read = sent.status(1, "read", at=SENT_AT) | {"biz_opaque_callback_data": data}
        (report,) = channel.parse_callback(signed(notification([value(statuses=[read])]))).reports
        assert (report.reference, report.message_id) == ("", sent.wamid(1))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"[]", b"\xff", b"7", {"object": "page", "entry": []}])
def test_a_callback_of_another_form_is_refused(channel: WhatsAppChannel, content: Any) -> None:
    with pytest.raises(CallbackRefused):
        channel.parse_callback(signed(content))


def test_a_callback_that_meta_did_not_sign_is_refused(channel: WhatsAppChannel) -> None:
    good = signed(notification([value(messages=[inbound(type="text", text={"body": "STOP"})])]))
    assert channel.parse_callback(good).replies
    signature = good.headers["x-hub-signature-256"]
    for changed in (
        dataclasses.replace(good, body=good.body + b" "),
        dataclasses.replace(good, headers={}),
        dataclasses.replace(good, headers={"x-hub-signature-256": signature.removeprefix("sha256=")}),
        dataclasses.replace(good, headers={"x-hub-signature-256": "sha256="}),
        dataclasses.replace(good, headers={"x-hub-signature-256": signature[:-1] + "é"}),
        signed(good.body, secret=meta.VERIFY_TOKEN),
    ):
        with pytest.raises(CallbackRefused):
            channel.parse_callback(changed)


QUESTION = {"hub.mode": "subscribe", "hub.verify_token": meta.VERIFY_TOKEN, "hub.challenge": "1158201444"}


def asked(query: dict[str, str]) -> Callback:
    return Callback(method="GET", url=meta.CALLBACK_URL, query=query, headers={}, body=b"")


def test_the_address_is_confirmed_to_whoever_knows_the_verify_token(channel: WhatsAppChannel) -> None:
    assert channel.parse_callback(asked(QUESTION)) == Parsed(body="1158201444", media_type="text/plain")


@pytest.mark.parametrize(
    "changes",
    [
        {"hub.verify_token": "another"},
        {"hub.verify_token": ""},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": "<script>"},
        {"hub.challenge": ""},
        {"hub.challenge": "1" * 201},
    ],
)
def test_another_question_gets_no_answer(channel: WhatsAppChannel, changes: dict[str, str]) -> None:
    with pytest.raises(CallbackRefused):
        channel.parse_callback(asked(QUESTION | changes))
    with pytest.raises(CallbackRefused):
        channel.parse_callback(asked({}))


@pytest.mark.parametrize(
    "changes",
    [
        {"template_languages": "english"},
        {"template_languages": " , "},
        {"template_parameters": "merchant, card"},
        {"template_name": ""},
        {"template_name": "Payment Request"},
        {"phone_number_id": "+15550783881"},
        {"access_token": ""},
        {"app_secret": ""},
        {"verify_token": ""},
        {"api_url": "https://graph.facebook.com"},
        {"form": "both"},
        {"more": "1"},
    ],
)
def test_settings_that_cannot_work_are_refused(fake: FakeWhatsApp, changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        config(fake, **changes)
