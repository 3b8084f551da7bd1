"""Each of the sandbox's cards: what the customer sees, what the agent is told, and what is on the provider's books."""

from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import PROVE, Visit
from tests.e2e.shop import PAID, VIEWPORTS, Customer, Link, Shop
from tests.e2e.stream import Told, assert_gapless
from tests.services import wait_until


@dataclass(frozen=True)
class Declined:
    number: str
    code: str
    customer: str
    agent: str


DECLINES = [
    Declined("4000000000000002", "card_declined", "contact your bank", "without saying why"),
    Declined("4000000000009995", "insufficient_funds", "not enough money", "not enough money"),
    Declined("4000000000000127", "incorrect_cvc", "security code is not right", "security code did not match"),
    Declined("4000000000000069", "expired_card", "has expired", "has expired"),
    Declined("4000000000000119", "processing_error", "try again in a moment", "try again in a moment"),
]
AUTHENTICATED = "4000002500003155"
ELEVATED = "4000000000009235"
HIGHEST = "4100000000000019"
DISPUTED = "4000000000000259"

# Each card in each size on each database, or by default one size per database.
BY_DEFAULT = {"sqlite": "phone", "postgresql": "desktop"}


@pytest.fixture(params=VIEWPORTS if PROVE else ["one"])
def size(request: pytest.FixtureRequest, shop: Shop) -> dict[str, int]:
    return VIEWPORTS[request.param if PROVE else BY_DEFAULT[shop.name]]


def test_a_declined_card_is_explained_and_another_one_pays_on_the_same_page(
    shop: Shop, visit: Visit, size: dict[str, int]
) -> None:
    for card in DECLINES:
        link = shop.link()
        customer = visit(link.url, viewport=size)
        customer.pay(card.number)
        expect(customer.page.get_by_role("alert")).to_contain_text(card.customer)
        told = shop.stream.wait_for(link.id, "payment.failed")
        assert told.data["decline_code"] == card.code
        assert card.agent in told.data["advice"]
        assert told.data["card"] == {"brand": "visa", "last4": card.number[-4:], "country": "US"}
        assert shop.captures(link.id) == []

        customer.pay(PAID)
        assert_paid(shop, link, customer)
        assert [one["status"] for one in shop.payments(link.id)] == ["failed", "succeeded"]
        assert "decline_code" not in shop.stream.wait_for(link.id, "payment.succeeded").data
        wait_until(lambda one=link: left_open(shop, one) == [], what="the declined attempt closed at the provider")  # type: ignore[misc]
        customer.context.close()


def test_a_bank_asks_and_the_customer_approves(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link = shop.link()
    customer = visit(link.url, viewport=size)
    customer.pay(AUTHENTICATED)
    shop.stream.wait_for(link.id, "authentication.required")
    customer.answer_3ds("Approve")
    told = assert_paid(shop, link, customer)
    ordered = ["payment.submitted", "authentication.required", "authentication.succeeded", "fraud_check.started"]
    assert [one.type for one in told if one.type in ordered] == ordered


def test_a_bank_asks_and_the_customer_refuses(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link = shop.link()
    customer = visit(link.url, viewport=size)
    customer.pay(AUTHENTICATED)
    customer.answer_3ds("Refuse")
    expect(customer.page.get_by_role("alert")).to_contain_text("could not confirm that it is you")
    failed = shop.stream.wait_for(link.id, "payment.failed")
    assert failed.data["decline_code"] == "payment_intent_authentication_failure"
    assert shop.stream.types(link.id).count("authentication.failed") == 1
    customer.pay(PAID)
    assert_paid(shop, link, customer)


def test_a_risky_payment_waits_for_a_person_who_approves_it(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link, customer, payment_id = held(shop, visit, size)
    answer = shop.post(f"/v1/payments/{payment_id}/approve", {"reason": "Known customer"})
    assert answer["status"] == "succeeded"
    told = assert_paid(shop, link, customer)
    closed = next(one for one in told if one.type == "review.closed")
    assert (closed.data["decision"], closed.data["reason"]) == ("approved", "Known customer")
    ordered = ["fraud_check.completed", "review.opened", "review.closed", "payment.succeeded", "link.paid"]
    assert [one.type for one in told if one.type in ordered] == ordered


def test_a_risky_payment_is_let_go_when_a_person_declines_it(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link, customer, payment_id = held(shop, visit, size)
    answer = shop.post(f"/v1/payments/{payment_id}/decline", {"reason": "Stolen card"})
    assert answer["status"] == "canceled"
    assert shop.stream.wait_for(link.id, "payment.canceled").data["reason"] == "review_declined"
    (account,) = shop.ledger(link.id)
    assert (account["canceled"], account["captured"], account["status"]) == (True, 0, "canceled")
    expect(customer.page.get_by_role("alert")).to_contain_text("could not be accepted")
    assert_gapless(shop.stream.of(link.id))
    customer.pay(PAID)
    assert_paid(shop, link, customer)


def test_the_highest_risk_is_blocked(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link = shop.link()
    customer = visit(link.url, viewport=size)
    customer.pay(HIGHEST)
    # A thief learns nothing: the customer is told of a plain decline.
    expect(customer.page.get_by_role("alert")).to_contain_text("Your card was declined")
    shop.stream.wait_for(link.id, "payment.failed")
    told = shop.stream.of(link.id)
    outcome = next(one for one in told if one.type == "fraud_check.completed").data
    assert (outcome["outcome"], outcome["risk_level"]) == ("block", "highest")
    assert outcome["reasons"]
    assert shop.captures(link.id) == []
    assert_gapless(told)


def test_a_payment_that_will_be_disputed_is_paid(shop: Shop, visit: Visit, size: dict[str, int]) -> None:
    link = shop.link()
    customer = visit(link.url, viewport=size)
    customer.pay(DISPUTED)
    assert_paid(shop, link, customer)


def held(shop: Shop, visit: Visit, size: dict[str, int]) -> tuple[Link, Customer, str]:
    """A payment that waits for a decision."""
    link = shop.link()
    customer = visit(link.url, viewport=size)
    customer.pay(ELEVATED)
    customer.heading("We are checking your payment")
    told = shop.stream.wait_for(link.id, "review.opened")
    assert told.data["reasons"]
    assert shop.captures(link.id) == []
    return link, customer, told.data["payment"]


def assert_paid(shop: Shop, link: Link, customer: Customer) -> list[Told]:
    customer.heading("Payment complete")
    shop.stream.wait_for(link.id, "link.paid")
    told = shop.stream.of(link.id)
    assert_gapless(told)
    types = [one.type for one in told]
    assert [types.count(kind) for kind in ("link.opened", "card_entry.started", "payment.succeeded")] == [1, 1, 1]
    assert shop.captures(link.id) == [link.answer["amount"]]
    assert shop.get(f"/v1/payment_links/{link.id}")["status"] == "paid"
    return told


def left_open(shop: Shop, link: Link) -> list[str]:
    """What of this link a customer could still confirm at the provider."""
    return [one["status"] for one in shop.ledger(link.id) if one["status"] not in {"succeeded", "canceled"}]
