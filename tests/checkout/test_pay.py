"""From the button to the result, with a provider that does as the test says."""

import asyncio
from typing import Any

import pytest

from paylink.errors import Unavailable
from paylink.psp.base import ProviderStatus, RiskLevel, RiskOutcome, Screening
from tests.checkout.world import Page, World


async def paying(world: World, **changes: Any) -> tuple[str, str, Page]:
    """A page on which the customer has just pressed the button."""
    link_id, token = await world.link(**changes)
    page = await world.browser().open(token)
    assert (await page.call("payments")).status_code == 200
    return link_id, token, page


async def test_the_attempt_is_handed_to_the_browser(world: World) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    assert page.data["state"] == "payable"
    assert {name: page.data[name] for name in ("amount", "currency", "key", "script")} == {
        "amount": 4999,
        "currency": "GBP",
        "key": "pk_test_x",
        "script": "https://psp.test/stripe.js",
    }
    answer = await page.call("payments")
    said = answer.json()
    assert said.pop("payment_id").startswith("pay_")
    assert said == {"client_secret": "pi_0_secret_shh", "amount": 4999, "currency": "GBP"}
    assert answer.headers["cache-control"] == "no-store"


async def test_paid_shows_the_receipt_to_the_browser_that_paid(world: World) -> None:
    link_id, token, page = await paying(world)
    world.provider.authorise()
    said = (await page.call("refresh")).json()
    assert said == {"state": "paid", "offer": None, "decline": None, "card": {"brand": "visa", "last4": "4242"}}
    receipt = await page.reload()
    assert receipt.heading == "Payment complete"
    for text in ("£49.99", "Visa ending in 4242", "INV-1042", "Acme &amp; Sons", "Boiler repair"):
        assert text in receipt.text
    assert "Already paid" in (await page.browser.get(f"/p/{token}")).text
    assert await world.told(link_id) == [
        "link.opened",
        "card_entry.started",
        "payment.submitted",
        "fraud_check.started",
        "fraud_check.completed",
        "payment.succeeded",
        "link.paid",
        "link.fetched",
    ]


async def test_another_device_learns_that_it_is_paid_and_no_card(world: World) -> None:
    _, token, page = await paying(world)
    other = await world.browser().open(token)
    assert other.heading == "This link is being paid on another device"
    world.provider.authorise()
    await page.call("refresh")
    assert await other.status() == {"state": "paid", "offer": None, "decline": None, "card": None}
    ended = await other.reload()
    assert ended.heading == "Already paid"
    assert "4242" not in ended.text


async def test_the_timeline_is_whole_when_no_beacon_came(world: World) -> None:
    link_id, _, _ = await paying(world)
    assert await world.told(link_id) == ["link.opened", "card_entry.started", "payment.submitted"]


async def test_a_decline_says_what_to_do_and_can_be_tried_again(world: World) -> None:
    _, _, page = await paying(world)
    world.provider.decline("insufficient_funds")
    said = (await page.call("refresh")).json()
    sentence = "There is not enough money available on this card. Please try another card."
    assert said == {"state": "payable", "offer": None, "decline": sentence, "card": None}
    again = await page.reload()
    assert f'role="alert" tabindex="-1">{sentence}</div>' in again.text
    assert (await again.call("payments")).json()["client_secret"] == "pi_1_secret_shh"
    world.provider.authorise()
    assert (await again.call("refresh")).json()["state"] == "paid"


async def test_a_second_click_gets_the_same_attempt(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answers = await asyncio.gather(*(page.call("payments") for _ in range(5)))
    secrets = {answer.json().get("client_secret") for answer in answers if answer.status_code == 200}
    assert len({answer.json().get("payment_id") for answer in answers if answer.status_code == 200}) == 1
    assert secrets
    assert (await world.told(link_id)).count("payment.submitted") == 1


async def test_a_second_device_cannot_pay_at_the_same_time(world: World) -> None:
    _, token = await world.link()
    first, second = await world.browser().open(token), await world.browser().open(token)
    await first.call("payments")
    answer = await second.call("payments")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_progress")
    assert (await second.reload()).data["waiting"] is True


@pytest.mark.parametrize("status", ["canceled", "expired", "paid"])
async def test_an_ended_link_cannot_be_paid_from_an_old_page(world: World, status: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await world.change(link_id, status=status)
    answer = await page.call("payments")
    assert (answer.status_code, answer.json()["code"]) == (409, "link_not_active")
    words = {"canceled": "This link was canceled", "expired": "This link has expired", "paid": "Already paid"}
    assert (await page.reload()).heading == words[status]


async def test_held_for_review(world: World) -> None:
    _, _, page = await paying(world)
    world.provider.authorise()
    risk = RiskOutcome(Screening.MANUAL_REVIEW, RiskLevel.ELEVATED)
    world.provider.set(world.provider.last(), risk=risk)
    assert (await page.call("refresh")).json()["state"] == "checking"
    held = await page.reload()
    assert held.heading == "We are checking your payment"
    assert held.data["waiting"] is True


async def test_three_d_secure_under_way_is_in_progress(world: World) -> None:
    _, _, page = await paying(world)
    world.provider.set(world.provider.last(), status=ProviderStatus.REQUIRES_ACTION)
    assert (await page.call("refresh")).json()["state"] == "in_progress"
    waiting = await page.reload()
    assert waiting.heading == "Your payment is not finished yet"
    # What the script needs to ask on for the bank.
    assert waiting.data["key"] == "pk_test_x"


async def test_back_from_the_bank_nothing_in_the_address_is_believed(world: World) -> None:
    link_id, _, page = await paying(world)
    answer = await page.browser.get(
        f"/pay/{link_id}/return?payment_intent=pi_0&payment_intent_client_secret=pi_0_secret_shh"
        "&redirect_status=succeeded"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    back = await page.reload()
    assert back.data["state"] == "payable"
    # The script asks how the attempt stands before the customer can do anything.
    assert back.data["attempted"] is True


async def test_the_provider_is_not_asked_at_every_poll(world: World) -> None:
    _, _, page = await paying(world)
    for _ in range(5):
        assert (await page.call("refresh")).status_code == 200
    assert world.provider.calls.count("get") == 1


async def test_status_is_a_pure_read(world: World) -> None:
    _, _, page = await paying(world)
    world.provider.authorise()
    assert (await page.status())["state"] == "payable"
    assert "get" not in world.provider.calls


async def test_a_silent_provider_is_not_the_customers_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_args: Any, **_options: Any) -> None:
        raise Unavailable("The payment provider did not answer; please try again", retry_after=2)

    _, token = await world.link()
    page = await world.browser().open(token)
    monkeypatch.setattr("paylink.payments.customer.start", silent)
    answer = await page.call("payments")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await page.reload()).data["state"] == "payable"


@pytest.mark.parametrize("body", [{"amount": 1}, {"currency": "JPY"}, {"link": "plink_x"}, []])
async def test_the_browser_names_neither_amount_nor_link(world: World, body: object) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    assert (await page.call("payments", body)).status_code == 422
    assert await world.told(link_id) == []


async def test_a_foreign_page_cannot_start_a_payment(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Paylink-Nonce": "x.y"}, {"Content-Type": "text/plain"}):
        assert (await page.call("payments", headers=headers)).status_code in {403, 415}
    page.browser.http.cookies.clear()
    assert (await page.call("payments")).json()["code"] == "no_session"
    assert await world.told(link_id) == []


async def test_card_testing_is_limited_by_session(limited: World) -> None:
    _, token = await limited.link()
    page = await limited.browser().open(token)
    answers = [(await page.call("payments")).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]


async def test_too_many_attempts_lock_the_link(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    for _ in range(5):
        assert (await page.call("payments")).status_code == 200
        world.provider.decline("card_declined")
        await page.call("refresh")
    assert (await page.status())["state"] == "locked"
    locked = await page.reload()
    assert locked.heading == "Too many attempts"
    assert "Please contact Acme &amp; Sons" in locked.text
    assert (await page.call("payments")).json()["code"] == "link_locked"
    # The page asks again by itself, and is payable once somebody has unlocked the link.
    assert locked.data["waiting"] is True
    await world.change(link_id, locked_at=None, lock_reason=None, forgiven_attempts=5)
    assert (await locked.call("refresh")).json()["state"] == "payable"
    assert (await locked.reload()).heading == "Acme &amp; Sons"


async def test_text_of_merchants_cannot_become_markup(world: World) -> None:
    _, token = await world.link(description="<img src=x onerror=alert(1)>", reference="</script><b>")
    page = await world.browser().open(token)
    assert "<img" not in page.text
    assert "<b>" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
