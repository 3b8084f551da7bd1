"""Faults put into the product on purpose, inside the processes of a proof: each must be noticed.

``python -m tests.prove.mutate`` tries them. None touches a file.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink import db
from paylink.db import Database
from paylink.events import log
from paylink.jobs import JobQueue
from paylink.kit.ids import new_id
from paylink.payments import closing, lifecycle, refunds, review, service, settle
from paylink.payments.models import Payment
from paylink.psp import stripe, stripe_errors
from paylink.psp.base import PspError, PspOutcomeUnknown, PspRefused
from paylink.psp.stripe import StripePsp


def key_per_try() -> None:
    """Every call to the provider under an idempotency key of its own."""
    for name in ("capture", "cancel", "refund"):
        whole = getattr(StripePsp, name)

        def fresh(self: Any, *args: Any, whole: Any = whole, **more: Any) -> Any:
            return whole(self, *args, **(more | {"idempotency_key": new_id("key")}))

        setattr(StripePsp, name, fresh)


def time_out_is_failure() -> None:
    """A call that was left without an answer counts as refused."""
    whole = stripe_errors.translate

    def translate(error: Exception, **more: Any) -> PspError:
        said = whole(error, **more)
        return PspRefused("no answer", code="processing_error") if isinstance(said, PspOutcomeUnknown) else said

    _replace(stripe, "translate", translate)


def no_follow_job() -> None:
    """Nobody asks again about an attempt."""
    for module in (service, review):
        _replace(module, "follow_later", lambda *_args, **_more: None)


def no_refund_job() -> None:
    """Nobody asks again about a refund."""
    whole = JobQueue.enqueue

    def enqueue(self: Any, session: Any, job: str, *args: Any, **more: Any) -> None:
        if job != refunds.REFUND_JOB:
            whole(self, session, job, *args, **more)

    _replace(JobQueue, "enqueue", enqueue)


def cancel_wins() -> None:
    """A link is canceled without a look at who is paying it."""
    _replace(closing, "live_payment", lambda _session, _link_id: None)


def two_live_attempts() -> None:
    """Each browser may begin an attempt, whoever else has one, and the database does not say no."""
    whole = Database.__init__

    def opened(self: Database, url: str) -> None:
        whole(self, url)
        with self.engine.begin() as connection:
            connection.execute(sa.text("DROP INDEX IF EXISTS uq_payments_live"))

    _replace(Database, "__init__", opened)
    _replace(service, "live_payment", lambda _session, _link_id: None)


def no_locks() -> None:
    """Payments are read without their lock."""

    def read(session: Session, payment_id: str) -> Payment:
        return session.scalars(sa.select(Payment).where(Payment.id == payment_id)).one()

    _replace(lifecycle, "locked", read)


def amount_twice() -> None:
    """What was captured is added to the link's sum every time it is heard of."""
    whole = settle._succeeded

    def succeeded(session: Session, payment: Payment, theirs: Any) -> None:
        known = payment.status == "succeeded"
        whole(session, payment, theirs)
        if known:
            links = settle._links
            session.execute(
                sa.update(links)
                .where(links.c.id == payment.link_id)
                .values(amount_paid=links.c.amount_paid + theirs.amount_received)
            )

    _replace(settle, "_succeeded", succeeded)


def answers_before_commit() -> None:
    """Acknowledged first, written down a moment later."""
    commit, batch_of = db._commit, Database._commit_batch

    def commit_batch(self: Database, connection: Any, batch: Sequence[Any]) -> None:
        def late(transaction: Any) -> None:
            self._tell(batch)  # type: ignore[arg-type]
            time.sleep(0.1)
            commit(transaction)

        _replace(db, "_commit", late)
        try:
            batch_of(self, connection, batch)  # type: ignore[arg-type]
        finally:
            _replace(db, "_commit", commit)

    _replace(Database, "_commit_batch", commit_batch)


def seq_with_gaps() -> None:
    """Now and then a number is given to no event."""
    whole = log._advance

    def advance(session: Session, link_id: str, count: int) -> int:
        return whole(session, link_id, count + (random.random() < 0.05))

    _replace(log, "_advance", advance)


def jobs_forgotten() -> None:
    """One in ten jobs is not written down."""
    whole = JobQueue.enqueue

    def enqueue(self: Any, session: Any, job: str, *args: Any, **more: Any) -> None:
        if random.random() > 0.1:
            whole(self, session, job, *args, **more)

    _replace(JobQueue, "enqueue", enqueue)


def _replace(owner: Any, name: str, by: Any) -> None:
    """What the owner has; a name that is gone would make a mutant that does nothing."""
    getattr(owner, name)
    setattr(owner, name, by)


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    one.__name__: one
    for one in (
        key_per_try,
        time_out_is_failure,
        no_follow_job,
        no_refund_job,
        cancel_wins,
        two_live_attempts,
        no_locks,
        amount_twice,
        answers_before_commit,
        seq_with_gaps,
        jobs_forgotten,
    )
}
