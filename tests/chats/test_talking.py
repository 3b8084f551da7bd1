"""What is said: by whom, how fast it arrives, and what is refused."""

import asyncio
import json
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.chats import service
from paylink.chats.models import Chat, ChatMessage, Sender
from paylink.chats.widget import WAIT_S
from paylink.consent import service as consent
from paylink.db import Database
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from tests.api.world import everything_in
from tests.chats.world import SITE, World, add_account, add_merchant, opened_world

CARD = "4242 4242 4242 4242"


async def test_a_conversation_survives_a_reload(world: World) -> None:
    visitor = await world.visitor(name="Sam", locale="de-DE")
    assert len(visitor.code) == 6
    assert (await visitor.say("  My boiler is cold \n")).status_code == 201
    await world.answer(visitor, "We are on our way")
    lines = await visitor.lines()
    assert [(line["sender"], line["name"], line["text"]) for line in lines] == [
        ("visitor", None, "My boiler is cold"),
        ("agent", "Ann", "We are on our way"),
    ]
    assert [line["id"] for line in (await visitor.look(after=lines[0]["id"])).json()["messages"]] == [lines[1]["id"]]
    chat = await world.read(lambda session: session.get(Chat, visitor.chat_id))
    assert chat is not None
    assert (chat.visitor_name, chat.locale, chat.site) == ("Sam", "de", SITE)
    assert visitor.secret.encode() not in everything_in(world.db)


async def waiting_for(world: World, chat_id: str) -> None:
    while chat_id not in world.feed._waiting:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.005)


async def test_who_waits_is_told_at_once(world: World) -> None:
    visitor = await world.visitor()
    asked = asyncio.create_task(visitor.look(wait=True))
    await waiting_for(world, visitor.chat_id)
    started = asyncio.get_running_loop().time()
    said = await world.answer(visitor, "Hello")
    answer = await asked
    assert [line["id"] for line in answer.json()["messages"]] == [said]
    # Well before the poll for what other processes wrote.
    assert asyncio.get_running_loop().time() - started < 1.0


async def test_what_another_process_wrote_arrives_by_the_poll(world: World) -> None:
    visitor = await world.visitor()
    asked = asyncio.create_task(visitor.look(wait=True))
    await waiting_for(world, visitor.chat_id)
    other = Database(world.db.url)
    try:
        await other.transact(lambda session: service.answer(session, world.agent, visitor.chat_id, text="Hello"))
    finally:
        other.close()
    async with asyncio.timeout(WAIT_S / 2):
        assert [line["text"] for line in (await asked).json()["messages"]] == ["Hello"]


async def test_news_of_one_chat_wakes_no_other(lite: World) -> None:
    first, second = await lite.visitor(), await lite.visitor()
    asked = asyncio.create_task(first.look(wait=True))
    await waiting_for(lite, first.chat_id)
    await lite.answer(second, "For you alone")
    await lite.answer(first, "And for you")
    assert [line["text"] for line in (await asked).json()["messages"]] == ["And for you"]
    assert not lite.feed._waiting


async def test_a_stop_lets_everybody_go(lite: World) -> None:
    visitor = await lite.visitor()
    asked = asyncio.create_task(visitor.look(wait=True))
    await waiting_for(lite, visitor.chat_id)
    await lite.feed.close()
    async with asyncio.timeout(2):
        assert (await asked).json()["messages"] == []
        assert (await visitor.look(wait=True)).json()["messages"] == []


async def test_a_stranger_reads_and_writes_nothing(world: World) -> None:
    visitor = await world.visitor()
    await visitor.say("Private")
    elsewhere = await world.write(lambda session: add_account(session, world.ctx, world.agent))
    own = visitor.secret
    refused = []
    for secret, account_id in [("", world.account_id), ("x" * 32, world.account_id), (own[:-1], world.account_id),
                               (own + "x" * 9000, world.account_id), (own, elsewhere)]:  # fmt: skip
        visitor.secret, visitor.account_id = secret, account_id
        refused += [await visitor.look(), await visitor.say("Hi"),
                    await visitor.post("receipts", {"up_to": new_id("msg")})]  # fmt: skip
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.content for answer in refused}) == 1
    count = sa.select(sa.func.count()).where(ChatMessage.chat_id == visitor.chat_id)
    assert await world.read(lambda session: session.scalar(count)) == 1


async def test_a_chat_begins_on_a_named_site_only(lite: World) -> None:
    for site in ("https://evil.example", f"{SITE}.evil.example", "null", "", SITE.upper()):
        answer = await lite.http().post(f"/chat/{lite.account_id}/chats", json={"site": site})
        assert (answer.status_code, answer.json()["code"]) == (403, "site_not_allowed")


@pytest.mark.parametrize("text", [CARD, f"it is {CARD.replace(' ', '-')} ok", "４２４２４２４２４２４２４２４２"])
async def test_a_card_number_is_refused_and_kept_nowhere(lite: World, text: str) -> None:
    visitor = await lite.visitor()
    answer = await visitor.say(text)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "card_number_not_allowed"
    assert "4242" not in answer.text
    assert await visitor.lines() == []
    begun = await lite.http().post(f"/chat/{lite.account_id}/chats", json={"site": SITE, "name": text})
    assert begun.status_code == 422
    stored = everything_in(lite.db)
    assert text.encode() not in stored
    assert b"4242424242424242" not in stored


HOSTILE = [
    b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"text"', b"[" * 9000, b'{"text": 1}', b'{"text": ""}',
    b'{"text": "   "}', b'{"text": "a\\u0000b"}', b'{"text": "\\ud800"}', b'{"text": "hi", "more": 1}',
    json.dumps({"text": "x" * 2001}).encode(), b'{"text": "hi", "sender": "agent"}', b'{"text": {"a": []}}',
    b'{"text": NaN}', b"1" * 5000,
]  # fmt: skip


async def test_hostile_bodies_are_refused_and_not_repeated(world: World) -> None:
    visitor = await world.visitor()
    for body in HOSTILE:
        for place in ("messages", "receipts", "chats"):
            answer = await visitor.client.post(
                f"/chat/{world.account_id}/{place}",
                content=body,
                headers={**visitor.headers, "Content-Type": "application/json"},
            )
            assert 400 <= answer.status_code < 500, (body, place)
            assert answer.headers["content-type"] == "application/problem+json"
            assert b"more" not in answer.content
    assert await visitor.lines() == []


async def test_other_hostile_requests(lite: World) -> None:
    visitor = await lite.visitor()
    place = f"/chat/{lite.account_id}/messages"
    plain = await visitor.client.post(
        place, content=b'{"text": "hi"}', headers={**visitor.headers, "Content-Type": "text/plain"}
    )
    assert (plain.status_code, plain.json()["code"]) == (400, "not_json")
    big = await visitor.client.post(place, json={"text": "x" * 20_000}, headers=visitor.headers)
    assert big.status_code == 413
    for after in ("x" * 31, "msg_'; DROP TABLE chats", "\u00e9", "%", "msg\x00"):
        assert (await visitor.look(after=after)).status_code == 400
    assert (await visitor.client.delete(place)).status_code == 405
    assert (await visitor.client.get("/chat/")).status_code == 404
    assert (await visitor.client.get("/chat/assets/..%2fpage.py")).status_code == 404
    head = await visitor.client.head(f"/chat/{lite.account_id}/frame")
    assert (head.status_code, head.content) == (200, b"")


async def test_limits(sqlite_db: Database) -> None:
    async with opened_world(sqlite_db, limited=True) as world:
        visitor = await world.visitor()
        answers = [(await visitor.say(f"{n}")).status_code for n in range(31)]
        assert answers == [201] * 30 + [429]
        begun = [(await world.http().post(f"/chat/{world.account_id}/chats", json={"site": SITE})) for _ in range(60)]
        assert [answer.status_code for answer in begun] == [201] * 59 + [429]
        assert int(begun[-1].headers["retry-after"]) > 0


async def test_stop_and_start_are_heard(world: World) -> None:
    visitor = await world.visitor()
    place = (world.agent.merchant_id, "chat", visitor.chat_id)

    async def blocked() -> bool:
        return await world.read(lambda session: consent.blocked(session, *place, purpose="link")) is not None

    await visitor.say("please stop by tomorrow")
    assert not await blocked()
    await visitor.say("STOP")
    assert await blocked()
    await visitor.say("START")
    assert not await blocked()


async def test_a_code_finds_one_visitor_of_the_merchants(world: World) -> None:
    first, second = await world.visitor(), await world.visitor()
    other = await world.write(lambda session: add_merchant(session, "Other"))

    async def found(code: str, merchant_id: str = world.agent.merchant_id) -> str | None:
        chat = await world.read(lambda session: service.find(session, merchant_id, code))
        return chat and chat.id

    assert await found(f"{first.code[:3]} {first.code[3:]}") == first.chat_id
    assert await found(first.chat_id) == first.chat_id
    assert await found(first.code, other.merchant_id) is None
    assert await found(first.chat_id, other.merchant_id) is None
    await world.change(second.chat_id, code=first.code)
    assert await found(first.code) is None


async def test_a_code_is_new_after_a_long_absence(world: World) -> None:
    visitor = await world.visitor()
    await world.change(visitor.chat_id, seen_at=utcnow() - timedelta(hours=25), code="old")
    assert await world.read(lambda session: service.find(session, world.agent.merchant_id, "old")) is None
    renewed = (await visitor.look()).json()["code"]
    assert len(renewed) == 6
    chat = await world.read(lambda session: service.find(session, world.agent.merchant_id, renewed))
    assert chat is not None
    assert service.is_online(chat)


async def test_ids_grow_even_after_a_clock_ahead(world: World) -> None:
    visitor = await world.visitor()
    ahead = "msg_7" + "z" * 25
    await world.write(
        lambda session: session.add(
            ChatMessage(id="msg_6" + "z" * 25, chat_id=visitor.chat_id, sender="agent", text="1")
        )
    )
    await visitor.say("2")
    await visitor.say("3")
    lines = await visitor.lines()
    assert [line["text"] for line in lines] == ["1", "2", "3"]
    assert lines[-1]["id"] < ahead
    assert len(lines[-1]["id"]) == 30


async def test_who_writes_waits_for_who_began_before(world: World) -> None:
    """So ids are read in the order they were made: whoever has read up to one message has missed none before it."""
    visitor = await world.visitor()
    holding, go_on = threading.Event(), threading.Event()

    def first(session: Session) -> None:
        service.write(session, visitor.chat_id, sender=Sender.AGENT, text="1")
        holding.set()
        assert go_on.wait(10)

    writes = asyncio.create_task(world.write(first))
    await asyncio.to_thread(holding.wait, 10)
    waits = asyncio.create_task(world.answer(visitor, "2"))
    done, _ = await asyncio.wait({waits}, timeout=0.2)
    go_on.set()
    await asyncio.gather(writes, waits)
    assert not done
    assert [line["text"] for line in await visitor.lines()] == ["1", "2"]


async def test_silent_chats_are_forgotten(world: World) -> None:
    silent, heard, seen = [await world.visitor() for _ in range(3)]
    long_ago = utcnow() - timedelta(days=91)
    for visitor in (silent, heard):
        await visitor.say("Hello")
        await world.change(visitor.chat_id, seen_at=long_ago)
    await world.change(seen.chat_id, created_at=long_ago)
    old = sa.update(ChatMessage).where(ChatMessage.chat_id == silent.chat_id)
    await world.write(lambda session: session.execute(old.values(id="msg_" + "0" * 26)) and None)
    assert await world.write(service.prune) == 1
    assert await world.write(service.prune) == 0
    mine = sa.select(Chat.id).where(Chat.merchant_id == world.agent.merchant_id)
    left = await world.read(lambda session: set(session.scalars(mine)))
    assert left == {heard.chat_id, seen.chat_id}
    assert (await silent.look()).status_code == 401
