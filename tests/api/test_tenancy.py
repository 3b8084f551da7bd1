"""Every call of the OpenAPI document: nothing without a credential, and another merchant's things do not exist."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from paylink.chats.models import Chat
from paylink.kit.ids import new_id
from paylink.openapi import document
from paylink.payments.models import Payment, PaymentStatus
from tests.api.world import Api, problem, sign_in

PUBLIC = {("post", "/v1/sessions")}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/payment_links/{link_id}/deliveries": {"channel": "qr"},
    "/v1/payments/{payment_id}/refunds": {"amount": 1},
    "/v1/channel_accounts/{account_id}": {"name": "Mine"},
    "/v1/channel_accounts/{account_id}/test": {"to": "123456"},
    "/v1/chats/{chat_id}/messages": {"text": "Hello"},
}
# Not ids: what every merchant has by the same name, each their own.
NAMES = {"channel", "language"}


def calls() -> list[tuple[str, str]]:
    paths = document()["paths"]
    return [(method, path) for path, found in paths.items() if path.startswith("/v1/") for method in found]


CALLS = calls()
WITH_IDS = [(method, path) for method, path in CALLS if "{" in path and "{channel}" not in path]
HARMLESS = [call for call in WITH_IDS if call[0] != "delete" and not call[1].endswith(("/cancel", "/refunds"))]


@dataclass
class Theirs:
    """One of everything that the other merchant has."""

    ids: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def theirs(api: Api) -> Theirs:
    made = Theirs()
    with api.client(api.other.key) as http:
        link = api.create(http, deliver=[{"channel": "qr"}])
    made.ids = {"link_id": link["id"], "delivery_id": link["deliveries"][0]["id"], "payment_id": new_id("pay")}

    def pay(session: Session) -> None:
        session.add(
            Payment(
                id=made.ids["payment_id"],
                link_id=link["id"],
                merchant_id=api.other.merchant_id,
                attempt=1,
                status=PaymentStatus.SUCCEEDED.value,
                amount=4999,
                amount_captured=4999,
                currency="GBP",
                psp="sandbox",
            )
        )

    api.db.transact_sync(pay)
    with sign_in(api, api.other) as browser:
        made.ids["key_id"] = browser.get("/v1/api_keys").json()["data"][0]["id"]
        account = {"provider": "webchat", "name": "Chat", "config": {"title": "Chat"}}
        made.ids["account_id"] = browser.post("/v1/channel_accounts", json=account).json()["id"]
        stop = {"channel": "email", "address": "ann@example.com"}
        made.ids["suppression_id"] = browser.post("/v1/suppressions", json=stop).json()["id"]
    made.ids["chat_id"] = new_id("cht")
    chat = Chat(
        id=made.ids["chat_id"],
        merchant_id=api.other.merchant_id,
        account_id=made.ids["account_id"],
        secret_hash=b"x",
        code="123456",
        site="https://shop.example",
    )
    api.db.transact_sync(lambda session: session.add(chat))
    return made


def test_every_call_is_in_the_document() -> None:
    assert len(CALLS) >= 20
    ids = {"link_id", "delivery_id", "payment_id", "key_id", "account_id", "suppression_id", "chat_id"}
    assert ids | NAMES == {part.strip("{}") for _, path in CALLS for part in path.split("/") if part.startswith("{")}


def send(http: httpx.Client, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    body: dict[str, Any] | None = BODIES.get(path)
    return http.request(method, filled(path, ids), json=body)


def filled(path: str, ids: dict[str, str]) -> str:
    return path.format(**ids, channel="sms", language="en")


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call not in PUBLIC])
def test_without_a_credential_there_is_nothing(api: Api, theirs: Theirs, method: str, path: str) -> None:
    before = api.counts()
    with api.client("") as nobody:
        problem(send(nobody, method, path, theirs.ids), 401, "not_signed_in")
        problem(nobody.request(method, filled(path, theirs.ids), content=b"{"), 401, "not_signed_in")
    assert api.counts() == before


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
def test_what_is_anothers_looks_like_what_never_was(api: Api, theirs: Theirs, method: str, path: str) -> None:
    never = {name: value[:-4] + "0000" for name, value in theirs.ids.items()}
    with sign_in(api) as browser:
        before = api.counts()
        foreign = send(browser, method, path, theirs.ids)
        unknown = send(browser, method, path, never)
        assert api.counts() == before
    problem(foreign, 404, "not_found")
    assert (foreign.content, foreign.status_code) == (unknown.content, unknown.status_code)
    hidden = {"request-id", "date"}
    told = [{name: value for name, value in one.headers.items() if name not in hidden} for one in (foreign, unknown)]
    assert told[0] == told[1]


@pytest.mark.parametrize(("method", "path"), HARMLESS)
def test_its_owner_is_never_told_that_it_is_missing(api: Api, theirs: Theirs, method: str, path: str) -> None:
    """Otherwise the test above would prove nothing."""
    with sign_in(api, api.other) as browser:
        assert send(browser, method, path, theirs.ids).status_code != 404


def test_a_delivery_is_found_under_its_own_link_only(api: Api, http: httpx.Client) -> None:
    one, two = (api.create(http, deliver=[{"channel": "qr"}]) for _ in range(2))
    for kind in ("svg", "png"):
        code = f"/v1/payment_links/{one['id']}/deliveries/{{}}/qr.{kind}"
        assert http.get(code.format(one["deliveries"][0]["id"])).status_code == 200
        problem(http.get(code.format(two["deliveries"][0]["id"])), 404, "not_found")


def test_lists_hold_ones_own_only(api: Api, theirs: Theirs, http: httpx.Client) -> None:
    mine = api.create(http)["id"]
    ids = [link["id"] for link in http.get("/v1/payment_links", params={"limit": 100}).json()["data"]]
    assert mine in ids
    assert theirs.ids["link_id"] not in ids
    assert http.get("/v1/payment_links", params={"customer": "cus_x"}).json()["data"] == []
    problem(http.get("/v1/events/stream", params={"payment_link": theirs.ids["link_id"]}), 404, "not_found")
