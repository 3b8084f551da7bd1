"""``GET /v1/payment_links``: pages without gaps, filters, and the agent's free search."""

from typing import Any

import httpx
import pytest

from tests.api.world import Api, problem


def found(http: httpx.Client, **params: Any) -> list[str]:
    answer = http.get("/v1/payment_links", params=params)
    assert answer.status_code == 200, answer.text
    return [link["id"] for link in answer.json()["data"]]


def pages(http: httpx.Client, **params: Any) -> list[str]:
    ids: list[str] = []
    while True:
        answer = http.get("/v1/payment_links", params=params | ({"starting_after": ids[-1]} if ids else {}))
        page = answer.json()
        assert set(page) == {"object", "data", "has_more"}
        ids += [link["id"] for link in page["data"]]
        assert len(set(ids)) == len(ids)
        if not page["has_more"]:
            return ids


def test_pages_have_neither_gaps_nor_doubles_and_begin_with_the_newest(api: Api) -> None:
    with api.client() as http:
        made = [api.create(http, reference="paging")["id"] for _ in range(23)]
        for limit in (1, 5, 22, 23, 100):
            assert pages(http, reference="paging", limit=limit) == made[::-1]
        assert found(http, reference="paging", limit=5) == made[:-6:-1]


def test_a_page_stays_right_while_links_are_added(api: Api, http: httpx.Client) -> None:
    made = [api.create(http, reference="moving")["id"] for _ in range(4)]
    first = found(http, reference="moving", limit=2)
    api.create(http, reference="moving")
    assert first + found(http, reference="moving", limit=2, starting_after=first[-1]) == made[::-1]


def test_what_comes_after_a_foreign_or_unknown_link_is_not_found(api: Api, http: httpx.Client) -> None:
    with api.client(api.other.key) as theirs:
        foreign = api.create(theirs)["id"]
    for place in (foreign, "plink_" + "0" * 26, "x"):
        problem(http.get("/v1/payment_links", params={"starting_after": place}), 404, "not_found")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "9" * 30, "9" * 5000])
def test_a_limit_is_a_number_from_1_to_100(http: httpx.Client, limit: str) -> None:
    problem(http.get("/v1/payment_links", params={"limit": limit}), 422)


def test_links_are_filtered_by_status(api: Api, http: httpx.Client) -> None:
    active, ended = (api.create(http, reference="by-status")["id"] for _ in range(2))
    http.post(f"/v1/payment_links/{ended}/cancel")
    assert found(http, reference="by-status", status="active") == [active]
    assert found(http, reference="by-status", status="canceled") == [ended]
    assert found(http, reference="by-status", status=["canceled", "active"]) == [ended, active]
    assert found(http, reference="by-status", status="paid") == []
    problem(http.get("/v1/payment_links", params={"status": "nonsense"}), 422, "enum")


def test_links_are_filtered_by_reference_and_customer(api: Api, http: httpx.Client) -> None:
    mine = api.create(http, reference="exactly", customer={"external_id": "filter-1"})
    api.create(http, reference="exactly-not")
    assert found(http, reference="exactly") == [mine["id"]]
    assert found(http, reference="exactl") == []
    assert found(http, customer=mine["customer"]["id"]) == [mine["id"]]
    assert found(http, customer="cus_" + "0" * 26) == []


WORDS = {
    "reference": "Ref/77_a%b",
    "description": "Émile's 100% wool \\ rug",
    "customer": {"name": "Ørsted Åse", "email": "aase@example.org", "phone": "+447700900789", "external_id": "CRM_9"},
}


@pytest.mark.parametrize(
    "q",
    [
        *("Ref/77", "REF/77", "77_A%B", "_a%", "100%", "wool \\ rug", "WOOL", "Émile's", "mile's"),
        *("Ørsted", "Ørsted Å", "aase@EXAMPLE", "+447700900789", "00900789", "crm_9"),
    ],
)
def test_an_agent_finds_a_link_by_any_of_its_words(api: Api, http: httpx.Client, q: str) -> None:
    link = _wool(api, http)
    assert found(http, q=q) == [link]


@pytest.mark.parametrize("q", ["Ref/77xa", "77_aab", "a_b", "1%l", "r%g", "wool _ rug", "_____", "%%", "Two's"])
def test_what_stands_for_anything_in_sql_stands_for_itself(api: Api, http: httpx.Client, q: str) -> None:
    _wool(api, http)
    assert found(http, q=q) == []


def test_a_link_is_found_by_its_id_and_no_merchant_finds_anothers(api: Api, http: httpx.Client) -> None:
    mine = _wool(api, http)
    assert found(http, q=mine) == [mine]
    with api.client(api.other.key) as theirs:
        for params in ({"q": mine}, {"q": "Ref/77"}, {"q": "aase"}, {"reference": WORDS["reference"]}, {}):
            assert mine not in found(theirs, **params)


def test_a_phone_number_may_be_searched_though_it_passes_for_a_card(http: httpx.Client) -> None:
    assert found(http, q="+4915112345678") == []
    problem(http.get("/v1/payment_links", params={"q": "4915112345678"}), 422, "card_number_not_allowed")


_made: dict[str, str] = {}


def _wool(api: Api, http: httpx.Client) -> str:
    if api.url not in _made:
        _made[api.url] = api.create(http, **WORDS)["id"]
    return _made[api.url]
