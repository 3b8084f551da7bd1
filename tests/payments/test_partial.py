"""Paying a link in parts: what may be paid at once, and sums that stay right whatever happens between two parts."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.errors import Invalid
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import customer, service
from paylink.payments.closing import cancel_link, expire_due
from paylink.payments.models import Payment, PaymentStatus
from paylink.payments.parts import Fault, Parts
from paylink.payments.refunds import refund
from paylink.payments.service import Started
from tests.payments.gates import Gates
from tests.payments.world import NOWHERE, World, conflict


async def begin(world: World, link_id: str, amount: int | None, *, browser: str = "cks_1") -> Started:
    return await customer.start(world.ctx, link_id=link_id, session_id=browser, address=NOWHERE, amount=amount)


async def pay(world: World, link_id: str, amount: int | None, card: str = "visa", *, browser: str = "cks_1") -> Payment:
    started = await begin(world, link_id, amount, browser=browser)
    await world.confirm(started.payment_id, card)
    await service.refresh(world.ctx, started.payment_id)
    return await world.payment(started.payment_id)


async def fault(work: Awaitable[object]) -> str:
    """The code of the one wrong field, which is the amount."""
    with pytest.raises(Invalid) as refused:
        await work
    (error,) = refused.value.errors
    assert error.field == "amount"
    return error.code


async def sums(world: World, link_id: str) -> tuple[str, int, int]:
    link = await world.link_row(link_id)
    return link.status, link.amount_paid, link.amount_refunded


async def test_two_parts_pay_the_link(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await pay(world, link_id, 2000)
    assert (first.status, first.amount, first.amount_captured) == ("succeeded", 2000, 2000)
    assert await sums(world, link_id) == ("partially_paid", 2000, 0)
    part = {"payment": first.id, "amount_paid": 2000, "amount_left": 2999, "currency": "GBP"}
    assert await world.told_of(link_id, "link.partially_paid") == part
    assert (await world.told(link_id))[-2:] == ["payment.succeeded", "link.partially_paid"]

    last = await pay(world, link_id, None, browser="cks_2")
    assert last.amount == 2999
    assert await sums(world, link_id) == ("paid", 4999, 0)
    whole = {"payment": last.id, "amount_paid": 4999, "currency": "GBP"}
    assert await world.told_of(link_id, "link.paid") == whole
    assert await world.captures(link_id) == [2000, 2999]
    assert (await world.link_row(link_id)).paid_at is not None


async def test_each_part_but_the_last_is_told(world: World) -> None:
    link_id = await world.link(amount=4000, minimum_amount=1000)
    for _ in range(4):
        await pay(world, link_id, 1000)
    events = await world.events(link_id)
    parts = [event.data["amount_left"] for event in events if event.type == "link.partially_paid"]
    assert parts == [3000, 2000, 1000]
    assert await sums(world, link_id) == ("paid", 4000, 0)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (999, Fault.TOO_SMALL),
        (5000, Fault.TOO_LARGE),
        (4500, Fault.LEAVES_TOO_LITTLE),
        (4000, Fault.LEAVES_TOO_LITTLE),
    ],
)
async def test_an_amount_that_cannot_be_paid_starts_nothing(world: World, amount: int, code: Fault) -> None:
    link_id = await world.link(minimum_amount=1000)
    assert await fault(begin(world, link_id, amount)) == code
    assert await world.attempts(link_id) == []
    assert await world.told(link_id) == ["link.created"]


async def test_the_boundaries_can_be_paid(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    await pay(world, link_id, 3999)
    assert await fault(begin(world, link_id, 999)) == Fault.WHOLE_ONLY
    await pay(world, link_id, 1000)
    assert await sums(world, link_id) == ("paid", 4999, 0)


async def test_what_is_left_below_the_minimum_is_paid_whole(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    await world.age(PaymentLink, link_id, amount_paid=4500, status="partially_paid")  # type: ignore[arg-type]
    assert await fault(begin(world, link_id, 400)) == Fault.WHOLE_ONLY
    assert (await pay(world, link_id, 499)).status == "succeeded"
    assert await sums(world, link_id) == ("paid", 4999, 0)


async def test_a_link_without_a_minimum_is_paid_in_one_sum(world: World) -> None:
    link_id = await world.link()
    for amount in (2000, 4999):
        assert await fault(begin(world, link_id, amount)) == Fault.NOT_TAKEN
    await pay(world, link_id, None)
    assert await world.captures(link_id) == [4999]


async def test_the_second_part_waits_for_the_first(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await begin(world, link_id, 2000)
    assert await conflict(begin(world, link_id, 1500, browser="cks_2")) == "payment_in_progress"
    await world.confirm(first.payment_id, "riskLevelElevated")
    await service.refresh(world.ctx, first.payment_id)
    # Held for a person: the money may still come.
    assert await conflict(begin(world, link_id, 1500)) == "payment_in_progress"
    await world.approve(first.payment_id)
    assert await sums(world, link_id) == ("partially_paid", 2000, 0)
    assert (await pay(world, link_id, 1500, browser="cks_2")).status == "succeeded"
    assert await sums(world, link_id) == ("partially_paid", 3500, 0)


async def test_two_who_start_at_once_do_not_share_the_rest(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    found = await asyncio.gather(
        *(begin(world, link_id, 4999, browser=f"cks_{n}") for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(one, Started) for one in found) == 1
    assert len(await world.attempts(link_id)) == 1


async def test_a_customer_who_thinks_again_pays_the_new_amount_only(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await begin(world, link_id, 2000)
    assert (await begin(world, link_id, 2000)).payment_id == first.payment_id
    second = await pay(world, link_id, 3000)
    assert (await world.payment(first.payment_id)).status == PaymentStatus.CANCELED
    # The first can be confirmed by nobody any more.
    await world.confirm(first.payment_id)
    assert await world.captures(link_id) == [3000]
    assert (second.attempt, await sums(world, link_id)) == (2, ("partially_paid", 3000, 0))


async def test_an_authorised_part_is_let_go_when_the_customer_thinks_again(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await begin(world, link_id, 2000)
    # In another tab, and not known here yet.
    await world.confirm(first.payment_id)
    await pay(world, link_id, 3000)
    assert await world.captures(link_id) == [3000]
    assert await sums(world, link_id) == ("partially_paid", 3000, 0)


async def test_a_part_that_is_captured_first_wins_over_the_customers_second_thought(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await begin(world, link_id, 2000)
    await world.confirm(first.payment_id)
    gates = Gates(world.ctx.psp)
    again = asyncio.create_task(fault(begin(world.behind(gates), link_id, 3000)))
    await gates.parked("cancel", "asked")
    await world.callback(first.payment_id)
    gates.open()
    assert await again == Fault.TOO_LARGE
    assert await world.captures(link_id) == [2000]
    assert await sums(world, link_id) == ("partially_paid", 2000, 0)


async def test_a_declined_part_leaves_the_sums_alone(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    await pay(world, link_id, 2000)
    declined = await pay(world, link_id, 1500, "visa_chargeDeclined")
    assert (declined.status, await sums(world, link_id)) == ("failed", ("partially_paid", 2000, 0))
    await pay(world, link_id, 2999)
    assert await sums(world, link_id) == ("paid", 4999, 0)


async def test_many_good_parts_are_no_sign_of_fraud_and_no_lock(world: World) -> None:
    link_id = await world.link(amount=13_000, minimum_amount=1000)
    for _ in range(13):
        assert (await pay(world, link_id, 1000)).fraud_outcome == "allow"
    assert await sums(world, link_id) == ("paid", 13_000, 0)


async def test_the_merchants_ceiling_is_for_what_is_paid_at_once(world: World) -> None:
    await world.merchant(review_above=2500)
    link_id = await world.link(minimum_amount=1000)
    assert (await pay(world, link_id, 2500)).fraud_outcome == "allow"
    link_id = await world.link(minimum_amount=1000)
    assert (await pay(world, link_id, 2600)).fraud_outcome == "review"


async def test_parts_are_given_back_one_by_one(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first, last = await pay(world, link_id, 2000), await pay(world, link_id, 2999)
    await refund(world.ctx, world.agent, first.id, amount=500, reason=None)
    assert await sums(world, link_id) == ("paid", 4999, 500)
    with pytest.raises(Invalid):
        await refund(world.ctx, world.agent, first.id, amount=1501, reason=None)
    await refund(world.ctx, world.agent, last.id, amount=None, reason=None)
    assert await sums(world, link_id) == ("paid", 4999, 3499)
    ledger = {one["metadata"]["payment_id"]: one["refunded"] for one in await world.ledger(link_id)}
    assert ledger == {first.id: 500, last.id: 2999}


async def test_a_refund_keeps_to_the_providers_steps(world: World) -> None:
    link_id = await world.link(amount=12_340, currency="KWD")
    paid = await pay(world, link_id, None)
    with pytest.raises(Invalid) as refused:
        await refund(world.ctx, world.agent, paid.id, amount=2345, reason=None)
    assert [(error.field, error.code) for error in refused.value.errors] == [("amount", "amount_not_chargeable")]
    assert await world.refunds(paid.id) == []
    await refund(world.ctx, world.agent, paid.id, amount=2340, reason=None)
    assert await sums(world, link_id) == ("paid", 12_340, 2340)


async def test_giving_a_part_back_does_not_ask_for_it_again(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    first = await pay(world, link_id, 2000)
    await refund(world.ctx, world.agent, first.id, amount=None, reason=None)
    assert await sums(world, link_id) == ("partially_paid", 2000, 2000)
    await pay(world, link_id, None)
    assert await sums(world, link_id) == ("paid", 4999, 2000)


async def test_a_link_that_is_canceled_keeps_what_was_paid(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    await pay(world, link_id, 2000)
    await cancel_link(world.ctx, world.agent, link_id)
    assert await sums(world, link_id) == ("canceled", 2000, 0)
    kept = {"amount_paid": 2000, "amount_left": 2999, "currency": "GBP"}
    assert await world.told_of(link_id, "link.canceled") == {"by": "Alex Morgan", **kept}
    assert await conflict(begin(world, link_id, 1000)) == "link_not_active"


async def test_a_link_that_expires_keeps_what_was_paid(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    await pay(world, link_id, 2000)
    await world.age(PaymentLink, link_id, expires_at=utcnow() - timedelta(seconds=1))
    await expire_due(world.ctx)
    assert await sums(world, link_id) == ("expired", 2000, 0)
    kept = {"amount_paid": 2000, "amount_left": 2999, "currency": "GBP"}
    assert await world.told_of(link_id, "link.expired") == kept


async def test_a_part_that_was_given_up_and_comes_after_the_rest_is_released(world: World) -> None:
    """Confirmed in a lost tab after its attempt had been given up: more than is left is not taken."""
    link_id = await world.link(minimum_amount=1000)
    held = await begin(world, link_id, 3000)
    await world.confirm(held.payment_id, "riskLevelElevated")
    await service.refresh(world.ctx, held.payment_id)
    await world.age(PaymentLink, link_id, amount_paid=2500, status="partially_paid")  # type: ignore[arg-type]
    assert await conflict(world.approve(held.payment_id)) == "link_not_active"


@given(
    left=st.integers(1, 10_000),
    minimum=st.integers(1, 10_000),
    step=st.sampled_from([1, 10, 100]),
    amount=st.integers(-5, 10_005),
)
def test_no_part_leaves_a_rest_that_nobody_can_pay(left: int, minimum: int, step: int, amount: int) -> None:
    left, minimum = left * step, minimum * step
    parts = Parts("GBP", left, minimum, step)
    assert parts.fault(left) is None
    found = parts.fault(amount)
    if found is None:
        rest = left - amount
        assert rest == 0 or (rest >= minimum and amount >= minimum and amount % step == 0)
        assert Parts("GBP", rest, minimum, step).fault(rest) is None
    else:
        assert parts.sentences()[found]
        assert amount > left or amount < minimum or left - amount < minimum or bool(amount % step)
    assert parts.choice == any(parts.fault(one) is None for one in {minimum, left - minimum} - {left} if one > 0)


async def test_a_mismatch_is_judged_by_the_parts_amount(world: World) -> None:
    link_id = await world.link(minimum_amount=1000)
    started = await begin(world, link_id, 2000)
    psp_id = str((await world.payment(started.payment_id)).psp_payment_id)
    await world.stripe._intents.update_async(psp_id, {"amount": 4999})
    await world.confirm(started.payment_id)
    await service.refresh(world.ctx, started.payment_id)
    assert await sums(world, link_id) == ("active", 0, 0)
