"""The console on a line that comes and goes: it says so at once, and what could not be done then is not done later.

The console knows no database, so these run on one.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.desk import Desk
from tests.e2e.shop import Shop
from tests.e2e.test_console_money import held

# Shorter than a silence that the stream puts up with.
AT_ONCE_MS = 3000
# What the browser itself complains of.
LOST = ("ERR_INTERNET_DISCONNECTED", "status of 503")


@pytest.fixture(scope="module")
def shop(sqlite_shop: Shop) -> Shop:
    return sqlite_shop


@pytest.fixture
def forgiven() -> tuple[str, ...]:
    return LOST


@pytest.fixture
def desk(desk: Desk) -> Iterator[Desk]:
    yield desk
    desk.browser.context.set_offline(False)


def test_what_was_asked_for_without_a_network_is_not_done_when_it_returns(shop: Shop, visit: Visit, desk: Desk) -> None:
    link = held(shop, visit)
    desk.see(link)
    approve = desk.page.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    desk.browser.context.set_offline(True)
    approve.click()
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Take £49.99").click()
    expect(dialog.get_by_role("alert")).to_contain_text("No answer from paylink", timeout=AT_ONCE_MS)
    dialog.get_by_role("button", name="Back").click()
    expect(dialog).to_be_hidden()

    desk.browser.context.set_offline(False)
    desk.page.get_by_role("button", name="Decline").click()
    desk.confirm("Decline this payment?", "Decline the payment")
    desk.timeline("Review closed: declined by")
    assert shop.captures(link.id) == []


def test_a_lost_line_is_told_at_once_and_caught_up_with(shop: Shop, desk: Desk) -> None:
    link = shop.link()
    desk.see(link)
    notice = desk.page.get_by_text("Offline – reconnecting")
    desk.browser.context.set_offline(True)
    expect(notice).to_be_visible(timeout=AT_ONCE_MS)
    shop.post(f"/v1/payment_links/{link.id}/cancel")
    desk.browser.context.set_offline(False)
    expect(notice).to_be_hidden(timeout=AT_ONCE_MS)
    desk.timeline("Link canceled")


def test_payments_that_could_not_be_read_are_not_called_none(shop: Shop, desk: Desk) -> None:
    link = shop.link()
    desk.see(link)
    payments, none = desk.page.get_by_role("region", name="Payments"), "The customer has not tried to pay yet."
    expect(payments).to_contain_text(none)
    there = f"**/v1/payment_links/{link.id}/payments*"
    desk.page.route(there, lambda route: route.fulfill(status=503))
    desk.page.evaluate("dispatchEvent(new Event('online'))")
    expect(payments.get_by_role("alert")).to_be_visible()
    expect(payments).not_to_contain_text(none)
    desk.page.unroute(there)
