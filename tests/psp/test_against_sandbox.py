"""The adapter and the sandbox, each written from Stripe's documents and not from the other, meet over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paylink.config import Settings
from paylink.psp import stripe as stripe_adapter
from paylink.psp.base import (
    NewPayment,
    ProviderEvent,
    ProviderPayment,
    ProviderStatus,
    PspRefused,
    RefundStatus,
    RiskLevel,
    Screening,
    Subject,
    WebhookRefused,
)
from paylink.psp.stripe import StripePsp
from paylink.sandbox.app import create_app

SECONDS = 15


@dataclass
class World:
    """A sandbox on a free port, the adapter pointed at it, and what the sandbox called back with."""

    url: str
    psp: StripePsp
    callbacks: "asyncio.Queue[tuple[bytes, dict[str, str]]]" = field(default_factory=asyncio.Queue)

    async def create(self, **changes: Any) -> ProviderPayment:
        given = {"amount": 4999, "currency": "GBP", "metadata": {"payment_id": "pay_1"}, **changes}
        key = f"{changes.get('key', 'pay_1')}:create"
        given.pop("key", None)
        return await self.psp.create_payment(NewPayment(description="Boiler", idempotency_key=key, **given))

    async def confirm(self, payment_id: str, card: str) -> ProviderPayment:
        """What the customer's browser does."""
        with suppress(stripe.CardError):
            await self.psp._intents.confirm_async(payment_id, {"payment_method": f"pm_card_{card}"})
        return await self.psp.get_payment(payment_id)

    async def pay(self, card: str = "visa", **changes: Any) -> ProviderPayment:
        return await self.confirm((await self.create(**changes)).id, card)

    async def answer_3ds(self, payment_id: str, outcome: str) -> int:
        headers = {"Authorization": f"Bearer {self.psp._settings.secret_key}"}
        path = f"/v1/test_helpers/payment_intents/{payment_id}/authenticate"
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return (await client.post(path, data={"outcome": outcome}, headers=headers)).status_code

    async def order(self, **orders: Any) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            (await client.post("/_control", json=orders)).raise_for_status()

    async def event(self, kind: str) -> ProviderEvent:
        async with asyncio.timeout(SECONDS):
            while True:
                found = self.psp.parse_webhook(*await self.callbacks.get())
                if found.type == kind:
                    return found


@asynccontextmanager
async def _served(app: Starlette, listening: socket.socket) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listening]))
    async with asyncio.timeout(SECONDS):
        while not server.started:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def _listening() -> socket.socket:
    found = socket.socket(proto=socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", 0))
    return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    callbacks: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()

    async def take(request: Request) -> Response:
        callbacks.put_nowait((await request.body(), dict(request.headers)))
        return Response(status_code=204)

    console = Starlette(routes=[Route("/webhooks/psp/sandbox", take, methods=["POST"])])
    listening = _listening()
    async with _served(console, _listening()) as console_url:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            sandbox_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
            console_url=console_url,
            sandbox_database_url=f"sqlite:///{tmp_path / 'sandbox.db'}",
        )
        async with _served(create_app(settings), listening) as url:
            psp = StripePsp(settings.stripe, name="sandbox", try_seconds=5)
            yield World(url, psp, callbacks)
            await psp.close()


async def test_authorise_capture_refund(world: World) -> None:
    created = await world.create()
    assert (created.status, created.decline) == (ProviderStatus.REQUIRES_PAYMENT_METHOD, None)
    assert created.client_secret
    assert (created.amount, created.currency, created.metadata) == (4999, "GBP", {"payment_id": "pay_1"})

    held = await world.confirm(created.id, "gb")
    assert (held.status, held.amount_capturable) == (ProviderStatus.REQUIRES_CAPTURE, 4999)
    assert held.card
    assert (held.card.brand, held.card.last4, held.card.country) == ("visa", "0000", "GB")
    assert held.card.fingerprint
    assert held.risk
    assert (held.risk.screening, held.risk.risk_level) == (Screening.AUTHORIZED, RiskLevel.NORMAL)

    paid = await world.psp.capture(held.id, amount=4999, currency="GBP", idempotency_key="pay_1:capture")
    assert (paid.status, paid.amount_received) == (ProviderStatus.SUCCEEDED, 4999)
    back = await world.psp.refund(
        held.id, amount=1000, currency="GBP", metadata={"refund_id": "re_1"}, idempotency_key="re_1"
    )
    assert (back.status, back.amount, back.payment_id) == (RefundStatus.SUCCEEDED, 1000, held.id)
    assert await world.psp.get_refund(back.id) == back
    assert (await world.psp.get_payment(held.id)).amount_refunded == 1000
    with pytest.raises(PspRefused):
        await world.psp.refund(held.id, amount=4000, currency="GBP", metadata={}, idempotency_key="re_2")


async def test_a_part_is_captured_and_the_rest_let_go(world: World) -> None:
    held = await world.pay()
    paid = await world.psp.capture(held.id, amount=3000, currency="GBP", idempotency_key="c")
    assert (paid.status, paid.amount, paid.amount_received, paid.amount_capturable) == ("succeeded", 4999, 3000, 0)


async def test_cancel_and_too_late(world: World) -> None:
    held = await world.pay()
    assert (await world.psp.cancel(held.id, idempotency_key="x")).status is ProviderStatus.CANCELED
    paid = await world.pay(key="pay_2")
    await world.psp.capture(paid.id, amount=4999, currency="GBP", idempotency_key="c")
    for payment_id in (held.id, paid.id):
        with pytest.raises(PspRefused) as refused:
            await world.psp.cancel(payment_id, idempotency_key=f"{payment_id}:late")
        assert refused.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize(
    ("card", "code", "screening"),
    [
        ("chargeDeclined", "card_declined", Screening.DECLINED),
        ("chargeDeclinedInsufficientFunds", "insufficient_funds", Screening.DECLINED),
        ("chargeDeclinedLostCard", "lost_card", Screening.DECLINED),
        ("chargeDeclinedStolenCard", "stolen_card", Screening.DECLINED),
        ("chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded", Screening.DECLINED),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", Screening.DECLINED),
        ("chargeDeclinedExpiredCard", "expired_card", Screening.DECLINED),
        ("chargeDeclinedProcessingError", "processing_error", Screening.DECLINED),
        ("radarBlock", "fraudulent", Screening.BLOCKED),
    ],
)
async def test_declines(world: World, card: str, code: str, screening: Screening) -> None:
    failed = await world.pay(card)
    assert failed.status is ProviderStatus.REQUIRES_PAYMENT_METHOD
    assert failed.decline
    assert (failed.decline.code, failed.decline.authentication) == (code, False)
    assert failed.risk
    assert failed.risk.screening is screening
    assert failed.charge_id
    again = await world.confirm(failed.id, "visa")
    assert (again.status, again.decline) == (ProviderStatus.REQUIRES_CAPTURE, None)


@pytest.mark.parametrize(
    ("card", "screening", "level"),
    [
        ("riskLevelElevated", Screening.MANUAL_REVIEW, RiskLevel.ELEVATED),
        ("riskLevelHighest", Screening.AUTHORIZED, RiskLevel.HIGHEST),
    ],
)
async def test_risk(world: World, card: str, screening: Screening, level: RiskLevel) -> None:
    held = await world.pay(card)
    assert held.status is ProviderStatus.REQUIRES_CAPTURE
    assert held.risk
    assert (held.risk.screening, held.risk.risk_level) == (screening, level)


@pytest.mark.parametrize("outcome", ["approve", "refuse"])
async def test_authentication(world: World, outcome: str) -> None:
    asked = await world.pay("authenticationRequired")
    assert (asked.status, asked.authenticated) == (ProviderStatus.REQUIRES_ACTION, False)
    assert await world.answer_3ds(asked.id, outcome) == {"approve": 200, "refuse": 400}[outcome]
    found = await world.psp.get_payment(asked.id)
    if outcome == "approve":
        assert (found.status, found.authenticated) == (ProviderStatus.REQUIRES_CAPTURE, True)
    else:
        assert (found.status, found.authenticated) == (ProviderStatus.REQUIRES_PAYMENT_METHOD, False)
        assert found.decline
        assert found.decline.authentication


async def test_the_same_key_is_the_same_payment(world: World) -> None:
    first = await world.create()
    assert (await world.create()).id == first.id
    with pytest.raises(PspRefused) as refused:
        await world.create(amount=5000)
    assert refused.value.code == "idempotency_error"


@pytest.mark.parametrize("kind", ["error_before", "reset_before", "reset_after", "truncate"])
async def test_one_payment_whatever_happens_on_the_way(world: World, kind: str) -> None:
    await world.order(faults=[{"kind": kind, "method": "POST", "path": "/v1/payment_intents", "times": 1}])
    created = await world.create()
    assert created.status is ProviderStatus.REQUIRES_PAYMENT_METHOD
    assert (await world.create()).id == created.id
    listed = await world.psp._intents.list_async()
    assert [found.id for found in listed.data] == [created.id]


async def test_callbacks(world: World) -> None:
    held = await world.pay()
    about = await world.event("payment_intent.amount_capturable_updated")
    assert (about.subject, about.payment_id, about.object_id) == (Subject.PAYMENT, held.id, held.id)
    await world.psp.capture(held.id, amount=4999, currency="GBP", idempotency_key="c")
    captured = await world.event("charge.captured")
    assert (captured.subject, captured.payment_id, captured.livemode) == (Subject.PAYMENT, held.id, False)
    back = await world.psp.refund(held.id, amount=1000, currency="GBP", metadata={}, idempotency_key="r")
    refunded = await world.event("refund.created")
    assert (refunded.subject, refunded.payment_id, refunded.object_id) == (Subject.REFUND, held.id, back.id)


async def test_a_review_and_a_dispute_name_their_payment(world: World) -> None:
    await world.order(dispute_delay_ms=0)
    held = await world.pay("riskLevelElevated")
    opened = await world.event("review.opened")
    assert (opened.subject, opened.payment_id) == (Subject.REVIEW, held.id)
    disputed = await world.pay("createDispute", key="pay_2")
    await world.psp.capture(disputed.id, amount=4999, currency="GBP", idempotency_key="c")
    dispute = await world.event("charge.dispute.created")
    assert (dispute.subject, dispute.payment_id) == (Subject.DISPUTE, disputed.id)
    assert (await world.psp.get_payment(disputed.id)).disputed


async def test_forged_callbacks_are_refused(world: World) -> None:
    await world.order(webhooks={"forge": 1})
    await world.create()
    async with asyncio.timeout(SECONDS):
        answers = [await world.callbacks.get() for _ in range(2)]
    refused = 0
    for body, headers in answers:
        try:
            world.psp.parse_webhook(body, headers)
        except WebhookRefused:
            refused += 1
    assert refused == 1


async def test_whole_units(world: World) -> None:
    held = await world.pay(amount=700, currency="ISK")
    assert (held.amount, held.amount_capturable, held.currency) == (700, 700, "ISK")
    paid = await world.psp.capture(held.id, amount=700, currency="ISK", idempotency_key="c")
    assert paid.amount_received == 700


async def test_lists(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_adapter, "PAGE", 2)
    made = [(await world.pay(key=f"pay_{number}")).id for number in range(3)][::-1]
    now = datetime.now(UTC)
    since, until = now - timedelta(minutes=1), now + timedelta(seconds=1)
    first = await world.psp.list_payments(since=since, until=until)
    second = await world.psp.list_payments(since=since, until=until, after=first.next)
    assert ([one.id for one in (*first.items, *second.items)], second.next) == (made, None)
    # As much of each as one read would bring.
    assert list(first.items) == [await world.psp.get_payment(one) for one in made[:2]]
    assert not (await world.psp.list_payments(since=since - timedelta(hours=1), until=since)).items

    await world.psp.capture(made[0], amount=4999, currency="GBP", idempotency_key="c")
    back = [
        await world.psp.refund(made[0], amount=100, currency="GBP", metadata={}, idempotency_key=f"r{number}")
        for number in range(3)
    ][::-1]
    refunds = await world.psp.list_refunds(made[0])
    rest = await world.psp.list_refunds(made[0], after=refunds.next)
    assert ([*refunds.items, *rest.items], rest.next) == (back, None)
    assert not (await world.psp.list_refunds(made[1])).items


async def test_lists_what_was_dropped(world: World) -> None:
    await world.order(webhooks={"drop": 1})
    created = await world.create()
    since = datetime.now(UTC) - timedelta(minutes=1)
    async with asyncio.timeout(SECONDS):
        while not (lost := await world.psp.list_undelivered(since=since)).items:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    assert [(one.type, one.payment_id, one.livemode) for one in lost.items] == [
        ("payment_intent.created", created.id, False)
    ]
    assert not (await world.psp.list_undelivered(since=since + timedelta(hours=1))).items
