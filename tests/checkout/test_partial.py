"""A link that takes parts, as its page and the page's calls have it."""

import re
from html import unescape
from typing import Any

import pytest

from tests.checkout.world import Page, World

PARTS: dict[str, Any] = {"minimum_amount": 1000}


async def opened(world: World, **changes: Any) -> tuple[str, str, Page]:
    link_id, token = await world.link(**(PARTS | changes))
    return link_id, token, await world.browser().open(token)


async def paid_part(world: World, page: Page, amount: int) -> Page:
    answer = await page.call("payments", {"amount": amount})
    assert (answer.status_code, answer.json()["amount"]) == (200, amount)
    world.provider.authorise()
    said = (await page.call("refresh")).json()
    assert said["state"] in {"payable", "paid"}
    return await page.reload()


def field(page: Page) -> dict[str, str]:
    """The attributes of the field in which the customer says how much."""
    found = re.search(r'<input id="amount"([^>]*)>', page.text)
    assert found, "no field"
    return dict(re.findall(r'(\w+)="([^"]*)"', found[1]))


async def test_the_field_holds_all_that_is_left(world: World) -> None:
    _, _, page = await opened(world)
    assert field(page) | {"value": "49.99", "inputmode": "decimal", "type": "text"} == field(page)
    assert '<label for="amount">Amount to pay</label>' in page.text
    assert "<bdi>£49.99</bdi>" in page.text
    assert "a part of at least £10.00 now" in page.text
    assert page.data["amount_left"] == 4999
    assert {name: page.data["parts"][name] for name in ("left", "least", "step")} == {
        "left": 4999,
        "least": 1000,
        "step": 1,
    }


@pytest.mark.parametrize(
    ("currency", "amount", "value", "inputmode", "least"),
    [("JPY", 5000, "5000", "numeric", "JP¥1,000"), ("KWD", 12_340, "12.340", "decimal", "KWD\xa01.000")],
)
async def test_the_field_has_the_currencys_own_decimals(
    world: World, currency: str, amount: int, value: str, inputmode: str, least: str
) -> None:
    _, _, page = await opened(world, currency=currency, amount=amount)
    assert (field(page)["value"], field(page)["inputmode"]) == (value, inputmode)
    assert f"at least {least} now" in unescape(page.text)


async def test_a_link_without_a_minimum_has_no_field_and_takes_no_amount(world: World) -> None:
    link_id, _, page = await opened(world, minimum_amount=None)
    assert 'id="amount"' not in page.text
    assert not page.data.keys() & {"parts", "amount_left"}
    for amount in (1000, 4999):
        answer = await page.call("payments", {"amount": amount})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "amount")
    assert await world.told(link_id) == []


async def test_a_part_is_paid_and_the_page_asks_for_the_rest(world: World) -> None:
    link_id, _, page = await opened(world)
    page = await paid_part(world, page, 2000)
    assert "Paid £20.00, £29.99 left" in page.text
    assert "<bdi>£29.99</bdi>" in page.text
    assert field(page)["value"] == "29.99"
    assert (await page.status())["amount_left"] == 2999
    page = await paid_part(world, page, 2999)
    assert page.heading == "Payment complete"
    for text in ("<bdi>£49.99</bdi>", "Paid now", "£29.99"):
        assert text in page.text
    assert [kind for kind in await world.told(link_id) if kind.startswith("link.")] == [
        "link.opened",
        "link.partially_paid",
        "link.paid",
    ]


async def test_no_amount_pays_all_that_is_left(world: World) -> None:
    _, _, page = await opened(world)
    page = await paid_part(world, page, 2000)
    assert (await page.call("payments")).json()["amount"] == 2999


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (999, "Please pay at least £10.00."),
        (5000, "Only £49.99 is left to pay."),
        (4500, "Please pay all of the £49.99, or leave at least £10.00 to pay later."),
    ],
)
async def test_the_server_decides_and_says_why(world: World, amount: int, sentence: str) -> None:
    link_id, _, page = await opened(world)
    answer = await page.call("payments", {"amount": amount})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message"]) == ("amount", sentence)
    # The page says the same before it asks.
    assert page.data["parts"]["texts"][error["code"]] == sentence
    assert "create" not in world.provider.calls
    assert "payment.submitted" not in await world.told(link_id)


@pytest.mark.parametrize("amount", [0, -1000, 20.5, "2000", True, 10**12])
async def test_an_amount_is_a_positive_whole_number(world: World, amount: object) -> None:
    _, _, page = await opened(world)
    assert (await page.call("payments", {"amount": amount})).status_code == 422


async def test_a_step_of_the_provider_is_kept(world: World) -> None:
    _, _, page = await opened(world, currency="KWD", amount=12_340)
    answer = await page.call("payments", {"amount": 5005})
    assert answer.json()["errors"][0]["message"] == "Please enter an amount in steps of KWD\xa00.010."


async def test_what_can_only_be_paid_whole_has_no_field(world: World) -> None:
    _, _, page = await opened(world, amount_paid=3500, status="partially_paid")
    assert 'id="amount"' not in page.text
    assert "Paid £35.00, £14.99 left" in page.text
    assert "Pay £14.99</button>" in page.text
    answer = await page.call("payments", {"amount": 1000})
    assert answer.json()["errors"][0]["message"] == "Please pay the £14.99 in one payment."
    assert (await page.call("payments")).json()["amount"] == 1499


async def test_another_device_sees_the_part_under_way_and_then_what_is_left(world: World) -> None:
    _, token, page = await opened(world)
    await page.call("payments", {"amount": 2000})
    other = await world.browser().open(token)
    assert other.heading == "This link is being paid on another device"
    assert "£20.00" in other.text
    answer = await other.call("payments", {"amount": 1500})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_progress")
    world.provider.authorise()
    await page.call("refresh")
    assert (await other.status())["state"] == "payable"
    assert "Paid £20.00, £29.99 left" in (await other.reload()).text


async def test_the_end_of_a_partly_paid_link_says_what_was_paid(world: World) -> None:
    for status, words in (
        ("expired", "for a new link if you want to pay the rest"),
        ("canceled", "can no longer be paid here"),
    ):
        link_id, token, page = await opened(world)
        await paid_part(world, page, 2000)
        await world.change(link_id, status=status)
        ended = (await page.reload()).text
        assert "£20.00 of this request has been paid." in ended
        assert words in ended
        assert "not been charged" not in ended
        preview = (await world.browser(agent="Slackbot-LinkExpanding 1.0").get(f"/p/{token}")).text
        assert "A part of this request has been paid." in preview
        assert "£20.00" not in preview
