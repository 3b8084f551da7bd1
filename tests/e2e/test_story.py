"""The main story, in a browser: an agent makes a link at the console, a customer pays it, the agent sees it happen."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.shop import MERCHANT, PAID, VIEWPORTS, Customer, Shop, card_frame, new_phone
from tests.e2e.stream import Told, assert_gapless
from tests.services import wait_until

ORDER = [
    "link.created",
    "delivery.sent",
    "link.opened",
    "card_entry.started",
    "payment.submitted",
    "fraud_check.started",
    "fraud_check.completed",
    "payment.succeeded",
    "link.paid",
]
BESIDES = {"delivery.queued", "delivery.delivered", "link.fetched", "card_entry.completed", "receipt.sent"}
AT_ONCE_S = 1.0

# Notes for every entry of the timeline when it was shown, and how long after its happening.
WATCH = """() => {
  window.unbroken = true;
  window.shown = {};
  const look = () => {
    for (const entry of document.querySelectorAll("li[data-type]")) {
      const at = entry.querySelector("time").getAttribute("datetime");
      const name = entry.dataset.type + " " + at;
      if (!(name in window.shown)) window.shown[name] = Date.now() - Date.parse(at);
    }
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
}"""


def test_an_api_made_link_is_paid_and_told_of_at_once(shop: Shop, visit: Visit) -> None:
    to = new_phone()
    link = shop.link(deliver=[{"channel": "sms", "to": to}])
    customer = visit(shop.message_url(to))
    pay_as_told(customer)
    shop.stream.wait_for(link.id, "receipt.sent")
    assert_story(shop.stream.of(link.id))
    assert shop.captures(link.id) == [4999]
    found = shop.get(f"/v1/payment_links/{link.id}")
    assert (found["status"], found["amount_paid"]) == ("paid", 4999)
    assert [
        one["type"] for one in shop.get(f"/v1/payment_links/{link.id}/events?after_seq=0")["data"]
    ] == shop.stream.types(link.id)


@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_an_agent_makes_a_link_and_watches_it_being_paid(
    shop: Shop, visit: Visit, browser: Browser, viewport: str
) -> None:
    to = new_phone()
    agent = visit(f"{shop.watch_on.console}/", expecting={401})
    sign_in(agent.page, shop)
    make_link(agent.page, to)
    link_id = agent.page.url.rpartition("/")[2]
    agent.page.evaluate(WATCH)

    customer = visit(shop.message_url(to), viewport=VIEWPORTS[viewport])
    pay_as_told(customer)
    shop.stream.wait_for(link_id, "receipt.sent")
    told = shop.stream.of(link_id)
    assert_story(told)
    assert shop.captures(link_id) == [4999]

    expect(agent.page.locator('li[data-type="link.paid"]')).to_be_visible()
    wait_until(lambda: shown(agent.page) == [one.type for one in told], what="the whole timeline on the agent's page")
    assert agent.page.evaluate("window.unbroken") is True
    late = watched(agent.page)
    after_creation = {name: ms for name, ms in late.items() if name.split()[0] in ORDER[2:]}
    assert len(after_creation) == len(ORDER) - 2
    assert max(after_creation.values()) <= AT_ONCE_S * 1000, after_creation
    assert customer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shop.pages.append(agent.page.content())


def pay_as_told(customer: Customer) -> None:
    """By the names that the contract gives, and no other."""
    page = customer.page
    customer.heading(MERCHANT)
    expect(page.get_by_text("£49.99", exact=True)).to_be_visible()
    frame = card_frame(page)
    for label in ("Card number", "Expiration date", "Security code"):
        expect(frame.get_by_label(label, exact=True)).to_be_visible()
    customer.pay(PAID)
    customer.heading("Payment complete")


def assert_story(told: list[Told]) -> None:
    types = [one.type for one in told]
    assert [kind for kind in types if kind not in BESIDES] == ORDER
    assert_gapless(told)
    late = {one.type: round(one.late_s, 3) for one in told if one.late_s > AT_ONCE_S}
    assert late == {}
    assert all(one.event["origin"] for one in told)


def sign_in(page: Page, shop: Shop) -> None:
    page.get_by_label("Email", exact=True).fill(shop.product.seed["agent"]["email"])
    page.get_by_label("Password", exact=True).fill(shop.product.seed["agent"]["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="New payment link").first).to_be_visible()


def make_link(page: Page, to: str) -> None:
    page.get_by_role("link", name="New payment link").first.click()
    page.get_by_label("Amount", exact=True).fill("49.99")
    page.get_by_label("Currency", exact=True).select_option("GBP")
    page.get_by_label("Description", exact=True).fill("Boiler repair")
    page.get_by_label("Reference", exact=True).fill("INV-1042")
    page.get_by_label("Phone", exact=True).fill(to)
    page.get_by_role("checkbox", name="SMS").check()
    page.get_by_role("button", name="Create and send").click()
    expect(page.locator('li[data-type="link.created"]')).to_be_visible()


def shown(page: Page) -> list[str]:
    """The timeline's entries, oldest first."""
    newest_first: list[str] = page.locator("li[data-type]").evaluate_all("(all) => all.map((e) => e.dataset.type)")
    return newest_first[::-1]


def watched(page: Page) -> dict[str, Any]:
    return dict(page.evaluate("window.shown"))
