"""A world in which we and the provider disagree in every way there is, one seed per way; and some in which we agree.

The provider is the real sandbox. What its API cannot do to an object, such as losing it, is done in its own file.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from paylink.errors import Unavailable
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.payments import refunds, service
from paylink.payments.models import Payment, PaymentStatus, Refund
from paylink.payments.settle import settle
from paylink.psp.base import NewPayment
from paylink.reconciliation.differences import C, Difference, DifferenceClass
from paylink.reconciliation.report import Report
from paylink.reconciliation.walk import Plan, Run
from tests.payments.world import World
from webhooks.inbound.undelivered import FetchedInbox

REPAIRED, FOR_A_PERSON = True, False
# class, our payment or the provider's object, whether it is put right
Expected = tuple[DifferenceClass, str, bool]
Seed = Callable[["Seeder"], Awaitable[list[Expected]]]
FAST = 500.0


def in_sandbox(world: World, statement: str, *values: Any) -> int:
    path = world.ctx.settings.sandbox_database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path, timeout=10) as db:
        return db.execute(statement, values).rowcount


def change(world: World, object_id: str, **values: Any) -> None:
    """As if the provider had changed the object and told nobody."""
    for name, value in values.items():
        done = in_sandbox(
            world,
            "UPDATE objects SET body = json_set(body, ?, json(?)) WHERE id = ?",
            f"$.{name}",
            json.dumps(value),
            object_id,
        )
        assert done == 1


def hear_all(world: World) -> None:
    """As if every callback so far had arrived."""
    in_sandbox(world, "UPDATE outbox SET state = 'done'")


@dataclass
class Seeder:
    world: World
    expected: list[Expected] = field(default_factory=list)
    # Our payments whose money must agree with the provider's ledger after the repair.
    sound: list[str] = field(default_factory=list)

    async def plant(self, *seeds: Seed) -> None:
        for seed in seeds:
            self.expected += await seed(self)
            if seed is not undelivered:
                hear_all(self.world)

    async def started(self, **more: Any) -> tuple[str, str]:
        """A link's attempt that its customer has not confirmed: our id and the provider's."""
        started = await self.world.start(await self.world.link(**more))
        return started.payment_id, str((await self.world.payment(started.payment_id)).psp_payment_id)

    async def held(self, card: str = "visa") -> tuple[str, str]:
        """Confirmed, and nobody told us."""
        payment_id, psp_id = await self.started()
        await self.world.confirm(payment_id, card)
        return payment_id, psp_id

    async def paid(self, amount: int = 4999) -> tuple[str, str]:
        paid = await self.world.pay(await self.world.link(amount=amount))
        assert paid.status == PaymentStatus.SUCCEEDED
        self.sound.append(paid.id)
        return paid.id, str(paid.psp_payment_id)

    async def unborn(self, fault: str) -> str:
        """An attempt whose first answer was lost: the provider may have an object, and we have no id of it."""
        link_id = await self.world.link()
        await self.world.order(faults=[{"kind": fault, "method": "POST", "path": "/v1/payment_intents"}])
        with suppress(Unavailable):
            await self.world.start(link_id)
        await self.world.order(faults=[])
        (payment,) = await self.world.attempts(link_id)
        assert payment.psp_payment_id is None
        return payment.id

    async def set(self, row_id: str, entity: type[Payment | Refund] = Payment, **values: Any) -> None:
        update = sa.update(entity).where(entity.id == row_id).values(values)
        await self.world.db.transact(lambda session: session.execute(update) and None)

    async def object_for(self, payment_id: str, *, amount: int = 4999, link_id: str = "plink_x") -> str:
        metadata = {"payment_id": payment_id, "link_id": link_id, "merchant_id": self.world.merchant_id}
        new = NewPayment(
            amount=amount, currency="GBP", description="", metadata=metadata, idempotency_key=new_id("key")
        )
        return (await self.world.stripe.create_payment(new)).id

    async def capture_there(self, psp_id: str, amount: int = 4999) -> None:
        await self.world.stripe.capture(psp_id, amount=amount, currency="GBP", idempotency_key=new_id("key"))

    async def refunded(self, payment_id: str, amount: int = 1000) -> Refund:
        return await refunds.refund(self.world.ctx, self.world.agent, payment_id, amount=amount, reason=None)


async def behind_held(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.held()
    s.sound.append(payment_id)
    return [(C.BEHIND, payment_id, REPAIRED)]


async def behind_captured(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    await s.capture_there(psp_id)
    s.sound.append(payment_id)
    return [(C.BEHIND, payment_id, REPAIRED)]


async def behind_declined(s: Seeder) -> list[Expected]:
    return [(C.BEHIND, (await s.held("chargeDeclined"))[0], REPAIRED)]


async def behind_canceled(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.started()
    await s.world.stripe.cancel(psp_id, idempotency_key=new_id("key"))
    return [(C.BEHIND, payment_id, REPAIRED)]


async def behind_although_given_up(s: Seeder) -> list[Expected]:
    """Given up here, captured there: paid after all, late."""
    payment_id, psp_id = await s.held()
    await s.set(payment_id, status=PaymentStatus.CANCELED.value)
    await s.capture_there(psp_id)
    s.sound.append(payment_id)
    return [(C.BEHIND, payment_id, REPAIRED)]


async def ahead(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.paid()
    s.sound.remove(payment_id)
    change(s.world, psp_id, status="canceled")
    return [(C.AHEAD, payment_id, FOR_A_PERSON)]


async def left_open(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.held("chargeDeclined")
    await service.refresh(s.world.ctx, payment_id)
    return [(C.LEFT_OPEN, payment_id, REPAIRED)]


async def left_open_with_money(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.held()
    await s.set(payment_id, status=PaymentStatus.CANCELED.value)
    return [(C.LEFT_OPEN, payment_id, REPAIRED)]


async def capture_overdue(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.held()
    await s.world.order(faults=[{"kind": "error_before", "path": "/capture"}])
    await service.refresh(s.world.ctx, payment_id)
    await s.world.order(faults=[])
    s.sound.append(payment_id)
    return [(C.CAPTURE_OVERDUE, payment_id, REPAIRED)]


async def not_screened(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    theirs = await s.world.stripe.get_payment(psp_id)
    await s.world.db.transact(lambda session: settle(session, s.world.ctx.jobs, payment_id, theirs, livemode=False))
    s.sound.append(payment_id)
    return [(C.CAPTURE_OVERDUE, payment_id, REPAIRED)]


async def capture_overdue_of_a_paid_link(s: Seeder) -> list[Expected]:
    """Another attempt has paid meanwhile: to carry out the old decision would charge twice."""
    [(_, payment_id, _)] = await capture_overdue(s)
    s.sound.remove(payment_id)
    link_id = (await s.world.payment(payment_id)).link_id
    await s.set(payment_id, status=PaymentStatus.CANCELED.value)
    await s.world.pay(link_id, browser="cks_2")
    await s.set(payment_id, status=PaymentStatus.REQUIRES_CAPTURE.value)
    return [(C.CAPTURE_OVERDUE, payment_id, FOR_A_PERSON)]


async def release_overdue(s: Seeder) -> list[Expected]:
    held = await s.world.pay(await s.world.link(), "riskLevelElevated")
    await s.world.order(faults=[{"kind": "error_before", "path": "/cancel"}])
    with suppress(Unavailable):
        await s.world.decline(held.id)
    await s.world.order(faults=[])
    return [(C.RELEASE_OVERDUE, held.id, REPAIRED)]


async def stuck(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.started()
    await s.set(payment_id, updated_at=utcnow() - timedelta(minutes=20))
    return [(C.STUCK, payment_id, REPAIRED)]


async def stuck_unborn(s: Seeder) -> list[Expected]:
    payment_id = await s.unborn("error_before")
    await s.set(payment_id, updated_at=utcnow() - timedelta(minutes=20))
    return [(C.STUCK, payment_id, REPAIRED)]


async def missing_there(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.started()
    assert in_sandbox(s.world, "DELETE FROM objects WHERE id = ?", psp_id)
    return [(C.MISSING_THERE, payment_id, FOR_A_PERSON)]


async def missing_here_and_awaited(s: Seeder) -> list[Expected]:
    payment_id = await s.unborn("error_after")
    return [(C.MISSING_HERE, payment_id, REPAIRED)]


async def missing_here_and_given_up(s: Seeder) -> list[Expected]:
    payment_id = await s.unborn("error_after")
    await s.set(payment_id, status=PaymentStatus.CANCELED.value)
    return [(C.MISSING_HERE, payment_id, REPAIRED)]


async def missing_here_unknown(s: Seeder) -> list[Expected]:
    psp_id = await s.object_for("pay_nobody_knows")
    return [(C.MISSING_HERE, psp_id, FOR_A_PERSON)]


async def missing_here_second_object(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    second = await s.object_for(payment_id, link_id=(await s.world.payment(payment_id)).link_id)
    await s.world.stripe._intents.confirm_async(second, {"payment_method": "pm_card_visa"})
    return [(C.MISSING_HERE, second, FOR_A_PERSON)]


async def missing_here_of_another_amount(s: Seeder) -> list[Expected]:
    payment_id = await s.unborn("error_before")
    psp_id = await s.object_for(payment_id, amount=100, link_id=(await s.world.payment(payment_id)).link_id)
    return [(C.MISSING_HERE, psp_id, FOR_A_PERSON)]


async def amount(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    change(s.world, psp_id, amount=100)
    return [(C.AMOUNT, payment_id, FOR_A_PERSON)]


async def amount_captured(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.paid()
    s.sound.remove(payment_id)
    change(s.world, psp_id, amount_received=4000)
    return [(C.AMOUNT, payment_id, FOR_A_PERSON)]


async def currency(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    change(s.world, psp_id, currency="eur")
    return [(C.CURRENCY, payment_id, FOR_A_PERSON)]


async def mode(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    change(s.world, psp_id, livemode=True)
    return [(C.ACCOUNT_OR_MODE, payment_id, FOR_A_PERSON)]


async def other_provider(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.started()
    await s.set(payment_id, psp="another")
    return [(C.ACCOUNT_OR_MODE, payment_id, FOR_A_PERSON)]


async def metadata(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.held()
    change(s.world, psp_id, metadata={"payment_id": payment_id, "link_id": "plink_other"})
    return [(C.METADATA, payment_id, FOR_A_PERSON)]


async def double_capture(s: Seeder) -> list[Expected]:
    """An attempt given up here and captured there, while another one paid: heard of, and then told as one too many."""
    payment_id, psp_id = await s.held()
    link_id = (await s.world.payment(payment_id)).link_id
    await s.set(payment_id, status=PaymentStatus.CANCELED.value)
    second = await s.world.pay(link_id, browser="cks_2")
    await s.capture_there(psp_id)
    s.sound += [payment_id, second.id]
    return [(C.BEHIND, payment_id, REPAIRED), (C.DOUBLE_CAPTURE, second.id, FOR_A_PERSON)]


async def refund_answer_lost(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    await s.world.order(faults=[{"kind": "error_after", "method": "POST", "path": "/v1/refunds"}])
    await s.refunded(payment_id)
    await s.world.order(faults=[])
    return [(C.REFUND_BEHIND, payment_id, REPAIRED)]


async def refund_failed_late(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    s.sound.remove(payment_id)
    made = await s.refunded(payment_id)
    change(s.world, str(made.psp_refund_id), status="failed", failure_reason="lost_or_stolen_card")
    return [(C.REFUND_BEHIND, payment_id, REPAIRED)]


async def refund_overdue(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    await s.world.order(faults=[{"kind": "error_before", "method": "POST", "path": "/v1/refunds"}])
    await s.refunded(payment_id)
    await s.world.order(faults=[])
    return [(C.REFUND_OVERDUE, payment_id, REPAIRED)]


async def refund_unknown(s: Seeder) -> list[Expected]:
    payment_id, psp_id = await s.paid()
    await s.world.stripe.refund(psp_id, amount=700, currency="GBP", metadata={}, idempotency_key=new_id("key"))
    return [(C.REFUND_UNKNOWN, payment_id, REPAIRED)]


async def refund_of_another_amount(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    s.sound.remove(payment_id)
    made = await s.refunded(payment_id)
    change(s.world, str(made.psp_refund_id), amount=900)
    return [(C.AMOUNT, payment_id, FOR_A_PERSON)]


async def refund_missing_there(s: Seeder) -> list[Expected]:
    payment_id, _ = await s.paid()
    s.sound.remove(payment_id)
    made = await s.refunded(payment_id)
    assert in_sandbox(s.world, "DELETE FROM objects WHERE id = ?", made.psp_refund_id)
    return [(C.MISSING_THERE, payment_id, FOR_A_PERSON)]


async def undelivered(s: Seeder) -> list[Expected]:
    """A callback of a payment that we know all about."""
    _, psp_id = await s.paid()
    hear_all(s.world)
    event = "SELECT id FROM objects WHERE kind = 'event' AND parent = ? AND body LIKE '%payment_intent.succeeded%'"
    assert in_sandbox(s.world, f"UPDATE outbox SET state = 'dropped' WHERE source IN ({event})", psp_id) == 1
    # The provider's times are whole seconds, and what happened in the second of the run is too young for it.
    await asyncio.sleep(1 - utcnow().microsecond / 1_000_000)
    return [(C.UNDELIVERED_EVENT, psp_id, REPAIRED)]


async def agree(s: Seeder) -> list[Expected]:
    """Paid, paid and given back in part, held for review, refused by the bank and closed, just begun."""
    await s.paid()
    await s.refunded((await s.paid())[0])
    await s.world.pay(await s.world.link(), "riskLevelElevated")
    declined, _ = await s.held("chargeDeclined")
    await service.refresh(s.world.ctx, declined)
    await s.world.release(declined)
    await s.started()
    released = await s.world.pay(await s.world.link(), "riskLevelElevated")
    await s.world.decline(released.id)
    return []


SEEDS: tuple[Seed, ...] = (
    behind_held, behind_captured, behind_declined, behind_canceled, behind_although_given_up, ahead, left_open,
    left_open_with_money, capture_overdue, not_screened, capture_overdue_of_a_paid_link, release_overdue, stuck,
    stuck_unborn, missing_there, missing_here_and_awaited, missing_here_and_given_up, missing_here_unknown,
    missing_here_second_object, missing_here_of_another_amount, amount, amount_captured, currency, mode,
    other_provider, metadata, double_capture, refund_answer_lost, refund_failed_late, refund_overdue, refund_unknown,
    refund_of_another_amount, refund_missing_there,
)  # fmt: skip


def plan(**more: Any) -> Plan:
    now = utcnow() + timedelta(seconds=2)
    given = {"since": now - timedelta(hours=1), "until": now, "live": True, "recent": True, "quiet": timedelta(0)}
    return Plan(**{**given, **more})


async def reconcile(world: World, **more: Any) -> Report:
    run = Run(world.ctx, plan(**more), FetchedInbox, per_second=FAST)
    assert await run.go() == ""
    return run.report


def told(differences: list[Difference]) -> Counter[Expected]:
    """In the seeds' words: an object is named by our payment where it has one, but for objects that nobody adopts."""

    def subject(one: Difference) -> str:
        ours = one.payment if one.kind is not C.MISSING_HERE or one.repaired else one.provider
        return str(ours or one.provider)

    return Counter((one.kind, subject(one), one.repaired) for one in differences)


async def money(world: World) -> dict[str, tuple[int, int]]:
    """Captured and given back of every payment that has an object, as the sandbox's ledger has it."""
    async with httpx.AsyncClient(trust_env=False) as client:
        accounts = (await client.get(f"{world.ctx.settings.sandbox_url}/_ledger")).json()
    return {one["payment_intent"]: (one["captured"], one["refunded"]) for one in accounts}
