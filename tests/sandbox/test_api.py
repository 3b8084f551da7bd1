"""Strictness as Stripe's: keys, parameters, idempotency, lists, and the errors' shapes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import stripe
from stripe import params as stripe_params

from paylink.sandbox import specs
from paylink.sandbox.params import Shape, check, decode

from .harness import Box, until


def base(**more: Any) -> Any:
    return {"amount": 100, "currency": "gbp", **more}


def post(box: Box, path: str, body: str, **headers: str) -> httpx.Response:
    sent = {
        "authorization": f"Bearer {box.settings.stripe.secret_key}",
        "content-type": "application/x-www-form-urlencoded",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return box.http.post(path, content=body, headers=sent)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ("amount=100", "currency", "parameter_missing"),
        ("amount=0&currency=gbp", "amount", "parameter_invalid_integer"),
        ("amount=-5&currency=gbp", "amount", "parameter_invalid_integer"),
        ("amount=1.5&currency=gbp", "amount", "parameter_invalid_integer"),
        ("amount=100000000&currency=gbp", "amount", "amount_too_large"),
        ("amount=100&currency=zzz", "currency", None),
        ("amount=100&currency=gbp&colour=red", "colour", "parameter_unknown"),
        ("amount=100&currency=gbp&capture_method=later", "capture_method", None),
        ("amount=100&currency=gbp&confirm=maybe", "confirm", None),
        ("amount=100&currency=gbp&metadata=x", "metadata", None),
        ("amount=100&currency=gbp&shipping[name]=A", "shipping[address]", "parameter_missing"),
        (
            "amount=100&currency=gbp&payment_method_options[card][request_three_d_secure]=never",
            "payment_method_options[card][request_three_d_secure]",
            None,
        ),
        ("amount=1&currency=gbp&transfer_data[destination]=x", "transfer_data", "parameter_unknown"),
        (
            "amount=1&currency=gbp&allowed_payment_method_types[]=klarna",
            "allowed_payment_method_types[0]",
            "payment_intent_invalid_parameter",
        ),
        (
            "amount=1&currency=gbp&payment_method_types[]=card",
            "payment_method_types",
            "payment_method_types_no_longer_supported",
        ),
    ],
)  # fmt: skip
def test_faults_in_parameters(box: Box, body: str, param: str, code: str | None) -> None:
    answer = post(box, "/v1/payment_intents", body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"], error.get("code")) == ("invalid_request_error", param, code)
    assert answer.headers["request-id"].startswith("req_")


def test_nested_form_fields() -> None:
    tree = decode(b"metadata[a]=b&expand[]=x&expand[]=y&expand[2]=z&shipping[address][line1]=Q%20%26%20A")
    assert tree == {"metadata": {"a": "b"}, "expand": ["x", "y", "z"], "shipping": {"address": {"line1": "Q & A"}}}


@pytest.mark.parametrize("shape", [value for value in vars(specs).values() if isinstance(value, Shape)])
def test_no_shape_breaks_on_odd_forms(shape: Shape) -> None:
    for name in shape.fields:
        for odd in ("", "x", "[]=1", "[a]=1", "[a][b][c]=1", "[=1", "=\x00"):
            form = f"{name}={odd}" if not odd.startswith(("[", "=")) else f"{name}{odd}"
            try:
                check(decode(form.encode()), shape)
            except Exception as error:
                assert type(error).__name__ == "StripeError", (name, odd)  # noqa: PT017


@pytest.mark.parametrize(
    ("shape", "theirs"),
    [
        (specs.INTENT_CREATE, stripe_params.PaymentIntentCreateParams),
        (specs.INTENT_UPDATE, stripe_params.PaymentIntentUpdateParams),
        (specs.INTENT_CAPTURE, stripe_params.PaymentIntentCaptureParams),
        (specs.INTENT_CANCEL, stripe_params.PaymentIntentCancelParams),
        (specs.REFUND_CREATE, stripe_params.RefundCreateParams),
        (specs.LIST_EVENTS, stripe_params.EventListParams),
        (specs.LIST_INTENTS, stripe_params.PaymentIntentListParams),
        (specs.LIST_CHARGES, stripe_params.ChargeListParams),
        (specs.LIST_OF_CHARGE, stripe_params.RefundListParams),
        (specs.LIST_OF_CHARGE, stripe_params.DisputeListParams),
        (specs.LIST, stripe_params.ReviewListParams),
    ],
)
def test_no_parameter_is_made_up(shape: Shape, theirs: type) -> None:
    gone = {"payment_method_types"}  # known to be refused
    assert set(shape.fields) - gone <= {
        name for known in theirs.__mro__ for name in getattr(known, "__annotations__", {})
    }


def test_keys(box: Box) -> None:
    for key in ("sk_test_wrong", "rk_live_x"):
        with pytest.raises(stripe.AuthenticationError):
            box.client(key).v1.payment_intents.create({"amount": 100, "currency": "gbp"})
    assert box.http.get("/v1/payment_intents").status_code == 401
    assert post(box, "/v1/payment_intents", "amount=100&currency=gbp", stripe_version="2020-08-27").status_code == 400
    browser = box.client(box.settings.stripe.publishable_key)
    with pytest.raises(stripe.AuthenticationError) as caught:
        browser.v1.payment_intents.create({"amount": 100, "currency": "gbp"})
    assert caught.value.error is not None
    assert caught.value.error.code == "secret_key_required"


def test_the_publishable_key_needs_the_client_secret(box: Box) -> None:
    intent = box.stripe.v1.payment_intents.create(base(metadata={"secret": "x"}))
    browser = box.client(box.settings.stripe.publishable_key)
    wrong: list[Any] = [{}, {"client_secret": "pi_x_secret_y"}]
    for params in wrong:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            browser.v1.payment_intents.retrieve(intent.id, params)
        assert caught.value.code == "resource_missing"
    seen = browser.v1.payment_intents.retrieve(intent.id, {"client_secret": str(intent.client_secret)})
    assert (seen.amount, seen.status) == (100, "requires_payment_method")
    assert "metadata" not in seen
    assert "latest_charge" not in seen


def test_servers_must_not_send_card_numbers(box: Box) -> None:
    form = "type=card&card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=2040&card[cvc]=123"
    answer = post(box, "/v1/payment_methods", form)
    assert answer.status_code == 400
    assert "4242" not in answer.text


def test_unknown_objects_and_addresses(box: Box) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.payment_intents.retrieve("pi_nothing")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert post(box, "/v1/checkout/sessions", "").status_code == 404
    with pytest.raises(stripe.InvalidRequestError):
        box.stripe.v1.payment_intents.create(base(expand=["nothing"]))
    assert not box.stripe.v1.payment_intents.list().data


def test_the_first_answer_is_replayed(box: Box) -> None:
    params = base()
    first = box.stripe.v1.payment_intents.create(params, {"idempotency_key": "k1"})
    again = box.stripe.v1.payment_intents.create(params, {"idempotency_key": "k1"})
    assert first.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError) as caught:
        box.stripe.v1.payment_intents.create({"amount": 101, "currency": "gbp"}, {"idempotency_key": "k1"})
    assert caught.value.http_status == 400
    assert len(box.stripe.v1.payment_intents.list().data) == 1


def test_a_decline_is_saved_and_a_fault_in_the_parameters_is_not(box: Box) -> None:
    intent = box.stripe.v1.payment_intents.create(base(allowed_payment_method_types=["card"]))
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            box.stripe.v1.payment_intents.confirm(
                intent.id, {"payment_method": "pm_card_chargeDeclined"}, {"idempotency_key": "k2"}
            )
    assert len(box.stripe.v1.charges.list({"payment_intent": intent.id}).data) == 1
    assert post(box, "/v1/payment_intents", "amount=x&currency=gbp", idempotency_key="k3").status_code == 400
    assert post(box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k3").status_code == 200


def test_a_key_at_work_is_a_conflict(box: Box) -> None:
    box.order(faults=[{"kind": "hang", "path": "/v1/payment_intents", "times": 1, "delay_ms": [300, 300]}])
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post, box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k4")
        until(lambda: box.http.get("/_ledger").json())
        fast = post(box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k4")
        assert fast.status_code == 409
        assert fast.json()["error"]["code"] == "idempotency_key_in_use"
        with pytest.raises(httpx.TransportError):
            slow.result()
    replay = post(box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k4")
    assert replay.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("kind", "intents", "saved"),
    [
        ("error_before", 0, False),
        ("error_saved", 0, True),
        ("error_after", 1, True),
        ("reset_before", 0, False),
        ("reset_after", 1, True),
        ("truncate", 1, True),
        ("rate_limit", 0, False),
    ],
)
def test_faults_on_demand(box: Box, kind: str, intents: int, saved: bool) -> None:
    box.order(faults=[{"kind": kind, "method": "POST", "path": "/v1/payment_intents", "times": 1}])
    try:
        status = post(box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k5").status_code
        assert status == (429 if kind == "rate_limit" else 500)
    except httpx.TransportError:
        assert kind in ("reset_before", "reset_after", "truncate")
    assert len(box.http.get("/_ledger").json()) == intents
    again = post(box, "/v1/payment_intents", "amount=1&currency=gbp", idempotency_key="k5")
    assert ("idempotent-replayed" in again.headers) is saved
    assert again.status_code == (500 if kind in ("error_saved", "error_after") else 200)


def test_lists_page_both_ways(box: Box) -> None:
    made = [box.stripe.v1.payment_intents.create(base()).id for _ in range(5)][::-1]
    first = box.stripe.v1.payment_intents.list({"limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (made[:2], True)
    assert [one.id for one in first.auto_paging_iter()] == made
    back = box.stripe.v1.payment_intents.list({"limit": 2, "ending_before": made[4]})
    assert [one.id for one in back.data] == made[2:4]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.payment_intents.list({"limit": 0})
    assert caught.value.param == "limit"


def test_events_tell_whether_they_were_taken(box: Box) -> None:
    box.order(webhooks={"drop": 1})
    box.pay()
    until(lambda: len(box.stripe.v1.events.list({"delivery_success": False}).data) == 3)
    box.order(webhooks={"drop": 0})
    box.stripe.v1.payment_intents.create(base())
    until(lambda: box.stripe.v1.events.list({"delivery_success": True}).data)
    taken = box.stripe.v1.events.list({"delivery_success": True}).data
    assert [event.type for event in taken] == ["payment_intent.created"]
    assert taken[0].pending_webhooks == 0
    assert [event.type for event in box.stripe.v1.events.list({"type": "charge.*"}).data] == ["charge.succeeded"]
    typed = box.stripe.v1.events.list({"types": ["payment_intent.created", "charge.failed"], "limit": 1})
    assert typed.has_more is True
    event = box.stripe.v1.events.retrieve(taken[0].id)
    assert (event.api_version, event.livemode, event.request is not None) == (specs.API_VERSION, False, True)


def test_the_account_can_take_charges(box: Box) -> None:
    account = box.stripe.v1.accounts.retrieve_current()
    assert account.charges_enabled


def test_metadata_is_merged(box: Box) -> None:
    intent = box.stripe.v1.payment_intents.create(base(metadata={"a": "1", "b": "2"}))
    changed = box.stripe.v1.payment_intents.update(intent.id, {"metadata": {"a": "", "c": "3"}, "amount": 250})
    assert changed.metadata is not None
    assert (changed.metadata.to_dict(), changed.amount) == ({"b": "2", "c": "3"}, 250)
