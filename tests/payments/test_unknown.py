"""An answer that never came is no answer: the attempt waits, and whoever asks next finds out."""

import pytest

from paylink.jobs import TryAgain
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments import service
from paylink.payments.closing import GRACE, cancel_link
from paylink.payments.models import Payment, PaymentStatus
from tests.payments.world import World

LOST = ["error_before", "reset_before", "reset_after", "truncate"]


@pytest.mark.parametrize("kind", LOST)
async def test_a_capture_without_an_answer_is_neither_paid_nor_failed_and_the_job_finds_out(
    world: World, kind: str
) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await world.order(faults=[{"kind": kind, "path": "/capture"}])
    await service.refresh(world.ctx, started.payment_id)
    waiting = await world.payment(started.payment_id)
    assert (waiting.status, waiting.decision) == (PaymentStatus.REQUIRES_CAPTURE, "capture")
    assert {"payment.succeeded", "payment.failed"}.isdisjoint(await world.told(link_id))
    await world.order(faults=[])
    await world.follow(started.payment_id)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.SUCCEEDED
    assert await world.captures(link_id) == [4999]
    told = await world.told(link_id)
    assert told.count("fraud_check.completed") == 1
    assert told[-2:] == ["payment.succeeded", "link.paid"]


async def test_a_provider_that_is_away_is_asked_again_by_the_job(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await world.order(faults=[{"kind": "error_before", "method": "GET", "path": "/v1/payment_intents"}])
    with pytest.raises(TryAgain) as again:
        await world.follow(started.payment_id)
    # Soon, however often it was in vain: what the provider's absence held up is settled soon after it is back.
    assert again.value.after_s == service.FOLLOW_AFTER_S
    with pytest.raises(TryAgain):
        await world.callback(started.payment_id)
    await world.order(faults=[])
    await world.follow(started.payment_id)
    assert (await world.link_row(link_id)).status == "paid"


async def test_the_job_waits_for_a_customer_who_is_typing_and_gives_up_one_who_left(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    with pytest.raises(TryAgain) as again:
        await world.follow(started.payment_id)
    assert again.value.after_s
    await world.age(Payment, started.payment_id, updated_at=utcnow() - GRACE * 2)
    await world.follow(started.payment_id)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED
    (account,) = await world.ledger(link_id)
    assert account["canceled"]
    assert (await world.pay(link_id, browser="cks_2")).status == PaymentStatus.SUCCEEDED


async def test_a_payment_approved_while_the_provider_was_away_is_captured_by_a_job(world: World) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    assert held.status == PaymentStatus.IN_REVIEW
    await world.follow(held.id)
    await world.order(faults=[{"kind": "error_before", "path": "/capture"}])
    await world.approve(held.id)
    assert (await world.payment(held.id)).status == PaymentStatus.REQUIRES_CAPTURE
    assert f"{service.FOLLOW_JOB}:{held.id}:decided" in await world.jobs(service.FOLLOW_JOB, held.id)
    await world.order(faults=[])
    await world.follow(held.id)
    assert (await world.payment(held.id)).status == PaymentStatus.SUCCEEDED


async def test_a_key_that_is_wrong_for_a_day_loses_no_callback(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    with pytest.raises(TryAgain):
        await world.behind(world.psp_with_wrong_key()).callback(started.payment_id)
    assert (await world.payment(started.payment_id)).status == PaymentStatus.REQUIRES_PAYMENT_METHOD


@pytest.mark.parametrize("kind", ["error_saved", "error_after"])
async def test_a_failure_the_provider_keeps_under_the_key_holds_up_no_capture(world: World, kind: str) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await world.order(faults=[{"kind": kind, "path": "/capture", "times": 1}])
    await service.refresh(world.ctx, started.payment_id)
    assert await world.captures(link_id) == [4999]
    assert (await world.link_row(link_id)).status == "paid"


async def test_a_failure_the_provider_keeps_under_the_key_holds_up_no_end(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.order(faults=[{"kind": "error_saved", "path": "/cancel", "times": 1}])
    await cancel_link(world.ctx, world.agent, link_id)
    assert (await world.link_row(link_id)).status == "canceled"
    (account,) = await world.ledger(link_id)
    assert account["status"] == "canceled"
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED


async def test_a_capture_that_was_put_off_until_the_link_was_paid_otherwise_is_let_go(world: World) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await world.order(faults=[{"kind": "error_before", "path": "/capture"}])
    await service.refresh(world.ctx, started.payment_id)
    await world.order(faults=[])
    await world.age(PaymentLink, link_id, status="paid", amount_paid=4999)
    await world.follow(started.payment_id)
    assert await world.captures(link_id) == []
    assert (await world.payment(started.payment_id)).status == PaymentStatus.CANCELED
