"""The people of a proof, over HTTP: the agent's program, the customer's browser, and the provider's script in it."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx

from paylink.config import StripeSettings

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
DATA: Final = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
WAIT_S: Final = 60.0
# Connections are given up well before the server closes them, or a request would meet the closing.
# The pool never closes a connection by itself: httpcore can take one from a request that has just been given it, which
# then ends as if the server had cut it off.
LIMITS: Final = httpx.Limits(max_connections=400, max_keepalive_connections=400, keepalive_expiry=None)
# Who is told to come back in two seconds comes a little sooner: a proof has many to look after.
SOONER: Final = 0.4


class NoAnswer(Exception):
    """The product was not there, or went away before it had answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    what: str
    status: int
    body: Any
    headers: httpx.Headers

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        value = self.headers.get("retry-after")
        return float(value) if value else None


@dataclass
class Traffic:
    """All that is sent in a proof. Counts the answers, and keeps those that must never be given."""

    http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=WAIT_S, trust_env=False, limits=LIMITS)
    )
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def send(self, what: str, method: str, url: str, *, headers: dict[str, str], body: Any = None) -> Answer:
        content = None if body is None else json.dumps(body)
        try:
            got = await self.http.request(method, url, headers=headers, content=content)
        except httpx.TransportError as error:
            self.counts[f"{what} – {type(error).__name__}"] += 1
            raise NoAnswer(f"{what}: {type(error).__name__}") from None
        answer = Answer(what, got.status_code, _parsed(got), got.headers)
        self.http.cookies.clear()  # each customer is a browser of their own
        self.counts[f"{what} {answer.status} {answer.code}".strip()] += 1
        honest = answer.status == 503 and answer.retry_after
        if answer.status >= 500 and not honest:
            self.wrong.append(f"{what} was answered {answer.status} {answer.code}")
        return answer


def _parsed(answer: httpx.Response) -> Any:
    if "json" in answer.headers.get("content-type", ""):
        return answer.json()
    return answer.text


@dataclass
class Agent:
    """A program with a key, at one node."""

    traffic: Traffic
    console: str
    api_key: str

    async def call(
        self, what: str, path: str, body: Any = None, *, key: str | None = None, get: bool = False
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        method = "GET" if get else "POST"
        content = None if get else ({} if body is None else body)
        return await self.traffic.send(what, method, f"{self.console}/v1{path}", headers=headers, body=content)

    async def insist(
        self, what: str, path: str, body: Any = None, *, key: str | None = None, tries: int = 40, pause: float = 0.3
    ) -> Answer:
        """Asks again, as it is told to, while the product or its provider is away."""
        for _ in range(tries - 1):
            try:
                answer = await self.call(what, path, body, key=key)
            except NoAnswer:
                await asyncio.sleep(pause)
                continue
            if answer.code == "payments_paused":
                await self.call("resume", "/payments/resume")
            elif answer.status != 503 and answer.code != "idempotency_key_in_use":
                return answer
            await asyncio.sleep(max(pause, (answer.retry_after or 0) * SOONER))
        return await self.call(what, path, body, key=key)

    async def read(self, what: str, path: str, *, tries: int = 60) -> Any:
        for _ in range(tries - 1):
            try:
                answer = await self.call(what, path, get=True)
            except NoAnswer:
                await asyncio.sleep(0.3)
                continue
            if answer.status != 503:
                return answer.body
            await asyncio.sleep(0.3)
        return (await self.call(what, path, get=True)).body

    async def attempts(self, link_id: str) -> list[dict[str, Any]]:
        return list((await self.read("payments", f"/payment_links/{link_id}/payments"))["data"])


@dataclass
class Browser:
    """One customer at the checkout of one node, by the path of the link's address."""

    traffic: Traffic
    checkout: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    base: str = ""

    async def open(self) -> Answer:
        """Exchanges the token for a cookie; the page's calls can be made then, unless the link has ended."""
        own = {"User-Agent": BROWSER, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        answer = await self.traffic.send("open", "POST", f"{self.checkout}{self.path}", headers=own, body={})
        found = DATA.search(answer.body) if isinstance(answer.body, str) else None
        data = json.loads(found[1]) if found else {}
        if answer.ok and "nonce" in data:
            cookie = answer.headers["set-cookie"].partition(";")[0]
            self.headers = {**own, "Cookie": cookie, "Paylink-Nonce": data["nonce"]}
            self.base = data["base"]
        return answer

    async def begin(self) -> Answer:
        return await self._call("begin", "payments")

    async def refresh(self) -> Answer:
        return await self._call("refresh", "refresh")

    async def status(self) -> Answer:
        return await self.traffic.send("status", "GET", f"{self.checkout}{self.base}/status", headers=self.headers)

    async def watch(self, *states: str, seconds: float, every: float = 0.7) -> str:
        """Looks, as the page does, until it shows one of ``states``; answers with the last it showed."""
        state, looks = "", 0
        end = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                answer = await (self.status() if looks % 3 else self.refresh())
                state = str(answer.body.get("state", "")) if answer.ok else state
            except NoAnswer:
                pass
            if state in states or asyncio.get_running_loop().time() > end:
                return state
            looks += 1
            await asyncio.sleep(every)

    async def _call(self, what: str, name: str) -> Answer:
        return await self.traffic.send(
            what, "POST", f"{self.checkout}{self.base}/{name}", headers=self.headers, body={}
        )


@dataclass
class Fields:
    """The provider's script in the customer's browser. ``base``: the provider, or what stands before it."""

    http: httpx.AsyncClient
    base: str
    sandbox: str
    stripe: StripeSettings
    wait_s: float = 4.0

    async def confirm(self, secret: str, card: str, *, tries: int = 12) -> str:
        """The status the payment is in then; asks when no answer came. Empty when the provider was away all along."""
        intent = secret.partition("_secret_")[0]
        form = {"client_secret": secret, "payment_method": f"pm_card_{card}"}
        for _ in range(tries):
            status = await self._asked("POST", f"/v1/payment_intents/{intent}/confirm", form)
            status = status or await self._asked("GET", f"/v1/payment_intents/{intent}", {"client_secret": secret})
            if status and status != "requires_payment_method":
                return status
            if status == "requires_payment_method" and "ecline" in card:
                return status
            await asyncio.sleep(0.1)
        return ""

    async def authenticate(self, secret: str, *, approve: bool = True) -> None:
        """The cardholder's answer to 3-D Secure, given to the provider itself."""
        intent = secret.partition("_secret_")[0]
        await self.http.post(
            f"{self.sandbox}/v1/test_helpers/payment_intents/{intent}/authenticate",
            data={"outcome": "approve" if approve else "refuse"},
            headers={"Authorization": f"Bearer {self.stripe.secret_key}"},
        )

    async def _asked(self, method: str, path: str, form: dict[str, str]) -> str:
        how: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
        headers = {"Authorization": f"Bearer {self.stripe.publishable_key}"}
        try:
            async with asyncio.timeout(self.wait_s):  # in all: an answer that trickles is never late for httpx
                got = await self.http.request(method, self.base + path, headers=headers, **how)
                body = got.json()
        except (httpx.HTTPError, TimeoutError, ValueError):
            return ""
        if got.status_code == 402:
            return "requires_payment_method"
        return str(body.get("status", "")) if got.is_success and isinstance(body, dict) else ""
