"""The customer's page without a mouse, in the dark, and on a small screen."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from paylink.kit.clock import utcnow
from paylink.links.models import PaymentLink
from paylink.payments.models import Payment
from tests.e2e.conftest import Visit
from tests.e2e.shop import MERCHANT, PAID, PHONE, THREE_D_SECURE, VIEWPORTS, Customer, Shop, card_frame
from tests.services import wait_until

LONGEST_WAY = 30


@pytest.fixture(scope="module")
def shop(sqlite_shop: Shop) -> Shop:
    """A page is the same on every database."""
    return sqlite_shop


def test_a_customer_pays_with_the_keyboard_alone(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url)
    page = customer.page
    expect(card_frame(page).get_by_label("Card number", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Pay £49.99")).to_be_enabled()
    for label, typed in (("Card number", PAID), ("Expiration date", "1234"), ("Security code", "123")):
        tab_to(page, label)
        page.keyboard.type(typed)
    tab_to(page, "Pay £49.99")
    page.keyboard.press("Enter")
    customer.heading("Payment complete")
    # Where the page changed under them, a screen reader goes on from the heading.
    assert page.evaluate("document.activeElement.textContent") == "Payment complete"
    assert shop.captures(link.id) == [4999]


def test_a_decline_is_read_out_and_the_next_try_needs_no_mouse(shop: Shop, visit: Visit) -> None:
    customer = visit(shop.link().url)
    customer.pay("4000000000000002")
    alert = customer.page.get_by_role("alert")
    expect(alert).to_contain_text("Your card was declined")
    expect(alert).to_be_focused()
    expect(customer.page.get_by_role("button", name="Pay £49.99")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_the_page_can_be_read_in_every_scheme_and_size(shop: Shop, visit: Visit, scheme: str, viewport: str) -> None:
    customer = visit(shop.link().url, viewport=VIEWPORTS[viewport], color_scheme=scheme)
    customer.heading(MERCHANT)
    expect(card_frame(customer.page).get_by_label("Card number", exact=True)).to_be_visible()
    assert_readable(customer, dark=scheme == "dark")
    customer.pay(PAID)
    customer.heading("Payment complete")
    assert_readable(customer, dark=scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_that_wait_can_be_read_and_used_without_a_mouse(shop: Shop, visit: Visit, scheme: str) -> None:
    link = shop.link()
    looks = {"viewport": PHONE, "color_scheme": scheme}
    first = visit(link.url, **looks)
    first.pay(THREE_D_SECURE)
    expect(first.page.get_by_role("dialog")).to_be_visible()
    tab = visit(link.url, **looks, storage_state=first.context.storage_state())
    tab.heading("Your payment is not finished yet")
    assert_readable(tab, dark=scheme == "dark")
    tab_to(tab.page, "Start again")
    tab.page.keyboard.press("Enter")
    tab.heading(MERCHANT)
    tab.pay(THREE_D_SECURE)
    expect(tab.page.get_by_role("dialog")).to_be_visible()
    wait_until(lambda: shop.payments(link.id)[-1]["status"] == "requires_action", what="the bank's question")
    shop.change(sa.update(Payment).where(Payment.link_id == link.id).values(updated_at=utcnow() - timedelta(minutes=2)))
    other = visit(link.url, **looks)
    expect(other.page.get_by_role("button", name="Pay here instead")).to_be_visible()
    assert_readable(other, dark=scheme == "dark")
    tab_to(other.page, "Pay here instead")
    other.page.keyboard.press("Enter")
    other.heading(MERCHANT)
    assert other.page.evaluate("document.activeElement.textContent") == MERCHANT
    shop.change(sa.update(PaymentLink).where(PaymentLink.id == link.id).values(locked_at=utcnow()))
    other.open(link.url).heading("Too many attempts")
    assert_readable(other, dark=scheme == "dark")
    assert other.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_phone_shows_the_amount_and_the_way_to_pay_it_without_scrolling_sideways(shop: Shop, visit: Visit) -> None:
    link = shop.link(amount=99_999_999, description="Replacement of the whole heating system, 3rd floor " * 3)
    customer = visit(link.url, viewport=PHONE, has_touch=True, is_mobile=True)
    button = customer.page.get_by_role("button", name="Pay £999,999.99")
    expect(button).to_be_enabled()
    assert customer.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = button.bounding_box()
    assert box
    assert box["height"] >= 44
    assert box["x"] + box["width"] <= PHONE["width"]


def test_a_receipt_survives_without_a_network(shop: Shop, visit: Visit) -> None:
    """What a poor line does: the page says so, and the customer pays when it is back."""
    link = shop.link()
    customer = visit(link.url)
    customer.enter(PAID)
    customer.context.set_offline(True)
    customer.press_pay()
    expect(customer.page.get_by_role("alert")).to_be_visible()
    assert shop.captures(link.id) == []
    customer.context.set_offline(False)
    customer.press_pay()
    customer.heading("Payment complete")
    assert shop.captures(link.id) == [4999]
    customer.faults = [fault for fault in customer.faults if "ERR_INTERNET_DISCONNECTED" not in fault]


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the field or button of this name has the focus."""
    for _ in range(LONGEST_WAY):
        page.keyboard.press("Tab")
        if name in focused(page):
            return
    raise AssertionError(f"Tab does not lead to {name}")


def focused(page: Page) -> str:
    """What a screen reader would say of the focused element, in whichever frame it is."""
    said = ""
    for frame in page.frames:
        if frame.evaluate("document.activeElement !== document.body && document.hasFocus()"):
            said = frame.evaluate(
                "(() => { const e = document.activeElement; return [e.ariaLabel, e.textContent,"
                " ...[...(e.labels || [])].map((l) => l.textContent)].join(' '); })()"
            )
    return said


def assert_readable(customer: Customer, *, dark: bool) -> None:
    """The scheme is followed, and text stands out from its ground: WCAG's 4.5 to 1."""
    shades = customer.page.evaluate(
        """() => {
          const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const color = getComputedStyle(e).backgroundColor;
              if (!/, 0\\)$/.test(color) && color !== "transparent") return light(color);
            }
            return 1;
          };
          return [...document.querySelectorAll("h1, p, dt, dd, button, .alert")]
            .filter((e) => e.textContent.trim() && e.offsetParent)
            .map((e) => [e.textContent.trim().slice(0, 30), light(getComputedStyle(e).color), ground(e)]);
        }"""
    )
    assert shades
    for text, ink, ground in shades:
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast >= 4.5, (text, round(contrast, 2))
    page_ground = shades[0][2]
    assert (page_ground < 0.2) is dark
