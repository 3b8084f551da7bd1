"""Wrong requests and faults of ours: a page for people, a problem document for the script, never a bare 500."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from paylink.limits import CHECKOUT_BY_ADDRESS
from tests.checkout.world import World, heading


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/pay/", "/pay/plink_short", "/pay/plink_" + "A" * 26, "/assets/nothing.css", "/v1/me", "/docs"],
)
async def test_other_addresses_are_a_page_of_our_own(world: World, path: str) -> None:
    answer = await world.browser().get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert heading(answer.text) == "Page not found"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_wrong_methods(world: World, method: str) -> None:
    link_id, token = await world.link()
    browser = world.browser()
    answer = await browser.http.request(method, f"/p/{token}")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert heading(answer.text) == "Please open your link again"
    called = await browser.http.request(method, f"/pay/{link_id}/payments")
    assert (called.status_code, called.headers["content-type"]) == (405, "application/problem+json")


async def test_a_post_route_is_not_read(world: World) -> None:
    link_id, _ = await world.link()
    assert (await world.browser().get(f"/pay/{link_id}/payments")).status_code == 405


@pytest.mark.parametrize("path", ["/p/AAAAAAAAAAAAAAAAAAAAAA", "/pay/plink_00000000000000000000000000/events"])
async def test_large_bodies_are_refused(world: World, path: str) -> None:
    answer = await world.browser().post(path, b"x" * 4097)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_fault_of_ours_is_a_page_with_all_headers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: Any) -> None:
        raise RuntimeError("a card 4242424242424242 and a token")

    monkeypatch.setattr("paylink.checkout.pages.find_link", broken)
    answer = await world.browser().get("/p/AAAAAAAAAAAAAAAAAAAAAA")
    fine = await world.browser().get("/nothing")
    assert answer.status_code == 500
    assert heading(answer.text) == "Something went wrong"
    assert "4242" not in answer.text
    for name in ("content-security-policy", "cache-control", "referrer-policy", "x-content-type-options"):
        assert answer.headers[name] == fine.headers[name]


async def test_a_database_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: Any) -> None:
        raise OperationalError("SELECT secret", {}, Exception("gone"))

    _, token = await world.link()
    page = await world.browser().open(token)
    monkeypatch.setattr(world.db, "read", broken)
    shown = await page.browser.get(page.data["base"])
    assert (shown.status_code, heading(shown.text)) == (503, "Something went wrong")
    called = await page.call("refresh")
    assert (called.status_code, called.json()["code"]) == (503, "unavailable")
    assert "secret" not in shown.text + called.text


async def test_too_many_requests_are_told_how_long_to_wait(limited: World) -> None:
    browser = limited.browser()
    allowed = CHECKOUT_BY_ADDRESS.amount
    *before, last = [await browser.get("/p/AAAAAAAAAAAAAAAAAAAAAA") for _ in range(allowed + 1)]
    assert {answer.status_code for answer in before} == {404}
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert heading(last.text) == "Please wait a moment"


async def test_a_fetch_that_cannot_be_noted_still_shows_the_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    _, token = await world.link()
    monkeypatch.setattr(world.db, "transact", broken)
    assert (await world.browser().get(f"/p/{token}")).status_code == 200


async def test_the_process_says_that_it_answers(world: World) -> None:
    assert (await world.browser().get("/healthz")).json() == {"status": "ok"}
