"""A payment link in a chat: written once, opened by the visitor alone, and what is known of its arrival."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.channels.base import DeliveryStatus, FinalRefusal, Message
from paylink.channels.models import ChannelAccount
from paylink.channels.switchboard import Switchboard
from paylink.chats import service
from paylink.chats.schemas import message_form
from paylink.delivery.models import Delivery
from paylink.kit.clock import utcnow
from tests.api.world import everything_in
from tests.chats.world import Visitor, World, add_account, add_merchant

WORDS = "Acme: here is your secure link to pay £49.99: {} Code words: amber river seven."


async def sent(world: World, visitor: Visitor, *, to: str | None = None) -> tuple[str, str]:
    delivery_id, url = await world.delivery()
    await world.post(message(delivery_id, url, to or visitor.chat_id))
    return delivery_id, url


def message(delivery_id: str, url: str, to: str) -> Message:
    return Message(id=delivery_id, channel="chat", to=to, text=WORDS.format(url), url=url)


async def test_a_link_is_written_once_and_its_address_kept_sealed(world: World) -> None:
    visitor = await world.visitor()
    delivery_id, url = await world.delivery()
    first = await world.post(message(delivery_id, url, visitor.code))
    assert await world.post(message(delivery_id, url, visitor.chat_id)) == first
    (line,) = await visitor.lines()
    assert (line["id"], line["url"], line["link"]) == (first, url, True)
    assert line["text"] == WORDS.format("pay.example")
    assert url.rpartition("/")[2].encode() not in everything_in(world.db)

    def as_agents_see_it(session: Session) -> dict[str, object]:
        return message_form(service.messages(session, visitor.chat_id, limit=1)[0])

    form = await world.read(as_agents_see_it)
    assert form["delivery"] == delivery_id
    assert url not in str(form)


async def test_it_goes_out_by_the_switchboard(world: World) -> None:
    visitor = await world.visitor()
    switchboard = Switchboard(world.db, world.ctx.keyring, poster=service.poster(world.db, world.ctx.keyring))
    channel = await switchboard.channel(world.account_id, "chat")
    delivery_id, url = await world.delivery()
    await channel.send(message(delivery_id, url, visitor.code))
    assert [line["url"] for line in await visitor.lines()] == [url]
    await switchboard.close()


async def test_another_merchants_account_reaches_no_visitor(world: World) -> None:
    visitor = await world.visitor()
    other = await world.write(lambda session: add_merchant(session, "Other"))
    theirs = await world.write(lambda session: add_account(session, world.ctx, other))
    for account_id, to in [(theirs, visitor.code), (theirs, visitor.chat_id), (world.account_id, "000"), ("chn_0", "")]:
        with pytest.raises(FinalRefusal) as refused:
            await world.post(Message(id="dlv_1", channel="chat", to=to, text="Hi"), account_id=account_id)
        assert refused.value.code == "no_such_chat"
    assert await visitor.lines() == []


async def test_a_visitor_who_wrote_stop_gets_nothing_by_code_either(world: World) -> None:
    visitor = await world.visitor()
    await visitor.say("stop")
    with pytest.raises(FinalRefusal) as refused:
        await sent(world, visitor, to=visitor.code)
    assert refused.value.status is DeliveryStatus.OPTED_OUT
    assert len(await visitor.lines()) == 1


async def test_arrival_and_reading_are_told_once(world: World) -> None:
    visitor = await world.visitor()
    delivery_id, _ = await sent(world, visitor)
    await visitor.say("Thanks")
    last = (await visitor.lines())[-1]["id"]

    async def receipt(*, read: bool) -> None:
        answer = await visitor.post("receipts", {"up_to": last, "read": read})
        assert answer.status_code == 204

    def when(session: Session) -> tuple[object, object]:
        message = service.messages(session, visitor.chat_id, limit=2)[0]
        return message.delivered_at, message.read_at

    await receipt(read=False)
    assert await world.told(delivery_id) == ["delivery.sent", "delivery.delivered"]
    await receipt(read=True)
    first = await world.read(when)
    for read in (True, False):
        await receipt(read=read)
    assert await world.read(when) == first
    assert await world.told(delivery_id) == ["delivery.sent", "delivery.delivered", "delivery.read"]
    line, own = await visitor.lines()
    assert (line["delivered"], line["read"]) == (True, True)
    assert (own["delivered"], own["read"]) == (False, False)
    found = await world.read(lambda session: session.get(Delivery, delivery_id))
    assert found is not None
    assert found.status == DeliveryStatus.READ


async def test_a_receipt_counts_for_what_came_before_it(world: World) -> None:
    visitor = await world.visitor()
    first, _ = await sent(world, visitor)
    up_to = (await visitor.lines())[-1]["id"]
    second, _ = await sent(world, visitor)
    await visitor.post("receipts", {"up_to": up_to, "read": True})
    assert (await world.told(first))[-1] == "delivery.read"
    assert await world.told(second) == []


async def test_anothers_receipt_says_nothing(world: World) -> None:
    visitor, other = await world.visitor(), await world.visitor()
    delivery_id, _ = await sent(world, visitor)
    up_to = (await visitor.lines())[-1]["id"]
    await other.post("receipts", {"up_to": up_to, "read": True})
    assert await world.told(delivery_id) == []


async def test_a_door_that_was_withdrawn_is_not_shown(world: World) -> None:
    visitor = await world.visitor()
    delivery_id, _ = await sent(world, visitor)
    gone = sa.update(Delivery).where(Delivery.id == delivery_id).values(withdrawn_at=utcnow())
    await world.write(lambda session: session.execute(gone) and None)
    (line,) = await visitor.lines()
    assert (line["link"], line["url"]) == (True, None)


async def test_an_account_that_is_switched_off_ends_its_chats(world: World) -> None:
    visitor = await world.visitor()
    off = sa.update(ChannelAccount).where(ChannelAccount.id == world.account_id).values(disabled_at=utcnow())
    await world.write(lambda session: session.execute(off) and None)
    assert (await visitor.look()).status_code == 401
    assert (await visitor.post("chats", {"site": "x"})).status_code == 404
