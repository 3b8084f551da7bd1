"""When the reconciliation runs: open payments every five minutes, two days every hour, thirty days every day.

Each stretch of time (a slot) is one durable job under a key that names it, so however many nodes find that it is due,
it runs once; and when its node dies, another takes the job over, as it does any job. A long run goes on in a next job,
its second part and so on: none may last longer than the worker allows.

A row in ``reconciliations`` says what a run found. One without an end is under way, or its node was lost for good.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.db import database_now
from paylink.jobs import JobQueue, TryAgain
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.reconciliation.models import Reconciliation
from paylink.reconciliation.report import Report, merged
from paylink.reconciliation.walk import Inbox, Plan, ProviderAway, Run

log = structlog.get_logger(__name__)

RECONCILE_JOB: Final = "payments.reconcile"
# How often each node looks whether a slot is due; a slot begins so late at most.
LOOK_S: Final = 15.0
# A job's share of a run: half of what the worker allows, since the objects at hand are still finished.
SHARE_S: Final = 60.0
# The provider did not answer: after so long it is asked again, until the slot is over.
AGAIN_S: Final = 60.0
# A run that has no end after so many of its slots has lost its node, and does not hold up the next one any more.
LOST_AFTER: Final = 6
KEEP: Final = timedelta(days=90)


class Scope(StrEnum):
    OPEN = "open"
    RECENT = "recent"
    MONTH = "month"
    # By hand: no slot, and not in the metrics.
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Schedule:
    """``back``: how far it looks. ``live``: at all that is open, and not at what was made in that time."""

    every: timedelta
    back: timedelta
    live: bool = False

    def slot(self, now: datetime) -> datetime:
        return datetime.fromtimestamp(
            now.timestamp() // self.every.total_seconds() * self.every.total_seconds(), now.tzinfo
        )


SCHEDULES: Final = {
    Scope.OPEN: Schedule(every=timedelta(minutes=5), back=timedelta(hours=1), live=True),
    Scope.RECENT: Schedule(every=timedelta(hours=1), back=timedelta(hours=48)),
    # Stripe forgets events after thirty days.
    Scope.MONTH: Schedule(every=timedelta(days=1), back=timedelta(days=30)),
}


def key_of(scope: Scope, slot: datetime) -> str:
    """``reconcile:recent:2026-11-21T20:00``: the job's key, and its row's id."""
    return f"reconcile:{scope.value}:{slot:%Y-%m-%dT%H:%M}"


class Due:
    """Writes down the slots that have begun. One per node: it remembers what it has written."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._written: dict[Scope, datetime] = {}

    async def look(self) -> None:
        # The database's clock, so that nodes whose own differ speak of the same slot.
        now = await self._ctx.db.read(lambda session: session.scalars(sa.select(database_now())).one())
        for scope, schedule in SCHEDULES.items():
            slot = schedule.slot(now)
            if self._written.get(scope) != slot:
                await self._ctx.db.transact(lambda s, scope=scope, slot=slot: _enqueue(s, self._ctx.jobs, scope, slot))  # type: ignore[misc]
                self._written[scope] = slot


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The job's handler."""

    ctx: Context
    inbox: Callable[[Context], Inbox]
    share_s: float = SHARE_S
    per_second: float | None = None

    async def work(self, scope_name: str, slot_text: str, cursor: str, part: str) -> None:
        scope, slot = Scope(scope_name), datetime.fromisoformat(slot_text)
        schedule, key = SCHEDULES[scope], key_of(scope, slot)
        if not await self.ctx.db.transact(lambda session: _begin(session, scope, slot, int(part))):
            log.warning("reconciliation_skipped", scope=scope.value, slot=slot_text)
            return
        plan = Plan(since=slot - schedule.back, until=slot, live=schedule.live, recent=not schedule.live)
        run = Run(self.ctx, plan, self.inbox, seconds=self.share_s, per_second=self.per_second)
        try:
            rest = await run.go(cursor)
        except ProviderAway as away:
            await self._put_off(key, slot + schedule.every, run.report, away)
            return

        def write_down(session: Session) -> None:
            """What was found, and the job that goes on with the rest: both or none."""
            _save(session, key, run.report, finished=not rest)
            if rest:
                _enqueue(session, self.ctx.jobs, scope, slot, rest, part=int(part) + 1)

        await self.ctx.db.transact(write_down)
        log.info("reconciliation", scope=scope.value, slot=slot_text, compared=run.report.compared,
                 differences=len(run.report.differences), open=len(run.report.open), more=bool(rest))  # fmt: skip

    async def _put_off(self, key: str, end: datetime, report: Report, away: ProviderAway) -> None:
        """Raises ``TryAgain`` while the slot lasts. After that the next slot's run does it all, and this is over."""
        log.warning("reconciliation_put_off", run=key, reason=str(away))
        if utcnow() < end:
            await self.ctx.db.transact(lambda session: _save(session, key, report, finished=False))
            raise TryAgain(str(away), after_s=AGAIN_S)
        await self.ctx.db.transact(lambda session: _forget(session, key))


async def by_hand(run: Run) -> Report:
    """A run to its end, with its row. Raises ``ProviderAway``."""
    key, started_at = new_id("rec"), utcnow()
    await run.go()
    if not run.plan.dry_run:

        def write(session: Session) -> None:
            session.add(Reconciliation(id=key, scope=Scope.MANUAL.value, started_at=started_at))
            session.flush()
            _save(session, key, run.report, finished=True)

        await run.ctx.db.transact(write)
    return run.report


def newest(session: Session) -> dict[str, tuple[datetime, list[dict[str, Any]]]]:
    """By scope, when the last run by schedule that came to its end did so, and what it found."""
    found = {}
    for scope in SCHEDULES:
        row = session.execute(
            sa.select(Reconciliation.finished_at, Reconciliation.differences)
            .where(Reconciliation.scope == scope.value, Reconciliation.finished_at.is_not(None))
            .order_by(Reconciliation.started_at.desc())
            .limit(1)
        ).one_or_none()
        if row is not None:
            found[scope.value] = (row.finished_at, row.differences)
    return found


def prune(session: Session) -> None:
    session.execute(sa.delete(Reconciliation).where(Reconciliation.started_at < utcnow() - KEEP))


def _enqueue(
    session: Session, jobs: JobQueue, scope: Scope, slot: datetime, cursor: str = "", *, part: int = 1
) -> None:
    key = key_of(scope, slot) + (f":part{part}" if part > 1 else "")
    jobs.enqueue(session, RECONCILE_JOB, scope.value, slot.isoformat(), cursor, str(part), key=key)


def _begin(session: Session, scope: Scope, slot: datetime, part: int) -> bool:
    """False when this run is over already, or an earlier one of the same scope is still under way."""
    now, key, schedule = utcnow(), key_of(scope, slot), SCHEDULES[scope]
    mine = session.get(Reconciliation, key)
    if mine is not None or part > 1:
        return mine is not None and mine.finished_at is None
    under_way = sa.select(Reconciliation.id).where(
        Reconciliation.scope == scope.value,
        Reconciliation.finished_at.is_(None),
        Reconciliation.started_at > now - schedule.every * LOST_AFTER,
    )
    if session.scalar(under_way.limit(1)) is not None:
        return False
    session.add(Reconciliation(id=key, scope=scope.value, started_at=now))
    return True


def _save(session: Session, key: str, report: Report, *, finished: bool) -> None:
    row = session.get(Reconciliation, key)
    if row is None:  # begun before it was pruned, or by hand in the database: nothing to write on
        return
    row.compared += report.compared
    row.differences = merged(row.differences, report.differences)
    row.finished_at = utcnow() if finished else None


def _forget(session: Session, key: str) -> None:
    session.execute(sa.delete(Reconciliation).where(Reconciliation.id == key))
