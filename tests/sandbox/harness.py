"""A sandbox served for real on a free port, and a real receiver for what it sends."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import requests
import stripe
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from paylink.config import Settings

stripe.enable_telemetry = False
DEADLINE = 15.0


def free_socket() -> socket.socket:
    # Named, or asyncio leaves Nagle's delay on in what it accepts: 40 ms for each answer.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


@contextlib.contextmanager
def served(app: ASGIApp, listening: socket.socket, *, lifespan: str = "on") -> Iterator[str]:
    config = uvicorn.Config(app, log_level="warning", lifespan=lifespan, timeout_graceful_shutdown=1)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),), daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE)


def until(ready: Callable[[], Any], *, seconds: float = DEADLINE) -> Any:
    """Waits for a condition and returns what it became."""
    end = time.monotonic() + seconds
    while not (value := ready()):
        if time.monotonic() > end:
            raise AssertionError("the awaited condition did not come about")
        time.sleep(0.01)
    return value


class Receiver:
    """The console's callback addresses: keeps every request, and refuses as long as it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.refusals = 0
        paths = ["/webhooks/psp/sandbox", "/webhooks/messaging/sandbox"]
        self.app = Starlette(routes=[Route(path, self._take, methods=["POST"]) for path in paths])

    async def _take(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), await request.body()))
        if self.refusals > 0:
            self.refusals -= 1
            return Response(status_code=503)
        return Response(status_code=204)

    def bodies(self, channel: str) -> list[dict[str, Any]]:
        return [json.loads(body) for path, _, body in list(self.requests) if f"/{channel}/" in path]

    def types(self) -> list[str]:
        return [event["type"] for event in self.bodies("psp")]

    def receipts(self) -> list[str]:
        return [receipt["status"] for receipt in self.bodies("messaging")]


class Box:
    """One sandbox, what it speaks to, and the clients of a test."""

    def __init__(self, settings: Settings, url: str, receiver: Receiver) -> None:
        self.settings = settings
        self.url = url
        self.receiver = receiver
        self._sessions: list[requests.Session] = []
        self.http = httpx.Client(base_url=url, trust_env=False)
        self.stripe = self.client(settings.stripe.secret_key)

    def client(self, key: str) -> stripe.StripeClient:
        session = requests.Session()
        self._sessions.append(session)
        carrier = stripe.RequestsClient(session=session)
        return stripe.StripeClient(key, base_addresses={"api": self.url}, max_network_retries=0, http_client=carrier)

    def close(self) -> None:
        self.http.close()
        for session in self._sessions:
            session.close()

    def order(self, **orders: Any) -> None:
        self.http.post("/_control", json=orders).raise_for_status()

    def ledger(self, intent_id: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.http.get("/_ledger", params={"payment_intent": intent_id}).json()
        return found[0]

    def pay(self, card: str = "visa", *, amount: int = 4999, **params: Any) -> stripe.PaymentIntent:
        full: Any = {
            "amount": amount,
            "currency": "gbp",
            "allowed_payment_method_types": ["card"],
            "payment_method": f"pm_card_{card}",
            "confirm": True,
            "capture_method": "manual",
            **params,
        }
        return self.stripe.v1.payment_intents.create(full)

    def send(self, message_id: str, to: str, **fields: Any) -> httpx.Response:
        message = {"id": message_id, "channel": "sms", "to": to, "text": "Hello", **fields}
        headers = {"Authorization": f"Bearer {self.settings.sandbox_messaging_secret}"}
        return self.http.post("/_messages", json=message, headers=headers)


def settings_for(folder: Path, *, sandbox: str, console: str, checkout: str = "http://127.0.0.1:1") -> Settings:
    return Settings(
        _env_file=None,
        sandbox_url=sandbox,
        console_url=console,
        checkout_url=checkout,
        sandbox_database_url=f"sqlite:///{folder / 'deep' / 'sandbox.db'}",
    )
