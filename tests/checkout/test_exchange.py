"""The token for a cookie: tabs, devices, two links at once, no JavaScript, and who may not."""

import asyncio

import httpx
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.checkout import sessions
from paylink.checkout.models import CheckoutSession
from paylink.kit.clock import utcnow
from tests.checkout.world import World, heading


async def count_sessions(world: World) -> int:
    query = sa.select(sa.func.count()).select_from(CheckoutSession)
    return await world.db.read(lambda session: session.scalar(query) or 0)


async def test_the_script_gets_the_page_and_its_address_without_the_token(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    assert page.response.headers["content-location"] == f"/pay/{link_id}"
    assert page.heading == "Acme &amp; Sons"
    assert "£49.99" in page.text
    assert '<button id="submit" class="button" disabled>Pay £49.99</button>' in page.text
    assert token not in page.text


async def test_reload_and_back_show_the_page_by_cookie(world: World) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    again = await page.reload()
    assert again.response.status_code == 200
    assert again.heading == page.heading
    assert again.data["nonce"] != page.data["nonce"]


async def test_the_cookie_is_for_the_server_alone(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    cookie = page.response.headers["set-cookie"]
    assert cookie.startswith(f"paylink_pay_{link_id.removeprefix('plink_')}=")
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=86400"):
        assert attribute in cookie


async def test_only_a_hash_of_the_cookie_is_stored(world: World) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    (secret,) = page.response.cookies.values()
    rows = await world.db.read(lambda session: session.execute(sa.select(CheckoutSession.__table__)).all())
    assert secret not in repr(rows)
    assert secret.encode() not in rows[0].secret_hash


async def test_two_links_live_side_by_side_in_one_browser(world: World) -> None:
    (_, first), (_, second) = await world.link(), await world.link(amount=1200)
    browser = world.browser()
    one, other = await browser.open(first), await browser.open(second)
    assert "£49.99" in (await one.reload()).text
    assert "£12.00" in (await other.reload()).text
    assert (await one.beacon("opened")).status_code == 204


async def test_a_second_tab_keeps_the_session(world: World) -> None:
    link_id, token = await world.link()
    browser = world.browser()
    first = await browser.open(token)
    await first.beacon("opened")
    # Sent again by another channel, opened in the same browser: the same device all the same.
    second = await browser.open(await world.door(link_id, "email"))
    await second.beacon("opened")
    assert await count_sessions(world) == 1
    assert await world.told(link_id) == ["link.opened"]
    assert (await first.beacon("card_entry_started")).status_code == 204


async def test_another_device_gets_a_session_of_its_own(world: World) -> None:
    link_id, token = await world.link()
    for page in (await world.browser().open(token), await world.browser().open(token)):
        await page.beacon("opened")
    assert await world.told(link_id) == ["link.opened", "link.opened"]


async def test_without_javascript_the_button_leads_to_the_page(world: World) -> None:
    link_id, token = await world.link()
    browser = world.browser()
    # As browsers send it under "Referrer-Policy: no-referrer".
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec-Fetch-Site": "same-origin"}
    answer = await browser.http.post(f"/p/{token}", headers=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    page = await browser.get(f"/pay/{link_id}")
    assert heading(page.text) == "Acme &amp; Sons"
    assert "The card fields need JavaScript" in page.text


async def test_foreign_pages_cannot_open_a_link(world: World) -> None:
    _, token = await world.link()
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
    ):
        answer = await world.browser().post(f"/p/{token}", headers=headers)
        assert answer.status_code == 403
        assert not answer.cookies


async def test_without_the_cookie_every_link_looks_alike(world: World) -> None:
    link_id, token = await world.link()
    stranger = world.browser()
    there = await stranger.get(f"/pay/{link_id}")
    nowhere = await stranger.get("/pay/plink_00000000000000000000000000")
    stranger.http.cookies.set(f"paylink_pay_{link_id.removeprefix('plink_')}", "guess")
    guessed = await stranger.get(f"/pay/{link_id}")
    assert there.status_code == 403
    assert heading(there.text) == "Please open your link again"
    assert there.content == nowhere.content == guessed.content
    assert token not in there.text


async def test_a_cookie_opens_its_own_link_only(world: World) -> None:
    (first, token), (second, _) = await world.link(), await world.link()
    browser = world.browser()
    page = await browser.open(token)
    (secret,) = page.response.cookies.values()
    browser.http.cookies.set(f"paylink_pay_{second.removeprefix('plink_')}", secret)
    assert (await browser.get(f"/pay/{first}")).status_code == 200
    assert (await browser.get(f"/pay/{second}")).status_code == 403


async def test_sessions_end_and_are_pruned(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)

    def end(session: Session) -> None:
        session.execute(sa.update(CheckoutSession).values(expires_at=utcnow()))

    await world.db.transact(end)
    assert (await world.browser().get(f"/pay/{link_id}")).status_code == 403
    assert (await page.beacon("opened")).status_code == 403
    assert await world.db.transact(sessions.prune) == 1
    assert await count_sessions(world) == 0


async def test_many_tabs_at_once(world: World) -> None:
    _, token = await world.link()
    answers = await asyncio.gather(*(world.browser().post(f"/p/{token}") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({next(iter(httpx.Cookies(answer.cookies).values())) for answer in answers}) == 20
