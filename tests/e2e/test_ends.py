"""How a link ends, who is told, and what cannot make it pay twice."""

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Visit
from tests.e2e.shop import MERCHANT, PAID, Customer, Shop, token_of
from tests.e2e.stream import assert_gapless
from tests.services import wait_until

AS_A_BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"}


@pytest.fixture(scope="module")
def shop(postgresql_shop: Shop) -> Shop:
    """How a link ends is one code on both databases; two nodes are the harder case."""
    return postgresql_shop


def test_an_expired_link_says_so(shop: Shop, visit: Visit) -> None:
    link = shop.link(expires_in=8)
    soon = visit(link.url, expecting={410})
    soon.heading(MERCHANT)
    shop.stream.wait_for(link.id, "link.expired", seconds=20)
    visit(link.url, expecting={410}).heading("This link has expired")
    soon.page.reload()
    soon.heading("This link has expired")
    assert httpx.get(link.url, headers=AS_A_BROWSER, trust_env=False).status_code == 410


def test_a_canceled_link_says_so(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    opened = visit(link.url, expecting={409, 410})
    opened.heading(MERCHANT)
    shop.post(f"/v1/payment_links/{link.id}/cancel")
    shop.stream.wait_for(link.id, "link.canceled")
    visit(link.url, expecting={410}).heading("This link was canceled")
    opened.pay(PAID)
    opened.heading("This link was canceled")
    assert shop.ledger(link.id) == []
    assert shop.call("POST", f"/v1/payment_links/{link.id}/cancel").json()["code"] == "link_not_active"


def test_a_paid_link_shows_the_payer_a_receipt_and_others_that_it_is_paid(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url)
    customer.pay(PAID)
    customer.heading("Payment complete")
    expect(customer.page.get_by_text("Visa ending in 4242")).to_be_visible()
    other = visit(link.url)
    other.heading("Already paid")
    assert "4242" not in other.page.content()
    customer.page.reload()
    customer.heading("Payment complete")
    assert shop.captures(link.id) == [4999]


def test_no_token_tells_anything_by_not_being_valid(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    token = token_of(link.url)
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    wrong = [swapped, "A" * 22, "x", token + "/", token[:-1], f"{token}%00", "..%2f..", "é", "A" * 4000]
    answers = [httpx.get(f"{shop.pay_on.checkout}/p/{one}", trust_env=False) for one in wrong]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers.get("content-length") for answer in answers}) == 1
    expect(visit(f"{shop.pay_on.checkout}/p/{swapped}", expecting={404}).page.get_by_role("heading")).to_have_text(
        "This link is not valid"
    )


def test_a_second_device_is_told_that_the_link_is_being_paid(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    first, second = visit(link.url), visit(link.url, expecting={409})
    first.pay("4000002500003155")
    shop.stream.wait_for(link.id, "authentication.required")
    second.pay(PAID)
    second.heading("This link is being paid on another device")
    first.answer_3ds("Approve")
    first.heading("Payment complete")
    second.heading("Already paid")
    assert shop.captures(link.id) == [4999]
    assert len(shop.ledger(link.id)) == 1


def test_two_tabs_of_one_browser_pay_once(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url, expecting={400, 409})
    customer.heading(MERCHANT)
    other = customer.tab()
    other.goto(link.url)
    customer.enter(PAID)
    customer.enter(PAID, page=other)
    customer.press_pay()
    customer.press_pay(page=other)
    shop.stream.wait_for(link.id, "link.paid")
    customer.heading("Payment complete")
    customer.heading("Payment complete", page=other)
    assert shop.captures(link.id) == [4999]
    assert shop.stream.types(link.id).count("link.opened") == 1
    assert_gapless(shop.stream.of(link.id))


def test_a_double_click_pays_once(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url)
    customer.enter(PAID)
    customer.page.get_by_role("button", name="Pay £49.99").dblclick()
    customer.heading("Payment complete")
    assert shop.captures(link.id) == [4999]
    assert shop.stream.types(link.id).count("payment.submitted") == 1


def test_reload_and_back_in_the_middle_of_paying_pay_once(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url)
    customer.enter(PAID)
    customer.press_pay()
    wait_until(lambda: held_or_taken(shop, link.id), what="the bank's yes")
    customer.page.reload()
    customer.heading("Payment complete")
    customer.page.goto("about:blank")
    customer.page.go_back()
    customer.heading("Payment complete")
    shop.stream.wait_for(link.id, "link.paid")
    assert shop.captures(link.id) == [4999]
    assert shop.stream.types(link.id).count("payment.succeeded") == 1


def test_a_page_left_in_the_middle_of_paying_is_paid_all_the_same(shop: Shop, browser: Browser) -> None:
    link = shop.link()
    customer = Customer(browser).open(link.url)
    customer.enter(PAID)
    customer.press_pay()
    wait_until(lambda: held_or_taken(shop, link.id), what="the bank's yes")
    customer.context.close()
    shop.stream.wait_for(link.id, "link.paid")
    assert shop.captures(link.id) == [4999]


def held_or_taken(shop: Shop, link_id: str) -> bool:
    return any(one["authorized"] for one in shop.ledger(link_id))
