"""Jobs: written with what they belong to, run for as long as it takes, never lost by what a handler does."""

import asyncio
from datetime import timedelta

import pytest

from paylink import jobs
from paylink.db import Database
from paylink.jobs import JobQueue, TryAgain, next_key
from tests.jobs.conftest import Start, soon
from tests.jobs.throughput import measure_jobs


async def add(db: Database, queue: JobQueue, job: str, *args: str, key: str, delay_s: float = 0) -> None:
    await db.transact(lambda session: queue.enqueue(session, job, *args, key=key, delay_s=delay_s))


async def status(queue: JobQueue, key: str) -> str | None:
    found = await asyncio.to_thread(queue._client.list_workflows, workflow_ids=[key])
    return found[0].status if found else None


async def done(queue: JobQueue, key: str) -> None:
    async with asyncio.timeout(20):
        while await status(queue, key) != "SUCCESS":  # noqa: ASYNC110 - a row has no event
            await asyncio.sleep(0.01)


async def test_a_job_runs_once_its_transaction_is_committed(db: Database, queue: JobQueue, start: Start) -> None:
    seen: list[str] = []

    async def note(text: str) -> None:
        seen.append(text)

    await start(note=note)

    def fails(session) -> None:
        queue.enqueue(session, "note", "lost", key="lost")
        raise LookupError

    with pytest.raises(LookupError):
        await db.transact(fails)
    await add(db, queue, "note", "kept", key="kept")
    await done(queue, "kept")
    assert seen == ["kept"]
    assert await status(queue, "lost") is None


async def test_the_same_key_is_the_same_job(db: Database, queue: JobQueue, start: Start) -> None:
    seen: list[str] = []

    async def note(text: str) -> None:
        seen.append(text)

    await asyncio.gather(*(add(db, queue, "note", str(n), key="one") for n in range(10)))
    await start(note=note)
    await done(queue, "one")
    await add(db, queue, "note", "again", key="one")
    await add(db, queue, "note", "other", key="two")
    await done(queue, "two")
    assert len(seen) == 2


async def test_a_delayed_job_waits(db: Database, queue: JobQueue, start: Start) -> None:
    loop, seen = asyncio.get_running_loop(), []

    async def note() -> None:
        seen.append(loop.time())

    await start(note=note)
    began = loop.time()
    await add(db, queue, "note", key="later", delay_s=0.5)
    await done(queue, "later")
    assert seen[0] - began >= 0.5


async def test_a_fault_that_passes_is_tried_again_under_keys_of_its_own(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)
    seen: list[str] = []

    async def flaky(text: str) -> None:
        seen.append(text)
        if len(seen) == 1:
            raise TryAgain("busy")
        if len(seen) == 2:
            raise LookupError("a fault of the handler's own")

    await start(flaky=flaky)
    await add(db, queue, "flaky", "x", key="flaky")
    await done(queue, "flaky#3")
    assert seen == ["x"] * 3
    assert [await status(queue, key) for key in ("flaky", "flaky#2", "flaky#3", "flaky#4")] == ["SUCCESS"] * 3 + [None]


async def test_a_fault_that_stays_is_given_up(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(jobs, "MAX_ATTEMPTS", 3)
    before = jobs.jobs_done.labels("bad", "given_up")._value.get()
    seen: list[int] = []

    async def bad() -> None:
        seen.append(1)
        raise TryAgain("for ever")

    await start(bad=bad)
    await add(db, queue, "bad", key="bad")
    await soon(lambda: jobs.jobs_done.labels("bad", "given_up")._value.get() == before + 1, what="given up")
    assert len(seen) == 3
    assert await status(queue, "bad#4") is None


async def test_waiting_for_something_to_do_uses_up_no_attempts(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment that is followed for days must survive the provider's bad minute at the end."""
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(jobs, "MAX_ATTEMPTS", 3)
    seen: list[int] = []

    async def follow() -> None:
        seen.append(1)
        if len(seen) < 5:
            raise TryAgain("still open", after_s=0.01)
        if len(seen) < 7:
            raise TryAgain("the provider is away")

    await start(follow=follow)
    await add(db, queue, "follow", key="follow")
    await done(queue, "follow#7")
    assert len(seen) == 7


async def test_a_handler_that_hangs_is_ended_and_tried_again(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HANDLER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)
    ended: list[str] = []

    async def hang() -> None:
        if ended:
            return
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hung")

    await start(hang=hang)
    await add(db, queue, "hang", key="hang")
    await done(queue, "hang#2")
    assert ended == ["hung"]


async def test_a_job_nobody_here_knows_is_kept_for_who_does(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a newer build wrote it: the older one must not lose it."""
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 30)
    await start()
    await add(db, queue, "newer", key="newer")
    await done(queue, "newer")
    assert await status(queue, "newer#2") == "DELAYED"


async def test_a_stop_waits_for_the_job_at_hand_and_puts_back_what_came_too_late(
    db: Database, queue: JobQueue, start: Start
) -> None:
    going, go = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def slow(text: str) -> None:
        going.set()
        await go.wait()
        seen.append(text)

    worker = await start(slow=slow)
    await add(db, queue, "slow", "first", key="first")
    await going.wait()
    stopping = asyncio.create_task(worker.close(drain_s=10))
    await soon(worker._stopping.is_set, what="the stop begins")
    await add(db, queue, "slow", "second", key="second")
    await soon(lambda: "second" in worker._held, what="the second is held")
    go.set()
    await stopping
    assert seen == ["first"]
    await start("another", slow=slow)
    await done(queue, "second")
    assert seen == ["first", "second"]
    assert await status(queue, "first") == "SUCCESS"


async def test_a_stop_does_not_wait_for_ever_and_loses_nothing(db: Database, queue: JobQueue, start: Start) -> None:
    going, ended = asyncio.Event(), []

    async def hang() -> None:
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def quick() -> None:
        ended.append(2)

    worker = await start(hang=hang)
    await add(db, queue, "hang", key="hang")
    await going.wait()
    await worker.close(drain_s=0.2)
    assert ended == [1]
    await start("another", hang=quick)
    await done(queue, "hang")
    assert ended == [1, 2]


async def test_a_retry_that_cannot_be_written_is_written_later(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(jobs, "DATABASE_PATIENCE_S", 0.01)
    seen: list[int] = []
    write, faults = queue.enqueue, [jobs.CommitFailed("lost"), jobs.SQLAlchemyError("away")]

    def enqueue(*args: object, **options: object) -> None:
        if str(options["key"]).endswith("#2") and faults:
            raise faults.pop()
        write(*args, **options)  # type: ignore[arg-type]

    async def once() -> None:
        seen.append(1)
        if len(seen) == 1:
            raise TryAgain("busy")

    monkeypatch.setattr(queue, "enqueue", enqueue)
    await start(once=once)
    await add(db, queue, "once", key="once")
    await done(queue, "once#2")
    assert not faults


async def test_finished_jobs_are_pruned_and_others_kept(
    db: Database, queue: JobQueue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def quick() -> None:
        return

    await start(quick=quick)
    for n in range(5):
        await add(db, queue, "quick", key=f"old{n}")
    await add(db, queue, "quick", key="waiting", delay_s=3600)
    for n in range(5):
        await done(queue, f"old{n}")
    await asyncio.to_thread(jobs._prune)
    assert await status(queue, "old0") == "SUCCESS"
    monkeypatch.setattr(jobs, "KEEP_FINISHED", timedelta(0))
    await asyncio.to_thread(jobs._prune)
    assert [await status(queue, f"old{n}") for n in range(5)] == [None] * 5
    assert await status(queue, "waiting") == "DELAYED"


@pytest.mark.parametrize(
    ("key", "following"),
    [("send:x", "send:x#2"), ("send:x#2", "send:x#3"), ("send:x#99", "send:x#100"), ("evt#a", "evt#a#2")],
)
def test_a_retry_has_a_key_of_its_own(key: str, following: str) -> None:
    assert next_key(key) == following


async def test_the_measurement_of_throughput_counts_what_was_done(database_url: str) -> None:
    measured = await measure_jobs(database_url, jobs=100)
    print(f"\n{measured.per_second:.0f} jobs/s, picked up after {measured.first_s * 1000:.0f} ms")
    assert measured.jobs == 100
