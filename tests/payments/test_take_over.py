"""An attempt that waits for its customer: asked again in the same browser, ended for another, never two at once."""

import asyncio
from datetime import timedelta

import pytest

from paylink.errors import Unavailable
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import customer, service
from paylink.payments.customer import TAKE_OVER_AFTER, Offer, PageState, PageView
from paylink.payments.models import Payment, PaymentStatus
from tests.payments.gates import Gates
from tests.payments.world import World, conflict

ASKS = "authenticationRequired"


async def test_the_browser_that_was_asked_can_be_asked_again_and_nobody_else(world: World) -> None:
    link_id, started = await asking(world)
    mine = await view(world, link_id)
    assert (mine.state, mine.offer) == (PageState.IN_PROGRESS, Offer.RESUME)
    again = await customer.resume(world.ctx, link_id=link_id, session_id="cks_1")
    assert (again.payment_id, again.client_secret) == (started.payment_id, started.client_secret)
    assert again.client_secret not in repr(again)
    assert await conflict(customer.resume(world.ctx, link_id=link_id, session_id="cks_2")) == "payment_not_waiting"
    other = await view(world, link_id, browser="cks_2")
    assert (other.state, other.offer) == (PageState.ELSEWHERE, None)


async def test_what_was_answered_elsewhere_is_not_asked_again_but_shown(world: World) -> None:
    link_id, started = await asking(world)
    # Approved in the other tab, and nobody told us yet.
    await world.confirm(started.payment_id)
    assert await conflict(customer.resume(world.ctx, link_id=link_id, session_id="cks_1")) == "payment_not_waiting"
    assert (await view(world, link_id)).state is PageState.PAID
    assert await world.captures(link_id) == [4999]


async def test_to_start_again_ends_the_attempt_at_the_provider_first(world: World) -> None:
    link_id, started = await asking(world)
    await customer.give_up(world.ctx, link_id=link_id, session_id="cks_1")
    (account,) = await world.ledger(link_id)
    assert account["canceled"]
    assert (await view(world, link_id)).state is PageState.PAYABLE
    # What the old tab still holds is worth nothing.
    await world.confirm(started.payment_id)
    assert (await world.pay(link_id)).status == PaymentStatus.SUCCEEDED
    assert await world.captures(link_id) == [4999]


@pytest.mark.parametrize("card", [None, ASKS])
async def test_another_device_pays_here_instead_once_the_first_has_been_left(world: World, card: str | None) -> None:
    link_id, started = await asking(world, card)
    assert await conflict(customer.give_up(world.ctx, link_id=link_id, session_id="cks_2")) == "payment_in_progress"
    await left(world, started.payment_id)
    other = await view(world, link_id, browser="cks_2")
    assert (other.state, other.offer) == (PageState.ELSEWHERE, Offer.TAKE_OVER)
    await customer.give_up(world.ctx, link_id=link_id, session_id="cks_2")
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED
    assert (await world.pay(link_id, browser="cks_2")).status == PaymentStatus.SUCCEEDED
    assert await world.captures(link_id) == [4999]


@pytest.mark.parametrize("state", [PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.IN_REVIEW])
async def test_what_does_not_wait_for_its_customer_is_nobodys_to_end(world: World, state: PaymentStatus) -> None:
    link_id, started = await asking(world)
    await world.db.transact(
        lambda session: setattr(session.get_one(Payment, started.payment_id), "status", state.value)
    )
    await left(world, started.payment_id)
    for browser in ("cks_1", "cks_2"):
        assert (await view(world, link_id, browser=browser)).offer is None
        refusal = await conflict(customer.give_up(world.ctx, link_id=link_id, session_id=browser))
        assert refusal == "payment_in_progress"
    (account,) = await world.ledger(link_id)
    assert not account["canceled"]


async def test_paid_wins_over_whoever_would_pay_here_instead(world: World) -> None:
    link_id, started = await asking(world)
    await left(world, started.payment_id)
    # Approved on the first device, and nobody told us yet.
    await world.confirm(started.payment_id)
    await customer.give_up(world.ctx, link_id=link_id, session_id="cks_2")
    assert (await view(world, link_id, browser="cks_2")).state is PageState.PAID
    assert await world.captures(link_id) == [4999]


async def test_the_first_device_that_finishes_at_the_last_moment_is_not_paid_for_twice(world: World) -> None:
    link_id, started = await asking(world)
    await left(world, started.payment_id)
    gates = Gates(world.ctx.psp)
    ends = asyncio.create_task(customer.give_up(world.behind(gates).ctx, link_id=link_id, session_id="cks_2"))
    await gates.parked("cancel", "asked")
    await world.confirm(started.payment_id)
    await service.refresh(world.ctx, started.payment_id)
    gates.open()
    await ends
    assert await world.captures(link_id) == [4999]
    assert (await world.link_row(link_id)).status == "paid"


async def test_of_many_devices_that_would_pay_here_one_does(world: World) -> None:
    link_id, started = await asking(world)
    await left(world, started.payment_id)
    browsers = [f"cks_{number}" for number in range(2, 12)]
    await asyncio.gather(
        *(customer.give_up(world.ctx, link_id=link_id, session_id=browser) for browser in browsers),
        return_exceptions=True,
    )
    await asyncio.gather(*(world.start(link_id, browser=browser) for browser in browsers), return_exceptions=True)
    live = [one for one in await world.attempts(link_id) if one.status == PaymentStatus.REQUIRES_PAYMENT_METHOD]
    assert len(live) == 1
    assert (await world.told(link_id)).count("payment.canceled") == 1


async def test_a_provider_that_does_not_answer_leaves_the_attempt_as_it_is(world: World) -> None:
    link_id, started = await asking(world)
    await world.order(faults=[{"kind": "error_before", "path": "/v1/payment_intents"}])
    for work in (customer.resume, customer.give_up):
        with pytest.raises(Unavailable):
            await work(world.ctx, link_id=link_id, session_id="cks_1")
    await world.order(faults=[])
    assert (await world.payment(started.payment_id)).status == PaymentStatus.REQUIRES_ACTION


@pytest.mark.parametrize(
    ("card", "state"),
    [
        ("visa", PageState.PAID),
        (ASKS, PageState.IN_PROGRESS),
        ("riskLevelElevated", PageState.CHECKING),
        ("chargeDeclined", PageState.PAYABLE),
    ],
)
async def test_a_second_click_after_a_lost_answer_shows_what_became_of_the_first(
    world: World, card: str, state: PageState
) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id, card)
    assert await conflict(world.start(link_id)) == "payment_in_progress"
    assert (await view(world, link_id)).state is state
    assert len(await world.attempts(link_id)) == 1


async def test_a_device_that_only_watches_comes_to_the_truth_by_itself(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    # The first browser was closed at this moment, and its callback got lost.
    assert (await view(world, link_id, browser="cks_2")).state is PageState.ELSEWHERE
    await customer.refresh(world.ctx, link_id=link_id)
    assert (await view(world, link_id, browser="cks_2")).state is PageState.PAID


async def test_whoever_began_in_time_may_finish_when_it_is_over(world: World) -> None:
    link_id = await world.link(ends_in_s=600)
    started = await world.start(link_id)
    await world.age(PaymentLink, link_id, expires_at=utcnow() - timedelta(seconds=1))
    assert (await view(world, link_id)).state is PageState.PAYABLE
    assert (await world.start(link_id)).payment_id == started.payment_id
    assert await conflict(world.start(link_id, browser="cks_2")) == "payment_in_progress"


async def asking(world: World, card: str | None = ASKS) -> tuple[str, service.Started]:
    """A link whose first browser was sent to its bank, or has only pressed the button."""
    link_id = await world.link()
    started = await world.start(link_id)
    if card is not None:
        await world.confirm(started.payment_id, card)
        await service.refresh(world.ctx, started.payment_id)
    return link_id, started


async def left(world: World, payment_id: str) -> None:
    await world.age(Payment, payment_id, updated_at=utcnow() - TAKE_OVER_AFTER - timedelta(seconds=1))


async def view(world: World, link_id: str, *, browser: str = "cks_1") -> PageView:
    return await world.db.read(lambda session: customer.view(session, link_id, session_id=browser))
