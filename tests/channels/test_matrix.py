"""Matrix against a real homeserver, started once for this file."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import ValidationError

from paylink.channels import matrix_sync
from paylink.channels.base import (
    Callback,
    CallbackRefused,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    TemporaryFault,
)
from paylink.channels.http import Answer
from paylink.channels.matrix import MatrixChannel, MatrixConfig, _refusal
from paylink.kit.clock import utcnow
from tests.channels.synapse import NAME, Homeserver, Person, synapse

URL = "https://pay.example.com/p/3q2-7vX0aBcDeFgHiJkLmN"
CALLBACK_URL = "https://console.example.com/webhooks/messaging/matrix/chn_1"
numbers = count(1)


@pytest.fixture(scope="module")
def homeserver() -> Iterator[Homeserver]:
    with synapse() as running:
        yield running


@pytest.fixture(scope="module")
def bot(homeserver: Homeserver) -> Person:
    return homeserver.person("payments")


@pytest.fixture
def ann(homeserver: Homeserver) -> Person:
    """Someone new, whom nobody has met."""
    return homeserver.person(f"ann{next(numbers)}")


def connect(homeserver: Homeserver, bot: Person, *, url: str = CALLBACK_URL, token: str | None = None) -> MatrixChannel:
    config = MatrixConfig(homeserver_url=homeserver.url, access_token=token or bot.token)
    return MatrixChannel(config, callback_url=url)


@pytest.fixture
async def channel(homeserver: Homeserver, bot: Person) -> AsyncIterator[MatrixChannel]:
    channel = connect(homeserver, bot)
    yield channel
    await channel.close()


def message(to: str, **changes: Any) -> Message:
    text = f"Acme <Ltd> asks for £49.99 & says thanks:\n{URL}"
    return dataclasses.replace(
        Message(id=f"dlv_{next(numbers)}", channel="chat", to=to, text=text, url=URL, merchant="Acme"), **changes
    )


async def begin(channel: MatrixChannel) -> str:
    since, parsed = await channel.poll(None)
    assert parsed.replies == ()
    return since


async def news(channel: MatrixChannel, since: str) -> tuple[str, Parsed]:
    """The next that is not nothing."""
    async with asyncio.timeout(20):
        while True:
            since, parsed = await channel.poll(since)
            if parsed.reports or parsed.replies:
                return since, parsed


def met(bot: Person, ann: Person) -> str:
    """A room that both are in."""
    room = bot.new_room()
    bot.invite(room, ann)
    ann.join(room)
    return room


async def test_a_message_arrives_with_a_link_that_can_be_tapped(
    channel: MatrixChannel, bot: Person, ann: Person
) -> None:
    room = met(bot, ann)
    sent = message(room)
    event_id = await channel.send(sent)
    (got,) = ann.messages(room)
    assert (got["event_id"], got["sender"]) == (event_id, bot.user_id)
    assert got["content"] == {
        "msgtype": "m.text",
        "body": sent.text,
        "format": "org.matrix.custom.html",
        "formatted_body": f'Acme &lt;Ltd&gt; asks for £49.99 &amp; says thanks:<br><a href="{URL}">{URL}</a>',
    }


async def test_only_an_address_of_the_web_becomes_a_link(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    room = met(bot, ann)
    for url in ("javascript:alert(1)", "", "https://pay.example.com/elsewhere", 'https://a.example/"onclick="x'):
        await channel.send(message(room, text=f"Tap {url if 'elsewhere' not in url else 'here'}", url=url))
    bodies = [one["content"]["formatted_body"] for one in ann.messages(room)]
    quoted = "https://a.example/&quot;onclick=&quot;x"
    assert bodies == ["Tap javascript:alert(1)", "Tap ", "Tap here", f'Tap <a href="{quoted}">{quoted}</a>']


async def test_one_message_sent_twice_is_one_event(
    channel: MatrixChannel, homeserver: Homeserver, bot: Person, ann: Person
) -> None:
    room = met(bot, ann)
    sent = message(room)
    other = connect(homeserver, bot)
    assert await channel.send(sent) == await other.send(sent) == ann.messages(room)[0]["event_id"]
    assert await channel.send(message(room)) != await channel.send(message(room))
    assert len(ann.messages(room)) == 3
    await other.close()


async def test_a_room_goes_by_its_alias_too(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    name = f"billing{next(numbers)}"
    room = ann.new_room(room_alias_name=name)
    ann.invite(room, bot)
    # Invited and not in yet: the bot comes in when it has something to say.
    await channel.send(message(f"#{name}:{NAME}"))
    assert [one["sender"] for one in ann.messages(room)] == [bot.user_id]


async def test_a_bot_that_was_invited_comes_in_to_write(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    room = ann.new_room()
    ann.invite(room, bot)
    await channel.send(message(room))
    assert [one["sender"] for one in ann.messages(room)] == [bot.user_id]


async def test_a_bot_that_was_not_invited_says_so(channel: MatrixChannel, ann: Person) -> None:
    room = ann.new_room()
    with pytest.raises(FinalRefusal, match="invite it into the room") as refusal:
        await channel.send(message(room))
    assert refusal.value.code == "M_FORBIDDEN"
    assert ann.messages(room) == []


async def test_a_bot_that_may_not_write_says_so(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    room = ann.new_room(power_level_content_override={"events_default": 50})
    ann.invite(room, bot)
    with pytest.raises(FinalRefusal, match="let it send messages"):
        await channel.send(message(room))
    assert ann.messages(room) == []


async def test_a_person_is_met_in_a_room_of_two_and_found_there_again(
    channel: MatrixChannel, homeserver: Homeserver, bot: Person, ann: Person
) -> None:
    await channel.send(message(ann.user_id))
    (room,) = ann.invitations()
    assert bot.account_data("m.direct")[ann.user_id] == [room]
    other = connect(homeserver, bot)  # knows nothing but what the homeserver keeps
    await other.send(message(ann.user_id))
    await other.close()
    ann.join(room)
    await channel.send(message(ann.user_id))
    assert len(ann.messages(room)) == 3
    assert ann.invitations() == []


async def test_two_first_messages_at_once_make_one_room(channel: MatrixChannel, ann: Person) -> None:
    await asyncio.gather(*(channel.send(message(ann.user_id)) for _ in range(3)))
    (room,) = ann.invitations()
    ann.join(room)
    assert len(ann.messages(room)) == 3


async def test_who_left_the_room_of_two_is_asked_into_a_new_one(
    channel: MatrixChannel, bot: Person, ann: Person
) -> None:
    await channel.send(message(ann.user_id))
    (first,) = ann.invitations()
    ann.join(first)
    ann.leave(first)
    await channel.send(message(ann.user_id))
    (second,) = ann.invitations()
    assert bot.account_data("m.direct")[ann.user_id] == [first, second]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        (f"@nobody:{NAME}", "M_UNKNOWN"),
        (f"#nowhere:{NAME}", "M_NOT_FOUND"),
        (f"!nowhere:{NAME}", "M_FORBIDDEN"),
        ("ann", None),
        ("", None),
        ("@ann", None),
        (f"@ann smith:{NAME}", None),
        ("!" + "x" * 255, None),
    ],
)
async def test_an_address_that_leads_nowhere_is_refused(channel: MatrixChannel, to: str, code: str | None) -> None:
    with pytest.raises(FinalRefusal) as refusal:
        await channel.send(message(to))
    assert refusal.value.code == code


async def test_a_message_that_is_too_long_is_refused(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    with pytest.raises(FinalRefusal, match="too long") as refusal:
        await channel.send(message(met(bot, ann), text="x" * 70_000))
    assert refusal.value.code == "M_TOO_LARGE"


async def test_a_token_that_has_ended_is_worth_another_try(homeserver: Homeserver, bot: Person, ann: Person) -> None:
    stale = connect(homeserver, bot, token="syt_of_an_earlier_time")
    with pytest.raises(TemporaryFault, match="put a new one into its settings") as fault:
        await stale.send(message(met(bot, ann)))
    assert (fault.value.code, "syt_" in str(vars(fault.value))) == ("M_UNKNOWN_TOKEN", False)
    await stale.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "wait_s"),
    [
        (429, '{"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2500}', TemporaryFault, "M_LIMIT_EXCEEDED", 2.5),
        (429, '{"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": "soon"}', TemporaryFault, "M_LIMIT_EXCEEDED", 7.0),
        (429, "<html>", TemporaryFault, None, 7.0),
        (502, '{"errcode": "M_UNKNOWN"}', TemporaryFault, "M_UNKNOWN", 7.0),
        (401, "{}", TemporaryFault, None, None),
        (403, '{"errcode": "M_USER_DEACTIVATED"}', FinalRefusal, "M_USER_DEACTIVATED", None),
        (403, '{"errcode": "M_RESOURCE_LIMIT_EXCEEDED"}', TemporaryFault, "M_RESOURCE_LIMIT_EXCEEDED", 7.0),
        (404, '{"errcode": "<script>"}', FinalRefusal, None, None),
        (400, "[]", FinalRefusal, None, None),
    ],
)
def test_what_a_homeserver_refuses_is_told_apart(
    status: int, body: str, kind: type[Exception], code: str | None, wait_s: float | None
) -> None:
    fault = _refusal(Answer(status, {"retry-after": "7"}, body))
    assert (type(fault), fault.code) == (kind, code)
    assert getattr(fault, "retry_after_s", None) == wait_s


async def test_what_the_other_has_seen_is_reported_as_read(channel: MatrixChannel, bot: Person, ann: Person) -> None:
    room = met(bot, ann)
    since = await begin(channel)
    sent = [message(room), message(room), message(room)]
    events = [await channel.send(one) for one in sent]
    bot.read(room, events[2])  # our own eyes do not count
    ann.read(room, events[1])
    since, parsed = await news(channel, since)
    assert {(one.reference, one.message_id) for one in parsed.reports} == {
        (sent[0].id, events[0]),
        (sent[1].id, events[1]),
    }
    assert {one.status for one in parsed.reports} == {DeliveryStatus.READ}
    for one in parsed.reports:
        assert abs(one.occurred_at - utcnow()) < timedelta(minutes=1)
    ann.read(room, events[2])
    _, again = await news(channel, since)
    assert {one.message_id for one in again.reports} == set(events)
    # What was told before is told under the same id, and stored once.
    assert {one.id for one in parsed.reports} < {one.id for one in again.reports}


async def test_a_receipt_at_a_message_of_their_own_covers_ours_above(
    channel: MatrixChannel, bot: Person, ann: Person
) -> None:
    room = met(bot, ann)
    since = await begin(channel)
    event = await channel.send(message(room))
    theirs = ann.write(room, "Thanks!")
    below = await channel.send(message(room))
    ann.read(room, theirs)
    read: set[str] = set()
    while not read:
        since, parsed = await news(channel, since)
        read = {one.message_id for one in parsed.reports}
    assert (event in read, below in read) == (True, False)


async def test_what_a_person_writes_back_is_a_reply(channel: MatrixChannel, ann: Person) -> None:
    await channel.send(message(ann.user_id))
    (room,) = ann.invitations()
    ann.join(room)
    since = await begin(channel)
    written = ann.write(room, " STOP\n")
    _, parsed = await news(channel, since)
    assert [(one.sender, one.text, one.to) for one in parsed.replies] == [
        (room, "STOP", room),
        (ann.user_id, "STOP", room),
    ]
    assert len({one.id for one in parsed.replies}) == 2
    assert all(one.id.startswith(written) for one in parsed.replies)


async def test_a_stop_in_a_room_holds_for_every_name_of_the_room(
    channel: MatrixChannel, bot: Person, ann: Person
) -> None:
    alias = f"orders{next(numbers)}"
    room = ann.new_room(room_alias_name=alias)
    ann.invite(room, bot)
    await channel.send(message(room))
    since = await begin(channel)
    await channel.send(message(room))  # our own words are no reply
    ann.write(room, "a picture", msgtype="m.image", url="mxc://paylink.test/a")
    ann.write(room, "I am a bot", msgtype="m.notice")
    quoted = "> <@payments:paylink.test> Acme asks\n> for money\n\nSTOP"
    ann.write(room, quoted, **{"m.relates_to": {"m.in_reply_to": {"event_id": "$x"}}})
    ann.write(room, "> not an answer to anything\n\nSTART")
    _, parsed = await news(channel, since)
    assert [(one.sender, one.text) for one in parsed.replies] == [
        (room, "STOP"),
        (f"#{alias}:{NAME}", "STOP"),
        (room, "> not an answer to anything\n\nSTART"),
        (f"#{alias}:{NAME}", "> not an answer to anything\n\nSTART"),
    ]


async def test_nothing_new_is_nothing_and_what_was_before_is_left_alone(
    channel: MatrixChannel, bot: Person, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paylink.channels.matrix.NEWS_S", 0.05)
    room = met(bot, ann)
    ann.write(room, "STOP")
    since = await begin(channel)
    after, parsed = await channel.poll(since)
    assert (parsed.reports, parsed.replies) == ([], [])
    ann.write(room, "START")
    _, parsed = await news(channel, after)
    assert {one.text for one in parsed.replies} == {"START"}


async def test_what_was_read_before_anybody_listened_is_told_at_the_beginning(
    channel: MatrixChannel, bot: Person, ann: Person
) -> None:
    room = met(bot, ann)
    sent = message(room)
    event = await channel.send(sent)
    ann.write(room, "STOP")
    ann.read(room, event)
    _, parsed = await channel.poll(None)
    assert [one.reference for one in parsed.reports if one.message_id == event] == [sent.id]
    assert parsed.replies == ()


async def test_how_far_an_account_was_heard_is_kept_by_the_homeserver(homeserver: Homeserver) -> None:
    bot = homeserver.person(f"bot{next(numbers)}")
    first, second = connect(homeserver, bot), connect(homeserver, bot)
    other = connect(homeserver, bot, url=CALLBACK_URL + "2")
    assert await first.resume() is None
    await first.keep("s1_2")
    await other.keep("s9_9")
    assert (await second.resume(), await other.resume()) == ("s1_2", "s9_9")
    for one in (first, second, other):
        await one.close()


async def test_nobody_is_called_back(channel: MatrixChannel) -> None:
    with pytest.raises(CallbackRefused):
        channel.parse_callback(Callback("POST", CALLBACK_URL, {}, {}, b"{}"))


STRANGE: list[dict[str, Any]] = [
    {},
    {"rooms": []},
    {"rooms": {"join": {"!a": None, "": {}, "!b": {"ephemeral": [], "timeline": {"events": "x"}}}}},
    {"rooms": {"join": {"!a": {"timeline": {"events": [7, {}, {"type": "m.room.message", "content": []}]}}}}},
    {"rooms": {"join": {"!a": {"ephemeral": {"events": [None, {"type": "m.receipt", "content": {"$e": 7}}]}}}}},
    {"rooms": {"join": {"!a": {"ephemeral": {"events": [{"type": "m.receipt", "content": {"$e": {"m.read": 1}}}]}}}}},
]


@pytest.mark.parametrize("content", STRANGE)
def test_news_of_another_form_are_no_news(content: dict[str, Any]) -> None:
    heard = matrix_sync.heard(content, me="@me:x")
    assert (list(heard.receipts), list(heard.messages)) == ([], [])


def receipts(event: str, readers: dict[str, Any]) -> dict[str, Any]:
    told = {"type": "m.receipt", "content": {event: {"m.read": readers}}}
    return {"rooms": {"join": {"!a": {"ephemeral": {"events": [told]}}}}}


@pytest.mark.parametrize("ts", [None, "1", True, -1, 10**30, lambda: (utcnow() + timedelta(days=1)).timestamp() * 1000])
def test_a_time_that_cannot_be_is_now(ts: Any) -> None:
    when = ts() if callable(ts) else ts
    (found,) = matrix_sync.heard(receipts("$e", {"@ann:x": {"ts": when}}), me="@me:x").receipts
    assert timedelta(0) <= utcnow() - found.at < timedelta(seconds=10)


def test_the_news_of_one_poll_are_bounded() -> None:
    events = [{"type": "m.receipt", "content": {f"${n}": {"m.read": {"@ann:x": {"ts": 1}}}}} for n in range(500)]
    heard = matrix_sync.heard({"rooms": {"join": {"!a": {"ephemeral": {"events": events}}}}}, me="@me:x")
    assert len(heard.receipts) == matrix_sync.MAX_RECEIPTS


def test_only_our_own_messages_are_reported_whatever_the_room_says() -> None:
    receipt = matrix_sync.Receipt("!a", "$e", utcnow())
    ours = {"sender": "@me:x", "type": "m.room.message", "event_id": "$ours", "unsigned": {"transaction_id": 7}}
    for strange in ({}, ours | {"sender": "@ann:x"}, ours | {"type": "m.room.member"}, ours | {"event_id": "$" * 256}):
        assert matrix_sync.read_by(receipt, {"event": strange, "events_before": [strange, 7]}, me="@me:x") == []
    (report,) = matrix_sync.read_by(receipt, {"event": ours, "events_before": None}, me="@me:x")
    assert (report.id, report.reference, report.message_id) == ("$ours:read", "", "$ours")


@pytest.mark.parametrize(
    "changes",
    [
        {"homeserver_url": "matrix.example.com"},
        {"homeserver_url": "https://matrix.example.com/"},
        {"homeserver_url": "https://matrix.example.com?x=1"},
        {"access_token": ""},
        {"password": "x"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, str]) -> None:
    good = {"homeserver_url": "https://matrix.example.com", "access_token": "syt_cGF5bGluaw"}
    MatrixConfig.model_validate(good)
    with pytest.raises(ValidationError):
        MatrixConfig.model_validate(good | changes)
