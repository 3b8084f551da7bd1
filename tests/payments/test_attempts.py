"""One attempt at a time, and never an attempt at what has ended."""

import asyncio
from datetime import timedelta

import pytest

from paylink.errors import Conflict, Unavailable
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments.models import PaymentStatus
from paylink.payments.service import FOLLOW_JOB, Started
from paylink.payments.settle import RELEASE_JOB
from tests.payments.gates import Gates
from tests.payments.world import World, conflict

MANY = 50


async def test_of_fifty_browsers_that_press_pay_at_once_one_gets_an_attempt(world: World) -> None:
    link_id = await world.link()
    answers = await asyncio.gather(
        *(world.start(link_id, browser=f"cks_{number}") for number in range(MANY)), return_exceptions=True
    )
    assert [isinstance(answer, Started) for answer in answers].count(True) == 1
    refused = [answer.code for answer in answers if isinstance(answer, Conflict)]
    assert refused == ["payment_in_progress"] * (MANY - 1)
    assert len(await world.attempts(link_id)) == 1
    assert len(await world.ledger(link_id)) == 1
    assert (await world.told(link_id)).count("payment.submitted") == 1


async def test_of_fifty_clicks_in_one_browser_all_are_the_same_attempt(world: World) -> None:
    link_id = await world.link()
    answers = await asyncio.gather(*(world.start(link_id) for _ in range(MANY)), return_exceptions=True)
    # While one asks the provider, another may be told to come back.
    assert {type(answer) for answer in answers} <= {Started, Unavailable}
    answers.append(await world.start(link_id))
    (payment_id,) = {one.payment_id for one in answers if isinstance(one, Started)}
    assert len({one.client_secret for one in answers if isinstance(one, Started)}) == 1
    assert len(await world.ledger(link_id)) == 1
    assert (await world.told(link_id)).count("payment.submitted") == 1
    assert await world.jobs(FOLLOW_JOB, payment_id) == [f"{FOLLOW_JOB}:{payment_id}"]


async def test_after_a_decline_another_browser_may_try(world: World) -> None:
    link_id = await world.link()
    declined = await world.pay(link_id, "chargeDeclined")
    assert (declined.status, declined.decline_code) == (PaymentStatus.FAILED, "card_declined")
    paid = await world.pay(link_id, browser="cks_2")
    assert (paid.status, paid.attempt) == (PaymentStatus.SUCCEEDED, 2)
    assert await world.captures(link_id) == [4999]


@pytest.mark.parametrize("status", ["paid", "expired", "canceled"])
async def test_a_link_that_has_ended_takes_no_attempt(world: World, status: str) -> None:
    link_id = await world.link()
    await world.age(PaymentLink, link_id, status=status)
    assert await conflict(world.start(link_id)) == "link_not_active"


async def test_a_link_whose_time_is_over_takes_no_attempt_before_the_sweep_has_seen_it(world: World) -> None:
    link_id = await world.link()
    await world.age(PaymentLink, link_id, expires_at=utcnow() - timedelta(milliseconds=1))
    assert await conflict(world.start(link_id)) == "link_not_active"
    assert await world.attempts(link_id) == []


@pytest.mark.parametrize("kind", ["error_before", "reset_before", "reset_after", "truncate", "error_after"])
async def test_an_answer_that_was_lost_is_asked_for_again_and_is_one_payment(world: World, kind: str) -> None:
    link_id = await world.link()
    await world.order(faults=[{"kind": kind, "method": "POST", "path": "/v1/payment_intents", "times": 3}])
    with pytest.raises(Unavailable):
        await world.start(link_id)
    (waiting,) = await world.attempts(link_id)
    assert waiting.status == PaymentStatus.REQUIRES_PAYMENT_METHOD
    await world.order(faults=[])
    if kind == "error_after":
        # Saved under the key: every repeat gets the error. The follow-up gives it up and the next attempt is new.
        await world.follow(waiting.id)
    paid = await world.pay(link_id)
    assert paid.status == PaymentStatus.SUCCEEDED
    assert await world.captures(link_id) == [4999]


async def test_an_attempt_whose_answer_came_too_late_is_closed_at_the_provider(world: World) -> None:
    link_id = await world.link()
    gates = Gates(world.ctx.psp)
    late = asyncio.create_task(world.behind(gates).start(link_id))
    await gates.parked("create_payment", "answered")
    (waiting,) = await world.attempts(link_id)
    await world.follow(waiting.id)
    assert (await world.payment(waiting.id)).status == PaymentStatus.CANCELED
    gates.open()
    assert await conflict(late) == "link_not_active"
    assert await world.jobs(RELEASE_JOB, waiting.id) == [f"{RELEASE_JOB}:{waiting.id}"]
    await world.release(waiting.id)
    (account,) = await world.ledger(link_id)
    assert account["canceled"]


async def test_a_provider_that_will_not_show_an_attempt_does_not_make_it_failed(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    stranger = world.behind(world.psp_with_wrong_key())
    with pytest.raises(Unavailable):
        await stranger.start(link_id)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.REQUIRES_PAYMENT_METHOD
    await world.callback(started.payment_id)
    assert (await world.link_row(link_id)).status == "paid"
