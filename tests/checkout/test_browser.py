"""The page in a real browser where things go wrong: lost lines, blocked scripts, reloads, second tabs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from paylink.accounts.models import Merchant
from paylink.db import Database
from paylink.kit.clock import utcnow
from paylink.payments.models import Payment
from tests.browser import judge
from tests.product import Product

PAID, THREE_D_SECURE = "4242424242424242", "4000002500003155"
DECLINED = ["4000000000000002", "4000000000009995", "4000000000000069"]
PAY = "Pay £49.99"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    one = browser.new_context()
    yield one
    one.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def link(made: Product, **more: Any) -> dict[str, Any]:
    body = {"amount": 4999, "currency": "GBP", "description": "Boiler repair", **more}
    with made.client() as client:
        answer = client.post("/v1/payment_links", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def told(made: Product, link_id: str) -> list[str]:
    with made.client() as client:
        answer = client.get(f"/v1/payment_links/{link_id}/events", params={"after_seq": 0})
    return [event["type"] for event in answer.json()["data"]]


def enter(page: Page, number: str = PAID) -> None:
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    frame = page.frame_locator("#card iframe")
    for label, value in (("Card number", number), ("Expiration date", "12 / 34"), ("Security code", "123")):
        frame.get_by_label(label).fill(value)


def bank(page: Page) -> FrameLocator:
    return page.frame_locator("[role=dialog] iframe")


def at_the_bank(page: Page, url: str) -> None:
    page.goto(url)
    enter(page, THREE_D_SECURE)
    page.get_by_role("button", name=PAY).click()
    expect(bank(page).get_by_role("button", name="Approve")).to_be_visible()


def a_minute_later(made: Product, link_id: str) -> None:
    """As if nobody had touched the link's attempts for so long."""
    moved = {"updated_at": utcnow() - timedelta(minutes=1)}
    change(made, sa.update(Payment).where(Payment.link_id == link_id).values(moved))


def change(made: Product, update: sa.Update) -> None:
    db = Database(made.settings["PAYLINK_DATABASE_URL"])
    try:
        db.transact_sync(lambda session: session.execute(update) and None)
    finally:
        db.close()


def captures(made: Product, link_id: str) -> list[int]:
    accounts = [one for one in made.ledger() if one["metadata"].get("link_id") == link_id]
    return [capture["amount"] for account in accounts for capture in account["captures"]]


def complete(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")


def test_few_requests_come_before_the_providers_script(made: Product, page: Page) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(f"{request.method} {request.url}"))
    with page.expect_request("**/events"):
        page.goto(link(made)["url"])
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    own = [one for one in seen if made.node.checkout in one]
    before = seen[: next(n for n, one in enumerate(seen) if one.endswith("/stripe.js"))]
    assert len(before) <= 4
    assert len(own) == 5  # those four, and the beacon
    assert "/p/" not in page.url


def test_a_blocked_provider_is_explained_and_can_be_tried_again(made: Product, page: Page) -> None:
    page.route("**/stripe.js", lambda route: route.abort())
    page.goto(link(made)["url"])
    expect(page.get_by_role("alert")).to_contain_text("The card form could not be loaded")
    expect(page.get_by_role("button", name=PAY)).to_be_disabled()
    page.unroute("**/stripe.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    enter(page)
    page.get_by_role("button", name=PAY).click()
    complete(page)


def test_a_lost_line_before_paying_charges_nothing(made: Product, page: Page) -> None:
    found = link(made)
    page.goto(found["url"])
    enter(page)
    page.route("**/payments", lambda route: route.abort())
    page.get_by_role("button", name=PAY).click()
    expect(page.get_by_role("alert")).to_contain_text("We cannot reach the payment service")
    assert "payment.submitted" not in told(made, found["id"])
    page.unroute("**/payments")
    page.get_by_role("button", name=PAY).click()
    complete(page)
    assert told(made, found["id"]).count("payment.submitted") == 1


def test_a_lost_line_after_paying_waits_for_the_truth(made: Product, page: Page) -> None:
    page.goto(link(made)["url"])
    enter(page)
    page.route("**/refresh", lambda route: route.abort())
    page.get_by_role("button", name=PAY).click()
    expect(page.get_by_role("status")).to_contain_text("Do not pay again")
    page.unroute("**/refresh")
    complete(page)


def test_a_reload_while_the_bank_asks_asks_on(made: Product, page: Page) -> None:
    found = link(made)
    page.goto(found["url"])
    enter(page, THREE_D_SECURE)
    page.get_by_role("button", name=PAY).click()
    expect(bank(page).get_by_role("button", name="Approve")).to_be_visible()
    page.reload()
    bank(page).get_by_role("button", name="Approve").click()
    complete(page)
    assert told(made, found["id"]).count("payment.submitted") == 1


def test_a_refusal_at_the_bank_can_be_tried_again(made: Product, page: Page) -> None:
    page.goto(link(made)["url"])
    enter(page, THREE_D_SECURE)
    page.get_by_role("button", name=PAY).click()
    bank(page).get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("could not confirm that it is you")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("button", name=PAY).click()
    bank(page).get_by_role("button", name="Approve").click()
    complete(page)


def test_a_double_click_pays_once(made: Product, page: Page) -> None:
    found = link(made)
    page.goto(found["url"])
    enter(page)
    page.get_by_role("button", name=PAY).dblclick()
    complete(page)
    assert told(made, found["id"]).count("payment.submitted") == 1


def test_the_keyboard_is_enough(made: Product, page: Page) -> None:
    page.goto(link(made)["url"])
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    page.keyboard.press("Tab")
    for text in (PAID, "1234", "123"):
        page.keyboard.type(text)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=PAY)).to_be_focused()
    page.keyboard.press("Enter")
    complete(page)
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_back_and_forward_and_reload_show_the_truth(made: Product, page: Page) -> None:
    page.goto("about:blank")
    page.goto(link(made)["url"])
    enter(page)
    page.get_by_role("button", name=PAY).click()
    complete(page)
    page.reload()
    complete(page)
    page.go_back()
    assert page.url == "about:blank"
    page.go_forward()
    complete(page)


def test_two_links_in_two_tabs(made: Product, context: BrowserContext) -> None:
    first, second = context.new_page(), context.new_page()
    first.goto(link(made)["url"])
    second.goto(link(made, amount=1200)["url"])
    enter(first)
    first.get_by_role("button", name=PAY).click()
    complete(first)
    expect(second.get_by_role("button", name="Pay £12.00")).to_be_enabled()
    second.reload()
    expect(second.get_by_role("button", name="Pay £12.00")).to_be_enabled()


def test_a_link_canceled_under_the_customers_hands(made: Product, page: Page) -> None:
    found = link(made)
    page.goto(found["url"])
    enter(page)
    with made.client() as client:
        assert client.post(f"/v1/payment_links/{found['id']}/cancel").is_success
    page.get_by_role("button", name=PAY).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This link was canceled")


def test_a_second_device_follows_the_first(made: Product, page: Page, browser: Browser) -> None:
    url = link(made)["url"]
    page.goto(url)
    enter(page, THREE_D_SECURE)
    page.get_by_role("button", name=PAY).click()
    expect(bank(page).get_by_role("button", name="Approve")).to_be_visible()
    other = browser.new_context()
    second = other.new_page()
    second.goto(url)
    expect(second.get_by_role("heading", level=1)).to_have_text("This link is being paid on another device")
    judge(second, "waiting")
    bank(page).get_by_role("button", name="Approve").click()
    expect(second.get_by_role("heading", level=1)).to_have_text("Already paid")
    other.close()


def test_a_new_tab_goes_on_where_the_bank_was_asking(made: Product, context: BrowserContext) -> None:
    found = link(made)
    first, tab = context.new_page(), context.new_page()
    at_the_bank(first, found["url"])
    tab.goto(found["url"])
    expect(tab.get_by_role("heading", level=1)).to_have_text("Your payment is not finished yet")
    expect(bank(tab).get_by_role("button", name="Approve")).to_have_count(0)
    tab.get_by_role("button", name="Continue").click()
    bank(tab).get_by_role("button", name="Approve").click()
    complete(tab)
    # The bank's question lay over the first tab; it goes by itself when there is nothing to answer any more.
    complete(first)
    expect(first.get_by_role("dialog")).to_have_count(0)
    assert told(made, found["id"]).count("payment.submitted") == 1


def test_a_new_tab_begins_anew_and_the_old_one_follows(made: Product, context: BrowserContext) -> None:
    found = link(made)
    first, tab = context.new_page(), context.new_page()
    at_the_bank(first, found["url"])
    tab.goto(found["url"])
    tab.get_by_role("button", name="Start again").click()
    enter(tab)
    tab.get_by_role("button", name=PAY).click()
    complete(tab)
    complete(first)
    assert told(made, found["id"]).count("payment.canceled") == 1
    assert captures(made, found["id"]) == [4999]


def test_another_device_pays_here_instead(made: Product, page: Page, browser: Browser) -> None:
    found = link(made)
    at_the_bank(page, found["url"])
    other = browser.new_context()
    second = other.new_page()
    second.goto(found["url"])
    expect(second.get_by_role("heading", level=1)).to_have_text("This link is being paid on another device")
    judge(second, "waiting")
    expect(second.get_by_role("button")).to_have_count(0)
    a_minute_later(made, found["id"])
    # The button comes by itself.
    second.get_by_role("button", name="Pay here instead").click()
    enter(second)
    second.get_by_role("button", name=PAY).click()
    complete(second)
    expect(page.get_by_role("heading", level=1)).to_have_text("Already paid")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert captures(made, found["id"]) == [4999]
    other.close()


def test_the_other_device_turns_to_paid_though_the_first_was_closed(
    made: Product, page: Page, browser: Browser
) -> None:
    found = link(made)
    page.goto(found["url"])
    enter(page)
    # The answer to the confirmation is lost with the page.
    page.route("**/refresh", lambda route: route.abort())
    page.get_by_role("button", name=PAY).click()
    expect(page.get_by_role("status")).to_contain_text("Do not pay again")
    page.close()
    other = browser.new_context()
    second = other.new_page()
    second.goto(found["url"])
    expect(second.get_by_role("heading", level=1)).to_have_text("Already paid")
    assert captures(made, found["id"]) == [4999]
    other.close()


def test_back_from_the_bank_in_another_browser(made: Product, page: Page, browser: Browser) -> None:
    found = link(made)
    at_the_bank(page, found["url"])
    bank(page).get_by_role("button", name="Approve").click()
    complete(page)
    other = browser.new_context()
    second = other.new_page()
    second.goto(f"{made.node.checkout}/pay/{found['id']}/return?payment_intent=pi_1&redirect_status=failed")
    expect(second.get_by_role("heading", level=1)).to_have_text("Please open your link again")
    assert "payment_intent" not in second.url
    second.goto(found["url"])
    expect(second.get_by_role("heading", level=1)).to_have_text("Already paid")
    other.close()


def test_the_back_button_at_the_bank(made: Product, page: Page) -> None:
    page.goto("about:blank")
    found = link(made)
    at_the_bank(page, found["url"])
    page.go_back()
    page.go_forward()
    bank(page).get_by_role("button", name="Approve").click()
    complete(page)
    assert captures(made, found["id"]) == [4999]


def test_a_locked_link_says_whom_to_ask_and_opens_again_by_itself(made: Product, page: Page) -> None:
    found = link(made)
    page.goto(found["url"])
    for number in DECLINED:
        enter(page, number)
        page.get_by_role("button", name=PAY).click()
        expect(page.get_by_role("alert").or_(page.get_by_text("Too many attempts"))).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Too many attempts")
    expect(page.get_by_role("main")).to_contain_text("Please contact Acme Heating")
    judge(page, "locked")
    with made.client() as client:
        assert client.post(f"/v1/payment_links/{found['id']}/unlock").is_success
    enter(page)
    page.get_by_role("button", name=PAY).click()
    complete(page)


def test_payments_that_are_paused_go_on_by_themselves(made: Product, page: Page) -> None:
    page.goto(link(made)["url"])
    enter(page)
    change(made, sa.update(Merchant).values(payments_paused_until=utcnow() + timedelta(minutes=5)))
    page.get_by_role("button", name=PAY).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payments are paused for a moment")
    with made.client() as client:
        assert client.post("/v1/payments/resume").is_success
    enter(page)
    page.get_by_role("button", name=PAY).click()
    complete(page)


def test_without_javascript(made: Product, browser: Browser) -> None:
    found = link(made)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(found["url"])
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("£49.99", exact=True)).to_be_visible()
    expect(page.get_by_text("The card fields need JavaScript")).to_be_visible()
    context.close()
    # A browser without our script has shown the link to nobody that we know of.
    assert "link.opened" not in told(made, found["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_phone_shows_everything_without_scrolling_sideways(
    made: Product, browser: Browser, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page = context.new_page()
    page.goto(link(made, amount=9999999, description="Llanfairpwllgwyngyllgogerychwyrndrobwllllantysilio " * 3)["url"])
    expect(page.get_by_role("button", name="Pay £99,999.99")).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    context.close()
