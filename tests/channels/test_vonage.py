"""Vonage against a fake that takes only the documented form and signs its callbacks as Vonage does."""

import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr, ValidationError

from paylink.channels.base import Callback, CallbackRefused, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.channels.http import ANSWER_LOST_S
from paylink.channels.vonage import TOLERANCE_S, VonageChannel, VonageConfig
from paylink.delivery.states import RANK
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from tests.channels import fake_vonage as vonage
from tests.channels.fake_vonage import FakeVonage
from tests.channels.listener import Listener, listener

PATH = "/webhooks/messaging/vonage/chn_01k9"
SETTINGS: dict[str, Any] = {
    "api_key": vonage.API_KEY,
    "api_secret": vonage.API_SECRET,
    "signature_secret": vonage.SIGNATURE_SECRET,
    "sender": "+447700900001",
    "api_url": "http://127.0.0.1:9",
}
APPLICATION = {"application_id": vonage.APPLICATION, "private_key": vonage.PEM, "api_secret": ""}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeVonage]:
    with vonage.fake_vonage() as found:
        yield found


@pytest.fixture(scope="module")
def ours() -> Iterator[Listener]:
    with listener(PATH) as found:
        yield found


@pytest.fixture
async def channel(fake: FakeVonage, ours: Listener) -> AsyncIterator[VonageChannel]:
    ours.clear()
    async with made(callback_url=ours.url, api_url=fake.url) as ours.channel:
        yield ours.channel


@asynccontextmanager
async def made(callback_url: str = "https://a.example", **changes: Any) -> AsyncIterator[VonageChannel]:
    found = VonageChannel(VonageConfig.model_validate({**SETTINGS, **changes}), callback_url=callback_url)
    try:
        yield found
    finally:
        await found.close()


def message(to: str = "+447700900000", text: str = "Acme: pay £49.99 · café 中文") -> Message:
    return Message(id=new_id("dlv"), channel="sms", to=to, text=text)


def said(**changes: Any) -> dict[str, Any]:
    known = {"message_uuid": vonage.APPLICATION, "channel": "sms", "status": "delivered", "client_ref": "dlv_1"}
    return {**known, "timestamp": "2026-11-21T14:00:00.000Z", **changes}


def callback(content: object, **changes: Any) -> Callback:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    authorization = f"Bearer {vonage.token(body, **changes)}"
    return Callback("POST", "https://a.example" + PATH, {}, {"authorization": authorization}, body)


@pytest.mark.parametrize(("settings", "way"), [({}, "basic"), (APPLICATION, "jwt")])
async def test_a_message_goes_in_the_documented_form(
    fake: FakeVonage, ours: Listener, settings: dict[str, str], way: str
) -> None:
    async with made(ours.url, api_url=fake.url, **settings) as channel:
        sent = message()
        found = await channel.send(sent)
        await channel.send(message())  # with a token of its own
    assert fake.signed_in[-2:] == [way, way]
    assert fake.messages[found] == {
        "message_type": "text",
        "channel": "sms",
        "to": "447700900000",
        "from": "447700900001",
        "text": sent.text,
        "client_ref": sent.id,
        "webhook_url": ours.url,
        "webhook_version": "v1",
    }


async def test_the_private_key_may_have_lost_its_line_breaks(fake: FakeVonage) -> None:
    pasted = " ".join(vonage.PEM.split("\n"))
    async with made(api_url=fake.url, **{**APPLICATION, "private_key": pasted}) as channel:
        await channel.send(message())
    assert fake.signed_in[-1] == "jwt"


@pytest.mark.parametrize(
    ("to", "code", "status", "words"),
    [
        ("+15005551120", "1120", DeliveryStatus.FAILED, "sender"),
        ("+15005551170", "1170", DeliveryStatus.FAILED, "not a phone number"),
        ("+15005551240", "1240", DeliveryStatus.OPTED_OUT, "asked not to get"),
        ("+15005559999", "9999", DeliveryStatus.FAILED, "Vonage refused the message"),
        ("07700900000", "invalid-params", DeliveryStatus.FAILED, "Vonage refused the message"),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    channel: VonageChannel, to: str, code: str, status: DeliveryStatus, words: str
) -> None:
    with pytest.raises(FinalRefusal, match=words) as caught:
        await channel.send(message(to))
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.parametrize(
    ("to", "code", "wait_s"),
    [
        ("+15005550429", "429", 3.0),
        ("+15005550500", "500", ANSWER_LOST_S),
        ("+15005550402", "low-balance", None),
        ("+15005550403", "forbidden", None),
        ("+15005551000", "1000", None),
        ("+" + vonage.LOST, "no_answer", ANSWER_LOST_S),
    ],
)
async def test_a_passing_fault_is_worth_another_try(
    channel: VonageChannel, to: str, code: str, wait_s: float | None
) -> None:
    with pytest.raises(TemporaryFault) as caught:
        await channel.send(message(to))
    assert (caught.value.code, caught.value.retry_after_s) == (code, wait_s)


async def test_a_message_that_vonage_has_already_is_a_success(channel: VonageChannel) -> None:
    assert not await channel.send(message("+15005551320"))


async def test_a_message_whose_answer_was_lost_is_reported_under_our_own_id(
    channel: VonageChannel, fake: FakeVonage, ours: Listener
) -> None:
    sent, before = message("+" + vonage.LOST), len(fake.messages)
    with pytest.raises(TemporaryFault):
        await channel.send(sent)
    assert len(fake.messages) == before + 1, "tried once, not again in here"
    fake.report(list(fake.messages)[-1], "submitted")
    assert [report.status for report in ours.of(sent.id)] == [DeliveryStatus.SENT]


@pytest.mark.parametrize(
    "changes", [{"api_secret": "wrong"}, {**APPLICATION, "application_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}]
)
async def test_wrong_credentials_lose_no_message(fake: FakeVonage, changes: dict[str, str]) -> None:
    async with made(api_url=fake.url, **changes) as channel:
        with pytest.raises(TemporaryFault, match="credentials") as caught:
            await channel.send(message())
    assert caught.value.code == "unauthorized"


async def test_a_text_that_is_too_long_is_not_even_sent(channel: VonageChannel, fake: FakeVonage) -> None:
    await channel.send(message(text="x" * 1000))
    before = len(fake.messages) + len(fake.refused)
    with pytest.raises(FinalRefusal, match="too long"):
        await channel.send(message(text="x" * 1001))
    assert len(fake.messages) + len(fake.refused) == before


async def test_reports_twice_and_in_disorder_end_alike(
    channel: VonageChannel, fake: FakeVonage, ours: Listener
) -> None:
    for order in itertools.permutations(["submitted", "delivered", "something_new"]):
        sent = message()
        found = await channel.send(sent)
        for status in (*order, *order):
            assert fake.report(found, status).status_code == 200
        reports = ours.of(sent.id)
        assert {report.id for report in reports} == {f"{found}.submitted", f"{found}.delivered"}
        assert len(reports) == 4
        assert max((report.status for report in reports), key=RANK.__getitem__) is DeliveryStatus.DELIVERED
        assert {report.occurred_at for report in reports} == {datetime(2026, 11, 21, 14, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("status", "error", "ended", "code", "words"),
    [
        ("rejected", 1240, DeliveryStatus.OPTED_OUT, "1240", "asked not to get"),
        ("rejected", 1360, DeliveryStatus.EXPIRED, "1360", "in time"),
        ("rejected", 1210, DeliveryStatus.FAILED, "1210", "spam"),
        ("undeliverable", 1190, DeliveryStatus.FAILED, "1190", "no longer in use"),
        ("undeliverable", None, DeliveryStatus.FAILED, "undeliverable", "does not say why"),
        ("rejected", 9999, DeliveryStatus.FAILED, "9999", "does not say why"),
    ],
)
async def test_what_went_wrong_later_is_told(
    channel: VonageChannel,
    fake: FakeVonage,
    ours: Listener,
    status: str,
    error: int | None,
    ended: DeliveryStatus,
    code: str,
    words: str,
) -> None:
    sent = message()
    fake.report(await channel.send(sent), status, error=error)
    [report] = ours.of(sent.id)
    assert (report.status, report.code) == (ended, code)
    assert words in (report.reason or "")


def test_what_a_person_writes_back(channel: VonageChannel, fake: FakeVonage, ours: Listener) -> None:
    assert fake.write(ours.url, "Stop – bitte 中文").status_code == 200
    [reply] = ours.replies
    assert (reply.sender, reply.to, reply.text) == ("+447700900000", "+447700900001", "Stop – bitte 中文")
    assert reply.occurred_at == datetime(2020, 1, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [None, "yesterday", "2999-01-01T00:00:00Z", 5])
def test_a_time_that_cannot_be_is_now(channel: VonageChannel, timestamp: object) -> None:
    [report] = channel.parse_callback(callback(said(timestamp=timestamp))).reports
    assert abs(report.occurred_at - utcnow()) < timedelta(seconds=5)


def test_a_message_that_is_no_text_is_taken_and_told_nowhere(channel: VonageChannel) -> None:
    content = {**said(message_type="image", image={"url": "https://x.example"})}
    del content["status"]
    assert channel.parse_callback(callback(content)).replies == ()


SIGNED_WRONGLY = [
    {"secret": "another-secret" * 5},
    {"api_key": "efgh5678"},
    {"api_key": None},
    {"payload_hash": None},
    {"payload_hash": hashlib.sha256(b"another").hexdigest()},
    {"payload_hash": 5},
    {"iat": None},
    {"iat": "now"},
    {"iat": lambda: time.time() - TOLERANCE_S - 60},
    {"iat": lambda: time.time() + TOLERANCE_S + 60},
    {"jti": None},
    {"algorithm": "none"},
    {"algorithm": "HS512"},
    {"exp": lambda: int(time.time()) - 60},
]


@pytest.mark.parametrize("changes", SIGNED_WRONGLY, ids=range(len(SIGNED_WRONGLY)))
def test_what_is_signed_wrongly_is_refused(channel: VonageChannel, changes: dict[str, Any]) -> None:
    assert channel.parse_callback(callback(said())).reports
    now = {name: value() if callable(value) else value for name, value in changes.items()}
    with pytest.raises(CallbackRefused):
        channel.parse_callback(callback(said(), **now))


def test_a_token_signed_by_the_public_key_of_the_application_is_refused(channel: VonageChannel) -> None:
    body = json.dumps(said()).encode()
    token = jwt.encode({"payload_hash": hashlib.sha256(body).hexdigest()}, vonage.PRIVATE_KEY, "RS256")
    with pytest.raises(CallbackRefused):
        channel.parse_callback(replace(callback(said()), headers={"authorization": f"Bearer {token}"}))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(callback(said()), method="GET"),
        lambda: replace(callback(said()), headers={}),
        lambda: replace(callback(said()), headers={"authorization": "Bearer"}),
        lambda: replace(callback(said()), headers={"authorization": "Bearer a.b.c"}),
        lambda: replace(callback(said()), headers={"authorization": "Bearer é"}),
        lambda: replace(callback(said()), body=json.dumps(said(status="read")).encode()),
        lambda: callback(b"not json"),
        lambda: callback(b"[" * 5000),
        lambda: callback([said()]),
        lambda: callback(said(message_uuid=None)),
        lambda: callback(said(message_uuid={"a": 1})),
        lambda: callback(said(channel="whatsapp")),
        lambda: callback(said(more="x" * 70_000)),
    ],
)
def test_what_is_not_vonages_is_refused(channel: VonageChannel, wrong: Callable[[], Callback]) -> None:
    """Made when the test runs: signed too long ago, each would be refused for that alone."""
    with pytest.raises(CallbackRefused, match=r"^(?!signed too far)"):
        channel.parse_callback(wrong())


@pytest.mark.parametrize(
    "changes",
    [
        {"api_secret": ""},
        {"application_id": vonage.APPLICATION},
        {"private_key": vonage.PEM},
        {
            "application_id": vonage.APPLICATION,
            "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        },
        {"sender": ""},
        {"sender": "Much too long a name"},
        {"signature_secret": ""},
        {"api_url": "ftp://api.nexmo.com"},
        {"surplus": "1"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, str]) -> None:
    assert VonageConfig.model_validate(SETTINGS)
    with pytest.raises(ValidationError) as caught:
        VonageConfig.model_validate({**SETTINGS, **changes})
    assert vonage.API_SECRET not in str(caught.value)


def test_a_key_that_is_not_rsa_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValidationError, match="RSA"):
        VonageConfig.model_validate({**SETTINGS, **APPLICATION, "private_key": SecretStr(pem.decode())})
