"""One payment, or one object of the provider's, compared and put right."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.errors import Unavailable
from paylink.jobs import TryAgain
from paylink.kit.clock import utcnow
from paylink.payments import refunds
from paylink.payments.jobs import follow, release
from paylink.payments.lifecycle import locked
from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus, Refund
from paylink.payments.service import adopt, apply
from paylink.payments.settle import GIVEN_UP, mismatch
from paylink.psp.base import ProviderPayment, ProviderRefund, PspError, PspRefused
from paylink.reconciliation import queries
from paylink.reconciliation.differences import (
    HOLDS_MONEY,
    MISMATCHES,
    QUIET,
    C,
    Difference,
    Found,
    judge,
    judge_refund,
    pair_refunds,
    stuck,
)
from paylink.reconciliation.report import Report

log = structlog.get_logger(__name__)

NOT_FOUND: Final = "resource_missing"
FOR_A_PERSON: Final = frozenset({*MISMATCHES.values(), C.AHEAD})
# What a repair may end with and nothing be wrong with the run: the difference stays, and is told.
PASSING: Final = (PspError, Unavailable, TryAgain)
Repair = Callable[[], Awaitable[object]]


@dataclass
class Comparison:
    """``quiet``: what changed so recently is left alone. With ``dry_run`` nothing is changed."""

    ctx: Context
    report: Report
    dry_run: bool = False
    quiet: timedelta = QUIET
    # What is open and recent is looked at once.
    _met: set[str] = field(default_factory=set)

    async def payment(self, payment: Payment, seen: ProviderPayment | None = None) -> None:
        """``seen``: what a list showed of its object, where that is enough if it agrees. Raises ``PspError``."""
        if payment.psp != self.ctx.psp.name:
            if payment.status in LIVE:
                self._tell(payment, Found(C.ACCOUNT_OR_MODE, f"made at {payment.psp}, which is not asked any more"))
            return
        if self._quiet(payment.updated_at) or payment.id in self._met:
            return
        self._met.add(payment.id)
        self.report.compared += 1
        if seen is not None and self._judge(payment, seen) is None and not seen.amount_refunded:
            return
        if payment.psp_payment_id is None:
            await self._follow_if_stuck(payment)
            return
        await self._read_and_judge(payment.id, payment.psp_payment_id)

    async def refunds(self, payment: Payment) -> None:
        """Every refund of a payment that succeeded. Raises ``PspError``."""
        psp_id = payment.psp_payment_id
        if psp_id is None or payment.psp != self.ctx.psp.name:
            return
        theirs: list[ProviderRefund] = []
        after: str | None = None
        while True:
            page = await self.ctx.psp.list_refunds(psp_id, after=after)
            theirs += page.items
            after = page.next
            if after is None:
                break
        # Read after the provider's: a refund being made is then on our side for sure, and known as one being made.
        ours = await self.ctx.db.read(lambda session: queries.refunds_of(session, payment.id))
        for one, other in pair_refunds(ours, theirs):
            found = judge_refund(one, other)
            if found is not None and not (one is not None and self._quiet(one.updated_at)):
                await self._repair_refund(payment, found, one, other)

    async def unmatched(self, theirs: ProviderPayment) -> None:
        """An object that names a payment of ours in its metadata, while no payment has its id. Raises ``PspError``."""
        claimed = theirs.metadata.get("payment_id")
        if claimed is None or (theirs.created_at is not None and self._quiet(theirs.created_at)):
            return
        payment = await self.ctx.db.read(lambda session: queries.one(session, claimed))
        if payment is not None and (payment.psp_payment_id == theirs.id or self._waits_freshly(payment)):
            return
        self.report.compared += 1
        money = theirs.status in HOLDS_MONEY
        words = f"{theirs.status}, {theirs.amount} {theirs.currency}; {self._why_not_ours(payment, theirs)}"
        waits = payment is not None and payment.psp_payment_id is None
        if payment is None or not waits or mismatch(payment, theirs, livemode=self.ctx.psp.livemode):
            self.report.add(Difference(C.MISSING_HERE, payment.id if payment else None, theirs.id, words, money=money))
            return
        repaired = await self._done(lambda: self._adopt(payment.id, theirs.id))
        left = await self._still(payment.id, theirs.id) if repaired else None
        repaired = repaired and left is None
        self.report.add(
            Difference(C.MISSING_HERE, payment.id, theirs.id, words, repaired=repaired, money=money and not repaired)
        )

    async def _read_and_judge(self, payment_id: str, psp_id: str) -> None:
        """Both sides anew: what the list said, and the row it was compared with, are older than now."""
        try:
            theirs = await self.ctx.psp.get_payment(psp_id)
        except PspRefused as refused:
            if refused.code != NOT_FOUND:
                raise
            await self._missing_there(payment_id)
            return
        payment = await self._ours(payment_id)
        if self._quiet(payment.updated_at):
            return
        if found := self._judge(payment, theirs):
            await self._repair(payment, theirs, found)
        elif found := stuck(payment, utcnow()):
            await self._follow(payment, found)
        elif payment.status == PaymentStatus.SUCCEEDED:
            await self._refunds_of_one(payment, theirs)

    async def _refunds_of_one(self, payment: Payment, theirs: ProviderPayment) -> None:
        ours = await self.ctx.db.read(lambda session: queries.refunded(session, [payment.id]))
        if ours or theirs.amount_refunded:
            await self.refunds(payment)

    async def _awaited(self, payment: Payment) -> bool:
        return await self.ctx.db.read(lambda session: queries.can_be_captured(session, payment))

    async def _missing_there(self, payment_id: str) -> None:
        payment = await self._ours(payment_id)
        words = f"{payment.status} here; the provider does not know {payment.psp_payment_id}"
        self._tell(payment, Found(C.MISSING_THERE, words), money=payment.amount_captured > 0)

    async def _repair(self, payment: Payment, theirs: ProviderPayment, found: Found) -> None:
        repairs: Mapping[C, Repair] = {
            C.BEHIND: lambda: self._catch_up(payment.id, theirs),
            C.CAPTURE_OVERDUE: lambda: apply(self.ctx, payment.id, theirs),
            C.RELEASE_OVERDUE: lambda: apply(self.ctx, payment.id, theirs),
            C.LEFT_OPEN: lambda: release(self.ctx, payment.id),
        }
        repair = repairs.get(found.kind)
        to_capture = found.kind is C.CAPTURE_OVERDUE and payment.decision == Decision.CAPTURE
        if to_capture and not await self._awaited(payment):
            # Paid by another attempt meanwhile: this one would be charged a second time.
            found, repair = Found(found.kind, f"{found.what}; its link waits for no such money any more"), None
        repaired = repair is not None and await self._done(repair)
        if repaired:
            repaired = await self._still(payment.id, theirs.id) is None
        moved = theirs.status in HOLDS_MONEY or payment.amount_captured > 0
        self._tell(payment, found, repaired=repaired, money=moved and found.kind in FOR_A_PERSON)
        if repaired and theirs.amount_refunded:
            await self.refunds(payment)

    async def _repair_refund(
        self, payment: Payment, found: Found, ours: Refund | None, theirs: ProviderRefund | None
    ) -> None:
        repaired = False
        if found.kind is C.REFUND_BEHIND and ours is not None and theirs is not None:
            repaired = await self._done(
                lambda: self.ctx.db.transact(lambda session: refunds.settle_refund(session, ours.id, theirs))
            )
        elif found.kind is C.REFUND_OVERDUE and ours is not None:
            repaired = await self._done(lambda: refunds.carry_out(self.ctx, ours.id))
        elif found.kind is C.REFUND_UNKNOWN and theirs is not None:
            repaired = await self._done(
                lambda: self.ctx.db.transact(
                    lambda session: refunds.take_over(session, self.ctx.jobs, payment.id, theirs)
                )
            )
        if repaired:
            repaired = await self._refund_agrees(payment.id, ours, theirs)
        self.report.add(
            Difference(found.kind, payment.id, theirs.id if theirs else None, found.what, repaired=repaired)
        )

    async def _refund_agrees(self, payment_id: str, ours: Refund | None, theirs: ProviderRefund | None) -> bool:
        """Without asking again: one that was just made is still pending, and that is no difference."""
        rows = await self.ctx.db.read(lambda session: queries.refunds_of(session, payment_id))
        if theirs is None:
            return any(row.psp_refund_id is not None for row in rows if ours is not None and row.id == ours.id)
        return any(row.psp_refund_id == theirs.id and judge_refund(row, theirs) is None for row in rows)

    async def _follow_if_stuck(self, payment: Payment) -> None:
        if found := stuck(payment, utcnow()):
            await self._follow(payment, found)

    async def _follow(self, payment: Payment, found: Found) -> None:
        repaired = await self._done(lambda: follow(self.ctx, payment.id))
        if repaired:
            repaired = (await self._ours(payment.id)).status not in LIVE
        self._tell(payment, found, repaired=repaired)

    async def _adopt(self, payment_id: str, psp_id: str) -> None:
        def tie(session: Session) -> str | None:
            locked(session, payment_id)
            return adopt(session, payment_id, psp_id)

        if await self.ctx.db.transact(tie) is not None:
            await self._catch_up(payment_id, await self.ctx.psp.get_payment(psp_id))

    async def _catch_up(self, payment_id: str, theirs: ProviderPayment) -> None:
        await apply(self.ctx, payment_id, theirs)
        if (await self._ours(payment_id)).status in GIVEN_UP:
            # What its job would do: nobody is to confirm the provider's object any more.
            await release(self.ctx, payment_id)

    async def _still(self, payment_id: str, psp_id: str) -> Found | None:
        """What differs after a repair. An object the provider has closed meanwhile is closed for us too."""
        payment = await self._ours(payment_id)
        if payment.psp_payment_id != psp_id:
            return Found(C.MISSING_HERE, "not adopted")
        return self._judge(payment, await self.ctx.psp.get_payment(psp_id))

    async def _done(self, repair: Repair) -> bool:
        if self.dry_run:
            return False
        try:
            await repair()
        except PASSING as error:
            log.warning("reconciliation_repair_failed", error=type(error).__name__)
            return False
        return True

    async def _ours(self, payment_id: str) -> Payment:
        return await self.ctx.db.read(lambda session: session.get_one(Payment, payment_id))

    def _judge(self, payment: Payment, theirs: ProviderPayment) -> Found | None:
        return judge(payment, theirs, livemode=self.ctx.psp.livemode)

    def _tell(self, payment: Payment, found: Found, *, repaired: bool = False, money: bool = False) -> None:
        self.report.add(
            Difference(found.kind, payment.id, payment.psp_payment_id, found.what, repaired=repaired, money=money)
        )

    def _quiet(self, changed: datetime) -> bool:
        return changed > utcnow() - self.quiet

    def _waits_freshly(self, payment: Payment) -> bool:
        """Its first answer is on its way just now."""
        return payment.psp_payment_id is None and self._quiet(payment.updated_at)

    def _why_not_ours(self, payment: Payment | None, theirs: ProviderPayment) -> str:
        claimed = theirs.metadata.get("payment_id")
        if payment is None:
            return f"names {claimed}, which does not exist here"
        if payment.psp_payment_id is not None:
            return f"names {claimed}, which has {payment.psp_payment_id}"
        if wrong := mismatch(payment, theirs, livemode=self.ctx.psp.livemode):
            return f"names {claimed}, whose {wrong} differs"
        return f"made for {claimed}, whose answer was lost"
