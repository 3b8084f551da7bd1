"""The next channel: when it is tried, that it is tried once, and when it is not."""

import asyncio
from datetime import timedelta

import pytest

from paylink.channels.base import Capabilities, DeliveryStatus, FinalRefusal
from paylink.consent import service as consent
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.delivery import fallback, rows, service
from paylink.delivery.service import Next, Wanted
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.links.models import LinkStatus
from tests.delivery.engine import EMAIL, PHONE, Desk

MAIL = Next("email", EMAIL)
CHAT = Next("chat", "@ann")
BAD = [DeliveryStatus.FAILED, DeliveryStatus.BOUNCED, DeliveryStatus.OPTED_OUT, DeliveryStatus.EXPIRED]


async def fall_back(desk: Desk, delivery_id: str) -> None:
    await desk.sender.fall_back(delivery_id)


async def late(desk: Desk, *more: Next) -> str:
    """A text that was sent, and of which nothing more was heard in time."""
    delivery_id = desk.text(MAIL, *more, after_s=60)
    await desk.run(delivery_id)
    assert desk.queue(delivery_id)[f"delivery.fallback:{delivery_id}:late"] == pytest.approx(60, abs=2)
    return delivery_id


@pytest.mark.parametrize("status", BAD)
async def test_a_bad_end_brings_the_next_channel_at_once(desk: Desk, status: DeliveryStatus) -> None:
    desk.carrier.script = [FinalRefusal("No such number", status=status)]
    delivery_id = desk.text(MAIL, CHAT, after_s=600)
    await desk.run(delivery_id)
    assert desk.queue(delivery_id)[f"delivery.fallback:{delivery_id}"] is None
    await fall_back(desk, delivery_id)
    first, second = desk.doors(delivery_id)
    assert (second.channel, second.address, second.status) == ("email", EMAIL, "queued")
    assert (second.fallback_of, second.fallback_reason) == (first.id, "No such number")
    assert (second.fallback, second.fallback_after_s) == ([{"channel": "chat", "to": "@ann", "account_id": None}], 600)
    assert second.token_hash != first.token_hash
    queued = desk.told(delivery_id)[-1]
    assert (queued.type, queued.origin) == ("delivery.queued", "system")
    assert queued.data == {
        "delivery": second.id,
        "channel": "email",
        "to": "a•••@example.com",
        "fallback_of": first.id,
        "reason": "No such number",
    }
    await desk.run(second.id)
    assert [message.channel for message in desk.carrier.messages] == ["sms", "email"]
    one, two = (message.url for message in desk.carrier.messages)
    assert one != two


@pytest.mark.parametrize("status", BAD)
async def test_a_bad_end_that_is_reported_later_does_too(desk: Desk, status: DeliveryStatus) -> None:
    delivery_id = await late(desk)

    def report(reason: str | None) -> None:
        desk.db.transact_sync(
            lambda s: service.record(s, delivery_id, status, reason=reason, jobs=desk.jobs, keyring=desk.keyring)
        )

    for _ in range(3):
        report(None)
    await fall_back(desk, delivery_id)
    assert [door.fallback_reason for door in desk.doors(delivery_id)] == [None, fallback.ENDED[status]]


async def test_the_list_is_gone_through_in_order_to_its_end(desk: Desk) -> None:
    desk.carrier.script = [FinalRefusal(f"no {number}") for number in range(4)]
    delivery_id = desk.text(MAIL, CHAT, Next("whatsapp", PHONE), after_s=60)
    for number in range(4):
        doors = desk.doors(delivery_id)
        assert len(doors) == number + 1
        await desk.run(doors[-1].id)
        await fall_back(desk, doors[-1].id)
    doors = desk.doors(delivery_id)
    assert [door.channel for door in doors] == ["sms", "email", "chat", "whatsapp"]
    assert [door.fallback_of for door in doors] == [None, *(door.id for door in doors[:3])]
    assert (doors[-1].fallback, doors[-1].fallback_after_s) == (None, None)


async def test_who_has_opted_out_is_asked_by_the_next_channel(desk: Desk) -> None:
    said = {"scope": SuppressionScope.ALL, "reason": SuppressionReason.STOP, "by": "payer"}
    desk.db.transact_sync(lambda s: consent.suppress(s, desk.agent.merchant_id, "sms", PHONE, **said) and None)
    delivery_id = desk.text(MAIL, after_s=60)
    await desk.run(delivery_id)
    assert f"delivery.fallback:{delivery_id}" in desk.queue(delivery_id)
    await fall_back(desk, delivery_id)
    assert [door.status for door in desk.doors(delivery_id)] == ["opted_out", "queued"]


async def test_no_word_of_arrival_brings_the_next_channel_in_time(desk: Desk) -> None:
    delivery_id = await late(desk)
    await fall_back(desk, delivery_id)
    assert desk.doors(delivery_id)[1].fallback_reason == "Not delivered within 60 seconds"


async def test_a_carrier_that_never_tells_of_arrival_is_believed(desk: Desk) -> None:
    desk.carrier.capabilities = Capabilities()
    delivery_id = desk.text(MAIL, after_s=60)
    await desk.run(delivery_id)
    assert desk.get(delivery_id).status == "sent"
    assert list(desk.queue(delivery_id)) == [f"delivery.send:{delivery_id}"]


async def test_without_a_list_nothing_waits(desk: Desk) -> None:
    desk.carrier.script = [FinalRefusal("no")]
    for delivery_id in (desk.text(), desk.text()):
        await desk.run(delivery_id)
        await fall_back(desk, delivery_id)
        assert len(desk.doors(delivery_id)) == 1
        assert list(desk.queue(delivery_id)) == [f"delivery.send:{delivery_id}"]


async def test_however_often_and_at_once_it_is_asked_for_it_is_one(desk: Desk) -> None:
    delivery_id = await late(desk, CHAT)
    await asyncio.gather(*(fall_back(desk, delivery_id) for _ in range(8)))
    report = {"reason": "gone", "jobs": desk.jobs}
    desk.db.transact_sync(lambda s: service.record(s, delivery_id, DeliveryStatus.FAILED, **report))
    await fall_back(desk, delivery_id)
    assert [door.channel for door in desk.doors(delivery_id)] == ["sms", "email"]


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.READ])
async def test_what_has_arrived_needs_no_other(desk: Desk, status: DeliveryStatus) -> None:
    delivery_id = await late(desk)
    desk.db.transact_sync(lambda s: service.record(s, delivery_id, DeliveryStatus.FAILED, jobs=desk.jobs))
    desk.db.transact_sync(lambda s: service.record(s, delivery_id, status))
    await fall_back(desk, delivery_id)
    assert len(desk.doors(delivery_id)) == 1


@pytest.mark.parametrize("ended", [LinkStatus.PAID, LinkStatus.EXPIRED, LinkStatus.CANCELED])
async def test_a_link_that_has_ended_needs_no_other(desk: Desk, ended: LinkStatus) -> None:
    delivery_id = await late(desk)
    desk.end(delivery_id, ended)
    await fall_back(desk, delivery_id)
    assert len(desk.doors(delivery_id)) == 1


async def test_a_link_whose_time_is_over_needs_no_other(desk: Desk) -> None:
    delivery_id = await late(desk)
    desk.change_link(delivery_id, expires_at=utcnow() - timedelta(seconds=1))
    await fall_back(desk, delivery_id)
    assert len(desk.doors(delivery_id)) == 1


@pytest.mark.parametrize(("kind", "doors"), [(EventType.LINK_OPENED, 1), (EventType.LINK_FETCHED, 2)])
async def test_a_person_who_has_opened_it_needs_no_other_and_a_program_does(
    desk: Desk, kind: EventType, doors: int
) -> None:
    delivery_id = await late(desk)
    row = desk.get(delivery_id)
    place = {"merchant_id": row.merchant_id, "link_id": row.link_id}
    desk.db.transact_sync(lambda s: log.append(s, **place, events=[NewEvent(kind, Origin.PAYER)]))
    await fall_back(desk, delivery_id)
    assert len(desk.doors(delivery_id)) == doors


@pytest.mark.parametrize("sent", [False, True])
async def test_a_delivery_that_was_withdrawn_is_not_stood_in_for(desk: Desk, sent: bool) -> None:
    delivery_id = await late(desk) if sent else desk.text(MAIL, after_s=60)
    link_id = desk.get(delivery_id).link_id
    desk.db.transact_sync(
        lambda s: service.withdraw(s, desk.keyring, desk.agent, link_id=link_id, delivery_id=delivery_id)
    )
    await fall_back(desk, delivery_id)
    assert len(desk.doors(delivery_id)) == 1


async def test_a_link_that_was_sent_too_often_is_not_sent_again(desk: Desk) -> None:
    many = [Wanted("qr", None)] * (rows.MAX_DELIVERIES - 1)
    (first, *_rest) = desk.send(Wanted("sms", PHONE, fallback=(MAIL,), fallback_after_s=60), *many)
    await desk.run(first.row["id"])
    await fall_back(desk, first.row["id"])
    assert len(desk.doors(first.row["id"])) == rows.MAX_DELIVERIES


async def test_of_nothing_comes_nothing(desk: Desk) -> None:
    await fall_back(desk, "dlv_x")
