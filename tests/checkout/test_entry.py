"""``GET`` and ``HEAD /p/{token}``: safe for anybody to fetch, and silent about tokens that open nothing."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from paylink.checkout.fetches import PER_LINK
from paylink.kit.clock import utcnow
from tests.checkout.serve import served
from tests.checkout.world import CHROME, World, heading

WHATSAPP = "WhatsApp/2.23.20.0 A"


def comparable(response: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return response.status_code, response.content, list(response.headers.items())


@pytest.mark.parametrize(
    "path",
    [
        "/p/AAAAAAAAAAAAAAAAAAAAAA",
        "/p/a",
        "/p/",
        "/p/%00%ff%F0%9F%92%A9",
        "/p/4242424242424242",
        "/p/..%2f..%2fetc/passwd",
        "/p/AAAAAAAAAAAAAAAAAAAAAA/session",
        "/p/" + "x" * 4000,
        "/p/<script>alert(1)</script>",
        "/p/{{7*7}}?x=1",
    ],
)
async def test_every_wrong_token_gets_the_same_bytes(world: World, path: str) -> None:
    browser = world.browser()
    known = await browser.get("/p/BBBBBBBBBBBBBBBBBBBBBB")
    other = await browser.http.get(httpx.URL("http://checkout.test").copy_with(raw_path=path.encode()))
    assert heading(known.text) == "This link is not valid"
    assert comparable(other) == comparable(known)
    assert known.status_code == 404


async def test_a_wrong_token_looks_the_same_to_robots_and_by_post(world: World) -> None:
    known = await world.browser().get("/p/BBBBBBBBBBBBBBBBBBBBBB")
    robot = await world.browser(agent=WHATSAPP).get("/p/CCCCCCCCCCCCCCCCCCCCCC")
    posted = await world.browser().post("/p/CCCCCCCCCCCCCCCCCCCCCC")
    assert comparable(robot) == comparable(posted) == comparable(known)
    assert not posted.cookies


async def test_the_entry_page_tells_nothing_of_the_link(world: World) -> None:
    link_id, token = await world.link(reference="INV-1042", description="Boiler repair")
    for agent in (CHROME, WHATSAPP, ""):
        page = await world.browser(agent=agent).get(f"/p/{token}")
        assert page.status_code == 200
        assert "Secure payment request" in page.text
        for secret in ("49.99", "4999", "Acme", "INV-1042", "Boiler", token, link_id):
            assert secret not in page.text
        assert not page.cookies


async def test_reading_changes_nothing(world: World) -> None:
    link_id, token = await world.link()
    for _ in range(3):
        await world.browser().get(f"/p/{token}")
        await world.browser().http.head(f"/p/{token}")
    assert set(await world.told(link_id)) == {"link.fetched"}
    opened = await world.browser().open(token)
    assert opened.heading == "Acme &amp; Sons"


@pytest.mark.parametrize(
    ("agent", "scripted"),
    [(CHROME, True), (CHROME.replace("Chrome", "HeadlessChrome"), True), (WHATSAPP, False), ("", True)],
)
async def test_robots_get_the_card_without_the_script(world: World, agent: str, scripted: bool) -> None:
    _, token = await world.link()
    page = await world.browser(agent=agent).get(f"/p/{token}")
    assert ('<script type="module"' in page.text) is scripted
    assert 'property="og:title" content="Secure payment request"' in page.text
    # Whoever is taken for a robot by mistake can still go on.
    assert '<form id="enter" method="post">' in page.text


@pytest.mark.parametrize("status", ["paid", "expired", "canceled"])
async def test_a_robot_is_told_how_a_link_ended_and_no_more(world: World, status: str) -> None:
    _, token = await world.link(status=status, paid_at=utcnow() if status == "paid" else None, amount_paid=4999)
    person = (await world.browser(agent=CHROME).get(f"/p/{token}")).text
    robot = (await world.browser(agent=WHATSAPP).get(f"/p/{token}")).text
    assert heading(robot) == heading(person)
    assert "Acme" in person
    assert "Acme" not in robot
    assert "49.99" not in robot


@pytest.mark.parametrize(
    ("changes", "words", "status"),
    [
        ({"status": "paid", "paid_at": utcnow(), "amount_paid": 4999}, "Already paid", 200),
        ({"status": "canceled"}, "This link was canceled", 410),
        ({"status": "expired"}, "This link has expired", 410),
        # Nobody has swept it yet; its time is over all the same.
        ({"expires_at": utcnow() - timedelta(seconds=1)}, "This link has expired", 410),
    ],
)
async def test_a_true_token_says_how_its_link_ended(
    world: World, changes: dict[str, object], words: str, status: int
) -> None:
    _, token = await world.link(**changes)
    browser = world.browser()
    shown = await browser.get(f"/p/{token}")
    assert (heading(shown.text), shown.status_code) == (words, status)
    posted = await browser.post(f"/p/{token}")
    assert (heading(posted.text), posted.status_code, dict(posted.cookies)) == (words, status, {})


async def test_head_has_the_headers_of_get(world: World) -> None:
    _, token = await world.link()
    async with served(world.app) as url, httpx.AsyncClient(base_url=url) as client:
        for path in (f"/p/{token}", "/p/wrong"):
            for agent in (CHROME, WHATSAPP):
                got = await client.get(path, headers={"User-Agent": agent})
                head = await client.head(path, headers={"User-Agent": agent})
                unlike = {"date"}
                assert head.status_code == got.status_code
                assert head.content == b""
                assert {k: v for k, v in head.headers.items() if k not in unlike} == {
                    k: v for k, v in got.headers.items() if k not in unlike
                }


async def test_fetches_are_told_with_who_asked(world: World) -> None:
    link_id, token = await world.link()
    await world.browser().get(f"/p/{token}")
    await world.browser(agent=WHATSAPP).get(f"/p/{token}")
    await world.browser().http.head(f"/p/{token}")
    facts = [data for kind, data in await world.events(link_id) if kind == "link.fetched"]
    assert [(one["by"], one["bot"]) for one in facts] == [("browser", None), ("bot", "WhatsApp"), ("bot", None)]
    assert {one["channel"] for one in facts} == {"sms"}


async def test_the_same_agent_is_told_once_a_minute(world: World) -> None:
    link_id, token = await world.link()
    await asyncio.gather(*(world.browser().get(f"/p/{token}") for _ in range(10)))
    assert await world.told(link_id) == ["link.fetched"]


async def test_a_link_tells_of_so_many_fetches_and_no_more(world: World) -> None:
    link_id, _ = await world.link()
    doors = [await world.door(link_id) for _ in range(PER_LINK + 5)]
    for token in doors:
        assert (await world.browser().get(f"/p/{token}")).status_code == 200
    assert len(await world.told(link_id)) == PER_LINK
