"""What is decided about money is recorded with who did it and why, in the transaction that did it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.audit import service
from paylink.audit.verify import verify
from paylink.config import Settings
from paylink.db import Database
from paylink.payments.closing import cancel_link
from paylink.payments.models import PaymentStatus
from paylink.payments.refunds import refund
from tests.payments.world import World, conflict, opened

AGENT = ("agent:agt_1", "Alex Morgan")


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, provider: Settings) -> AsyncIterator[World]:
    database: Database = request.getfixturevalue(f"payments_on_{request.param}")
    async with opened(database, provider) as made:
        yield made


async def recorded(world: World) -> list[tuple[Any, ...]]:
    def read(session: Session) -> list[tuple[Any, ...]]:
        assert verify(session, world.ctx.keyring, world.merchant_id).broken is None
        found = service.newest(session, merchant_id=world.merchant_id, limit=10)
        return [(one.actor, one.actor_name, one.action, one.subject, one.details) for one in reversed(found)]

    return await world.db.read(read)


@pytest.mark.parametrize(("decide", "action"), [("approve", "review.approved"), ("decline", "review.declined")])
async def test_a_decision_about_a_held_payment(world: World, decide: str, action: str) -> None:
    held = await world.pay(await world.link(), "riskLevelElevated")
    await getattr(world, decide)(held.id, reason="Known customer")
    assert await conflict(world.decline(held.id)) == "payment_not_in_review"
    ((*who, said, subject, details),) = await recorded(world)
    assert (tuple(who), said, subject) == (AGENT, action, held.id)
    assert details["reason"] == "Known customer"


async def test_a_refund_that_is_asked_for(world: World) -> None:
    paid = await world.pay(await world.link())
    made = await refund(world.ctx, world.agent, paid.id, amount=1000, reason="Broken")
    asked = {"payment": paid.id, "amount": 1000, "currency": "GBP", "reason": "Broken"}
    assert await recorded(world) == [(*AGENT, "refund.requested", made.id, asked)]


async def test_a_link_that_is_canceled(world: World) -> None:
    link_id = await world.link()
    await cancel_link(world.ctx, world.agent, link_id)
    assert await conflict(cancel_link(world.ctx, world.agent, link_id)) == "link_not_active"
    assert await recorded(world) == [(*AGENT, "link.canceled", link_id, {})]


async def test_an_act_that_cannot_be_recorded_is_not_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = await world.pay(await world.link(), "riskLevelElevated")

    def full(*_args: Any, **_more: Any) -> None:
        raise sa.exc.IntegrityError("no room", None, Exception())

    monkeypatch.setattr(service, "record", full)
    with pytest.raises(sa.exc.IntegrityError):
        await world.approve(held.id)
    assert (await world.payment(held.id)).status == PaymentStatus.IN_REVIEW
    assert await world.captures(held.link_id) == []
