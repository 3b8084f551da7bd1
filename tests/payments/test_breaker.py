"""When nearly every try at a merchant's links is declined, the merchant's payments pause."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.errors import Unavailable
from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.ids import new_id
from paylink.payments import breaker, customer, service
from paylink.payments.breaker import MIN_ENDED, PAUSE, WINDOW
from paylink.payments.customer import PageState
from paylink.payments.models import Payment, PaymentStatus
from tests.payments.world import World, conflict

FAILED, SUCCEEDED, CANCELED = PaymentStatus.FAILED, PaymentStatus.SUCCEEDED, PaymentStatus.CANCELED


async def test_one_decline_too_many_pauses_the_payments_of_the_merchant(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED - 1)
    before, counted = utcnow(), count()
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    until = (await merchant(world)).payments_paused_until
    assert until
    assert before + PAUSE - timedelta(seconds=1) <= until <= utcnow() + PAUSE
    assert (await world.told(link_id))[-2:] == ["payment.failed", "payments.paused"]
    assert await world.told_of(link_id, "payments.paused") == {
        "declined": MIN_ENDED,
        "attempts": MIN_ENDED,
        "until": rfc3339(until),
    }
    assert count() == counted + 1
    wait = await refused(world.start(await world.link()))
    assert 0 < wait <= PAUSE.total_seconds()


@pytest.mark.parametrize(
    ("what", "tripped"),
    [
        ([(FAILED, 19), (SUCCEEDED, 5)], True),
        ([(FAILED, 18), (SUCCEEDED, 6)], False),
        ([(FAILED, MIN_ENDED - 2)], False),
        # Attempts that nobody put a card to say nothing, and must not hide the others.
        ([(FAILED, MIN_ENDED - 1), (CANCELED, 50)], True),
    ],
)
async def test_it_takes_many_and_nearly_all(world: World, what: list[tuple[PaymentStatus, int]], tripped: bool) -> None:
    for status, times in what:
        await ended(world, status, times=times)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    assert ("payments.paused" in await world.told(link_id)) is tripped


async def test_what_is_declined_on_a_few_links_is_for_their_locks(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED * 2, links=3)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    assert "payments.paused" not in await world.told(link_id)


async def test_what_was_long_ago_and_what_others_do_does_not_count(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED, at=utcnow() - WINDOW - timedelta(seconds=5))
    stranger = new_id("mer")
    await world.db.transact(lambda session: session.add(Merchant(id=stranger, name="Other")))
    await ended(world, FAILED, times=MIN_ENDED, merchant_id=stranger)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    assert (await merchant(world)).payments_paused_until is None


async def test_only_a_decline_that_is_news_makes_anybody_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(breaker, "pause_if_due", lambda _session, payment: counted.append(payment.id))
    await world.pay(await world.link())
    declined = await world.pay(await world.link(), "chargeDeclined")
    for _ in range(3):
        await world.callback(declined.id)
    assert counted == [declined.id]


async def test_a_refund_of_what_was_paid_long_ago_hides_no_declines(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED - 1)
    await ended(world, SUCCEEDED, times=20, refunded=100)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    assert "payments.paused" in await world.told(link_id)


async def test_declines_at_once_pause_once(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED - 1)
    started = [await world.start(await world.link()) for _ in range(6)]
    for one in started:
        await world.confirm(one.payment_id, "chargeDeclined")
    await asyncio.gather(*(service.refresh(world.ctx, one.payment_id) for one in started))
    told = [await world.told((await world.payment(one.payment_id)).link_id) for one in started]
    assert sum(kinds.count("payments.paused") for kinds in told) == 1
    assert all("payment.failed" in kinds for kinds in told)


async def test_two_who_counted_the_same_declines_pause_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "_recent", lambda *_args: (MIN_ENDED, MIN_ENDED, MIN_ENDED))
    started = [await world.start(await world.link()) for _ in range(2)]
    for one in started:
        await world.confirm(one.payment_id, "chargeDeclined")
        await service.refresh(world.ctx, one.payment_id)
    first, second = [await world.payment(one.payment_id) for one in started]
    assert (first.status, second.status) == (FAILED, FAILED)
    assert "payments.paused" in await world.told(first.link_id)
    assert "payments.paused" not in await world.told(second.link_id)


async def test_a_customer_at_the_bank_when_the_pause_begins_may_finish(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, "authenticationRequired")
    await service.refresh(world.ctx, started.payment_id)
    await world.merchant(payments_paused_until=utcnow() + PAUSE)
    assert await shown(world, link_id) is PageState.IN_PROGRESS
    found = await customer.resume(world.ctx, link_id=link_id, session_id="cks_1")
    assert found.client_secret == started.client_secret


async def test_the_page_says_that_payments_are_paused_until_they_are_not(world: World) -> None:
    link_id = await world.link()
    await world.start(link_id)
    await world.merchant(payments_paused_until=utcnow() + PAUSE)
    assert await shown(world, link_id) is PageState.PAUSED
    await refused(world.start(link_id))
    await world.merchant(payments_paused_until=utcnow() - timedelta(milliseconds=1))
    assert await shown(world, link_id) is PageState.PAYABLE
    assert (await world.pay(link_id)).status == SUCCEEDED


async def test_when_the_pause_is_over_what_led_to_it_is_forgotten(world: World) -> None:
    await ended(world, FAILED, times=MIN_ENDED - 1)
    await world.pay(await world.link(), "chargeDeclined")
    assert (await merchant(world)).payments_paused_until
    # As if the ten minutes were over, with the declines still within the window.
    gone = utcnow() - timedelta(milliseconds=1)
    await world.merchant(payments_paused_until=gone, declines_forgiven_at=gone)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    assert "payments.paused" not in await world.told(link_id)


async def test_what_is_declined_during_the_pause_does_not_prolong_it(world: World) -> None:
    started = [await world.start(await world.link()) for _ in range(2)]
    for one in started:
        await world.confirm(one.payment_id, "chargeDeclined")
    await ended(world, FAILED, times=MIN_ENDED - 1)
    await service.refresh(world.ctx, started[0].payment_id)
    paused = await merchant(world)
    await ended(world, FAILED, times=MIN_ENDED)
    await service.refresh(world.ctx, started[1].payment_id)
    assert (await merchant(world)).payments_paused_until == paused.payments_paused_until
    assert paused.declines_forgiven_at == paused.payments_paused_until


async def test_an_agent_ends_the_pause_where_it_was_told(world: World) -> None:
    assert await conflict(resume(world)) == "payments_not_paused"
    await ended(world, FAILED, times=MIN_ENDED - 1)
    link_id = await world.link()
    await world.pay(link_id, "chargeDeclined")
    await refused(world.start(link_id))
    await resume(world)
    assert (await merchant(world)).payments_paused_until is None
    assert (await world.told(link_id))[-1] == "payments.resumed"
    assert await world.told_of(link_id, "payments.resumed") == {"by": "Alex Morgan"}
    again = await world.link()
    await world.pay(again, "chargeDeclined")
    assert "payments.paused" not in await world.told(again)
    assert await conflict(resume(world)) == "payments_not_paused"
    # What comes after counts from the first decline on.
    await ended(world, FAILED, times=MIN_ENDED)
    await world.pay(again, "chargeDeclined")
    assert "payments.paused" in await world.told(again)


async def test_one_look_at_ten_minutes_costs_no_walk_through_all_there_ever_was(world: World) -> None:
    query = breaker.recent_ends(world.merchant_id, utcnow() - WINDOW)
    explain = "EXPLAIN QUERY PLAN " if world.db.sqlite else "EXPLAIN "
    compiled = query.compile(world.db.engine, compile_kwargs={"literal_binds": True})

    def plan(session: Session) -> str:
        if not world.db.sqlite:
            session.execute(sa.text("SET enable_seqscan = off"))
        return "\n".join(str(row) for row in session.execute(sa.text(explain + str(compiled).replace(":", r"\:"))))

    said = await world.db.read(plan)
    assert "ix_payments_status_updated_at" in said
    assert "ix_payments_merchant_id" not in said


async def ended(
    world: World,
    status: PaymentStatus,
    *,
    times: int,
    links: int = 12,
    at: datetime | None = None,
    merchant_id: str | None = None,
    refunded: int = 0,
) -> None:
    """Attempts that are over, spread over a few links."""
    link_ids = [await world.link() for _ in range(min(links, times))]

    def write(session: Session) -> None:
        session.add_all(
            Payment(
                id=new_id("pay"),
                link_id=link_ids[number % len(link_ids)],
                merchant_id=merchant_id or world.merchant_id,
                attempt=number + 1,
                status=status.value,
                amount=4999,
                amount_captured=4999 if status is SUCCEEDED else 0,
                amount_refunded=refunded,
                currency="GBP",
                psp="sandbox",
                updated_at=at or utcnow(),
            )
            for number in range(times)
        )

    await world.db.transact(write)


async def merchant(world: World) -> Merchant:
    return await world.db.read(lambda session: session.get_one(Merchant, world.merchant_id))


async def resume(world: World) -> None:
    await world.db.transact(lambda session: breaker.resume(session, world.agent))


async def shown(world: World, link_id: str) -> PageState:
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    return view.state


async def refused(work: Awaitable[Any]) -> int:
    """After how many seconds to try again."""
    with pytest.raises(Unavailable) as refusal:
        await work
    assert refusal.value.code == "payments_paused"
    assert refusal.value.retry_after
    return refusal.value.retry_after


def count() -> float:
    return float(breaker.pauses._value.get())
