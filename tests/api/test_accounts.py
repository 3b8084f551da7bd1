"""Signing in and out, API keys, and what a foreign page can make a signed-in browser do."""

import re
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from paylink.accounts import service
from paylink.accounts.models import Agent, AgentSession
from paylink.kit.clock import utcnow
from tests.api.world import PASSWORD, Api, problem, sign_in
from tests.services import wait_until

UNSAFE = [
    ("POST", "/v1/payment_links"),
    ("POST", "/v1/payment_links/x/cancel"),
    ("POST", "/v1/payment_links/x/deliveries"),
    ("POST", "/v1/payments/x/refunds"),
    ("POST", "/v1/payments/x/approve"),
    ("POST", "/v1/payments/x/decline"),
    ("POST", "/v1/api_keys"),
    ("DELETE", "/v1/api_keys/x"),
    ("DELETE", "/v1/sessions/current"),
    ("POST", "/v1/addresses/check"),
    ("POST", "/v1/deliveries/preview"),
    ("POST", "/v1/channel_accounts"),
    ("PATCH", "/v1/channel_accounts/x"),
    ("DELETE", "/v1/channel_accounts/x"),
    ("POST", "/v1/channel_accounts/x/test"),
    ("POST", "/v1/suppressions"),
    ("DELETE", "/v1/suppressions/x"),
]
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
]


def attempt(api: Api, **body: Any) -> httpx.Response:
    with api.client("") as http:
        return http.post("/v1/sessions", json={"email": api.shop.email, "password": PASSWORD} | body)


def test_an_agent_signs_in_and_is_known(api: Api) -> None:
    answer = attempt(api)
    assert answer.status_code == 201
    agent = {"id": api.shop.agent_id, "email": "agent@one.example", "name": "Agent One"}
    merchant = {"id": api.shop.merchant_id, "name": "Shop One"}
    assert answer.json() == {"object": "session", "agent": agent, "merchant": merchant}
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie["path"], cookie["samesite"]) == ("paylink_console", "/", "lax")
    assert cookie["httponly"] is True
    assert cookie["max-age"] == str(7 * 86_400)
    assert len(cookie.value) >= 43
    assert cookie["domain"] == ""
    with api.client("", cookies={cookie.key: cookie.value}) as http:
        me = http.get("/v1/me").json()
    assert (me["agent"], me["merchant"], me["livemode"]) == (agent, merchant, False)
    assert {one["channel"]: one["available"] for one in me["channels"]} == dict.fromkeys(
        ("sms", "email", "whatsapp", "chat", "qr", "other"), True
    )
    assert cookie.value.encode() not in api.stored()


def test_a_key_is_known_as_its_merchant(api: Api, http: httpx.Client) -> None:
    me = http.get("/v1/me").json()
    assert (me["agent"], me["merchant"]["id"]) == (None, api.shop.merchant_id)


@pytest.mark.parametrize("email", ["AGENT@ONE.EXAMPLE", " Agent@One.Example "])
def test_the_case_of_the_email_does_not_matter(api: Api, email: str) -> None:
    assert attempt(api, email=email).status_code == 201


def test_a_wrong_password_and_an_unknown_email_are_told_alike(api: Api) -> None:
    wrong = attempt(api, password="wrong")
    unknown = attempt(api, email="nobody@one.example")
    problem(wrong, 401, "invalid_credentials")
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    assert unknown.json() == wrong.json()
    assert "set-cookie" not in wrong.headers
    for strange in ("agent@one.example\u0000", "", "x" * 254):
        assert attempt(api, email=strange).status_code in {400, 401}


async def test_an_unknown_email_costs_as_much_work_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the work, not by a stopwatch: both verify one Argon2 hash of the same cost."""
    verified: list[str] = []

    class Hasher:
        def verify(self, stored: str, _password: str) -> bool:
            verified.append(stored)
            return True

    real = service.hash_password("secret")
    service._nobody()
    monkeypatch.setattr(service, "_hasher", Hasher())
    assert await service.password_matches(None, "secret") is False
    assert await service.password_matches(real, "secret") is True
    cost = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$")
    (nobody, known) = (cost.match(stored) for stored in verified)
    assert nobody is not None
    assert known is not None
    assert nobody.group() == known.group()


def test_signing_out_ends_the_session_at_once(api: Api) -> None:
    with sign_in(api) as browser, sign_in(api) as elsewhere:
        cookie = dict(browser.cookies)
        assert browser.get("/v1/me").status_code == 200
        answer = browser.delete("/v1/sessions/current")
        assert (answer.status_code, answer.content) == (204, b"")
        assert SimpleCookie(answer.headers["set-cookie"])["paylink_console"]["max-age"] == "0"
        with api.client("", cookies=cookie) as stolen:
            problem(stolen.get("/v1/me"), 401, "session_ended")
        assert elsewhere.get("/v1/me").status_code == 200


@pytest.mark.parametrize("change", ["disabled", "expired", "idle"])
def test_a_session_ends_by_itself_within_a_second(api: Api, change: str) -> None:
    old = utcnow() - service.SESSION_LIFE
    statement = {
        "disabled": sa.update(Agent).where(Agent.id == api.other.agent_id).values(disabled_at=utcnow()),
        "expired": sa.update(AgentSession).values(expires_at=utcnow()),
        "idle": sa.update(AgentSession).values(last_seen_at=old),
    }[change]
    with sign_in(api, api.other) as browser:
        api.db.transact_sync(lambda session: session.execute(statement) and None)
        wait_until(lambda: browser.get("/v1/me").status_code == 401, what="the end", seconds=1.5)
    enabled = sa.update(Agent).values(disabled_at=None)
    api.db.transact_sync(lambda session: session.execute(enabled) and None)


@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_a_foreign_page_changes_nothing(api: Api, method: str, path: str) -> None:
    with sign_in(api) as browser:
        cookie = dict(browser.cookies)
    before = api.counts()
    for headers in FOREIGN:
        with api.client("", cookies=cookie, headers=headers) as foreign:
            body = {"amount": 100, "currency": "GBP"}
            problem(foreign.request(method, path, json=body), 403, "foreign_origin")
    assert api.counts() == before


def test_what_is_no_browser_says_no_origin_and_may_sign_out(api: Api) -> None:
    with sign_in(api) as browser:
        cookie = dict(browser.cookies)
    with api.client("", cookies=cookie) as program:
        assert program.get("/v1/me").status_code == 200
        assert program.delete("/v1/sessions/current").status_code == 204
        assert program.get("/v1/me").status_code == 401


def test_the_browsers_own_word_counts_whatever_the_console_is_called(api: Api) -> None:
    """Opened as localhost, the console is still the console."""
    with sign_in(api) as browser:
        cookie = dict(browser.cookies)
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:1"}
    with api.client("", cookies=cookie, headers=own) as console:
        assert console.delete("/v1/sessions/current").status_code == 204


def test_a_foreign_page_signs_nobody_in(api: Api) -> None:
    before = api.counts()
    for headers in FOREIGN[:2] + FOREIGN[4:]:
        with api.client("", headers=headers) as foreign:
            answer = foreign.post("/v1/sessions", json={"email": api.shop.email, "password": PASSWORD})
            problem(answer, 403, "foreign_origin")
    assert api.counts() == before


@pytest.mark.parametrize(
    "credential",
    [
        *("Bearer", "Bearer x", "Bearer plk_test_x", "Basic YTpi", "Bearer \xe9\xe8", "plk_test_x"),
        *("Bearer plk_test_" + "0" * 36, "Bearer plk_live_" + "a" * 5000),
    ],
)
def test_a_wrong_credential_is_refused_and_not_repeated(api: Api, credential: str) -> None:
    with api.client("") as http:
        body = problem(http.get("/v1/me", headers={"Authorization": credential.encode("latin-1")}), 401)
    assert body["code"] == "invalid_api_key"
    assert body["detail"] in {"This API key is not valid", "Use `Authorization: Bearer <api key>`"}


def test_a_key_of_the_right_form_that_was_never_given_is_refused(api: Api) -> None:
    made_up = api.shop.key[:-7] + ("0" if api.shop.key[-7] != "0" else "1")
    made_up += service._checksum(made_up)
    assert service.key_well_formed(made_up)
    with api.client(made_up) as http:
        problem(http.get("/v1/me"), 401, "invalid_api_key")


def test_a_wrong_key_is_not_saved_by_a_good_cookie(api: Api) -> None:
    with sign_in(api) as browser:
        problem(browser.get("/v1/me", headers={"Authorization": "Bearer x"}), 401, "invalid_api_key")


def test_a_key_is_shown_once_and_dead_once_revoked(api: Api) -> None:
    with sign_in(api) as browser:
        answer = browser.post("/v1/api_keys", json={"name": "CRM"})
        made = answer.json()
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert re.fullmatch(r"plk_test_[0-9A-Za-z]{36}", made["key"])
        assert (made["object"], made["name"], made["last4"]) == ("api_key", "CRM", made["key"][-4:])
        listed = browser.get("/v1/api_keys")
        assert made["key"] not in listed.text
        assert made["id"] in listed.text
        with api.client(made["key"]) as http:
            assert http.get("/v1/me").status_code == 200
            assert browser.delete(f"/v1/api_keys/{made['id']}").status_code == 204
            problem(http.get("/v1/me"), 401, "invalid_api_key")
        assert browser.delete(f"/v1/api_keys/{made['id']}").status_code == 204
    assert made["key"].encode() not in api.stored()


def test_a_key_revoked_elsewhere_is_dead_within_a_second(api: Api) -> None:
    with sign_in(api) as browser:
        made = browser.post("/v1/api_keys", json={"name": "Other node"}).json()
        principal = api.db.read_sync(lambda s: service.principal_by_key(s, made["key"], api.ctx.keyring))
        with api.client(made["key"]) as http:
            assert http.get("/v1/me").status_code == 200
            api.db.transact_sync(lambda session: service.revoke_api_key(session, principal, made["id"]))
            wait_until(lambda: http.get("/v1/me").status_code == 401, what="the end of the key", seconds=1.5)


def test_a_merchant_has_twenty_keys_at_most(api: Api) -> None:
    with sign_in(api, api.other) as browser:
        made = [browser.post("/v1/api_keys", json={"name": f"Key {n}"}) for n in range(service.MAX_API_KEYS)]
        assert [answer.status_code for answer in made] == [201] * (service.MAX_API_KEYS - 1) + [409]
        problem(made[-1], 409, "too_many_api_keys")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/api_keys"),
        ("POST", "/v1/api_keys"),
        ("DELETE", "/v1/api_keys/x"),
        ("DELETE", "/v1/sessions/current"),
    ],
)
def test_only_a_person_handles_keys_and_sessions(http: httpx.Client, method: str, path: str) -> None:
    problem(http.request(method, path, json={"name": "x"}), 403, "agents_only")
