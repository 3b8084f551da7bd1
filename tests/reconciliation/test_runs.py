"""When it runs, what is left of it, and how an operator sees it."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from click.testing import Result
from prometheus_client import REGISTRY
from rich.console import Console
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from paylink import reconcile_command
from paylink.channels.switchboard import Switchboard
from paylink.cli import app
from paylink.console import build_api
from paylink.db import database_now
from paylink.events.stream import Rights
from paylink.jobs import TryAgain, Worker
from paylink.kit.clock import utcnow
from paylink.payments.models import Payment
from paylink.reconciliation import jobs as reconciliation_jobs
from paylink.reconciliation import metrics as reconciliation_metrics
from paylink.reconciliation.differences import QUIET, C, Difference
from paylink.reconciliation.jobs import RECONCILE_JOB, SCHEDULES, Due, Reconciler, Scope, key_of, newest, prune
from paylink.reconciliation.models import Reconciliation
from paylink.reconciliation.report import KEPT, count, merged
from tests.payments.world import World
from tests.reconciliation.differences import FAST, Seeder, behind_held, metadata
from webhooks.inbound.undelivered import FetchedInbox

ROOT = Path(__file__).parents[2]


async def rows(world: World) -> dict[str, Reconciliation]:
    found = await world.db.read(lambda session: session.scalars(sa.select(Reconciliation)).all())
    return {row.id: row for row in found}


async def aged(world: World, *payment_ids: str) -> None:
    for payment_id in payment_ids:
        await world.age(Payment, payment_id, updated_at=utcnow() - QUIET)


async def test_two_nodes_run_each_slot_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hour stands still: a slot that begins while this runs is another test's.
    now = sa.literal(utcnow(), database_now().type)
    monkeypatch.setattr(reconciliation_jobs, "database_now", lambda: now)
    seeder = Seeder(world)
    await seeder.plant(behind_held, metadata)
    await aged(world, *(one[1] for one in seeder.expected))
    reconciler = Reconciler(world.ctx, FetchedInbox, per_second=FAST)
    ran: Counter[str] = Counter()

    async def work(scope: str, slot: str, cursor: str, part: str) -> None:
        ran[scope, slot] += 1
        await reconciler.work(scope, slot, cursor, part)

    first, second = Due(world.ctx), Due(world.ctx)
    await asyncio.gather(*(node.look() for node in (first, second) for _ in range(3)))
    worker = Worker(world.db, world.ctx.jobs, {RECONCILE_JOB: work}, node_id="first", concurrency=4)
    await worker.start()

    async def done() -> bool:
        found = await rows(world)
        return len(found) == len(SCHEDULES) and all(row.finished_at for row in found.values())

    await world.until(done)
    await asyncio.gather(first.look(), Due(world.ctx).look())
    await asyncio.sleep(0.3)  # several times what a job waits to be picked up
    await worker.close(drain_s=1)
    assert set(ran.values()) == {1}
    assert len(ran) == len(SCHEDULES)
    (opens,) = [row for row in (await rows(world)).values() if row.scope == Scope.OPEN]
    assert {(one["class"], one["repaired"]) for one in opens.differences} == {("behind", True), ("metadata", False)}
    assert opens.compared == 2


def slot_of(scope: Scope) -> datetime:
    return SCHEDULES[scope].slot(utcnow())


async def run(world: World, scope: Scope, *, slot: datetime | None = None, **more: Any) -> None:
    reconciler = Reconciler(world.ctx, FetchedInbox, per_second=FAST, **more)
    await reconciler.work(scope.value, (slot or slot_of(scope)).isoformat(), "", "1")


async def test_what_a_job_has_no_time_for_is_the_next_jobs(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(behind_held)
    await aged(world, seeder.expected[0][1])
    slot = slot_of(Scope.OPEN)
    key = key_of(Scope.OPEN, slot)
    await run(world, Scope.OPEN, slot=slot, share_s=-1)
    assert (await rows(world))[key].finished_at is None
    assert await world.jobs("reconcile:open", slot.strftime("%Y-%m-%dT%H:%M")) == [f"{key}:part2"]
    # The part is done by whoever comes first, and once more by whoever did not hear of that.
    ends = []
    for _ in range(2):
        await Reconciler(world.ctx, FetchedInbox, per_second=FAST).work("open", slot.isoformat(), "live|", "2")
        row = (await rows(world))[key]
        ends.append(row.finished_at)
    assert ends[0] is not None
    assert ends[0] == ends[1]
    assert (row.compared, [one["class"] for one in row.differences]) == (1, ["behind"])


async def test_a_slot_waits_for_the_one_before_but_not_for_ever(world: World) -> None:
    slot = slot_of(Scope.OPEN)
    every = SCHEDULES[Scope.OPEN].every
    before = key_of(Scope.OPEN, slot - every)

    async def begun(ago: timedelta) -> None:
        def write(session: Session) -> None:
            session.merge(
                Reconciliation(id=before, scope="open", started_at=utcnow() - ago, compared=0, differences=[])
            )

        await world.db.transact(write)

    await begun(every)
    await run(world, Scope.OPEN, slot=slot)
    assert set(await rows(world)) == {before}
    await begun(every * reconciliation_jobs.LOST_AFTER)
    await run(world, Scope.OPEN, slot=slot)
    assert (await rows(world))[key_of(Scope.OPEN, slot)].finished_at is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_provider_that_is_away_is_asked_again_while_the_slot_lasts(world: World) -> None:
    wrong = world.behind(world.psp_with_wrong_key())
    slot, past = slot_of(Scope.RECENT), slot_of(Scope.RECENT) - timedelta(hours=2)
    with pytest.raises(TryAgain) as again:
        await run(wrong, Scope.RECENT, slot=slot)
    assert again.value.after_s == reconciliation_jobs.AGAIN_S
    assert (await rows(world))[key_of(Scope.RECENT, slot)].finished_at is None
    await run(world, Scope.RECENT, slot=slot)
    assert (await rows(world))[key_of(Scope.RECENT, slot)].finished_at is not None
    await run(wrong, Scope.RECENT, slot=past)
    assert set(await rows(world)) == {key_of(Scope.RECENT, slot)}


async def test_rows_go_after_ninety_days(world: World) -> None:
    def write(session: Session) -> None:
        for days in (89, 91):
            started = utcnow() - timedelta(days=days)
            session.add(Reconciliation(id=f"{days}", scope="open", started_at=started, finished_at=started))

    await world.db.transact(write)
    await world.db.transact(prune)
    assert set(await rows(world)) == {"89"}


async def test_the_metrics_are_read_from_the_rows(world: World) -> None:
    finished = datetime(2026, 11, 21, 20, 0, 5, tzinfo=UTC)
    forms = [
        Difference(C.BEHIND, "pay_1", "pi_1", "x", repaired=True).form(),
        Difference(C.AHEAD, "p", "q", "y").form(),
    ]
    forms.append({"class": "metadata", "more": 7, "more_repaired": 0})

    def write(session: Session) -> None:
        for number, (end, found) in enumerate([(finished, []), (finished, forms), (None, [])]):
            started = finished - timedelta(minutes=10 - number)
            session.add(
                Reconciliation(id=f"r{number}", scope="recent", started_at=started, finished_at=end, differences=found)
            )
        session.add(
            Reconciliation(id="m", scope="manual", started_at=utcnow(), finished_at=utcnow(), differences=forms)
        )

    await world.db.transact(write)
    api = build_api(
        world.ctx,
        switchboard=Switchboard(world.db, world.ctx.keyring),
        readiness=_ready,
        rights=Rights(world.db),
        callbacks_only=False,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
        text = (await client.get("/metrics")).text
        assert 'paylink_reconciliation_differences{class="ahead",scope="recent"} 1.0' in text
        assert 'paylink_reconciliation_differences{class="metadata",scope="recent"} 7.0' in text
        assert 'paylink_reconciliation_differences{class="behind",scope="recent"} 0.0' in text
        assert _success() == finished.timestamp()
        assert 'scope="manual"' not in text
        # Asked for often, read from time to time.
        later = sa.update(Reconciliation).values(finished_at=finished + timedelta(hours=1))
        await world.db.transact(lambda session: session.execute(later) and None)
        await client.get("/metrics")
        assert _success() == finished.timestamp()


async def _ready() -> dict[str, bool]:
    return {}


def _success() -> float | None:
    name = "paylink_reconciliation_last_success_timestamp_seconds"
    return REGISTRY.get_sample_value(name, {"scope": "recent"})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_metrics_come_without_a_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: Session) -> None:
        session.execute(sa.text("SELECT nothing FROM nowhere"))

    monkeypatch.setattr(reconciliation_metrics, "newest", broken)
    await reconciliation_metrics.ReconciliationMetrics(world.db).refresh()
    assert await world.db.read(newest) == {}


def test_a_row_keeps_each_difference_once_and_counts_what_it_does_not_keep() -> None:
    one = Difference(C.BEHIND, "pay_1", "pi_1", "words", repaired=True)
    many = [Difference(C.UNREAD, f"pay_{n}", None, "words", repaired=n % 2 == 0) for n in range(KEPT + 10)]
    forms = merged(merged([], [one, *many]), [one, *many[:5]])
    assert len(forms) == 1 + KEPT + 1
    assert count(forms) == {
        "behind": {"found": 1, "repaired": 1},
        "unread": {"found": KEPT + 10, "repaired": KEPT // 2 + 5},
    }


def environment(world: World) -> dict[str, str]:
    return {"PAYLINK_SANDBOX_URL": world.ctx.settings.sandbox_url, "PAYLINK_DATABASE_URL": world.db.url}


async def by_hand(world: World, *words: str, **more: str) -> Result:
    """The command, in a thread of this process: a process of its own takes seconds to begin."""
    env = environment(world) | {"PAYLINK_LOG_LEVEL": "CRITICAL"} | more
    return await asyncio.to_thread(CliRunner().invoke, app, ["reconcile", *words], env=env)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_command, "out", Console(width=200))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_by_hand(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(behind_held, metadata)
    behind, odd = (one[1] for one in seeder.expected)
    await aged(world, behind, odd)
    dry = await by_hand(world, "--dry-run", "--json")
    assert dry.exit_code == 1, dry.stderr
    said = json.loads(dry.stdout)
    assert (said["dry_run"], said["compared"], said["found"], said["repaired"]) == (True, 2, 2, 0)
    assert said["classes"] == {"behind": {"found": 1, "repaired": 0}, "metadata": {"found": 1, "repaired": 0}}
    assert (await world.payment(behind)).status == "requires_payment_method"
    assert await rows(world) == {}

    real = await by_hand(world, "--since", "1d")
    assert real.exit_code == 1, real.stderr
    assert sorted(line.split()[:2] for line in real.stdout.splitlines() if "pay_" in line) == [
        ["behind", behind],
        ["metadata", odd],
    ]
    assert "2 payments compared, 2 differences, 1 put right, 1 for a person" in real.stdout
    (row,) = (await rows(world)).values()
    assert (row.scope, row.compared, len(row.differences)) == ("manual", 2, 2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_command_ends_with_0_when_all_was_put_right(world: World) -> None:
    seeder = Seeder(world)
    await seeder.plant(behind_held)
    await aged(world, seeder.expected[0][1])
    command = [sys.executable, "-m", "paylink.cli", "reconcile", "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYLINK_")}
    ended = await asyncio.to_thread(
        subprocess.run, command, env=kept | environment(world), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["classes"] == {"behind": {"found": 1, "repaired": 1}}


WRONG = [
    (["--since", "yesterday"], {}, 2, "--since"),
    (["--since", "9999d"], {}, 2, "--since"),
    ([], {"PAYLINK_SECRET_KEYS": "short"}, 2, "PAYLINK_SECRET_KEYS"),
    ([], {"PAYLINK_STRIPE_SECRET_KEY": "sk_test_wrong"}, 2, "refuses our key"),
    ([], {"PAYLINK_DATABASE_URL": "sqlite:///{empty}"}, 2, "database"),
    ([], {"PAYLINK_SANDBOX_URL": "http://127.0.0.1:9"}, 1, "does not answer"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_by_hand_with_what_cannot_be(world: World, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    for words, env, code, said in WRONG:
        given = {name: value.format(empty=empty) for name, value in env.items()}
        ended = await by_hand(world, *words, **given)
        assert (ended.exit_code, said in ended.stderr) == (code, True), (words, env, ended.stderr)
