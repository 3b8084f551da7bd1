"""Stripe, and whatever speaks its API: the sandbox is this adapter with another address.

PaymentIntents with a deferred Payment Element: the page shows the card fields without any object at Stripe, and
``create_payment`` is called when the customer presses Pay. The API version is the one the installed SDK pins.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import stripe

from paylink.config import StripeSettings
from paylink.psp import stripe_mapping as mapping
from paylink.psp import stripe_webhooks
from paylink.psp.base import (
    BrowserSetup,
    Charging,
    NewPayment,
    Page,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderReview,
    PspOutcomeUnknown,
    PspRefused,
    WebhookRefused,
)
from paylink.psp.stripe_currencies import charging, to_charge, to_provider
from paylink.psp.stripe_errors import Transport, translate, watching

if TYPE_CHECKING:
    from stripe.params import (
        EventListParams,
        PaymentIntentCreateParams,
        PaymentIntentListParams,
        RefundCreateParams,
        RefundListParams,
    )

# To be connected, to be answered once, and one call with its tries and the pauses between. The SDK would wait 80 s.
CONNECT_SECONDS = 5.0
TRY_SECONDS = 10.0
CALL_SECONDS = 25.0
RETRIES = 2
STRIPE_JS_HOST = "js.stripe.com"
# The most that Stripe gives at once (docs.stripe.com/api/pagination).
PAGE = 100

# It would send the platform's name and write a file into the home directory.
stripe.enable_telemetry = False
# At DEBUG the SDK logs whole answers, and with them the secret that lets a browser pay.
logging.getLogger("stripe").setLevel(logging.WARNING)


class StripePsp:
    """The port's ``Psp``. ``try_seconds`` and ``call_seconds`` are for tests that do not want to wait."""

    def __init__(
        self,
        settings: StripeSettings,
        *,
        name: str,
        try_seconds: float = TRY_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self.name = name
        self.livemode = settings.livemode
        self.account = settings.account
        self._settings = settings
        self._call_seconds = call_seconds
        timeout = httpx.Timeout(try_seconds, connect=min(try_seconds, CONNECT_SECONDS))
        self._transport = Transport(timeout=timeout, api_base=settings.api_base)
        self._client = client = stripe.StripeClient(
            settings.secret_key,
            base_addresses={"api": settings.api_base},
            http_client=self._transport,
            max_network_retries=RETRIES,
        )
        self._intents = client.v1.payment_intents
        self._charges = client.v1.charges
        self._refunds = client.v1.refunds
        self._disputes = client.v1.disputes
        self._reviews = client.v1.reviews

    def __repr__(self) -> str:
        return f"StripePsp(name={self.name!r}, livemode={self.livemode})"

    @property
    def browser(self) -> BrowserSetup:
        """Source of the origins: docs.stripe.com/security/guide, "Content Security Policy"."""
        url = urlsplit(self._settings.js_url)
        own = f"{url.scheme}://{url.netloc}"
        scripts: tuple[str, ...] = (own,)
        frames, connects = scripts, scripts
        if url.hostname == STRIPE_JS_HOST:
            scripts = (own, f"{url.scheme}://*.{STRIPE_JS_HOST}")
            frames = (*scripts, "https://hooks.stripe.com")
            connects = ("https://api.stripe.com",)
        return BrowserSetup(
            publishable_key=self._settings.publishable_key,
            script_url=self._settings.js_url,
            script_origins=scripts,
            frame_origins=frames,
            connect_origins=connects,
        )

    def charging(self, currency: str) -> Charging | None:
        return charging(currency)

    async def create_payment(self, new: NewPayment) -> ProviderPayment:
        params: PaymentIntentCreateParams = {
            "amount": to_charge(new.amount, new.currency),
            "currency": new.currency.lower(),
            "capture_method": "manual",
            # The customer stays on the page: 3-D Secure opens over it, and methods that lead elsewhere are left out.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "description": new.description,
            "metadata": dict(new.metadata),
            "expand": ["latest_charge"],
        }
        if new.receipt_email:
            params["receipt_email"] = new.receipt_email
        raw = await self._call(self._intents.create_async(params, {"idempotency_key": new.idempotency_key}))
        return await self._payment(raw)

    async def get_payment(self, payment_id: str) -> ProviderPayment:
        raw = await self._read(payment_id)
        return await self._payment(raw)

    async def capture(self, payment_id: str, *, amount: int, currency: str, idempotency_key: str) -> ProviderPayment:
        _refuse_empty(payment_id)
        value = to_provider(amount, currency)
        raw = await self._call(
            self._intents.capture_async(
                payment_id,
                {"amount_to_capture": value, "expand": ["latest_charge"]},
                {"idempotency_key": idempotency_key},
            )
        )
        return mapping.payment(raw, mapping.charge_of(raw))

    async def cancel(self, payment_id: str, *, idempotency_key: str) -> ProviderPayment:
        _refuse_empty(payment_id)
        raw = await self._call(
            self._intents.cancel_async(payment_id, {"expand": ["latest_charge"]}, {"idempotency_key": idempotency_key})
        )
        return mapping.payment(raw, mapping.charge_of(raw))

    async def refund(
        self, payment_id: str, *, amount: int, currency: str, metadata: Mapping[str, str], idempotency_key: str
    ) -> ProviderRefund:
        _refuse_empty(payment_id)
        params: RefundCreateParams = {
            "payment_intent": payment_id,
            "amount": to_provider(amount, currency),
            "metadata": dict(metadata),
        }
        return mapping.refund(
            await self._call(self._refunds.create_async(params, {"idempotency_key": idempotency_key}))
        )

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        _refuse_empty(refund_id)
        return mapping.refund(await self._call(self._refunds.retrieve_async(refund_id)))

    async def get_dispute(self, dispute_id: str) -> ProviderDispute:
        _refuse_empty(dispute_id)
        return mapping.dispute(await self._call(self._disputes.retrieve_async(dispute_id)))

    async def get_review(self, review_id: str) -> ProviderReview:
        _refuse_empty(review_id)
        return mapping.review(await self._call(self._reviews.retrieve_async(review_id)))

    async def list_payments(
        self, *, since: datetime, until: datetime, after: str | None = None
    ) -> Page[ProviderPayment]:
        params: PaymentIntentListParams = {
            "created": {"gte": int(since.timestamp()), "lt": ceil(until.timestamp())},
            "limit": PAGE,
            "expand": ["data.latest_charge"],
        }
        if after:
            params["starting_after"] = after
        raw = await self._list("/v1/payment_intents", params)
        found = []
        for item in mapping.items(raw):
            # What cannot be read is left out: it must not hide the rest, and whoever knows its id reads it by that.
            with suppress(PspOutcomeUnknown):
                found.append(mapping.payment(item, mapping.charge_of(item)))
        return Page(found, mapping.next_page(raw))

    async def list_refunds(self, payment_id: str, *, after: str | None = None) -> Page[ProviderRefund]:
        _refuse_empty(payment_id)
        params: RefundListParams = {"payment_intent": payment_id, "limit": PAGE}
        if after:
            params["starting_after"] = after
        raw = await self._list("/v1/refunds", params)
        return Page([mapping.refund(item) for item in mapping.items(raw)], mapping.next_page(raw))

    async def list_undelivered(self, *, since: datetime, after: str | None = None) -> Page[ProviderEvent]:
        """Stripe keeps events for 30 days (docs.stripe.com/api/events)."""
        params: EventListParams = {
            "created": {"gte": int(since.timestamp())},
            "delivery_success": False,
            "limit": PAGE,
        }
        if after:
            params["starting_after"] = after
        raw = await self._list("/v1/events", params)
        found = []
        for item in mapping.items(raw):
            with suppress(WebhookRefused):
                # A list shows the events of the key's own account, and names none.
                found.append(replace(stripe_webhooks.read(item), account=self.account))
        return Page(found, mapping.next_page(raw))

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        return stripe_webhooks.parse(body, headers, secrets=self._settings.webhook_secrets)

    async def close(self) -> None:
        await self._transport.close_async()

    async def _read(self, payment_id: str) -> mapping.Json:
        _refuse_empty(payment_id)
        return await self._call(self._intents.retrieve_async(payment_id, {"expand": ["latest_charge"]}))

    async def _payment(self, raw: mapping.Json) -> ProviderPayment:
        """With the charge read apart where the answer only names it: it holds the card and the fraud screening."""
        charge, charge_id = mapping.charge_of(raw), mapping.charge_id(raw)
        if charge is None and charge_id:
            charge = await self._call(self._charges.retrieve_async(charge_id))
        return mapping.payment(raw, charge)

    async def _list(self, path: str, params: Mapping[str, Any]) -> mapping.Json:
        """As the provider wrote it. The SDK's objects of a hundred events take it a tenth of a second, during which
        nothing else happens in this process."""
        return await self._call(self._client.raw_request_async("get", path, **params))

    async def _call(self, request: Awaitable[stripe.StripeObject | stripe.StripeResponse]) -> mapping.Json:
        """The answer as plain JSON. Raises ``PspError`` and nothing else, whatever the SDK meets."""
        with watching() as doubt:
            try:
                async with asyncio.timeout(self._call_seconds):
                    answer = await request
                    if isinstance(answer, stripe.StripeResponse):
                        return _object(answer.data)
                    return answer.to_dict(for_json=True)
            except Exception as error:
                # Any exception, since an answer of an odd shape breaks the SDK in odd ways. Without the cause, whose
                # text quotes the answer.
                raise translate(error, doubt=doubt) from None


def _object(data: Any) -> mapping.Json:
    if not isinstance(data, dict):
        raise PspOutcomeUnknown("no usable answer from Stripe: not an object")
    return data


def _refuse_empty(object_id: str) -> None:
    """An empty id would turn the address of one object into the address of the list."""
    if not object_id:
        raise PspRefused("no id", code="resource_missing")
