"""Previewers and scanners look at a link before, beside and instead of its customer. Whatever they do, it stays whole:
it can be paid after all of them, and ``link.opened`` is told of none that runs no script.

The agents are those of chat apps, mail gateways and search engines as their makers write them, and scanners as they
have been seen: with a plain browser's name, or with none.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser as Chrome
from playwright.sync_api import expect

from tests.checkout.test_browser import PAY, complete, enter, link
from tests.checkout.world import CHROME, PHONE, World
from tests.product import Product
from tests.services import wait_until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EDGE_12 = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246"
)
IMESSAGE = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)
SKYPE = "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com"
OUTLOOK = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 OneOutlook/1.2023.1"
HEADLESS = CHROME.replace("Chrome", "HeadlessChrome")
AHEAD = {"Sec-Purpose": "prefetch;prerender"}
# What each asks with: the agent, the way, headers; then how it is told of: by whom, its name, and why.
VISITORS: list[tuple[str, str, dict[str, str], tuple[str, str | None, str | None]]] = [
    ("WhatsApp/2.23.20.0 A", "get", {}, ("bot", "WhatsApp", "user_agent")),
    ("WhatsApp/2", "get", {}, ("bot", "WhatsApp", "user_agent")),
    (IMESSAGE, "get", {}, ("bot", "iMessage", "user_agent")),
    ("facebookexternalhit/1.1;line-poker/1.0", "get", {}, ("bot", "Facebook", "user_agent")),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "get", {}, ("bot", "Slack", "user_agent")),
    ("TelegramBot (like TwitterBot)", "get", {}, ("bot", "Telegram", "user_agent")),
    (SKYPE, "get", {}, ("bot", "Microsoft Teams", "user_agent")),
    ("Mozilla/5.0 (compatible; Discordbot/2.0)", "get", {}, ("bot", "Discordbot", "user_agent")),
    ("LinkedInBot/1.0 (compatible; Mozilla/5.0)", "head", {}, ("bot", "LinkedInBot", "user_agent")),
    ("Mozilla/5.0 (compatible; BingPreview/1.0b)", "twice", {}, ("bot", "BingPreview", "user_agent")),
    ("Microsoft-BotFramework/3.1", "get", {}, ("bot", "Microsoft Teams", "user_agent")),
    ("Viber/13.3.0.5 CFNetwork/1220.1 Darwin/20.3.0", "get", {}, ("bot", "Viber", "user_agent")),
    (
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko (via ggpht.com GoogleImageProxy)",
        "get",
        {},
        ("bot", "Gmail", "user_agent"),
    ),
    ("Mozilla/5.0 (compatible; Google-Read-Aloud)", "get", {}, ("bot", "Google-Read-Aloud", "user_agent")),
    (OUTLOOK, "get", {}, ("bot", "Outlook", "user_agent")),
    (CHROME, "get", {"x-native-host": "OneOutlook/1.2023.1"}, ("bot", "Outlook", "header")),
    (EDGE_12, "submit", {}, ("bot", "Gmail", "user_agent")),
    ("curl/8.1", "submit", {}, ("bot", "curl", "user_agent")),
    ("python-requests/2.31", "twice", {}, ("bot", "python-requests", "user_agent")),
    # Mail gateways: no name, a plain browser's, ahead of its user, or a HEAD before the mail is handed out.
    ("", "get", {}, ("unknown", None, "no_user_agent")),
    ("", "submit", {}, ("unknown", None, "no_user_agent")),
    (CHROME, "submit", {}, ("browser", None, None)),
    (PHONE, "twice", {}, ("browser", None, None)),
    (CHROME, "head", {}, ("bot", None, "head_request")),
    (CHROME, "get", AHEAD, ("unknown", None, "prefetch")),
    (CHROME, "get", {"Purpose": "prefetch"}, ("unknown", None, "prefetch")),
    (HEADLESS, "submit", {}, ("unknown", None, "headless")),
    ("MailGuard", "get", {}, ("unknown", None, "not_a_browser")),
]


async def scan(world: World, token: str, agent: str, way: str, headers: dict[str, str]) -> None:
    browser = world.browser(agent=agent)
    if way == "head":
        assert (await browser.http.head(f"/p/{token}", headers=headers)).status_code == 200
        return
    page = await browser.get(f"/p/{token}", **headers)
    assert page.status_code == 200
    if way == "twice":
        await browser.get(f"/p/{token}", **headers)
    if way == "submit":
        # Every form that it finds, as it finds it, and every form of the page that this leads to.
        answer = await browser.http.post(f"/p/{token}", headers=FORM)
        assert answer.status_code == 303
        assert (await browser.get(answer.headers["location"])).status_code == 200


async def test_what_runs_no_script_opens_nothing_and_is_named(world: World) -> None:
    assert len(VISITORS) >= 25
    wrong = []
    for agent, way, headers, known in VISITORS:
        link_id, token = await world.link()
        await scan(world, token, agent, way, headers)
        told = await world.events(link_id)
        facts = [(data["by"], data["bot"], data["reason"]) for _, data in told]
        if [kind for kind, _ in told] != ["link.fetched"] or facts != [known]:
            wrong.append((agent, way, headers, told))
    assert wrong == []


async def test_after_all_of_them_the_customer_pays(world: World) -> None:
    link_id, token = await world.link()
    before = await world.browser(agent=PHONE).open(token)
    await before.beacon("opened", evidence="input")
    for agent, way, headers, _ in VISITORS:
        await scan(world, await world.door(link_id, "email"), agent, way, headers)
        await scan(world, token, agent, way, headers)
    # The page that was open before has not been sent away by any of them.
    assert (await before.status())["state"] == "payable"
    assert (await before.call("payments")).status_code == 200
    world.provider.authorise()
    assert (await before.call("refresh")).json()["state"] == "paid"
    assert (await world.told(link_id)).count("link.opened") == 1


@pytest.mark.parametrize(
    ("agent", "beacon", "told"),
    [
        (CHROME, {}, {"evidence": "visible"}),
        (CHROME, {"evidence": "visible"}, {"evidence": "visible"}),
        (CHROME, {"evidence": "input"}, {"evidence": "input"}),
        (CHROME, {"evidence": "visible", "automated": True}, {"evidence": "visible", "automated": True}),
        (HEADLESS, {"evidence": "visible"}, {"evidence": "visible", "automated": True}),
        # In sight is not enough for what calls itself a robot; a person in such an app has a finger.
        (EDGE_12, {"evidence": "visible"}, None),
        (OUTLOOK, {}, None),
        (OUTLOOK, {"evidence": "input"}, {"evidence": "input"}),
    ],
)
async def test_opened_is_told_with_its_evidence(
    world: World, agent: str, beacon: dict[str, Any], told: dict[str, Any] | None
) -> None:
    link_id, token = await world.link()
    page = await world.browser(agent=agent).open(token)
    assert (await page.call("events", {"step": "opened", **beacon})).status_code == 204
    events = await world.events(link_id)
    if told is None:
        assert events == []
    else:
        ((kind, data),) = events
        assert kind == "link.opened"
        assert {name: data[name] for name in ("evidence", "automated") if name in data} == told


async def test_a_card_that_is_typed_is_evidence(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser(agent=OUTLOOK).open(token)
    await page.beacon("card_entry_started")
    events = await world.events(link_id)
    assert [kind for kind, _ in events] == ["link.opened", "card_entry.started"]
    assert events[0][1]["evidence"] == "input"


async def test_a_script_without_the_pages_nonce_opens_nothing(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    forged = page.data["nonce"][:-1] + ("0" if page.data["nonce"][-1] != "0" else "1")
    for nonce in ("", forged):
        answer = await page.call("events", {"step": "opened"}, headers={"Paylink-Nonce": nonce})
        assert answer.status_code == 403
    assert await world.told(link_id) == []


# --- in a real browser ---------------------------------------------------------------------------------------------


def openings(made: Product, link_id: str) -> list[dict[str, Any]]:
    with made.client() as client:
        found = client.get(f"/v1/payment_links/{link_id}/events", params={"after_seq": 0}).json()["data"]
    return [event["data"] for event in found if event["type"] == "link.opened"]


def test_a_scanner_that_runs_scripts_takes_nothing_from_the_customer(made: Product, browser: Chrome) -> None:
    """What it yields: by a look in passing nothing; by staying for a second one ``link.opened``, which says that the
    page was in sight and that a program drives the browser. A person's is told beside it, and pays."""
    found = link(made)
    for stay in (False, True):
        scanner = browser.new_context()
        page = scanner.new_page()
        page.goto(found["url"])
        expect(page.get_by_role("heading", level=1)).to_have_text("Acme Heating")
        if not stay:
            # As gateways do: the page is read once its scripts have run, and closed.
            assert "£49.99" in page.content()
            scanner.close()
            assert openings(made, found["id"]) == []
            continue
        wait_until(lambda: bool(openings(made, found["id"])), what="what a scanner yields")
        (told,) = openings(made, found["id"])
        assert (told["evidence"], told["automated"]) == ("visible", True)
        scanner.close()
    person = browser.new_context()
    page = person.new_page()
    page.goto(found["url"])
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    with page.expect_request("**/events") as asked:
        page.mouse.click(5, 5)
    assert (asked.value.post_data_json or {})["evidence"] in {"input", "visible"}
    enter(page)
    page.get_by_role("button", name=PAY).click()
    complete(page)
    assert len(openings(made, found["id"])) == 2
    person.close()


def test_input_counts_at_once_and_only_if_the_browser_vouches_for_it(made: Product, browser: Chrome) -> None:
    found = link(made)
    context = browser.new_context()
    # A clock that stands still: only input can open the page.
    context.add_init_script(
        "const later = window.setTimeout; window.setTimeout = (f, ms) => ms === 1000 ? 0 : later(f, ms);"
    )
    page = context.new_page()
    page.goto(found["url"])
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    sent: list[Any] = []
    page.on("request", lambda one: sent.append(one.post_data_json) if one.url.endswith("/events") else None)
    page.evaluate(
        "for (const kind of ['pointerdown', 'keydown']) document.body.dispatchEvent(new Event(kind, {bubbles: true}))"
    )
    page.evaluate("document.body.click()")
    assert sent == []
    with page.expect_response("**/events"):
        page.keyboard.press("Shift")
    assert sent == [{"step": "opened", "evidence": "input", "automated": True}]
    assert [one["evidence"] for one in openings(made, found["id"])] == ["input"]
    context.close()
