"""A real payment of something else never closes a link: amount, currency, mode and our own ids are compared first."""

from dataclasses import replace
from typing import Any

import pytest

from paylink.payments import service
from paylink.payments.models import PaymentStatus
from paylink.psp.base import ProviderPayment, ProviderStatus
from tests.payments.gates import Gates
from tests.payments.world import World

FOREIGN: list[dict[str, Any]] = [
    {"amount": 1},
    {"amount": 5000},
    {"currency": "EUR"},
    {"currency": "JPY"},
    {"livemode": True},
    {"metadata": {}},
    {"metadata": {"payment_id": "pay_other", "link_id": "plink_other"}},
]
NAMES = [" ".join(f"{name}={value}" for name, value in changes.items()) for changes in FOREIGN]


class Changed(Gates):
    """The provider, whose objects are not what they should be."""

    def __init__(self, world: World, changes: dict[str, Any]) -> None:
        super().__init__(world.ctx.psp)
        self.open()
        self._changes = changes

    async def get_payment(self, payment_id: str) -> ProviderPayment:
        return replace(await super().get_payment(payment_id), **self._changes)


@pytest.mark.parametrize("changes", FOREIGN, ids=NAMES)
async def test_an_authorised_payment_that_does_not_fit_is_not_captured(world: World, changes: dict[str, Any]) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    before = await world.told(link_id)
    changed = world.behind(Changed(world, changes))
    await service.refresh(changed.ctx, started.payment_id)
    await changed.callback(started.payment_id)
    assert await world.captures(link_id) == []
    assert await world.told(link_id) == before
    assert (await world.payment(started.payment_id)).status == PaymentStatus.REQUIRES_PAYMENT_METHOD


@pytest.mark.parametrize("changes", FOREIGN, ids=NAMES)
async def test_a_payment_that_changed_while_it_waited_for_capture_is_not_captured(
    world: World, changes: dict[str, Any]
) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await world.order(faults=[{"kind": "error_before", "path": "/capture"}])
    await service.refresh(world.ctx, started.payment_id)
    await world.order(faults=[])
    assert (await world.payment(started.payment_id)).status == PaymentStatus.REQUIRES_CAPTURE
    await service.refresh(world.behind(Changed(world, changes)).ctx, started.payment_id)
    assert await world.captures(link_id) == []
    await world.callback(started.payment_id)
    assert await world.captures(link_id) == [4999]


@pytest.mark.parametrize("changes", FOREIGN, ids=NAMES)
async def test_a_captured_payment_that_does_not_fit_pays_nothing(world: World, changes: dict[str, Any]) -> None:
    link_id = await world.link()
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    psp_id = str((await world.payment(started.payment_id)).psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    assert (await world.stripe.get_payment(psp_id)).status is ProviderStatus.SUCCEEDED
    await world.behind(Changed(world, changes)).callback(started.payment_id)
    link = await world.link_row(link_id)
    assert (link.status, link.amount_paid) == ("active", 0)
    assert "link.paid" not in await world.told(link_id)


async def test_another_links_payment_named_in_a_callback_pays_only_its_own(world: World) -> None:
    mine, other = await world.link(amount=200_000), await world.link(amount=100)
    waiting = await world.start(mine)
    paid = await world.pay(other)
    await world.inbound({"subject": "payment", "payment_id": str(paid.psp_payment_id)})
    assert (await world.payment(waiting.payment_id)).status == PaymentStatus.REQUIRES_PAYMENT_METHOD
    assert (await world.link_row(mine)).status == "active"
