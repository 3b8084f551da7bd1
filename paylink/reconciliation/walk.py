"""Comparing open and recent payments with the provider, both ways, and putting right what is right by itself.

A run goes through time in windows: what we made then, and what the provider lists as made then. What seems to differ is
read again on both sides before anything is said of it, since a list is older than the row it is compared with. Repairs
go through the doors that callbacks use, so they emit the same events and meet the same checks; nothing here writes a
state.

A run can stop between two steps and go on elsewhere: ``go`` answers with where.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog

from paylink.context import Context
from paylink.kit.clock import utcnow
from paylink.kit.ids import made_at
from paylink.payments.models import Payment
from paylink.psp.base import Page, ProviderEvent, ProviderPayment, Psp, PspError, PspRefused, Subject
from paylink.psp.paced import Paced
from paylink.reconciliation import queries
from paylink.reconciliation.comparison import Comparison
from paylink.reconciliation.differences import QUIET, C, Difference
from paylink.reconciliation.report import Report

log = structlog.get_logger(__name__)

T = TypeVar("T")
Step = Callable[[str], Awaitable[str]]

# Payments of ours that are compared with one list of the provider's.
WINDOW_PAYMENTS: Final = 100
# However few of ours there are, the provider's account may be shared with systems that make many.
LONGEST_WINDOW: Final = timedelta(hours=6)
# Objects that are worked on at once.
AT_ONCE: Final = 6
# So many calls one after the other without a usable answer: it is not the objects, it is the provider.
PATIENCE: Final = 5
# The port's code for a key that the provider does not take: nothing it says of any object then means anything.
KEY_REFUSED: Final = "authentication"


class ProviderAway(Exception):
    """The provider answers nothing at all, or refuses our key (``key_refused``): there is nothing to compare with."""

    def __init__(self, message: str, *, key_refused: bool = False) -> None:
        super().__init__(message)
        self.key_refused = key_refused


class OutOfTime(Exception):
    """The step at hand is taken up again from its beginning; what it has repaired agrees by then."""


class Inbox(Protocol):
    """Where callbacks arrive."""

    async def has(self, event: ProviderEvent) -> bool: ...

    async def take(self, event: ProviderEvent) -> None:
        """As if the callback had just arrived, its work included. Raises ``PspError`` where that could not be done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run looks at: payments made in [``since``, ``until``) where ``recent``, and all that are open, however
    old, where ``live``; callbacks since ``since``. What changed within ``quiet`` is left alone."""

    since: datetime
    until: datetime
    live: bool
    recent: bool
    dry_run: bool = False
    quiet: timedelta = QUIET


@dataclass
class Run:
    """``seconds``: how long ``go`` may take; ``None``: as long as it takes. ``per_second``: calls to the provider.

    ``inbox`` is made for the run's own context, in which the provider's calls wait for their turn.
    """

    ctx: Context
    plan: Plan
    inbox: Callable[[Context], Inbox]
    seconds: float | None = None
    per_second: float | None = None
    report: Report = field(default_factory=Report)
    progress: Callable[[Report], None] = lambda _report: None

    def __post_init__(self) -> None:
        self._psp: Psp = Paced(self.ctx.psp, per_second=self.per_second)
        ctx = replace(self.ctx, psp=self._psp)
        self._inbox = self.inbox(ctx)
        self._compare = Comparison(ctx, self.report, dry_run=self.plan.dry_run, quiet=self.plan.quiet)
        # What is told since then may be on its way, or of our own doing. The provider counts whole seconds.
        self._settled = utcnow().replace(microsecond=0) - self.plan.quiet
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._failures = 0
        self._end = None if self.seconds is None else time.monotonic() + self.seconds

    async def go(self, cursor: str = "") -> str:
        """Compares to the end, answered with ``""``, or until its time is over, answered with where to go on.

        Raises ``ProviderAway``.
        """
        steps = self._steps()
        start, _, position = cursor.partition("|")
        names = list(steps)
        for name in names[names.index(start) if start else 0 :]:
            while True:
                try:
                    self._check_time()
                    position = await steps[name](position)
                except OutOfTime:
                    return f"{name}|{position}"
                self.progress(self.report)
                if not position:
                    break
        return ""

    def _steps(self) -> dict[str, Step]:
        """Each does one piece, from a position on, and answers with the next position; ``""`` is begin and end."""
        steps: dict[str, Step] = {}
        if self.plan.live:
            steps |= {"live": self._live, "refunds": self._pending_refunds}
        if self.plan.recent:
            steps["recent"] = self._window
        return steps | {"sums": self._sums, "events": self._events}

    async def _live(self, after: str) -> str:
        found = await self.ctx.db.read(lambda session: queries.live(session, after=after))
        await self._each(found, self._compare.payment, _of_payment)
        return found[-1].id if len(found) == queries.PAGE else ""

    async def _pending_refunds(self, after: str) -> str:
        found = await self.ctx.db.read(lambda session: queries.with_pending_refunds(session, after=after))
        await self._each(found, self._compare.refunds, _of_payment)
        return found[-1].id if len(found) == queries.PAGE else ""

    async def _window(self, position: str) -> str:
        """Backwards from ``position``: the next hundred of ours, and all that the provider made in that time."""
        until = datetime.fromisoformat(position) if position else self.plan.until
        ours = await self.ctx.db.read(
            lambda session: queries.made_between(session, self.plan.since, until, limit=WINDOW_PAYMENTS)
        )
        since = self._start_of_window(ours, until)
        # Several may have been made in the second that the hundredth was made in.
        ours = await self.ctx.db.read(lambda session: queries.made_between(session, since, until))
        theirs = {one.id: one for one in await self._listed(since, until)}
        known = await self.ctx.db.read(lambda session: queries.known(session, list(theirs)))
        strangers = [one for one in theirs.values() if one.id not in known]
        await self._each(strangers, self._compare.unmatched, lambda one: (None, one.id))
        refunded = await self.ctx.db.read(lambda session: queries.refunded(session, [one.id for one in ours]))

        def listed(payment: Payment) -> ProviderPayment | None:
            return None if payment.id in refunded else theirs.get(payment.psp_payment_id or "")

        await self._each(ours, lambda payment: self._compare.payment(payment, listed(payment)), _of_payment)
        return since.isoformat() if since > self.plan.since else ""

    def _start_of_window(self, ours: Sequence[Payment], until: datetime) -> datetime:
        start = max(self.plan.since, until - LONGEST_WINDOW)
        if len(ours) == WINDOW_PAYMENTS:
            # A whole second, as the provider counts; and never an empty window, however many were made in this one.
            oldest = min(made_at(ours[-1].id).replace(microsecond=0), until - timedelta(seconds=1))
            start = max(start, oldest)
        return start

    async def _listed(self, since: datetime, until: datetime) -> list[ProviderPayment]:
        found: list[ProviderPayment] = []
        after: str | None = None
        while True:
            cursor = after
            page = await self._page(lambda: self._psp.list_payments(since=since, until=until, after=cursor))  # noqa: B023
            found += page.items
            after = page.next
            if after is None:
                return found

    async def _sums(self, _position: str) -> str:
        """Our own books: links of which more was captured than they asked for."""
        for link_id, payment_id, amount, kept, currency in await self.ctx.db.read(
            lambda session: queries.overpaid(session, since=self.plan.since)
        ):
            words = f"{link_id}: {kept} {currency} captured and kept, {amount} asked for"
            self.report.add(Difference(C.DOUBLE_CAPTURE, payment_id, None, words, money=True))
        return ""

    async def _events(self, after: str) -> str:
        page = await self._page(lambda: self._psp.list_undelivered(since=self.plan.since, after=after or None))
        due = [one for one in page.items if one.subject is not Subject.OTHER and one.created_at < self._settled]
        # The list is newest first; worked on in the order in which they happened.
        await self._each(due[::-1], self._undelivered, lambda event: (None, event.payment_id or event.object_id))
        return page.next or ""

    async def _undelivered(self, event: ProviderEvent) -> None:
        if await self._inbox.has(event):
            return
        if not self.plan.dry_run:
            await self._inbox.take(event)
        about = event.payment_id or event.object_id
        words = f"{event.type} ({event.id}), told {event.created_at:%Y-%m-%d %H:%M} UTC"
        self.report.add(Difference(C.UNDELIVERED_EVENT, None, about, words, repaired=not self.plan.dry_run))

    async def _page(self, call: Callable[[], Awaitable[Page[T]]]) -> Page[T]:
        """One page of a list, without which nothing can be said: asked for until there is no point any more."""
        while True:
            try:
                page = await call()
            except PspError as error:
                self._failed(error)
                if isinstance(error, PspRefused):
                    raise ProviderAway("The provider refuses its list") from error
                if self._failures >= PATIENCE:
                    raise ProviderAway("The provider does not answer") from error
            else:
                self._failures = 0
                return page

    async def _each(
        self,
        items: Iterable[T],
        work: Callable[[T], Awaitable[None]],
        names: Callable[[T], tuple[str | None, str | None]],
    ) -> None:
        """Several at once; one that fails does not stop the others. Raises ``ProviderAway`` and ``OutOfTime``."""

        async def one(item: T) -> None:
            async with self._slots:
                await self._guarded(item, work, names)

        for result in await asyncio.gather(*(one(item) for item in items), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _guarded(
        self, item: T, work: Callable[[T], Awaitable[None]], names: Callable[[T], tuple[str | None, str | None]]
    ) -> None:
        self._check_time()
        if self._failures >= PATIENCE:
            raise ProviderAway("The provider does not answer")
        payment, provider = names(item)
        try:
            await work(item)
        except PspError as error:
            self._failed(error)
            self.report.add(Difference(C.UNREAD, payment, provider, error.code or type(error).__name__))
        except Exception as error:
            log.exception("reconciliation_failed", payment=payment, provider=provider)
            self.report.add(Difference(C.UNREAD, payment, provider, type(error).__name__))
        else:
            self._failures = 0

    def _failed(self, error: PspError) -> None:
        if error.code == KEY_REFUSED:
            raise ProviderAway("The provider refuses our key", key_refused=True) from error
        self._failures += not isinstance(error, PspRefused)

    def _check_time(self) -> None:
        if self._end is not None and time.monotonic() > self._end:
            raise OutOfTime


def _of_payment(payment: Payment) -> tuple[str | None, str | None]:
    return payment.id, payment.psp_payment_id
