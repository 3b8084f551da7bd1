"""The calls of Stripe's API that the sandbox plays: name, parameters, and what serves them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paylink.sandbox import confirm, disputes, intents, lists, methods, refunds, reviews, specs
from paylink.sandbox.errors import missing, refused
from paylink.sandbox.events import Call
from paylink.sandbox.params import Shape
from paylink.sandbox.store import Json

Handler = Callable[[Call, Mapping[str, str], Json], Json]

# What Stripe shows of an intent to a publishable key.
PUBLIC_FIELDS = (
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at", "cancellation_reason",
    "capture_method", "client_secret", "confirmation_method", "created", "currency", "description",
    "last_payment_error", "livemode", "next_action", "payment_method", "payment_method_configuration_details",
    "payment_method_types", "processing", "receipt_email", "setup_future_usage", "shipping", "source", "status",
)  # fmt: skip
ACCOUNT_ID = "acct_paylinksandbox"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    shape: Shape
    handler: Handler
    # A browser may call it, with the publishable key and the intent's client secret.
    publishable: bool = False


def _create_intent(call: Call, path: Mapping[str, str], params: Json) -> Json:
    intent = intents.create(call, params)
    if not params.get("confirm"):
        return intent
    rest = {k: v for k, v in params.items() if k not in ("payment_method_data", "payment_method")}
    return confirm.confirm(call, intent["id"], rest)


def _retrieve_intent(call: Call, path: Mapping[str, str], params: Json) -> Json:
    intent = intents.load(call, path["id"])
    return _for_browser(intent) if _browser(call, intent, params) else intent


def _confirm_intent(call: Call, path: Mapping[str, str], params: Json) -> Json:
    browser = _browser(call, intents.load(call, path["id"]), params)
    intent = confirm.confirm(call, path["id"], params)
    return _for_browser(intent) if browser else intent


def _browser(call: Call, intent: Json, params: Json) -> bool:
    """True for a browser's call. The client secret must fit; a wrong one is answered like an unknown intent."""
    claimed = call.publishable or "client_secret" in params
    if claimed and params.get("client_secret") != intent["client_secret"]:
        raise missing("payment_intent", intent["id"], param="intent")
    return call.publishable


def _for_browser(intent: Json) -> Json:
    return {name: intent[name] for name in PUBLIC_FIELDS}


def _authenticate_intent(call: Call, path: Mapping[str, str], params: Json) -> Json:
    intent = intents.load(call, path["id"])
    token = confirm.pending_attempt(intent)
    if token is None:
        raise refused("This PaymentIntent does not wait for authentication.", code="payment_intent_unexpected_state")
    return confirm.authenticate(call, token, approve=params["outcome"] == "approve")


def _account(call: Call, path: Mapping[str, str], params: Json) -> Json:
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {"name": "paylink sandbox", "url": None, "support_email": None},
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "GB",
        "created": 1_700_000_000,
        "default_currency": "gbp",
        "details_submitted": True,
        "email": "sandbox@example.test",
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "paylink sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def _event(call: Call, path: Mapping[str, str], params: Json) -> Json:
    event = call.tx.get(path["id"], "event")
    if event is None:
        raise missing("event", path["id"], param="id")
    return _with_pending(call, event)


def _events(call: Call, path: Mapping[str, str], params: Json) -> Json:
    answer = lists.page(call.tx, "event", params, url="/v1/events")
    answer["data"] = [_with_pending(call, event) for event in answer["data"]]
    return answer


def _with_pending(call: Call, event: Json) -> Json:
    row = call.tx.one(
        "SELECT count(*) AS n FROM outbox WHERE source = ? AND state IN ('new', 'pending') AND forged = 0", event["id"]
    )
    return {**event, "pending_webhooks": min(row["n"], 1) if row else 0}


def _stored(kind: str) -> Handler:
    def retrieve(call: Call, path: Mapping[str, str], params: Json) -> Json:
        found = call.tx.get(path["id"], kind)
        if found is None:
            raise missing(kind, path["id"], param="id")
        return found

    return retrieve


def _listed(kind: str, url: str) -> Handler:
    def listing(call: Call, path: Mapping[str, str], params: Json) -> Json:
        return lists.page(call.tx, kind, params, url=url)

    return listing


def _by_id(service: Callable[[Call, str, Json], Json]) -> Handler:
    return lambda call, path, params: service(call, path["id"], params)


_INTENTS = "/v1/payment_intents"
OPERATIONS: tuple[Operation, ...] = (
    Operation("POST", _INTENTS, specs.INTENT_CREATE, _create_intent),
    Operation("GET", _INTENTS, specs.LIST_INTENTS, _listed("payment_intent", _INTENTS)),
    Operation("GET", _INTENTS + "/{id}", specs.INTENT_RETRIEVE, _retrieve_intent, publishable=True),
    Operation("POST", _INTENTS + "/{id}", specs.INTENT_UPDATE, _by_id(intents.update)),
    Operation("POST", _INTENTS + "/{id}/confirm", specs.INTENT_CONFIRM, _confirm_intent, publishable=True),
    Operation("POST", _INTENTS + "/{id}/capture", specs.INTENT_CAPTURE, _by_id(intents.capture)),
    Operation("POST", _INTENTS + "/{id}/cancel", specs.INTENT_CANCEL, _by_id(intents.cancel)),
    Operation(
        "POST", "/v1/test_helpers/payment_intents/{id}/authenticate", specs.INTENT_AUTHENTICATE, _authenticate_intent
    ),
    Operation(
        "POST", "/v1/payment_methods", specs.PAYMENT_METHOD_CREATE,
        lambda call, _path, params: methods.create(call, params), publishable=True,
    ),
    Operation(
        "GET", "/v1/payment_methods/{id}", specs.RETRIEVE,
        lambda call, path, _params: methods.resolve(call, path["id"]),
    ),
    Operation("GET", "/v1/charges", specs.LIST_CHARGES, _listed("charge", "/v1/charges")),
    Operation("GET", "/v1/charges/{id}", specs.RETRIEVE, _stored("charge")),
    Operation("POST", "/v1/refunds", specs.REFUND_CREATE, lambda call, _path, params: refunds.create(call, params)),
    Operation("GET", "/v1/refunds", specs.LIST_OF_CHARGE, _listed("refund", "/v1/refunds")),
    Operation("GET", "/v1/refunds/{id}", specs.RETRIEVE, _stored("refund")),
    Operation("POST", "/v1/refunds/{id}", specs.METADATA_UPDATE, _by_id(refunds.update)),
    Operation("GET", "/v1/reviews", specs.LIST, _listed("review", "/v1/reviews")),
    Operation("GET", "/v1/reviews/{id}", specs.RETRIEVE, _stored("review")),
    Operation(
        "POST", "/v1/reviews/{id}/approve", specs.RETRIEVE,
        lambda call, path, _params: reviews.approve(call, path["id"]),
    ),
    Operation("GET", "/v1/disputes", specs.LIST_OF_CHARGE, _listed("dispute", "/v1/disputes")),
    Operation("GET", "/v1/disputes/{id}", specs.RETRIEVE, _stored("dispute")),
    Operation(
        "POST", "/v1/disputes/{id}/close", specs.RETRIEVE,
        lambda call, path, _params: disputes.close(call, path["id"], status="lost"),
    ),
    Operation("GET", "/v1/events", specs.LIST_EVENTS, _events),
    Operation("GET", "/v1/events/{id}", specs.RETRIEVE, _event),
    Operation("GET", "/v1/account", specs.RETRIEVE, _account),
)  # fmt: skip


def answer(call: Call, operation: Operation, path: Mapping[str, str], params: dict[str, Any]) -> Json:
    """Serves one call with checked parameters, expansions included."""
    result = operation.handler(call, path, params)
    return lists.expand(call.tx, result, params["expand"]) if params.get("expand") else result
