"""The power goes: what was paid is paid, what was told is told again, and what was under way goes on."""

from typing import Any

import httpx
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.shop import PAID, Shop
from tests.e2e.stream import Stream, assert_gapless
from tests.services import wait_until

ELEVATED = "4000000000009235"


def test_all_is_there_after_the_node_was_killed(shop: Shop, visit: Visit) -> None:
    paid, waiting = shop.link(), shop.link()
    customer = visit(paid.url)
    customer.pay(PAID)
    customer.heading("Payment complete")
    shop.stream.wait_for(paid.id, "link.paid")
    before = [(one.id, one.event) for one in shop.stream.told]
    held = visit(waiting.url, expecting={500, 502, 503})
    held.pay(ELEVATED)
    held.heading("We are checking your payment")
    payment_id = shop.stream.wait_for(waiting.id, "review.opened").data["payment"]
    token = httpx.get(paid.url, trust_env=False).status_code

    power_cut(shop)
    wait_until(lambda: len(shop.stream.told) >= len(before), what="the events of before")
    assert [(one.id, one.event) for one in shop.stream.told[: len(before)]] == before
    assert shop.get(f"/v1/payment_links/{paid.id}")["status"] == "paid"
    assert shop.captures(paid.id) == [4999]
    assert httpx.get(paid.url, trust_env=False).status_code == token
    customer.page.reload()
    customer.heading("Payment complete")

    # The page that waited waits on, with its own cookie, and a decision reaches it.
    shop.post(f"/v1/payments/{payment_id}/approve")
    held.heading("Payment complete")
    shop.stream.wait_for(waiting.id, "link.paid")
    assert_gapless(shop.stream.of(waiting.id))
    held.faults = [fault for fault in held.faults if "net::ERR_" not in fault]


def test_a_payment_whose_node_died_while_it_was_made_is_finished_by_the_next(shop: Shop, visit: Visit) -> None:
    link = shop.link()
    customer = visit(link.url, expecting={500, 502, 503})
    # The answer to the capture never comes, and neither does a callback.
    order(shop, faults=[{"kind": "hang", "path": "/capture"}], webhooks={"paused": True})
    customer.pay(PAID)
    wait_until(lambda: shop.captures(link.id) == [4999], what="the money taken, and nobody told of it")
    assert "payment.succeeded" not in shop.stream.types(link.id)
    power_cut(shop)
    order(shop, faults=[], webhooks={"paused": False})
    shop.stream.wait_for(link.id, "link.paid", seconds=45)
    customer.page.reload()
    expect(customer.page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    assert shop.captures(link.id) == [4999]
    assert shop.stream.types(link.id).count("payment.succeeded") == 1
    assert_gapless(shop.stream.of(link.id))
    customer.faults = [fault for fault in customer.faults if "net::ERR_" not in fault]


def power_cut(shop: Shop) -> None:
    """All nodes at once, and all again. The stream is read anew, from its beginning."""
    for node in shop.product.nodes:
        node.kill()
    for node in shop.product.nodes:
        shop.product.restart(node)
    shop.stream.close()
    shop.stream = Stream(shop.watch_on.console, shop.product.seed["api_key"])


def order(shop: Shop, **orders: Any) -> None:
    httpx.post(f"{shop.pay_on.sandbox}/_control", json=orders, trust_env=False).raise_for_status()
