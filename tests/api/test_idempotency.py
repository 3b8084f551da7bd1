"""``Idempotency-Key``: the same key and body, the same answer; never two effects, and nothing readable kept."""

import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.idempotency import IdempotencyKey
from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from tests.api.world import CARD, Api, problem, sign_in

LINK = {"amount": 4999, "currency": "GBP", "deliver": [{"channel": "chat"}, {"channel": "qr"}]}


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def age(api: Api, by: timedelta) -> None:
    """Every stored key becomes older."""
    update = sa.update(IdempotencyKey).values(created_at=utcnow() - by)
    api.db.transact_sync(lambda session: session.execute(update) and None)


def count_links(session: Session) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(PaymentLink)) or 0


def same(first: httpx.Response, again: httpx.Response) -> None:
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())


def test_a_repeat_makes_no_second_link_and_shows_the_url_again(api: Api, http: httpx.Client) -> None:
    name = key()
    first = http.post("/v1/payment_links", json=LINK, headers=name)
    before = api.counts()
    same(first, http.post("/v1/payment_links", json=LINK, headers=name))
    assert "url" in first.json()
    assert api.counts() == before


def test_another_body_under_the_same_key_is_refused(api: Api, http: httpx.Client) -> None:
    name = key()
    http.post("/v1/payment_links", json=LINK, headers=name)
    before = api.counts()
    problem(http.post("/v1/payment_links", json=LINK | {"amount": 1}, headers=name), 409, "idempotency_key_reused")
    assert api.counts() == before


def test_without_a_key_every_call_is_new_work(api: Api, http: httpx.Client) -> None:
    assert api.create(http)["id"] != api.create(http)["id"]


def test_every_other_call_that_changes_something_can_be_repeated(api: Api, http: httpx.Client) -> None:
    link = api.create(http)["id"]
    calls: list[tuple[str, Any]] = [(f"/v1/payment_links/{link}/deliveries", {"channel": "chat"})]
    calls += [(f"/v1/payment_links/{link}/cancel", None)]
    for path, body in calls:
        name = key()
        options: dict[str, Any] = {"headers": name} | ({"json": body} if body else {})
        first = http.post(path, **options)
        assert first.is_success, first.text
        before = api.counts()
        same(first, http.post(path, **options))
        assert api.counts() == before
        problem(http.post(path, headers=name, json={"channel": "qr"}), 409, "idempotency_key_reused")


def test_a_new_api_key_is_handed_out_again_to_who_repeats(api: Api) -> None:
    with sign_in(api) as browser:
        name = key()
        first = browser.post("/v1/api_keys", json={"name": "CRM"}, headers=name)
        same(first, browser.post("/v1/api_keys", json={"name": "CRM"}, headers=name))
        assert first.json()["key"].startswith("plk_test_")
        listed = [one["name"] for one in browser.get("/v1/api_keys").json()["data"]]
    assert listed.count("CRM") == 1
    assert first.json()["key"].encode() not in api.stored()


def test_two_merchants_and_two_calls_never_meet_under_one_key(api: Api, http: httpx.Client) -> None:
    name = key()
    mine = http.post("/v1/payment_links", json=LINK, headers=name).json()
    with api.client(api.other.key) as theirs:
        foreign = theirs.post("/v1/payment_links", json=LINK, headers=name)
    assert "idempotent-replayed" not in foreign.headers
    assert foreign.json()["id"] != mine["id"]
    sent = http.post(f"/v1/payment_links/{mine['id']}/deliveries", json={"channel": "qr"}, headers=name)
    assert (sent.status_code, "idempotent-replayed" in sent.headers) == (201, False)


def test_a_refused_call_leaves_its_key_free(api: Api, http: httpx.Client) -> None:
    name = key()
    problem(http.post("/v1/payment_links", json=LINK | {"amount": 0}, headers=name), 422)
    assert http.post("/v1/payment_links", json=LINK, headers=name).status_code == 201
    ended = api.create(http)["id"]
    assert http.post(f"/v1/payment_links/{ended}/cancel").status_code == 200
    for _ in range(2):
        problem(http.post(f"/v1/payment_links/{ended}/cancel", headers=name), 409, "link_not_active")


def at_once(api: Api, path: str, body: Any, headers: dict[str, str], *, times: int = 12) -> list[httpx.Response]:
    start = threading.Barrier(times)

    def send(_: int) -> httpx.Response:
        with api.client() as http:
            http.get("/healthz")
            start.wait(30)
            return http.post(path, json=body, headers=headers)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))


def test_many_at_once_under_one_key_make_one_link(api: Api) -> None:
    before = api.db.read_sync(count_links)
    answers = at_once(api, "/v1/payment_links", LINK, key())
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert Counter("idempotent-replayed" in answer.headers for answer in answers) == {True: 11, False: 1}
    assert api.db.read_sync(count_links) == before + 1


def test_many_at_once_for_one_new_customer_make_one_customer(api: Api) -> None:
    before = api.counts()["customers"]
    answers = at_once(api, "/v1/payment_links", LINK | {"customer": {"external_id": "crowd"}}, {}, times=8)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["customer"]["id"] for answer in answers}) == 1
    assert api.counts()["customers"] == before + 1


def test_many_at_once_cancel_once(api: Api, http: httpx.Client) -> None:
    """A claim is taken before the work begins: whoever comes while it lasts waits for its answer."""
    link = api.create(http)["id"]
    answers = at_once(api, f"/v1/payment_links/{link}/cancel", None, key())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    told = [event["type"] for event in http.get(f"/v1/payment_links/{link}/events").json()["data"]]
    assert told.count("link.canceled") == 1


def test_a_key_is_free_again_after_a_day(api: Api, http: httpx.Client) -> None:
    name = key()
    first = http.post("/v1/payment_links", json=LINK, headers=name).json()
    age(api, timedelta(hours=23))
    assert http.post("/v1/payment_links", json=LINK, headers=name).json()["id"] == first["id"]
    age(api, timedelta(hours=25))
    assert http.post("/v1/payment_links", json=LINK | {"amount": 700}, headers=name).json()["id"] != first["id"]


def test_nothing_readable_of_the_answer_is_kept(api: Api, http: httpx.Client) -> None:
    made = http.post("/v1/payment_links", json=LINK, headers=key()).json()
    tokens = [url.rpartition("/")[2] for url in (made["url"], *(sent["url"] for sent in made["deliveries"]))]
    raw = api.stored()
    assert made["id"].encode() in raw  # it is the right place to look in
    assert len(tokens) == 3
    for secret in (*tokens, api.shop.key):
        assert secret.encode() not in raw
    assert b"/p/" not in raw


@pytest.mark.parametrize("name", ["", "x" * 256, "tab\there"])
def test_a_key_is_1_to_255_printable_characters(http: httpx.Client, name: str) -> None:
    answer = http.post("/v1/payment_links", json=LINK, headers={"Idempotency-Key": name})
    problem(answer, 400, "bad_idempotency_key")


@pytest.mark.parametrize("name", [CARD, "order 4242 4242 4242 4242", "4242-4242-4242-4242", f"k_{CARD}_1"])
def test_a_key_with_a_card_number_is_refused_and_not_kept(api: Api, http: httpx.Client, name: str) -> None:
    answer = http.post("/v1/payment_links", json=LINK, headers={"Idempotency-Key": name})
    problem(answer, 400, "card_number_not_allowed")
    raw = api.stored()
    assert not re.search(rb"4242[ -]?4242", answer.content + raw)


@pytest.mark.parametrize("name", ["1732213234563", "42424242-4242-4242-8242-424242424242", "inv-1763750220123456782"])
def test_a_random_key_is_never_taken_for_a_card_number(http: httpx.Client, name: str) -> None:
    assert http.post("/v1/payment_links", json=LINK, headers={"Idempotency-Key": name}).status_code == 201
