"""One HTTP call to ``/v1``, from the key check to the saved answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from paylink.config import Settings
from paylink.kit.crypto import same
from paylink.sandbox import api, idempotency
from paylink.sandbox.api import Operation
from paylink.sandbox.control import UNKNOWN_ERROR, ConnectionLost, Control, Fault
from paylink.sandbox.errors import StripeError, invalid, unauthorized
from paylink.sandbox.events import Call, stripe_id
from paylink.sandbox.idempotency import Reply
from paylink.sandbox.params import check, decode
from paylink.sandbox.specs import API_VERSION
from paylink.sandbox.store import Store, Tx, savepoint

MAX_BODY = 256 * 1024
PUBLISHABLE_KEY_REFUSED = (
    "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your "
    "API keys at https://dashboard.stripe.com/account/apikeys."
)
NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)


@dataclass(frozen=True)
class Incoming:
    """A call as it came in, before anything is believed of it."""

    operation: Operation
    method: str
    path: str
    path_params: dict[str, str]
    raw: bytes
    key: str | None
    request_id: str
    publishable: bool


class StripeApi:
    """The ``/v1`` routes over one store."""

    def __init__(self, settings: Settings, store: Store, control: Control) -> None:
        self._settings = settings
        self._store = store
        self._control = control
        self._in_flight: set[str] = set()
        self._key = settings.keyring.derive_text("sandbox-fingerprint").encode()

    def routes(self) -> list[Route]:
        paths: dict[str, dict[str, Operation]] = {}
        for operation in api.OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = operation
        routes = [Route(path, self._endpoint(by_verb), methods=list(by_verb)) for path, by_verb in paths.items()]
        return [*routes, Route("/v1/{rest:path}", self._unknown, methods=["GET", "POST", "DELETE"])]

    def call(self, tx: Tx, **fields: Any) -> Call:
        """What the services need, for callers other than the API too: 3-D Secure and timers."""
        return Call(
            tx,
            self._key,
            self._settings.sandbox_url,
            dispute_delay=self._control.dispute_delay,
            refund_delay=self._control.refund_delay,
            authorization_seconds=self._control.authorization_seconds,
            **fields,
        )

    def _endpoint(self, by_verb: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._serve(request, by_verb["GET" if request.method == "HEAD" else request.method])

        return endpoint

    async def _serve(self, request: Request, operation: Operation) -> Response:
        request_id = stripe_id("req")
        try:
            incoming = await self._incoming(request, operation, request_id)
            reply = await self._once(incoming)
        except StripeError as error:
            reply = Reply(error.status, error.body)
        except ConnectionLost as lost:
            return Cut(_response(request, lost.half, request_id) if lost.half else None)
        return _response(request, reply, request_id)

    async def _incoming(self, request: Request, operation: Operation, request_id: str) -> Incoming:
        publishable = self._authorize(request, operation)
        version = request.headers.get("stripe-version", API_VERSION)
        if version != API_VERSION:
            raise invalid(f"Invalid Stripe API version: {version[:40]}. The sandbox plays {API_VERSION} only.")
        posted = request.method == "POST"
        raw = await _body(request) if posted else request.url.query.encode()
        key = request.headers.get("idempotency-key") if posted else None
        if key is not None and len(key) > idempotency.MAX_LENGTH:
            raise idempotency.too_long()
        return Incoming(
            operation, request.method, request.url.path, request.path_params, raw, key, request_id, publishable
        )

    async def _once(self, incoming: Incoming) -> Reply:
        """Raises 409 while the same key is at work."""
        key = incoming.key
        if key is None:
            return await self._faulty(incoming)
        if key in self._in_flight:
            raise idempotency.in_progress(key)
        self._in_flight.add(key)
        try:
            return await self._faulty(incoming)
        finally:
            self._in_flight.discard(key)

    async def _faulty(self, incoming: Incoming) -> Reply:
        """As well as it was ordered to go. Raises ``ConnectionLost`` for a cut."""
        fault = self._control.fault_for(incoming.method, incoming.path)
        if fault:
            await fault.before()
        reply = await self._store.run(lambda tx: self._execute(tx, incoming, fault))
        if fault:
            await fault.after(reply)
        return reply

    def _execute(self, tx: Tx, incoming: Incoming, fault: Fault | None) -> Reply:
        """Effects, events, webhooks and the saved answer: one transaction."""
        tree = decode(incoming.raw)
        request = idempotency.request_hash(self._key, method=incoming.method, path=incoming.path, params=tree)
        if incoming.key is not None:
            found = idempotency.find(tx, incoming.key, request=request)
            if found:
                return found
        params = check(tree, incoming.operation.shape)
        call = self.call(
            tx, request_id=incoming.request_id, idempotency_key=incoming.key, publishable=incoming.publishable
        )
        reply = _strike(fault) or _perform(call, incoming, params)
        if fault and fault.kind == "error_after":
            reply = _server_error()
        if incoming.key is not None:
            idempotency.save(tx, incoming.key, request=request, reply=reply)
        return reply

    def _authorize(self, request: Request, operation: Operation | None) -> bool:
        """True for the publishable key. Raises Stripe's 401."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise unauthorized(NO_KEY)
        if same(key, self._settings.stripe.secret_key):
            return False
        if not same(key, self._settings.stripe.publishable_key):
            raise unauthorized(f"Invalid API Key provided: {key[:7]}{'*' * 8}{key[-4:]}")
        if operation is None or not operation.publishable:
            kind = "invalid_request_error"
            raise StripeError(PUBLISHABLE_KEY_REFUSED, status=401, kind=kind, code="secret_key_required")
        return True

    async def _unknown(self, request: Request) -> Response:
        request_id = stripe_id("req")
        try:
            self._authorize(request, None)
        except StripeError as error:
            return _response(request, Reply(error.status, error.body), request_id)
        where = f"{request.method}: {request.url.path[:200]}"
        message = f"Unrecognized request URL ({where}). The sandbox does not play this call."
        unknown = StripeError(message, status=404, kind="invalid_request_error")
        return _response(request, Reply(404, unknown.body), request_id)


def _perform(call: Call, incoming: Incoming, params: dict[str, Any]) -> Reply:
    """Raises only what is not to be saved: faults in the parameters, found before anything was done."""
    try:
        return Reply(200, _undone_on_error(call, incoming, params))
    except StripeError as error:
        if not error.executed:
            raise
        return Reply(error.status, error.body)


def _undone_on_error(call: Call, incoming: Incoming, params: dict[str, Any]) -> dict[str, Any]:
    kept: StripeError | None = None
    with savepoint(call.tx):
        try:
            return api.answer(call, incoming.operation, incoming.path_params, params)
        except StripeError as error:
            if not error.keep_effects:
                raise
            kept = error
    raise kept


def _strike(fault: Fault | None) -> Reply | None:
    return _server_error() if fault and fault.kind == "error_saved" else None


def _server_error() -> Reply:
    return Reply(500, StripeError(UNKNOWN_ERROR, status=500, kind="api_error").body)


async def _body(request: Request) -> bytes:
    raw = await request.body()
    if len(raw) > MAX_BODY:
        raise invalid("Request too large")
    kind = request.headers.get("content-type", "")
    if raw and not kind.startswith("application/x-www-form-urlencoded"):
        raise invalid("Invalid request: the body must be application/x-www-form-urlencoded")
    return raw


def _response(request: Request, reply: Reply, request_id: str) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION, "Cache-Control": "no-cache, no-store"}
    if key := request.headers.get("idempotency-key"):
        headers["Idempotency-Key"] = key.encode("ascii", "replace").decode()[: idempotency.MAX_LENGTH]
        headers["Original-Request"] = request_id
    if reply.replayed:
        headers["Idempotent-Replayed"] = "true"
    body = reply.body
    if "error" in body:
        log_url = f"https://dashboard.stripe.com/test/logs/{request_id}"
        body = {"error": {**body["error"], "request_log_url": log_url}}
    return Response(json.dumps(body), reply.status, headers, "application/json")


class Cut(Response):
    """An answer that never comes, or of which only the first half does."""

    def __init__(self, whole: Response | None) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._whole is not None:
            await send({"type": "http.response.start", "status": 200, "headers": self._whole.raw_headers})
            half = bytes(self._whole.body)[: len(self._whole.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await asyncio.sleep(0.05)  # lets the half leave before the cut
        # The transport is the server's own affair and has no ASGI name; uvicorn keeps it beside ``receive``.
        cycle = getattr(receive, "__self__", None)
        transport = getattr(cycle, "transport", None)
        if transport is None:
            raise ConnectionLost
        transport.abort()
        for _ in range(3):  # until the server has noticed, or it would try to answer for us
            await asyncio.sleep(0)
