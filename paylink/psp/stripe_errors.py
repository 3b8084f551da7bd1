"""What the Stripe SDK raises → the port's errors, and the transport that tells whether "nothing happened" may be said.

::

    CardError 402, InvalidRequestError 400/404      PspRefused, Stripe's decline_code or code
    IdempotencyError                                PspRefused "idempotency_error"
    AuthenticationError 401, PermissionError 403    PspRefused "authentication"
    RateLimitError 429, 409, lock_timeout           PspBusy
    409 idempotency_key_in_use                      PspOutcomeUnknown: the same call is still being worked on
    5xx with ``Idempotent-Replayed: true``          PspKeySpent: kept under the key, and over
    time-out, cut off, 5xx, not JSON, the rest      PspOutcomeUnknown

The SDK tries again by itself, with the same idempotency key. Where one try was left without an answer and the next was
told to come back later, the first may have had its effect: that is ``PspOutcomeUnknown`` too.

Messages are written here and never taken from Stripe, whose texts quote parts of the request and, for an answer that is
not JSON, all of it.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import stripe

from paylink.psp.base import PspBusy, PspError, PspKeySpent, PspOutcomeUnknown, PspRefused
from paylink.psp.stripe_mapping import code_of, part

REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,40}")
SERVER_ERRORS = 500
REPLAYED = "idempotent-replayed"
CONFLICT = 409
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass
class Doubt:
    """True once a try of the call was left without a usable answer."""

    arisen: bool = False


_doubt: ContextVar[Doubt | None] = ContextVar("stripe_doubt", default=None)


@contextmanager
def watching() -> Iterator[Doubt]:
    """Watches the tries of one call made in this task."""
    doubt = Doubt()
    token = _doubt.set(doubt)
    try:
        yield doubt
    finally:
        _doubt.reset(token)


class Transport(stripe.HTTPClient):
    """httpx for the SDK, noting each try that was left without a usable answer.

    Not the SDK's own HTTPXClient, which hands the body over in a way httpx has deprecated. One event loop only: the
    connections it keeps belong to the loop that opened them.
    """

    name = "httpx"

    def __init__(self, *, timeout: httpx.Timeout, api_base: str) -> None:
        super().__init__()
        # A proxy from the environment would be asked for its own loopback, where no sandbox listens.
        direct = urlsplit(api_base).hostname in LOOPBACK
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=not direct)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        answered = False
        try:
            answer = await self._client.request(method, url, headers=dict(headers), content=post_data)
            answered = answer.status_code < SERVER_ERRORS
        except httpx.HTTPError as error:
            failed = stripe.APIConnectionError(type(error).__name__, should_retry=True)  # type: ignore[no-untyped-call]
            raise failed from error
        finally:
            doubt = _doubt.get()
            if doubt and not answered:
                doubt.arisen = True
        return answer.content, answer.status_code, answer.headers

    async def sleep_async(self, secs: float) -> None:
        await asyncio.sleep(secs)

    async def close_async(self) -> None:
        await self._client.aclose()


def translate(error: Exception, *, doubt: Doubt) -> PspError:
    """Any exception of one SDK call → what the port says of it."""
    if isinstance(error, PspError):
        return error
    if not isinstance(error, stripe.StripeError):
        return PspOutcomeUnknown(f"no usable answer from Stripe: {type(error).__name__}")
    said = _Said(error)
    if said.refused:
        return PspRefused(said.message("Stripe refused"), code=said.code)
    if said.busy and not doubt.arisen:
        return PspBusy(said.message("Stripe is busy"), code=said.code)
    kind = PspKeySpent if said.replayed_failure else PspOutcomeUnknown
    return kind(said.message("no usable answer from Stripe"), code=said.code)


class _Said:
    """What can be told of an SDK error without quoting it."""

    def __init__(self, error: stripe.StripeError) -> None:
        self.error = error
        self.status = error.http_status
        body: Mapping[str, Any] = error.json_body if isinstance(error.json_body, Mapping) else {}
        self.code = _own_code(error) or code_of(part(body, "error"), "decline_code", "code", "type")
        self.plain_code = code_of(part(body, "error"), "code")

    @property
    def refused(self) -> bool:
        if self.busy:
            return False
        clear = stripe.CardError | stripe.InvalidRequestError | stripe.IdempotencyError
        return isinstance(self.error, clear | stripe.AuthenticationError | stripe.PermissionError)

    @property
    def replayed_failure(self) -> bool:
        headers = self.error.headers or {}
        replayed = any(name.lower() == REPLAYED and value == "true" for name, value in headers.items())
        return replayed and self.status is not None and self.status >= SERVER_ERRORS

    @property
    def busy(self) -> bool:
        if self.plain_code == "idempotency_key_in_use":
            return False
        limited = isinstance(self.error, stripe.RateLimitError) or self.plain_code == "lock_timeout"
        return limited or self.status == CONFLICT

    def message(self, start: str) -> str:
        request = self.error.request_id
        known = request if isinstance(request, str) and REQUEST_ID.fullmatch(request) else "unknown"
        return f"{start}: {self.code or type(self.error).__name__} (status {self.status}, request {known})"


def _own_code(error: stripe.StripeError) -> str | None:
    if isinstance(error, stripe.IdempotencyError):
        return "idempotency_error"
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return "authentication"
    return None
