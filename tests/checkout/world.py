"""A merchant, links and their tokens, a provider that does as it is told, and a browser's way to the checkout."""

import json
import re
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import httpx
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.orm import Session
from starlette.applications import Starlette

from paylink.accounts.models import Merchant
from paylink.checkout.app import create_app
from paylink.config import Settings
from paylink.context import Context
from paylink.db import Database
from paylink.delivery.models import Delivery
from paylink.events.hub import Hub
from paylink.events.types import Event
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.limits import Limits
from paylink.links import tokens
from paylink.links.models import PaymentLink
from paylink.payments.models import Payment
from paylink.psp.base import BrowserSetup, Card, Charging, Decline, NewPayment, ProviderPayment, ProviderStatus, Psp

ORIGIN = "http://checkout.test"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Mobile/15E148 Safari/604.1"
)


class Provider:
    """Holds payments as the tests set them; ``calls`` is what it was asked."""

    name = "fake"
    livemode = False
    browser = BrowserSetup(
        publishable_key="pk_test_x",
        script_url="https://psp.test/stripe.js",
        script_origins=("https://psp.test", "https://*.psp.test"),
        frame_origins=("https://psp.test", "https://*.psp.test"),
        connect_origins=("https://api.psp.test",),
    )

    def __init__(self) -> None:
        self.payments: dict[str, ProviderPayment] = {}
        self.calls: list[str] = []

    def charging(self, currency: str) -> Charging:
        return Charging(30, 99_999_999, step=10 if currency == "KWD" else 1)

    def set(self, payment_id: str, **changes: Any) -> None:
        self.payments[payment_id] = replace(self.payments[payment_id], **changes)

    def last(self) -> str:
        return list(self.payments)[-1]

    def authorise(self) -> None:
        amount = self.payments[self.last()].amount
        self.set(
            self.last(),
            status=ProviderStatus.REQUIRES_CAPTURE,
            amount_capturable=amount,
            card=Card("visa", "4242", "GB", "fp_1"),
        )

    def decline(self, code: str) -> None:
        self.set(self.last(), status=ProviderStatus.REQUIRES_PAYMENT_METHOD, decline=Decline(code))

    async def create_payment(self, new: NewPayment) -> ProviderPayment:
        self.calls.append("create")
        made = ProviderPayment(
            id=f"pi_{len(self.payments)}",
            status=ProviderStatus.REQUIRES_PAYMENT_METHOD,
            amount=new.amount,
            currency=new.currency,
            livemode=False,
            metadata=new.metadata,
            client_secret=SecretStr(f"pi_{len(self.payments)}_secret_shh"),
        )
        self.payments[made.id] = made
        return made

    async def get_payment(self, payment_id: str) -> ProviderPayment:
        self.calls.append("get")
        return self.payments[payment_id]

    async def capture(self, payment_id: str, *, amount: int, currency: str, idempotency_key: str) -> ProviderPayment:
        self.set(payment_id, status=ProviderStatus.SUCCEEDED, amount_received=amount)
        return self.payments[payment_id]

    async def cancel(self, payment_id: str, *, idempotency_key: str) -> ProviderPayment:
        self.calls.append("cancel")
        self.set(payment_id, status=ProviderStatus.CANCELED)
        return self.payments[payment_id]


class Jobs:
    """Takes jobs and forgets them."""

    def enqueue(self, *_args: Any, **_options: Any) -> None:
        return None


@dataclass
class World:
    ctx: Context
    app: Starlette
    provider: Provider
    merchant_id: str
    links: list[str] = field(default_factory=list)

    @property
    def db(self) -> Database:
        return self.ctx.db

    async def link(self, **changes: Any) -> tuple[str, str]:
        """A link that can be paid: its id, and the token of an SMS."""
        link_id = new_id("plink")
        row = {
            "id": link_id,
            "merchant_id": self.merchant_id,
            "amount": 4999,
            "currency": "GBP",
            "description": "Boiler repair",
            "reference": "INV-1042",
            "link_metadata": {},
            "created_by_type": "agent",
            "created_by_id": "agt_1",
            "created_by_name": "Ann",
            "expires_at": utcnow() + timedelta(days=1),
        } | changes
        await self.db.transact(lambda session: session.add(PaymentLink(**row)))
        return link_id, await self.door(link_id)

    async def door(self, link_id: str, channel: str = "sms") -> str:
        delivery_id = new_id("dlv")
        token = tokens.mint(self.ctx.keyring)
        delivery = Delivery(
            id=delivery_id, link_id=link_id, merchant_id=self.merchant_id, channel=channel, token_hash=token.hash
        )
        await self.db.transact(lambda session: session.add(delivery))
        return token.text

    async def change(self, link_id: str, **values: Any) -> None:
        update = sa.update(PaymentLink).where(PaymentLink.id == link_id).values(values)
        await self.db.transact(lambda session: session.execute(update) and None)

    async def left(self, link_id: str) -> None:
        """As if the link's attempts had last moved two minutes ago."""
        moved = {"updated_at": utcnow() - timedelta(minutes=2)}
        update = sa.update(Payment).where(Payment.link_id == link_id).values(moved)
        await self.db.transact(lambda session: session.execute(update) and None)

    async def events(self, link_id: str) -> list[tuple[str, dict[str, Any]]]:
        def read(session: Session) -> list[tuple[str, dict[str, Any]]]:
            query = sa.select(Event).where(Event.link_id == link_id).order_by(Event.seq)
            return [(event.type, event.data) for event in session.scalars(query)]

        return await self.db.read(read)

    async def told(self, link_id: str) -> list[str]:
        return [kind for kind, _ in await self.events(link_id)]

    def browser(self, *, agent: str = CHROME) -> "Browser":
        return Browser(self, agent)


class Browser:
    """A client with a cookie jar that sends what a browser's page would send."""

    def __init__(self, world: World, agent: str) -> None:
        self.world = world
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(world.app, raise_app_exceptions=False),
            base_url=ORIGIN,
            headers={"User-Agent": agent},
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        sent = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", **(headers or {})}
        content = body if isinstance(body, (str, bytes)) else json.dumps({} if body is None else body)
        return await self.http.post(path, content=content, headers=sent)

    async def open(self, token: str) -> "Page":
        response = await self.post(f"/p/{token}")
        return Page(self, response)


class Page:
    """A rendered page of a link and the calls its script makes."""

    def __init__(self, browser: Browser, response: httpx.Response) -> None:
        self.browser = browser
        self.response = response
        self.text = response.text
        self.data = data_of(response.text)

    @property
    def heading(self) -> str:
        return heading(self.text)

    async def call(self, name: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        nonce = {"Paylink-Nonce": self.data["nonce"], **(headers or {})}
        return await self.browser.post(f"{self.data['base']}/{name}", body, headers=nonce)

    async def beacon(self, step: str, **more: str) -> httpx.Response:
        return await self.call("events", {"step": step, **more})

    async def status(self) -> dict[str, Any]:
        return cast(dict[str, Any], (await self.browser.get(f"{self.data['base']}/status")).json())

    async def reload(self) -> "Page":
        return Page(self.browser, await self.browser.get(self.data["base"]))


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found, "no data in the page"
    return cast(dict[str, Any], json.loads(found[1]))


def heading(html: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    assert found, "no heading in the page"
    return found[1].strip()


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **{"checkout_url": ORIGIN, **values})


@asynccontextmanager
async def opened_world(db: Database, configured: Settings, *, limited: bool = False) -> Any:
    provider = Provider()
    ctx = Context(
        settings=configured,
        db=db,
        jobs=cast(JobQueue, Jobs()),
        limits=Limits(enabled=limited, redis_url=None),
        hub=cast(Hub, None),
        psp=cast(Psp, provider),
        channels={"sms": True, "email": True, "qr": True},
    )
    merchant_id = new_id("mer")
    await db.transact(lambda session: session.add(Merchant(id=merchant_id, name="Acme & Sons")))
    yield World(ctx, create_app(ctx), provider, merchant_id)
