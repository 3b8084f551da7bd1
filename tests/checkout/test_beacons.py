"""What the page reports: each step told as often as it should be, whatever the page sends."""

import asyncio

import pytest

from paylink.checkout.beacons import MOST_REPEATS
from tests.checkout.world import PHONE, World


async def test_steps_are_told_in_their_words(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser(agent=PHONE).open(token)
    for step in ("opened", "card_entry_started", "card_entry_completed"):
        assert (await page.beacon(step)).status_code == 204
    assert (await page.beacon("card_entry_invalid", reason="cvc")).status_code == 204
    events = await world.events(link_id)
    assert [kind for kind, _ in events] == [
        "link.opened",
        "card_entry.started",
        "card_entry.completed",
        "card_entry.invalid",
    ]
    opened = events[0][1]
    assert (opened["channel"], opened["device"]) == ("sms", "mobile")
    assert opened["delivery"].startswith("dlv_")
    assert events[3][1] == {"reason": "cvc"}


async def test_opened_and_started_are_told_once_however_many_ask_at_once(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    steps = ["opened", "card_entry_started"] * 20
    answers = await asyncio.gather(*(page.beacon(step) for step in steps))
    assert {answer.status_code for answer in answers} == {204}
    assert await world.told(link_id) == ["link.opened", "card_entry.started"]


async def test_a_later_step_brings_the_lost_earlier_ones(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await page.beacon("card_entry_completed")
    await page.beacon("opened")
    assert await world.told(link_id) == ["link.opened", "card_entry.started", "card_entry.completed"]


@pytest.mark.parametrize("step", ["card_entry_completed", "card_entry_invalid"])
async def test_a_browser_cannot_fill_the_timeline(world: World, step: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    for _ in range(MOST_REPEATS + 3):
        assert (await page.beacon(step)).status_code == 204
    told = await world.told(link_id)
    assert told.count(step.replace("entry_", "entry.")) == MOST_REPEATS


@pytest.mark.parametrize("status", ["paid", "expired", "canceled"])
async def test_nothing_is_told_of_a_link_that_ended(world: World, status: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await world.change(link_id, status=status)
    assert (await page.beacon("opened")).status_code == 204
    assert await world.told(link_id) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"step": "paid"},
        {"step": "payment.succeeded"},
        {"step": "opened", "reason": "cvc"},
        {"step": "card_entry_invalid", "reason": "4242"},
        {"step": "opened", "amount": 1},
        {"step": None},
        [],
        "opened",
        {"step": ["opened"]},
    ],
)
async def test_only_known_steps_are_taken(world: World, body: object) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("events", body)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert await world.told(link_id) == []


@pytest.mark.parametrize("body", ["", "{", b"\xff\xfe", "nul\x00", "[" * 3000, '{"step": "opened", "step": "opened"'])
async def test_rubbish_is_refused_and_not_a_fault(world: World, body: str | bytes) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    assert 400 <= (await page.call("events", body)).status_code < 500


@pytest.mark.parametrize(
    "body",
    [
        '{"step": "opened", "reason": "4242424242424242"}',
        '{"step": "4242 4242 4242 4242"}',
        '{"4000-0000-0000-0002": 1}',
        "4242424242424242",
    ],
)
async def test_a_card_number_is_refused_and_not_repeated(world: World, body: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("events", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "card_number_not_allowed"
    assert "4242" not in answer.text
    assert "0002" not in answer.text
    assert await world.told(link_id) == []


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403, "cross_site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "cross_site"),
        ({"Sec-Fetch-Site": "none"}, 403, "cross_site"),
        ({"Paylink-Nonce": ""}, 403, "stale_page"),
        ({"Paylink-Nonce": "abc.def"}, 403, "stale_page"),
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    ],
)
async def test_only_the_page_itself_may_report(world: World, headers: dict[str, str], status: int, code: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("events", {"step": "opened"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await world.told(link_id) == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://checkout.test", 204), ("http://evil.test", 403), ("null", 403), ("", 403)],
)
async def test_an_older_browser_is_known_by_its_origin(world: World, origin: str, status: int) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    headers = {"Content-Type": "application/json", "Paylink-Nonce": page.data["nonce"], "Origin": origin}
    answer = await page.browser.http.post(
        f"{page.data['base']}/events", content='{"step":"opened"}', headers={k: v for k, v in headers.items() if v}
    )
    assert answer.status_code == status


async def test_a_nonce_of_another_link_is_not_taken(world: World) -> None:
    (_, first), (_, second) = await world.link(), await world.link()
    browser = world.browser()
    one, other = await browser.open(first), await browser.open(second)
    answer = await one.call("events", {"step": "opened"}, headers={"Paylink-Nonce": other.data["nonce"]})
    assert answer.status_code == 403


async def test_beacons_are_limited(limited: World) -> None:
    _, token = await limited.link()
    page = await limited.browser().open(token)
    answers = [(await page.beacon("opened")).status_code for _ in range(121)]
    assert set(answers[:120]) == {204}
    assert answers[120] == 429
