"""A carrier that is busy, away or silent: tried again, told once, and given up in the end, with the reason."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from paylink.channels.base import DeliveryStatus, FinalRefusal, TemporaryFault
from paylink.delivery import jobs as delivery_jobs
from paylink.delivery import outcome, sending, service
from paylink.delivery.service import Next
from paylink.kit.clock import utcnow
from paylink.links.models import LinkStatus
from tests.delivery.engine import EMAIL, PHONE, Desk

BUSY = TemporaryFault("The carrier is busy")


async def test_a_fault_that_may_pass_is_counted_told_once_and_tried_again(desk: Desk) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [BUSY, BUSY, TemporaryFault("The carrier is away"), TemporaryFault("The carrier is away")]
    waits = []
    for tries in range(1, 5):
        again = await desk.run(delivery_id)
        assert again is not None
        assert again.after_s is not None
        waits.append(again.after_s)
        assert (desk.get(delivery_id).attempts, desk.get(delivery_id).status) == (tries, "queued")
    assert desk.get(delivery_id).last_fault == "The carrier is away"
    for wait, base in zip(waits, (2, 4, 8, 16), strict=True):
        assert base * 0.75 <= wait <= base * 1.25
    assert len({wait / base for wait, base in zip(waits, (2, 4, 8, 16), strict=True)}) > 1  # they do not come at once
    assert await desk.run(delivery_id) is None
    found = desk.get(delivery_id)
    assert (found.status, found.attempts, found.last_fault) == ("sent", 5, None)
    told = desk.told(delivery_id)
    assert [event.type for event in told] == ["delivery.queued", *["delivery.retried"] * 2, "delivery.sent"]
    assert [event.data["reason"] for event in told[1:3]] == ["The carrier is busy", "The carrier is away"]
    assert {message.id for message in desk.carrier.messages} == {delivery_id}


async def test_it_waits_as_long_as_the_carrier_says(desk: Desk) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [TemporaryFault("Slow down", retry_after_s=90), TemporaryFault("Slow down", retry_after_s=1)]
    first, second = await desk.run(delivery_id), await desk.run(delivery_id)
    assert first is not None
    assert second is not None
    assert (first.after_s, 3 <= (second.after_s or 0) <= 5) == (90, True)


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), -5.0, 1e300])
async def test_nonsense_for_a_time_to_wait_does_no_harm(desk: Desk, wait: float) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [TemporaryFault("?", retry_after_s=wait)]
    again = await desk.run(delivery_id)
    if wait > 0:
        assert (again, desk.get(delivery_id).status) == (None, "expired")
    else:
        assert again is not None
        assert 1 < (again.after_s or 0) < 3


async def test_it_is_given_up_before_the_job_system_does(desk: Desk) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [BUSY] * 20
    tries = 1
    while await desk.run(delivery_id) is not None:
        tries += 1
    assert tries == sending.MAX_TRIES == 8
    found = desk.get(delivery_id)
    assert (found.status, found.attempts) == ("failed", 8)
    assert found.failure_reason == "Given up after 8 tries: The carrier is busy"
    assert desk.types(delivery_id) == ["delivery.queued", "delivery.retried", "delivery.failed"]


async def test_no_fault_of_ours_leaves_it_queued_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [ZeroDivisionError()] * 4
    for _ in range(4):
        assert await desk.run(delivery_id) is not None
    assert (desk.get(delivery_id).attempts, desk.get(delivery_id).last_fault) == (4, delivery_jobs.FAULT)
    monkeypatch.setattr(delivery_jobs, "render", lambda *_args, **_options: 1 / 0)
    while await desk.run(delivery_id) is not None:
        pass
    assert desk.get(delivery_id).status == "failed"


async def test_a_carrier_that_never_answers_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_jobs, "SEND_TIMEOUT_S", 0.01)
    monkeypatch.setattr(desk.carrier, "send", lambda _message: asyncio.sleep(30))
    delivery_id = desk.text()
    assert await desk.run(delivery_id) is not None
    assert desk.get(delivery_id).last_fault == delivery_jobs.NO_ANSWER


async def test_while_the_database_is_away_nothing_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise OperationalError("SELECT", {}, ConnectionError())

    delivery_id = desk.text()
    with monkeypatch.context() as patch:
        patch.setattr(sending, "to_send", away)
        again = await desk.run(delivery_id)
    assert again is not None
    assert again.after_s is not None  # without it the job system counts, and gives up in the end
    assert desk.get(delivery_id).attempts == 0


@pytest.mark.parametrize(
    ("ended", "status"),
    [(LinkStatus.PAID, "failed"), (LinkStatus.EXPIRED, "expired"), (LinkStatus.CANCELED, "failed")],
)
@pytest.mark.parametrize("tried", [False, True])
async def test_what_its_link_did_not_wait_for_says_that_it_was_not_sent(
    desk: Desk, ended: LinkStatus, status: str, tried: bool
) -> None:
    delivery_id = desk.text()
    if tried:
        desk.carrier.script = [BUSY]
        await desk.run(delivery_id)
    desk.end(delivery_id, ended)
    for _ in range(2):
        assert await desk.run(delivery_id) is None
    found = desk.get(delivery_id)
    assert (found.status, found.failure_reason) == (status, sending.UNSENT[ended])
    assert desk.types(delivery_id).count(f"delivery.{status}") == 1
    assert len(desk.carrier.messages) == int(tried)


async def test_a_link_that_ends_during_a_fault_is_not_waited_for(desk: Desk) -> None:
    class Late(type(desk.carrier)):  # type: ignore[misc]
        async def send(self, message: object) -> str:
            desk.end(delivery_id, LinkStatus.PAID)
            raise BUSY

    delivery_id = desk.text()
    desk.carrier = Late()
    assert await desk.run(delivery_id) is None
    assert desk.get(delivery_id).failure_reason == sending.UNSENT[LinkStatus.PAID]


async def test_a_link_whose_time_is_over_is_not_sent_before_anybody_has_ended_it(desk: Desk) -> None:
    delivery_id = desk.text()
    desk.change_link(delivery_id, expires_at=utcnow())
    assert await desk.run(delivery_id) is None
    assert (desk.get(delivery_id).status, desk.carrier.messages) == ("expired", [])


async def test_it_is_not_tried_later_than_its_link_lives(desk: Desk) -> None:
    delivery_id = desk.text(life=timedelta(seconds=60))
    desk.carrier.script = [TemporaryFault("Slow down", retry_after_s=120)]
    assert await desk.run(delivery_id) is None
    found = desk.get(delivery_id)
    assert found.status == "expired"
    assert "before the link expires: Slow down" in str(found.failure_reason)


async def test_with_a_channel_waiting_it_is_not_tried_longer_than_that_one_waits(desk: Desk) -> None:
    mail = Next("email", EMAIL)
    delivery_id, other = desk.text(mail, after_s=60), desk.text(mail, after_s=60)
    desk.carrier.script = [BUSY, TemporaryFault("Slow down", retry_after_s=61)]
    again = await desk.run(delivery_id)
    assert again is not None
    desk.change(delivery_id, created_at=utcnow() - timedelta(seconds=59.5))
    assert await desk.run(other) is None
    assert desk.get(other).failure_reason == "Not sent within 60 seconds: Slow down"
    desk.carrier.script = [BUSY, BUSY]
    again = await desk.run(delivery_id)
    assert again is not None
    assert (again.after_s or 9) <= 0.5
    desk.change(delivery_id, created_at=utcnow() - timedelta(seconds=61))
    assert await desk.run(delivery_id) is None
    assert desk.get(delivery_id).status == "failed"
    assert f"delivery.fallback:{delivery_id}" in desk.queue(delivery_id)


async def test_a_report_may_be_faster_than_the_fault(desk: Desk) -> None:
    """The answer was lost on its way, the message was not."""

    class Lossy(type(desk.carrier)):  # type: ignore[misc]
        async def send(self, message: object) -> str:
            desk.db.transact_sync(lambda s: service.record(s, delivery_id, DeliveryStatus.DELIVERED))
            raise BUSY

    delivery_id = desk.text()
    desk.carrier = Lossy()
    assert await desk.run(delivery_id) is None
    assert (desk.get(delivery_id).status, desk.types(delivery_id)[-1]) == ("delivered", "delivery.delivered")


async def test_a_token_that_cannot_be_read_any_more_is_a_failure(desk: Desk) -> None:
    delivery_id, other = desk.text(), desk.text()
    desk.change(delivery_id, token_sealed=b"sealed by a key that is gone")
    desk.change(other, token_sealed=None)
    for one in (delivery_id, other):
        assert await desk.run(one) is None
        assert (desk.get(one).status, desk.get(one).failure_reason) == ("failed", sending.TOKEN_GONE)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("No such number", "No such number"),
        (f"The number {PHONE} is not in use", "The number +44•••••0123 is not in use"),
        (f"{PHONE[1:]}: unknown", "+44•••••0123: unknown"),
        ("Spam: found https://pay.example/p/AbCdEf123456 in it", "Spam: found … in it"),
        ("Spam: pay.example/p/AbCdEf123456", "Spam: …"),
        ("two\nlines\x07  and a bell", "two lines and a bell"),
        ("Card 4242 4242 4242 4242 quoted", "The carrier's reason is not shown, because"),
        ("x" * 5000, f"{'x' * 199}…"),
    ],
)
async def test_a_carriers_words_are_shown_without_what_must_not_be(desk: Desk, given: str, shown: str) -> None:
    delivery_id = desk.text()
    desk.carrier.script = [TemporaryFault(given), FinalRefusal(given, code="c" * 500)]
    for _ in range(2):
        await desk.run(delivery_id)
    retried, failed = desk.told(delivery_id)[-2:]
    for reason in (retried.data["reason"], failed.data["reason"], desk.get(delivery_id).failure_reason):
        assert reason.startswith(shown)
        assert len(reason) <= outcome.LONGEST_REASON
    assert desk.get(delivery_id).failure_code == "c" * outcome.LONGEST_CODE
