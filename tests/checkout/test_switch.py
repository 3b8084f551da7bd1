"""The customer goes on at another device: what goes along, what the old page says, and what is never disturbed."""

import asyncio
import io
from typing import Any

import pytest
import sqlalchemy as sa
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser as Chrome
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from paylink.checkout.models import CheckoutSession
from paylink.delivery.models import Delivery
from paylink.delivery.states import DIRECT
from paylink.kit.clock import utcnow
from paylink.links import tokens
from tests.browser import judge
from tests.checkout.test_browser import PAY, link, told
from tests.checkout.world import Page, World, heading
from tests.product import Product
from tests.services import wait_until

LEFT = "You are continuing on another device"


async def visit(world: World, token: str) -> Page:
    """A browser of its own whose person sees the page."""
    page = await world.browser().open(token)
    assert (await page.beacon("opened")).status_code == 204
    return page


async def state(page: Page) -> str:
    return str((await page.status())["state"])


async def make(page: Page, **body: str) -> str:
    """Switches; the token of the door that was made."""
    answer = await page.call("switch", body)
    assert answer.status_code == 200, answer.text
    world = page.browser.world

    def newest(session: Any) -> str:
        row = session.scalars(sa.select(Delivery).order_by(Delivery.id.desc()).limit(1)).one()
        return tokens.unseal(world.ctx.keyring, row.token_sealed, bound_to=row.id)

    return await world.db.read(newest)


async def withdraw(world: World, link_id: str) -> None:
    gone = sa.update(Delivery).where(Delivery.link_id == link_id).values(withdrawn_at=utcnow())
    await world.db.transact(lambda session: session.execute(gone) and None)


async def test_another_door_closes_the_old_page_and_the_old_page_can_come_back(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    second = await visit(world, await world.door(link_id, "email"))
    assert (await state(first), await state(second)) == ("continued", "payable")
    left = await first.reload()
    assert left.heading == LEFT
    refused = await first.call("payments")
    assert (refused.status_code, refused.json()["code"]) == (409, "continued_elsewhere")
    assert (await left.call("here")).json()["state"] == "payable"
    assert (await state(first), await state(second)) == ("payable", "continued")
    assert (await first.call("payments")).status_code == 200
    assert await world.told(link_id) == [
        "link.opened",
        "link.opened",
        "link.switched",
        "card_entry.started",
        "payment.submitted",
    ]


async def test_coming_back_needs_no_script(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    await visit(world, await world.door(link_id, "email"))
    left = await first.reload()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec-Fetch-Site": "same-origin"}
    nonce = left.data["nonce"]
    answer = await first.browser.http.post(f"/pay/{link_id}/here", content=f"nonce={nonce}", headers=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    assert (await first.reload()).heading == "Acme &amp; Sons"
    # A second press is no news.
    await first.browser.http.post(f"/pay/{link_id}/here", content=f"nonce={nonce}", headers=form)
    assert (await world.told(link_id)).count("link.switched") == 1


async def test_a_fetch_or_an_exchange_alone_closes_nothing(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    door = await world.door(link_id, "email")
    await world.browser().get(f"/p/{door}")
    await world.browser().open(door)
    assert await state(first) == "payable"


async def test_the_same_door_twice_closes_nothing(world: World) -> None:
    _, token = await world.link()
    first, second = await visit(world, token), await visit(world, token)
    assert (await state(first), await state(second)) == ("payable", "payable")


async def test_the_door_of_the_api_neither_closes_nor_is_closed(world: World) -> None:
    link_id, token = await world.link()
    direct = await visit(world, await world.door(link_id, DIRECT))
    first = await visit(world, token)
    assert await state(direct) == "payable"
    await visit(world, await world.door(link_id, DIRECT))
    assert await state(first) == "payable"
    # But whoever asks for a code on that page goes on there.
    phone = await visit(world, await make(direct, by="qr"))
    assert (await state(direct), await state(phone)) == ("continued", "payable")


async def test_payers_of_parts_are_left_alone(world: World) -> None:
    link_id, token = await world.link(minimum_amount=1000)
    first = await visit(world, token)
    second = await visit(world, await world.door(link_id, "email"))
    assert (await state(first), await state(second)) == ("payable", "payable")
    await visit(world, await make(second, by="qr"))
    assert (await state(first), await state(second)) == ("payable", "continued")


async def test_an_attempt_at_hand_is_not_disturbed(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    assert (await first.call("payments")).status_code == 200
    second = await visit(world, await world.door(link_id, "email"))
    assert (await state(first), await state(second)) == ("payable", "elsewhere")
    world.provider.authorise()
    await first.call("refresh")
    assert (await state(first), await state(second)) == ("paid", "paid")


async def test_a_page_that_was_left_still_learns_what_became_of_the_link(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    second = await visit(world, await world.door(link_id, "email"))
    await second.call("payments")
    assert await state(first) == "elsewhere"
    world.provider.authorise()
    await second.call("refresh")
    assert (await state(first), (await first.reload()).heading) == ("paid", "Already paid")


async def test_a_device_that_was_here_before_comes_again_by_the_new_door(world: World) -> None:
    link_id, token = await world.link()
    phone = await visit(world, token)
    laptop = await visit(world, await world.door(link_id, "email"))
    assert await state(phone) == "continued"
    again = Page(phone.browser, await phone.browser.post(f"/p/{await make(laptop, by='qr')}"))
    assert again.heading == "Acme &amp; Sons"
    await again.beacon("opened")
    assert (await state(again), await state(laptop)) == ("payable", "continued")
    assert (await world.told(link_id)).count("link.opened") == 2


async def test_what_was_chosen_goes_along(world: World) -> None:
    link_id, token = await world.link(minimum_amount=1000)
    first = await visit(world, token)
    assert 'value="49.99"' in first.text
    assert (await first.call("events", {"step": "draft", "amount": 2000, "left": 4999})).status_code == 204
    second = await visit(world, await make(first, by="qr"))
    assert 'value="20.00"' in second.text
    await second.call("events", {"step": "draft", "amount": 3000, "left": 4999})
    assert 'value="30.00"' in (await visit(world, token)).text
    # What was chosen of another rest means nothing any more.
    await world.change(link_id, amount_paid=1500, status="partially_paid")
    assert 'value="34.99"' in (await second.reload()).text
    assert "draft" not in " ".join(await world.told(link_id))


@pytest.mark.parametrize(
    "body",
    [
        {"step": "draft"},
        {"step": "draft", "amount": 2000},
        {"step": "draft", "amount": -1, "left": 4999},
        {"step": "draft", "amount": 10**30, "left": 4999},
        {"step": "draft", "amount": "2000", "left": 4999},
        {"step": "draft", "amount": 2000, "left": 4999, "card": "x"},
        {"step": "opened", "amount": 2000, "left": 4999},
        {"step": "card_entry_started", "evidence": "input"},
        {"step": "opened", "evidence": "promised"},
        {"step": "opened", "automated": "yes"},
    ],
)
async def test_a_draft_holds_an_amount_and_nothing_else(world: World, body: dict[str, Any]) -> None:
    _, token = await world.link(minimum_amount=1000)
    page = await world.browser().open(token)
    assert (await page.call("events", body)).status_code == 422
    drafts = sa.select(CheckoutSession.draft)
    assert await world.db.read(lambda session: session.scalars(drafts).all()) == [None]


async def test_the_timeline_says_which_door_it_was(world: World) -> None:
    link_id, token = await world.link()
    first = await visit(world, token)
    await visit(world, await make(first, by="qr"))
    await make(first, by="email", to="Jane.Doe@example.com")
    events = [(kind, data) for kind, data in await world.events(link_id) if kind != "link.opened"]
    assert [kind for kind, _ in events] == [
        "link.switched",
        "delivery.queued",
        "delivery.sent",
        "link.switched",
        "delivery.queued",
    ]
    (_, qr), (_, made), *_ = events
    assert (qr["from"], qr["to"], qr["delivery"]) == ("sms", "qr", made["delivery"])
    assert "Jane.Doe" not in str(events)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"by": "email", "to": "nobody"}, "email_invalid"),
        ({"by": "email"}, "address_missing"),
        ({"by": "email", "to": "4242424242424242@example.com"}, "card_number_not_allowed"),
        ({"by": "sms", "to": "4242424242424242"}, "phone_country_missing"),
        ({"by": "sms", "to": "+448081570000"}, "phone_not_mobile"),
        ({"by": "sms", "to": "+4477009"}, "phone_invalid"),
        ({"by": "sms", "to": "x" * 254}, "string_too_long"),
        ({"by": "qr", "to": "a@example.com"}, "address_not_used"),
        ({"by": "fax"}, "not_understood"),
        ({"by": "qr", "link": "plink_1"}, "not_understood"),
    ],
)
async def test_an_address_is_checked_as_the_api_checks_it(world: World, body: dict[str, str], code: str) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answer = await page.call("switch", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert "4242" not in answer.text
    assert await world.told(link_id) == []


async def test_a_link_that_ended_goes_nowhere(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await world.change(link_id, status="canceled")
    answer = await page.call("switch", {"by": "qr"})
    assert (answer.status_code, answer.json()["code"]) == (409, "link_not_active")


async def test_few_doors_in_an_hour(limited: World) -> None:
    _, token = await limited.link()
    page = await limited.browser().open(token)
    assert [(await page.call("switch", {"by": "qr"})).status_code for _ in range(6)] == [200] * 5 + [429]
    other = await limited.browser().open(token)
    assert [(await other.call("switch", {"by": "qr"})).status_code for _ in range(6)] == [200] * 5 + [429]
    third = await limited.browser().open(token)
    assert (await third.call("switch", {"by": "qr"})).status_code == 429


async def test_a_link_has_so_many_doors_and_no_more_whatever_asks(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answers = await asyncio.gather(*(page.call("switch", {"by": "qr"}) for _ in range(15)))
    assert sorted(answer.status_code for answer in answers) == [200] * 12 + [409] * 3
    assert (await world.told(link_id)).count("link.switched") == 12


async def test_a_withdrawn_door_ends_its_pages(world: World) -> None:
    link_id, token = await world.link()
    page = await visit(world, token)
    await withdraw(world, link_id)
    shown = await page.browser.get(f"/pay/{link_id}")
    unknown = await world.browser().get("/p/AAAAAAAAAAAAAAAAAAAAAA")
    assert heading(shown.text) == "This link is not valid"
    assert (shown.status_code, shown.content) == (404, unknown.content)
    assert (await world.browser().get(f"/p/{token}")).content == unknown.content
    for call in ("events", "payments", "switch", "report", "here"):
        assert (await page.call(call, {"step": "opened"} if call == "events" else {})).status_code == 403
    # By a door that is open the same browser is welcome.
    again = await visit(world, await world.door(link_id, "email"))
    assert await state(again) == "payable"


async def test_whoever_has_paid_by_a_withdrawn_door_still_sees_it(world: World) -> None:
    link_id, token = await world.link()
    page = await visit(world, token)
    await page.call("payments")
    await withdraw(world, link_id)
    world.provider.authorise()
    assert (await page.call("refresh")).json()["state"] == "paid"
    assert (await page.reload()).heading == "Payment complete"


# --- in a real browser ---------------------------------------------------------------------------------------------


def opened(browser: Chrome, url: str, *, width: int = 1280) -> Tab:
    context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-GB")
    page = context.new_page()
    page.goto(url)
    return page


def test_a_laptop_hands_over_to_a_phone_and_takes_back(made: Product, browser: Chrome) -> None:
    found = link(made, minimum_amount=1000)
    laptop = opened(browser, found["url"])
    field = laptop.get_by_label("Amount to pay")
    expect(field).to_be_editable()
    field.fill("20")
    laptop.get_by_role("button", name="Continue on my phone").click()
    code = laptop.get_by_role("img", name="QR code of this payment page")
    expect(code).to_be_visible()
    expect(laptop.get_by_text("Scan this code")).to_be_visible()
    judge(laptop)
    phone = opened(browser, scanned(code.screenshot()), width=320)
    expect(phone.get_by_label("Amount to pay")).to_have_value("20.00")
    expect(phone.get_by_role("button", name="Pay £20.00")).to_be_enabled()
    expect(laptop.get_by_role("heading", level=1)).to_have_text(LEFT)
    judge(laptop)
    judge(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") == 320
    laptop.keyboard.press("Tab")
    expect(laptop.get_by_role("button", name="Continue here instead")).to_be_focused()
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("button", name="Pay £20.00")).to_be_enabled()
    phone.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(phone.get_by_role("heading", level=1)).to_have_text(LEFT)
    assert phone.evaluate("document.documentElement.scrollWidth") == 320
    kinds = told(made, found["id"])
    assert (kinds.count("link.switched"), kinds.count("link.opened")) == (2, 2)
    laptop.context.close()
    phone.context.close()


def test_a_phone_sends_itself_the_link_by_the_keyboard(made: Product, browser: Chrome) -> None:
    found = link(made)
    page = opened(browser, found["url"], width=320)
    expect(page.get_by_role("button", name=PAY)).to_be_enabled()
    button = page.get_by_role("button", name="Send it to my e-mail")
    button.focus()
    page.keyboard.press("Enter")
    address = page.get_by_label("Your e-mail address")
    expect(address).to_be_focused()
    page.keyboard.type("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Please check this address.")).to_be_visible()
    expect(address).to_have_attribute("aria-invalid", "true")
    judge(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    address.fill("jane@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sent to j…@e…")).to_be_visible()
    wait_until(lambda: bool(made.messages("jane@example.com")), what="the e-mail")
    page.get_by_text("Report this message").click()
    judge(page)
    page.get_by_role("button", name="Report and close").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you for telling us")
    judge(page)
    assert told(made, found["id"])[-2:] == ["link.reported", "link.canceled"]
    page.context.close()


def scanned(picture: bytes) -> str:
    """Where a phone's camera leads."""
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)).convert("L"))
    return str(found.text)
