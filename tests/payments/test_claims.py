"""A node dies between what a request did and its answer: asked again under its key, it is done once and answered."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa

from paylink import idempotency
from paylink.accounts.service import create_api_key
from paylink.channels.switchboard import Switchboard
from paylink.console import build_api
from paylink.events.stream import Rights
from paylink.idempotency import CLAIM_LEASE, IdempotencyKey
from paylink.kit.clock import utcnow
from tests.payments.world import World


async def _ready() -> dict[str, bool]:
    return {}


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    _, key = await world.db.transact(
        lambda session: create_api_key(
            session, merchant_id=world.merchant_id, name="crm", live=False, keyring=world.ctx.keyring
        )
    )
    app = build_api(
        world.ctx,
        switchboard=Switchboard(world.db, world.ctx.keyring),
        readiness=_ready,
        rights=Rights(world.db),
        callbacks_only=False,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "order-1"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


async def dies(
    api: httpx.AsyncClient, world: World, path: str, body: dict[str, object], at: pytest.MonkeyPatch
) -> None:
    """The request does its work, and its node is gone before the answer is kept."""
    with at.context() as patch:
        patch.delattr(idempotency, "finish")
        assert (await api.post(path, json=body)).status_code == 500
        patch.setattr(idempotency, "PATIENCE_S", 0)
        assert (await api.post(path, json=body)).json()["code"] == "idempotency_key_in_use"
    older = sa.update(IdempotencyKey).values(created_at=utcnow() - CLAIM_LEASE - timedelta(seconds=1))
    await world.db.transact(lambda session: session.execute(older) and None)


async def test_a_part_is_given_back_once(world: World, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = await world.pay(await world.link())
    path, body = f"/v1/payments/{payment.id}/refunds", {"amount": 1000}
    await dies(api, world, path, body, monkeypatch)
    again = await api.post(path, json=body)
    assert (again.status_code, again.json()["amount"], again.json()["status"]) == (201, 1000, "succeeded")
    replayed = await api.post(path, json=body)
    assert replayed.headers["idempotent-replayed"] == "true"
    assert replayed.json() == again.json()
    assert [one.id for one in await world.refunds(payment.id)] == [again.json()["id"]]
    assert (await world.payment(payment.id)).amount_refunded == 1000


async def test_a_link_is_canceled_once(world: World, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    link_id = await world.link()
    path = f"/v1/payment_links/{link_id}/cancel"
    await dies(api, world, path, {}, monkeypatch)
    again = await api.post(path, json={})
    assert (again.status_code, again.json()["status"]) == (200, "canceled")
    assert (await world.told(link_id)).count("link.canceled") == 1


async def test_a_held_payment_is_decided_once(
    world: World, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id = await world.link()
    held = await world.pay(link_id, "riskLevelElevated")
    assert held.status == "in_review"
    path = f"/v1/payments/{held.id}/approve"
    await dies(api, world, path, {}, monkeypatch)
    again = await api.post(path, json={})
    assert (again.status_code, again.json()["status"]) == (200, "succeeded")
    assert (await world.told(link_id)).count("review.closed") == 1
