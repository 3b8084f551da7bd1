"""What goes over the wire, and whether the pinned API version knows every parameter of it."""

import importlib.util
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import stripe
import stripe.params

from paylink.config import StripeSettings
from paylink.psp.base import NewPayment, ProviderPayment, PspOutcomeUnknown, PspRefused
from paylink.psp.stripe import StripePsp

from .payloads import CHARGE, INTENT, charge, dispute, event, intent, refund, review
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


@pytest.mark.parametrize(
    ("call", "object_id", "path", "answer"),
    [("get_dispute", "du_1Test", "disputes", dispute()), ("get_review", "prv_1Test", "reviews", review())],
)
async def test_reads_a_dispute_and_a_review(
    server: StripeServer, psp: StripePsp, call: str, object_id: str, path: str, answer: dict[str, Any]
) -> None:
    server.play(Answer(answer))
    found = await getattr(psp, call)(object_id)
    assert (found.id, found.payment_id) == (object_id, INTENT)
    [request] = server.requests
    assert (request.method, request.path, request.params) == ("GET", f"/v1/{path}/{object_id}", {})
    with pytest.raises(PspRefused):
        await getattr(psp, call)("")
    assert len(server.requests) == 1


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


SINCE, UNTIL = datetime.fromtimestamp(1_795_000_000.4, UTC), datetime.fromtimestamp(1_795_003_600.4, UTC)


async def test_lists_payments_with_their_charges(server: StripeServer, psp: StripePsp) -> None:
    odd = intent(id="pi_odd", currency="gold")
    server.play(Answer({"object": "list", "data": [intent(created=1_795_000_001), odd], "has_more": True}))
    page = await psp.list_payments(since=SINCE, until=UNTIL, after="pi_before")
    # What cannot be read does not hide the rest, and is stepped over.
    assert ([one.id for one in page.items], page.next) == ([INTENT], "pi_odd")
    assert page.items[0].card
    assert page.items[0].created_at == datetime.fromtimestamp(1_795_000_001, UTC)
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/v1/payment_intents")
    assert request.params == {
        "created[gte]": "1795000000",
        "created[lt]": "1795003601",
        "limit": "100",
        "starting_after": "pi_before",
        "expand[0]": "data.latest_charge",
    }


async def test_lists_refunds_of_a_payment(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer({"object": "list", "data": [refund(), refund(id="re_2")], "has_more": False}))
    page = await psp.list_refunds(INTENT)
    assert ([one.id for one in page.items], page.next) == (["re_3Test", "re_2"], None)
    [request] = server.requests
    assert (request.path, request.params) == ("/v1/refunds", {"payment_intent": INTENT, "limit": "100"})


async def test_lists_what_was_not_delivered(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer({"object": "list", "data": [event(intent()), event({}, id=None)], "has_more": False}))
    psp.account = "acct_ours"
    page = await psp.list_undelivered(since=SINCE)
    assert [(one.id, one.payment_id, one.account) for one in page.items] == [("evt_1", INTENT, "acct_ours")]
    [request] = server.requests
    assert request.path == "/v1/events"
    assert request.params == {"created[gte]": "1795000000", "delivery_success": "false", "limit": "100"}


@pytest.mark.parametrize("body", [{"object": "list"}, {"data": {}}, {"data": [], "has_more": True}, intent()])
async def test_what_is_no_list_is_no_answer(server: StripeServer, psp: StripePsp, body: Any) -> None:
    server.play(Answer(body))
    with pytest.raises(PspOutcomeUnknown):
        await psp.list_payments(since=SINCE, until=UNTIL)
    with pytest.raises(PspOutcomeUnknown):
        await psp.list_refunds(INTENT)
    with pytest.raises(PspOutcomeUnknown):
        await psp.list_undelivered(since=SINCE)


async def test_every_parameter_of_the_lists_is_known(
    server: StripeServer, psp: StripePsp, checker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    ask = psp._list

    async def noting(path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        calls.append((path, params))
        return await ask(path, params)

    monkeypatch.setattr(psp, "_list", noting)
    server.play(Answer({"object": "list", "data": [], "has_more": False}))
    await psp.list_payments(since=SINCE, until=UNTIL, after="pi_1")
    await psp.list_refunds(INTENT, after="re_1")
    await psp.list_undelivered(since=SINCE, after="evt_1")
    params = stripe.params
    kinds = (params.PaymentIntentListParams, params.RefundListParams, params.EventListParams)
    problems = [checker.check(kind, given) for kind, (_, given) in zip(kinds, calls, strict=True)]
    assert not any(problems), problems
