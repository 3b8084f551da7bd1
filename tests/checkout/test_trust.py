"""What tells a true message from a forged one, and what a customer can do about one they do not trust."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from paylink.customers.models import Customer
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from paylink.links.words import WORDS, session_words
from tests.checkout.world import Page, World, heading

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec-Fetch-Site": "same-origin"}


def test_the_words_are_easy_and_unlike_one_another() -> None:
    assert len(WORDS) >= 512
    assert all(re.fullmatch("[a-z]{4,9}", word) for word in WORDS)
    assert len({word[:4] for word in WORDS}) == len(WORDS)
    assert not {"bank", "card", "cash", "money", "pay"} & set(WORDS)
    drawn = {session_words() for _ in range(500)}
    assert len(drawn) > 490
    assert all(len(set(one.split())) == 3 and set(one.split()) <= set(WORDS) for one in drawn)


async def test_the_page_says_who_sent_it_and_the_words(world: World) -> None:
    _, token = await world.link(session_words="amber river seven", created_by_name="Alex Smith")
    page = await world.browser().open(token)
    assert page.heading == "Acme &amp; Sons"
    for words in ("Boiler repair", "Sent by Alex<", '<b lang="en">amber river seven</b>', "We never ask for your card"):
        assert words in page.text
    assert "Smith" not in page.text
    assert "amber" not in (await world.browser().get(f"/p/{token}")).text


@pytest.mark.parametrize(
    "by", [{"created_by_type": "api_key", "created_by_name": "CRM sync"}, {"created_by_name": "alex@acme.test"}]
)
async def test_nobody_is_named_who_is_no_person_with_a_name(world: World, by: dict[str, str]) -> None:
    _, token = await world.link(**by)
    page = await world.browser().open(token)
    assert "Sent by" not in page.text
    assert "can tell you these words" not in page.text


async def test_a_report_closes_the_link_and_tells_the_agent(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("report", {"reason": "unknown_sender"})
    assert (answer.status_code, answer.json()) == (200, {"canceled": True})
    events = await world.events(link_id)
    assert [kind for kind, _ in events] == ["link.reported", "link.canceled"]
    assert {**events[0][1], "delivery": ""} == {"reason": "unknown_sender", "channel": "sms", "delivery": ""}
    assert events[1][1] == {"by": "customer"}
    assert (await reported_at(world, link_id)) is not None
    # Again: the same answer, and nothing new.
    assert (await page.call("report")).json() == {"canceled": True}
    assert len(await world.told(link_id)) == 2
    assert heading((await page.browser.get(f"/p/{token}")).text) == "This link was canceled"


async def test_a_report_needs_no_script(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    action = re.search(r'action="(/pay/[^"]+/report)"><input type="hidden" name="nonce" value="([^"]+)"', page.text)
    assert action
    assert "<summary>Report this message</summary>" in page.text
    assert await world.told(link_id) == []
    answer = await page.browser.http.post(action[1], content=f"nonce={action[2]}&reason=unexpected", headers=FORM)
    assert (answer.status_code, heading(answer.text)) == (200, "Thank you for telling us")
    assert "This link is closed" in answer.text
    assert await world.told(link_id) == ["link.reported", "link.canceled"]


async def test_a_report_while_somebody_pays_leaves_the_payment_alone(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    assert (await page.call("payments")).status_code == 200
    answer = await page.call("report")
    assert answer.json() == {"canceled": False}
    assert (await world.told(link_id))[-1] == "link.reported"
    assert "cancel" not in world.provider.calls
    assert (await page.status())["state"] == "payable"


@pytest.mark.parametrize("status", ["paid", "expired"])
async def test_a_report_of_a_link_that_ended_only_tells(world: World, status: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await world.change(link_id, status=status)
    assert (await page.call("report")).json() == {"canceled": False}
    assert await world.told(link_id) == ["link.reported"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"reason": "my card is 4242424242424242"}, {}),
        ({"reason": "see http://checkout.test/p/abc"}, {}),
        ({"amount": 1}, {}),
        ({}, {"Paylink-Nonce": "a.b"}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ("reason=unexpected", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("reason=" + "&".join("abcdefgh"), {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)
async def test_a_report_takes_no_free_text_and_no_strangers(world: World, body: Any, headers: dict[str, str]) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("report", body, headers=headers)
    assert answer.status_code in {403, 422}
    assert "4242" not in answer.text
    assert await world.told(link_id) == []


async def test_the_customers_address_is_never_shown(world: World) -> None:
    customer_id = new_id("cus")
    person = Customer(
        id=customer_id, merchant_id=world.merchant_id, email="jane.doe@example.com", phone="+447700900123"
    )
    await world.db.transact(lambda session: session.add(person))
    _, token = await world.link(customer_id=customer_id)
    page = await world.browser().open(token)
    assert ('data-known="j…@e…"' in page.text, 'data-known="…23"' in page.text) == (True, True)
    sent = await page.call("switch", {"by": "email"})
    assert sent.json() == {"by": "email", "to": "j…@e…"}
    for secret in ("jane", "example.com", "7700900"):
        assert secret not in page.text + sent.text


async def reported_at(world: World, link_id: str) -> Any:
    query = sa.select(PaymentLink.reported_at).where(PaymentLink.id == link_id)
    return await world.db.read(lambda session: session.scalar(query))


async def test_the_language_goes_along(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.browser.http.post(f"/pay/{link_id}/language", content="locale=de", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    assert '<html lang="de"' in (await page.reload()).text
    other = await world.browser().open(await world.door(link_id, "email"))
    assert '<html lang="de"' in other.text
    for wrong in ("xx", "", "4242424242424242", "de" * 40):
        refused = await page.browser.http.post(f"/pay/{link_id}/language", content=f"locale={wrong}", headers=FORM)
        assert refused.status_code == 422
        assert "4242" not in refused.text
    assert '<html lang="de"' in Page(page.browser, await page.browser.get(f"/pay/{link_id}")).text
