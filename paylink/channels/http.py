"""Calls to providers over HTTP: bounded in time and size, never redirected, with the faults of the way told apart.

What a provider said is returned as an ``Answer``, also when it refused. What makes sense to try again is raised:

    TemporaryFault
    ├── Unreachable   no connection: surely nothing was sent
    ├── NoAnswer      the request went out and its answer was lost: it may have been taken
    └── Unusable      busy, broken or a redirect; it has the ``answer``

No error and no log line holds the address, which may hold a password, nor what was sent.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final

import httpx

from paylink.channels.base import TemporaryFault
from paylink.channels.outside import Transport

CONNECT_S: Final = 5.0
# One call with everything, from the look-up of the name to the last byte.
TOTAL_S: Final = 15.0
# No provider's answer to one message is near it.
LARGEST_ANSWER: Final = 64 * 1024
CONNECTIONS: Final = 64
# What a provider may make us wait; whoever says more is asked again after that.
LONGEST_WAIT_S: Final = 3600.0
# How long to wait before a second try where the first may have been taken: reports of it come sooner.
ANSWER_LOST_S: Final = 60.0
_BUSY: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is the body as UTF-8, with marks in place of what is not."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def content(self) -> dict[str, Any]:
        """The JSON object of the body; empty when it is none."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def retry_after_s(self) -> float | None:
        """What ``Retry-After`` asks for, in either of its two forms (RFC 9110, 10.2.3)."""
        given = self.headers.get("retry-after", "").strip()
        if given.isascii() and given.isdigit():
            return min(float(given[:9]), LONGEST_WAIT_S)
        try:
            moment = parsedate_to_datetime(given)
        except ValueError:
            return None
        return min(max(moment.timestamp() - time.time(), 0.0), LONGEST_WAIT_S)


class Unreachable(TemporaryFault):
    """Nothing was sent."""


class NoAnswer(TemporaryFault):
    """It may have been taken, or not."""


class Unusable(TemporaryFault):
    """An answer that decides nothing about the message."""

    def __init__(self, reason: str, *, answer: Answer, pause_s: float | None = None) -> None:
        """``pause_s``: for an answer that asks for none itself."""
        wait_s = answer.retry_after_s
        super().__init__(reason, code=str(answer.status), retry_after_s=pause_s if wait_s is None else wait_s)
        self.answer = answer


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities to believe, read once: that takes a tenth of a second, in which nothing else would run.

    ``SSL_CERT_FILE`` is heeded, for gateways with a certificate of the operator's own.
    """
    return httpx.create_ssl_context()


class Caller:
    """A pool of connections to one provider. ``who``: its name, as the agent reads it in a reason.

    ``lost_pause_s``: for one that would take a message twice. After a lost answer or a fault of the provider's, the
    error asks for this pause, within which reports tell of a message that was taken. ``largest``: answers in bytes.
    """

    def __init__(
        self,
        who: str,
        *,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        total_s: float = TOTAL_S,
        lost_pause_s: float | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._who = who
        self._lost_pause_s = lost_pause_s
        self._total_s = total_s
        self._largest = largest
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            # Unpacked, a small answer could become a large one.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})},
            timeout=httpx.Timeout(total_s, connect=CONNECT_S),
            transport=Transport(limits=limits, verify=_trusted(), trust_env=False),
            follow_redirects=False,
            trust_env=False,
        )

    async def post(self, path: str, **options: Any) -> Answer:
        """``options`` are those of httpx: ``json``, ``data`` (a form), ``params``, ``headers``, ``auth``."""
        return await self.request("POST", path, **options)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """Raises ``Unreachable``, ``NoAnswer`` or ``Unusable``. Anything else, 4xx too, is the caller's to judge."""
        try:
            async with asyncio.timeout(self._total_s):
                answer = await self._exchange(method, path, options)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol):
            raise Unreachable(f"{self._who} could not be reached", code="unreachable") from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise NoAnswer(f"{self._who} did not answer", code="no_answer", retry_after_s=self._lost_pause_s) from None
        if answer.status in _BUSY:
            raise Unusable(f"{self._who} asks us to wait", answer=answer)
        if answer.status >= 500:
            raise Unusable(f"{self._who} had a fault", answer=answer, pause_s=self._lost_pause_s)
        if not 200 <= answer.status < 300 and not answer.status >= 400:
            raise Unusable(f"{self._who} sent us elsewhere, which is not followed", answer=answer)
        return answer

    async def _exchange(self, method: str, path: str, options: dict[str, Any]) -> Answer:
        async with self._client.stream(method, path, **options) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx.DecodingError("the answer is packed, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._largest:
                    raise httpx.DecodingError("the answer is too large")
            return Answer(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                text=body.decode(errors="replace"),
            )

    async def close(self) -> None:
        await self._client.aclose()
