"""What goes over the wire, and whether the pinned API version knows every parameter of it."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import stripe
import stripe.params

from paylink.config import StripeSettings
from paylink.psp.base import NewPayment, ProviderPayment, PspRefused
from paylink.psp.stripe import StripePsp

from .payloads import CHARGE, INTENT, charge, intent, refund
from .server import Answer, StripeServer

CHECKER = Path(__file__).parents[3] / "shared" / "tools" / "check_stripe_params.py"
NEW = NewPayment(
    amount=4999,
    currency="GBP",
    description="Boiler repair",
    metadata={"payment_id": "pay_1", "link_id": "plink_1"},
    idempotency_key="pay_1:create",
    receipt_email="a@example.com",
)


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    if not CHECKER.exists():
        pytest.skip(
            "no check_stripe_params.py beside the repository: parameters are not checked against the SDK's types"
        )
    spec = importlib.util.spec_from_file_location("check_stripe_params", CHECKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Stands before one service of the SDK and keeps the parameters of each call."""

    def __init__(self, service: Any, calls: list[tuple[str, Any]]) -> None:
        self._service = service
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self._calls.append((name, next((a for a in args if isinstance(a, dict)), {})))
            return getattr(self._service, name)(*args)

        return call


async def test_creates_for_manual_capture_with_metadata_and_key(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(intent(status="requires_payment_method", latest_charge=None)))
    found = await psp.create_payment(NEW)
    assert found.client_secret
    assert found.client_secret.get_secret_value() == f"{INTENT}_secret_abc"
    [request] = server.requests
    assert (request.method, request.path, request.key) == ("POST", "/v1/payment_intents", "pay_1:create")
    assert request.params == {
        "amount": "4999",
        "currency": "gbp",
        "capture_method": "manual",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "description": "Boiler repair",
        "metadata[payment_id]": "pay_1",
        "metadata[link_id]": "plink_1",
        "receipt_email": "a@example.com",
        "expand[0]": "latest_charge",
    }
    assert request.headers["authorization"] == "Bearer sk_test_loopback"
    assert request.headers["stripe-version"] == "2026-10-28.endive"
    assert "x-stripe-client-telemetry" not in request.headers
    assert "telemetry_id" not in request.headers["x-stripe-client-user-agent"]


async def test_counts_as_stripe_counts(server: StripeServer, psp: StripePsp) -> None:
    isk = intent(currency="isk", amount=500, amount_capturable=500)
    server.play(Answer(isk))
    new = NewPayment(amount=5, currency="ISK", description="", metadata={}, idempotency_key="k")
    created = await psp.create_payment(new)
    captured = await psp.capture(INTENT, amount=3, currency="ISK", idempotency_key="c")
    server.play(Answer(refund(currency="isk", amount=200)))
    assert (await psp.refund(INTENT, amount=2, currency="ISK", metadata={}, idempotency_key="r")).amount == 2
    create, capture, back = server.requests
    assert (create.params["amount"], create.params["currency"]) == ("500", "isk")
    assert (created.amount, created.currency, captured.amount_capturable) == (5, "ISK", 5)
    assert capture.params["amount_to_capture"] == "300"
    assert back.params["amount"] == "200"


async def test_no_call_for_what_cannot_be_charged(server: StripeServer, psp: StripePsp) -> None:
    new = NewPayment(amount=10, currency="GBP", description="", metadata={}, idempotency_key="k")
    with pytest.raises(PspRefused) as refused:
        await psp.create_payment(new)
    assert refused.value.code == "amount_not_chargeable"
    assert server.requests == []


async def test_captures_an_exact_amount(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(intent(status="succeeded", amount_received=3000, amount_capturable=0)))
    found = await psp.capture(INTENT, amount=3000, currency="GBP", idempotency_key="pay_1:capture")
    assert (found.status, found.amount_received) == ("succeeded", 3000)
    [capture] = server.requests
    assert (capture.path, capture.key) == (f"/v1/payment_intents/{INTENT}/capture", "pay_1:capture")
    assert capture.params == {"amount_to_capture": "3000", "expand[0]": "latest_charge"}


async def test_cancels(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(intent(status="canceled")))
    assert (await psp.cancel(INTENT, idempotency_key="pay_1:cancel")).status == "canceled"
    [request] = server.requests
    assert (request.path, request.key) == (f"/v1/payment_intents/{INTENT}/cancel", "pay_1:cancel")
    assert request.params == {"expand[0]": "latest_charge"}


async def test_refunds_by_payment(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(refund()))
    found = await psp.refund(
        INTENT, amount=1000, currency="GBP", metadata={"refund_id": "re_1"}, idempotency_key="re_1:refund"
    )
    assert (found.id, found.payment_id, found.amount, found.currency) == ("re_3Test", INTENT, 1000, "GBP")
    request = server.requests[-1]
    assert (request.path, request.key) == ("/v1/refunds", "re_1:refund")
    assert request.params == {"payment_intent": INTENT, "amount": "1000", "metadata[refund_id]": "re_1"}


async def test_reads_a_refund(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(refund(status="failed", failure_reason="lost_or_stolen_card")))
    found = await psp.get_refund("re_3Test")
    assert (found.status, found.failure_reason) == ("failed", "lost_or_stolen_card")
    assert server.requests[0].path == "/v1/refunds/re_3Test"


async def test_reads_the_charge_apart_where_it_is_only_named(server: StripeServer, psp: StripePsp) -> None:
    blocked = charge(outcome={"type": "blocked", "risk_level": "highest", "reason": "highest_risk_level"})
    named = intent(
        status="requires_payment_method",
        latest_charge=None,
        last_payment_error={"type": "card_error", "code": "card_declined", "charge": CHARGE},
    )
    server.play(Answer(named), Answer(blocked))
    found: ProviderPayment = await psp.get_payment(INTENT)
    assert [r.path for r in server.requests] == [f"/v1/payment_intents/{INTENT}", f"/v1/charges/{CHARGE}"]
    assert found.risk
    assert (found.risk.screening, found.risk.risk_level) == ("blocked", "highest")


@pytest.mark.parametrize("payment_id", ["pi_1/../../refunds", "pi_1?expand=x"])
async def test_an_id_never_leads_to_another_address(server: StripeServer, psp: StripePsp, payment_id: str) -> None:
    server.play(Answer(intent()))
    await psp.get_payment(payment_id)
    [request] = server.requests
    assert request.path.startswith("/v1/payment_intents/pi_1%")
    assert request.path.count("/") == 3


async def test_an_empty_id_asks_for_nothing(server: StripeServer, psp: StripePsp) -> None:
    for call in (psp.get_payment(""), psp.get_refund(""), psp.cancel("", idempotency_key="k")):
        with pytest.raises(PspRefused) as refused:
            await call
        assert refused.value.code == "resource_missing"
    assert server.requests == []


async def test_every_parameter_is_known_to_the_pinned_version(
    server: StripeServer, psp: StripePsp, checker: ModuleType
) -> None:
    calls: list[tuple[str, Any]] = []
    psp._intents = Recorder(psp._intents, calls)
    psp._refunds = Recorder(psp._refunds, calls)
    server.play(Answer(intent()))
    await psp.create_payment(NEW)
    await psp.capture(INTENT, amount=4999, currency="GBP", idempotency_key="k")
    await psp.cancel(INTENT, idempotency_key="k")
    server.play(Answer(refund()))
    await psp.refund(INTENT, amount=1, currency="GBP", metadata={"a": "b"}, idempotency_key="k")
    params = stripe.params
    kinds = {
        "retrieve_async": params.PaymentIntentRetrieveParams,
        "capture_async": params.PaymentIntentCaptureParams,
        "cancel_async": params.PaymentIntentCancelParams,
    }
    creates = iter([params.PaymentIntentCreateParams, params.RefundCreateParams])
    problems = [checker.check(kinds.get(name) or next(creates), given) for name, given in calls]
    assert [name for name, _ in calls].count("create_async") == 2
    assert not any(problems), problems


def test_the_checker_refuses_what_is_wrong(checker: ModuleType) -> None:
    wrong = {"amount": "1999", "currency": "eur", "bogus": 1}
    assert len(checker.check(stripe.params.PaymentIntentCreateParams, wrong)) == 2


async def test_loopback_needs_no_proxy(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.play(Answer(intent()))
    adapter = StripePsp(server.settings, name="sandbox")
    assert (await adapter.get_payment(INTENT)).id == INTENT
    await adapter.close()


def _browser(js_url: str) -> Any:
    settings = StripeSettings(
        secret_key="sk_live_x", publishable_key="pk_live_x", webhook_secrets=(), api_base="https://a", js_url=js_url
    )
    return StripePsp(settings, name="stripe")


def test_the_page_may_load_stripes_script() -> None:
    setup = _browser("https://js.stripe.com/endive/stripe.js").browser
    assert setup.script_origins == ("https://js.stripe.com", "https://*.js.stripe.com")
    assert setup.frame_origins == (*setup.script_origins, "https://hooks.stripe.com")
    assert setup.connect_origins == ("https://api.stripe.com",)


def test_the_page_may_load_the_sandbox_script() -> None:
    psp = _browser("http://127.0.0.1:8002/stripe.js")
    assert psp.livemode
    assert psp.browser.script_url == "http://127.0.0.1:8002/stripe.js"
    origins = (psp.browser.script_origins, psp.browser.frame_origins, psp.browser.connect_origins)
    assert set(origins) == {("http://127.0.0.1:8002",)}
