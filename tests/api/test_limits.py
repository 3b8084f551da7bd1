"""Rate limits, and what production makes of cookies and headers."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from paylink.errors import TooManyRequests
from paylink.limits import API_BY_KEY, SIGN_IN_BY_ADDRESS, SIGN_IN_BY_EMAIL, Limits
from tests.api.world import PASSWORD, Api, api_on, problem


@pytest.fixture
def limited(sqlite_database: str) -> Iterator[Api]:
    with api_on(sqlite_database, rate_limits=True) as running:
        yield running


def attempt(http: httpx.Client, api: Api, **body: str) -> httpx.Response:
    return http.post("/v1/sessions", json={"email": api.shop.email, "password": "wrong"} | body)


def test_guessing_one_password_is_stopped_and_told_when_to_come_back(limited: Api) -> None:
    with limited.client("") as http:
        answers = [attempt(http, limited) for _ in range(SIGN_IN_BY_EMAIL.amount + 1)]
        assert {answer.status_code for answer in answers[:-1]} == {401}
        problem(answers[-1], 429, "rate_limited")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        problem(attempt(http, limited, email=f" {limited.shop.email.upper()}", password=PASSWORD), 429)
        assert attempt(http, limited, email=limited.other.email, password=PASSWORD).status_code == 201


def test_whoever_knows_the_password_signs_in_as_often_as_they_like(limited: Api) -> None:
    with limited.client("") as http:
        for _ in range(2 * SIGN_IN_BY_EMAIL.amount):
            assert attempt(http, limited, password=PASSWORD).status_code == 201


def test_guessing_many_addresses_from_one_place_is_stopped(limited: Api) -> None:
    with limited.client("") as http:
        for number in range(SIGN_IN_BY_ADDRESS.amount):
            assert attempt(http, limited, email="", password=str(number)).status_code in {401, 429}
        problem(attempt(http, limited, email="new@one.example"), 429, "rate_limited")


def test_a_key_has_its_pace(limited: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paylink.accounts.auth.API_BY_KEY", type(API_BY_KEY)(3))
    with limited.client() as http, limited.client(limited.other.key) as other:
        answers = [http.get("/v1/me") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert other.get("/v1/me").status_code == 200


@pytest.fixture
def production(sqlite_database: str) -> Iterator[Api]:
    with api_on(
        sqlite_database,
        env="production",
        rate_limits=True,
        secret_keys=[SecretStr("a secret of this shop's own and long enough")],
        psp="stripe",
        stripe_secret_key=SecretStr("sk_test_x"),
        stripe_publishable_key="pk_test_x",
        stripe_webhook_secret=SecretStr("whsec_x"),
        stripe_api_base="https://127.0.0.1:9",
        console_url="https://pay.example",
        checkout_url="https://c.example",
    ) as running:
        yield running


def test_a_production_cookie_belongs_to_one_host_and_needs_tls(production: Api) -> None:
    with production.client("", headers={"Origin": "https://pay.example"}) as http:
        answer = attempt(http, production, password=PASSWORD)
        assert answer.status_code == 201
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-paylink_console=")
        assert {part.strip().lower() for part in cookie.split(";")} >= {"httponly", "secure", "path=/", "samesite=lax"}
        assert "domain" not in cookie.lower()
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        secret = cookie.partition("=")[2].partition(";")[0]
        for name, status in (("__Host-paylink_console", 200), ("paylink_console", 401)):
            assert http.get("/v1/me", headers={"Cookie": f"{name}={secret}"}).status_code == status
        assert http.delete(
            "/v1/sessions/current",
            headers={"Cookie": f"__Host-paylink_console={secret}", "Origin": production.url},
        ).is_client_error


def test_channels_without_a_carrier_are_not_offered(production: Api) -> None:
    with production.client() as http:
        offered = {one["channel"]: one["available"] for one in http.get("/v1/me").json()["channels"]}
        by_hand = {"chat": True, "qr": True, "other": True}
        assert offered == {"sms": False, "email": False, "whatsapp": False} | by_hand
        body = {"amount": 100, "currency": "GBP", "deliver": [{"channel": "sms", "to": "+447700900123"}]}
        problem(http.post("/v1/payment_links", json=body), 422, "channel_unavailable")
        with production.client("") as nobody:
            problem(nobody.post("/webhooks/messaging/sandbox", content=b"{}"), 404, "not_found")


def test_every_answer_carries_the_headers_that_protect_a_browser(production: Api) -> None:
    with production.client() as http:
        for path in ("/v1/me", "/v1/nonsense", "/healthz", "/", "/docs", "/openapi.json"):
            headers = http.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["request-id"]
        assert http.get("/v1/me").headers["cache-control"] == "no-store"


async def test_without_redis_each_process_counts_for_itself() -> None:
    limits = Limits(enabled=True, redis_url="redis://127.0.0.1:1/0")
    for _ in range(SIGN_IN_BY_EMAIL.amount):
        await limits.hit(SIGN_IN_BY_EMAIL, "sign-in", "ann@example.com")
    with pytest.raises(TooManyRequests):
        await limits.hit(SIGN_IN_BY_EMAIL, "sign-in", "ann@example.com")
    await limits.forgive(SIGN_IN_BY_EMAIL, "sign-in", "ann@example.com")
    await limits.hit(SIGN_IN_BY_EMAIL, "sign-in", "ann@example.com")
