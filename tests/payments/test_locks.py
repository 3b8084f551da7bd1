"""A link that was tried too often is locked with the decline that was one too many, and paid again once unlocked."""

import asyncio

import pytest
from sqlalchemy.orm import Session

from paylink.errors import NotFound
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from paylink.payments import customer, locks, service
from paylink.payments.customer import PageState
from paylink.payments.locks import MAX_CARDS, MAX_TRIES
from paylink.payments.models import Payment, PaymentStatus
from tests.payments.gates import Gates
from tests.payments.world import World, conflict

CARDS = ["chargeDeclined", "chargeDeclinedLostCard", "chargeDeclinedExpiredCard"]


async def test_the_fifth_decline_locks_the_link_and_says_so_with_it(world: World) -> None:
    link_id = await world.link()
    for _ in range(MAX_TRIES - 1):
        await world.pay(link_id, "chargeDeclined")
    assert (await world.link_row(link_id)).locked_at is None
    await world.pay(link_id, "chargeDeclined")
    link = await world.link_row(link_id)
    assert link.locked_at
    assert (link.lock_reason, link.status) == ("too_many_attempts", "active")
    assert (await world.told(link_id))[-2:] == ["payment.failed", "link.locked"]
    assert await world.told_of(link_id, "link.locked") == {"reason": "too_many_attempts", "attempts": 5, "cards": 1}
    assert await conflict(world.start(link_id, browser="cks_2")) == "link_locked"
    assert len(await world.attempts(link_id)) == MAX_TRIES
    assert await shown(world, link_id) is PageState.LOCKED


async def test_a_third_card_that_is_declined_locks_the_link(world: World) -> None:
    link_id = await world.link()
    for card in CARDS[: MAX_CARDS - 1]:
        await world.pay(link_id, card)
    assert (await world.link_row(link_id)).locked_at is None
    await world.pay(link_id, CARDS[-1])
    assert await world.told_of(link_id, "link.locked") == {"reason": "too_many_cards", "attempts": 3, "cards": 3}
    assert await conflict(world.start(link_id)) == "link_locked"


async def test_a_third_card_that_is_good_pays(world: World) -> None:
    link_id = await world.link()
    for card in CARDS[: MAX_CARDS - 1]:
        await world.pay(link_id, card)
    assert (await world.pay(link_id)).status == PaymentStatus.SUCCEEDED
    assert "link.locked" not in await world.told(link_id)


async def test_a_decline_that_many_hear_of_at_once_locks_once(world: World) -> None:
    link_id = await world.link()
    await tried(world, link_id, times=MAX_TRIES - 1)
    last = await world.start(link_id)
    await world.confirm(last.payment_id, "chargeDeclined")
    await asyncio.gather(
        *(service.refresh(world.ctx, last.payment_id) for _ in range(6)),
        *(world.callback(last.payment_id) for _ in range(6)),
    )
    assert (await world.told(link_id)).count("link.locked") == 1
    assert (await world.told(link_id)).count("payment.failed") == 1


async def test_a_link_that_is_locked_already_is_not_locked_again(world: World) -> None:
    link_id = await world.link()
    late = await world.start(link_id)
    await tried(world, link_id, times=MAX_TRIES - 1)
    await world.age(PaymentLink, link_id, locked_at=utcnow())
    await world.confirm(late.payment_id, "chargeDeclined")
    await service.refresh(world.ctx, late.payment_id)
    assert (await world.told(link_id))[-1] == "payment.failed"


async def test_whoever_presses_pay_while_the_link_is_being_locked_gets_nothing(world: World) -> None:
    link_id = await world.link()
    await tried(world, link_id, times=MAX_TRIES - 1)
    last = await world.start(link_id)
    await world.confirm(last.payment_id, "chargeDeclined")
    answers = await asyncio.gather(
        service.refresh(world.ctx, last.payment_id),
        *(world.start(link_id, browser=f"cks_{number}") for number in range(2, 22)),
        return_exceptions=True,
    )
    assert {getattr(answer, "code", None) for answer in answers[1:]} <= {"payment_in_progress", "link_locked"}
    assert len(await world.attempts(link_id)) == MAX_TRIES


async def test_what_was_paid_and_what_was_only_begun_does_not_count(world: World) -> None:
    link_id = await world.link()
    await tried(world, link_id, times=3, status=PaymentStatus.SUCCEEDED, card="4242")
    await tried(world, link_id, times=3, status=PaymentStatus.CANCELED)
    for _ in range(MAX_TRIES - 1):
        await world.pay(link_id, "chargeDeclined")
    assert (await world.link_row(link_id)).locked_at is None


async def test_a_payment_that_an_agent_declined_counts(world: World) -> None:
    link_id = await world.link()
    await tried(world, link_id, times=MAX_TRIES - 1)
    held = await world.pay(link_id, "riskLevelElevated")
    assert (await world.link_row(link_id)).locked_at is None
    await world.decline(held.id)
    assert (await world.told(link_id))[-2:] == ["payment.canceled", "link.locked"]


async def test_a_locked_link_is_paid_again_once_it_is_unlocked(world: World) -> None:
    link_id = await world.link()
    await tried(world, link_id, times=MAX_TRIES - 1)
    await world.pay(link_id, "chargeDeclined")
    await unlock(world, link_id)
    link = await world.link_row(link_id)
    assert (link.locked_at, link.lock_reason, link.forgiven_attempts) == (None, None, MAX_TRIES)
    assert await world.told_of(link_id, "link.unlocked") == {"by": "Alex Morgan"}
    assert await shown(world, link_id) is PageState.PAYABLE
    for _ in range(MAX_TRIES - 1):
        await world.pay(link_id, "chargeDeclined")
    assert await shown(world, link_id) is PageState.PAYABLE
    await world.pay(link_id, "chargeDeclined")
    assert (await world.told(link_id)).count("link.locked") == 2


async def test_only_what_is_locked_can_be_unlocked_and_only_by_its_own(world: World) -> None:
    link_id = await world.link()
    assert await conflict(unlock(world, link_id)) == "link_not_locked"
    await world.age(PaymentLink, link_id, locked_at=utcnow())
    with pytest.raises(NotFound):
        await world.db.transact(lambda session: locks.unlock(session, world.as_merchant("mer_other"), link_id))
    await unlock(world, link_id)
    assert await conflict(unlock(world, link_id)) == "link_not_locked"


async def test_two_who_unlock_at_once_say_it_once(world: World) -> None:
    link_id = await world.link()
    await world.age(PaymentLink, link_id, locked_at=utcnow())
    answers = await asyncio.gather(*(unlock(world, link_id) for _ in range(8)), return_exceptions=True)
    assert [answer is None for answer in answers].count(True) == 1
    assert (await world.told(link_id)).count("link.unlocked") == 1


async def test_an_unlocking_that_meets_a_decline_on_its_way_leaves_nobody_waiting(world: World) -> None:
    """The decline holds the payment and wants the link; the unlocking holds the link and wants the log."""
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, "chargeDeclined")
    await world.age(PaymentLink, link_id, locked_at=utcnow())
    gates = Gates(world.ctx.psp)
    late = asyncio.create_task(service.refresh(world.behind(gates).ctx, started.payment_id))
    await gates.parked("get_payment", "answered")
    gates.open()
    await asyncio.gather(late, unlock(world, link_id))
    assert {"payment.failed", "link.unlocked"} <= set(await world.told(link_id))


async def unlock(world: World, link_id: str) -> None:
    await world.db.transact(lambda session: locks.unlock(session, world.agent, link_id))


async def shown(world: World, link_id: str) -> PageState:
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_9"))
    return view.state


async def tried(
    world: World,
    link_id: str,
    *,
    times: int,
    status: PaymentStatus = PaymentStatus.FAILED,
    card: str | None = None,
) -> None:
    """Attempts that are over, without asking the provider."""
    done = len(await world.attempts(link_id))

    def write(session: Session) -> None:
        session.add_all(
            Payment(
                id=new_id("pay"),
                link_id=link_id,
                merchant_id=world.merchant_id,
                attempt=done + number,
                status=status.value,
                amount=4999,
                currency="GBP",
                psp="sandbox",
                card_last4=card,
                card_fingerprint=card and f"fp_{card}_{number}",
            )
            for number in range(1, times + 1)
        )

    await world.db.transact(write)
