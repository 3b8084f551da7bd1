"""``POST`` and ``GET /v1/payment_links``: what goes in, what comes out, and how a link ends."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.world import Api, problem, sign_in

FULL = {
    "amount": 4999,
    "currency": "gbp",
    "description": "Boiler repair",
    "reference": "INV-1042",
    "customer": {
        "name": "Zoë Ødegård",
        "email": "zoe@example.com",
        "phone": "+44 7700 900123",
        "locale": "en_gb",
        "external_id": "crm-7",
    },
    "expires_in": 3600,
    "deliver": [{"channel": "sms"}, {"channel": "email"}, {"channel": "chat"}, {"channel": "qr"}],
    "metadata": {"order": "7", "note": ""},
}
FIELDS = {
    *("id", "object", "status", "amount", "amount_paid", "amount_refunded", "minimum_amount", "currency"),
    *("description", "reference", "customer", "deliveries", "expires_at", "created_at", "paid_at", "canceled_at"),
    *("metadata", "created_by", "lock", "locale", "session_words", "reported_at"),
}
DELIVERY_FIELDS = {
    *("id", "object", "channel", "to", "via", "provider", "purpose", "locale", "status", "failure_reason"),
    *("failure_code", "attempts", "last_fault", "fallback", "fallback_of", "fallback_reason"),
    *("created_at", "sent_at", "delivered_at", "read_at", "withdrawn_at"),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def moment(text: str) -> datetime:
    assert TIME.fullmatch(text)
    return datetime.fromisoformat(text)


def test_amount_and_currency_are_enough(http: httpx.Client) -> None:
    before = datetime.now(UTC)
    answer = http.post("/v1/payment_links", json={"amount": 50, "currency": "JPY"})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    link = answer.json()
    assert set(link) == FIELDS | {"url"}
    assert re.fullmatch(r"plink_[0-9a-z]{26}", link["id"])
    assert re.fullmatch(r"http://checkout\.test/p/[A-Za-z0-9_-]{22}", link["url"])
    wanted = {"object": "payment_link", "status": "active", "amount": 50, "amount_paid": 0, "amount_refunded": 0}
    assert {name: link[name] for name in wanted} == wanted
    assert link["currency"] == "JPY"
    assert (link["deliveries"], link["metadata"]) == ([], {})
    for name in ("description", "reference", "customer", "paid_at", "canceled_at"):
        assert link[name] is None
    assert abs(moment(link["expires_at"]) - before - timedelta(hours=24)) < timedelta(seconds=10)
    assert abs(moment(link["created_at"]) - before) < timedelta(seconds=10)
    assert link["created_by"]["type"] == "api_key"
    assert link["created_by"]["id"].startswith("key_")


def test_all_that_is_said_is_kept_and_normalised(api: Api, http: httpx.Client) -> None:
    link = api.create(http, **FULL)
    assert link["currency"] == "GBP"
    customer = link["customer"]
    assert re.fullmatch(r"cus_[0-9a-z]{26}", customer.pop("id"))
    assert customer == {
        "name": "Zoë Ødegård",
        "email": "zoe@example.com",
        "phone": "+447700900123",
        "locale": "en-GB",
        "external_id": "crm-7",
    }
    assert link["metadata"] == {"order": "7", "note": ""}
    assert abs(moment(link["expires_at"]) - moment(link["created_at"]) - timedelta(hours=1)) < timedelta(seconds=2)
    by_channel = {one["channel"]: one for one in link["deliveries"]}
    assert list(by_channel) == ["sms", "email", "chat", "qr"]
    assert [one["to"] for one in link["deliveries"]] == ["+447700900123", "zoe@example.com", None, None]
    assert [one["status"] for one in link["deliveries"]] == ["queued", "queued", "sent", "sent"]
    for one in link["deliveries"]:
        shown = {"url"} if one["channel"] in {"chat", "qr"} else set()
        assert set(one) == DELIVERY_FIELDS | shown
        assert re.fullmatch(r"dlv_[0-9a-z]{26}", one["id"])
    urls = [link["url"], by_channel["chat"]["url"], by_channel["qr"]["url"]]
    assert len(set(urls)) == 3


def test_the_url_is_in_the_first_answer_only(api: Api, http: httpx.Client) -> None:
    made = api.create(http, **FULL)
    one = http.get(f"/v1/payment_links/{made['id']}").json()
    (listed,) = [link for link in http.get("/v1/payment_links").json()["data"] if link["id"] == made["id"]]
    assert set(one) == FIELDS
    assert listed == one
    assert all(set(sent) == DELIVERY_FIELDS for sent in one["deliveries"])
    for sent in made["deliveries"]:
        sent.pop("url", None)
    made.pop("url")
    assert one == made
    timeline = http.get(f"/v1/payment_links/{made['id']}/events").text
    assert "/p/" not in timeline


@pytest.mark.parametrize("currency", ["GBP", "gbp", "gBp", " gbp "])
def test_a_currency_is_taken_in_any_case(http: httpx.Client, currency: str) -> None:
    answer = http.post("/v1/payment_links", json={"amount": 100, "currency": currency})
    assert (answer.status_code, answer.json()["currency"]) == (201, "GBP")


def test_an_end_can_be_named_with_any_offset(api: Api, http: httpx.Client) -> None:
    end = datetime.now(UTC).replace(microsecond=123_000) + timedelta(days=2)
    told = (end + timedelta(hours=5, minutes=30)).isoformat().replace("+00:00", "+05:30")
    link = api.create(http, expires_at=told)
    assert moment(link["expires_at"]) == end


def test_an_agent_is_named_as_the_maker(api: Api) -> None:
    with sign_in(api) as browser:
        link = api.create(browser)
    assert link["created_by"] == {"type": "agent", "id": api.shop.agent_id, "name": "Agent One"}


def test_a_customer_with_an_external_id_is_one_person(api: Api, http: httpx.Client) -> None:
    first = api.create(http, customer={"external_id": "p-1", "name": "Ann", "email": "ann@example.com"})
    again = api.create(http, customer={"external_id": "p-1", "phone": "+447700900456"})
    assert again["customer"] == first["customer"] | {"phone": "+447700900456"}
    with api.client(api.other.key) as theirs:
        foreign = api.create(theirs, customer={"external_id": "p-1"})
    assert foreign["customer"]["id"] != first["customer"]["id"]
    assert foreign["customer"]["name"] is None


def test_canceling_ends_a_link_once(api: Api, http: httpx.Client) -> None:
    link = api.create(http, deliver=[{"channel": "qr"}])
    answer = http.post(f"/v1/payment_links/{link['id']}/cancel")
    assert answer.status_code == 200
    ended: dict[str, Any] = answer.json()
    assert (ended["status"], set(ended)) == ("canceled", FIELDS)
    moment(ended["canceled_at"])
    assert http.get(f"/v1/payment_links/{link['id']}").json() == ended
    before = api.counts()
    problem(http.post(f"/v1/payment_links/{link['id']}/cancel"), 409, "link_not_active")
    problem(http.post(f"/v1/payment_links/{link['id']}/deliveries", json={"channel": "qr"}), 409, "link_not_active")
    code = f"/v1/payment_links/{link['id']}/deliveries/{link['deliveries'][0]['id']}/qr.svg"
    problem(http.get(code), 409, "qr_not_available")
    assert api.counts() == before


def test_the_timeline_tells_all_newest_first_or_what_came_after(api: Api, http: httpx.Client) -> None:
    link = api.create(http, reference="T-1", deliver=[{"channel": "chat"}])
    http.post(f"/v1/payment_links/{link['id']}/cancel")
    found = http.get(f"/v1/payment_links/{link['id']}/events").json()
    assert (found["object"], found["has_more"]) == ("list", False)
    events = found["data"][::-1]
    assert [event["type"] for event in events] == ["link.created", "delivery.queued", "delivery.sent", "link.canceled"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    for event in events:
        assert set(event) == {"id", "type", "seq", "payment_link", "occurred_at", "origin", "data"}
        assert re.fullmatch(r"evt_[0-9a-z]{26}", event["id"])
        assert (event["payment_link"], event["origin"]) == (link["id"], "api")
        moment(event["occurred_at"])
    assert events[0]["data"]["reference"] == "T-1"
    page = http.get(f"/v1/payment_links/{link['id']}/events", params={"after_seq": 1, "limit": 2}).json()
    assert (page["data"], page["has_more"]) == (events[1:3], True)
    older = http.get(f"/v1/payment_links/{link['id']}/events", params={"starting_after": events[2]["id"], "limit": 1})
    assert (older.json()["data"], older.json()["has_more"]) == ([events[1]], True)
    problem(http.get(f"/v1/payment_links/{link['id']}/events", params={"starting_after": "evt_none"}), 404, "not_found")


def test_a_link_without_attempts_has_an_empty_list_of_payments(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    answer = http.get(f"/v1/payment_links/{link['id']}/payments").json()
    assert answer == {"object": "list", "data": [], "has_more": False}


def test_null_is_as_good_as_left_out(http: httpx.Client) -> None:
    made = http.post(
        "/v1/payment_links",
        json={"amount": 4999, "currency": "GBP"} | {"deliver": None, "metadata": None, "expires_at": None},
    )
    assert (made.status_code, made.json()["metadata"], made.json()["deliveries"]) == (201, {}, [])
