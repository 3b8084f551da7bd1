"""The Payment Element look-alike, 3-D Secure and the inbox, in a real browser."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from paylink.sandbox.app import create_app

from .harness import Box, Receiver, free_socket, served, settings_for, until
from .host import shop

PAN = "4242424242424242"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 400, "height": 720}, locale="en-GB")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: faults.append(f"{message.text} {message.location}") if message.type == "error" else None,
    )
    yield page
    context.close()
    # A declined card is answered 402, which the browser reports as a failed request.
    assert [fault for fault in faults if "402" not in fault] == []


@pytest.fixture
def shopping(tmp_path: Path, receiver: tuple[Receiver, str]) -> Iterator[tuple[Box, str]]:
    """A sandbox whose checkout is a shop on a third port."""
    listening, shop_socket = free_socket(), free_socket()
    url, shop_url = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (listening, shop_socket))
    settings = settings_for(tmp_path, sandbox=url, console=receiver[1], checkout=shop_url)
    box = Box(settings, url, receiver[0])
    with (
        contextlib.closing(box),
        served(create_app(settings), listening),
        served(shop(box), shop_socket, lifespan="off"),
    ):
        yield box, shop_url


def card_frame(page: Page) -> FrameLocator:
    return page.frame_locator('iframe[title="Secure payment input frame"]')


def type_card(page: Page, number: str, *, expiry: str = "1234", cvc: str = "123") -> None:
    frame = card_frame(page)
    for label, value in (("Card number", number), ("Expiration date", expiry), ("Security code", cvc)):
        field = frame.get_by_label(label, exact=True)
        field.fill("")
        field.press_sequentially(value)


def pay(page: Page, number: str, **fields: str) -> None:
    type_card(page, number, **fields)
    page.get_by_role("button", name="Pay").click()


def seen(page: Page, name: str) -> list[dict[str, Any]]:
    return [each["event"] for each in page.evaluate("window.seen") if each["name"] == name]


def test_paying_by_card(page: Page, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page.goto(url)
    pay(page, PAN)
    expect(page.get_by_role("status")).to_have_text("requires_capture")
    assert box.stripe.v1.charges.list().data[0].paid
    assert len(seen(page, "ready")) == 1
    assert seen(page, "focus")
    changes = seen(page, "change")
    assert (changes[0]["empty"], changes[0]["complete"]) == (False, False)
    assert (changes[-1]["complete"], changes[-1]["value"]) == (True, {"type": "card"})
    assert "4242" not in str(page.evaluate("JSON.stringify(window.seen)"))


def test_the_card_number_is_nowhere_in_the_database(page: Page, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page.goto(url)
    pay(page, PAN)
    expect(page.get_by_role("status")).to_have_text("requires_capture")
    folder = Path(box.settings.sandbox_database_url.removeprefix("sqlite:///")).parent
    raw = b"".join(file.read_bytes() for file in folder.iterdir())
    assert b'"last4": "4242"' in raw
    assert PAN.encode() not in raw
    assert b"4242 4242" not in raw


def test_a_decline_can_be_tried_again(page: Page, shopping: tuple[Box, str]) -> None:
    _, url = shopping
    page.goto(url)
    pay(page, "4000000000000002")
    expect(page.get_by_role("status")).to_have_text("card_error:card_declined:generic_decline")
    assert page.evaluate("window.answer.payment_intent.status") == "requires_payment_method"
    pay(page, "5555555555554444")
    expect(page.get_by_role("status")).to_have_text("requires_capture")


def test_a_wrong_security_code_is_shown_at_its_field(page: Page, shopping: tuple[Box, str]) -> None:
    _, url = shopping
    page.goto(url)
    pay(page, "4000000000000127")
    expect(page.get_by_role("status")).to_have_text("card_error:incorrect_cvc:incorrect_cvc")
    expect(card_frame(page).get_by_label("Security code")).to_have_attribute("aria-invalid", "true")
    page.screenshot(path="/tmp/sandbox-decline.png")


def test_validation_stays_in_the_frame(page: Page, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page.goto(url)
    pay(page, "4242424242424241", expiry="0120", cvc="12")
    text = "validation_error:invalid_number:Your card number is invalid."
    expect(page.get_by_role("status")).to_have_text(text)
    frame = card_frame(page)
    expect(frame.get_by_text("Your card number is invalid.")).to_be_visible()
    expect(frame.get_by_text("Your card’s expiration year is in the past.")).to_be_visible()
    expect(frame.get_by_text("Your card’s security code is incomplete.")).to_be_visible()
    assert not box.stripe.v1.payment_intents.list().data
    page.screenshot(path="/tmp/sandbox-invalid.png")


@pytest.mark.parametrize(("button", "text"), [("Approve", "requires_capture"), ("Refuse", None)])
def test_three_d_secure_modal(page: Page, shopping: tuple[Box, str], button: str, text: str | None) -> None:
    box, url = shopping
    page.goto(url)
    pay(page, "4000002500003155")
    dialog = page.get_by_role("dialog", name="3D Secure authentication")
    expect(dialog).to_be_visible()
    challenge = page.frame_locator('iframe[title="3D Secure authentication"]')
    expect(challenge.get_by_text("£49.99")).to_be_visible()
    page.screenshot(path="/tmp/sandbox-3ds.png")
    challenge.get_by_role("button", name=button).click()
    expected = text or "invalid_request_error:payment_intent_authentication_failure:"
    expect(page.get_by_role("status")).to_have_text(expected)
    expect(dialog).to_have_count(0)
    intent = box.stripe.v1.payment_intents.list().data[0]
    assert intent.status == (text or "requires_payment_method")


def test_an_abandoned_authentication_stays_pending_and_can_be_resumed(page: Page, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page.goto(url)
    pay(page, "4000002500003155")
    expect(page.get_by_role("dialog")).to_be_visible()
    secret = page.evaluate("window.clientSecret")
    page.reload()
    assert box.stripe.v1.payment_intents.list().data[0].status == "requires_action"
    page.evaluate("(clientSecret) => { window.later = stripeUnderTest.handleNextAction({clientSecret}) }", secret)
    page.frame_locator('iframe[title="3D Secure authentication"]').get_by_role("button", name="Approve").click()
    assert page.evaluate("window.later.then((r) => r.paymentIntent.status)") == "requires_capture"


def test_without_if_required_the_page_goes_to_the_return_url(page: Page, shopping: tuple[Box, str]) -> None:
    _, url = shopping
    page.goto(f"{url}/?redirect=always")
    pay(page, "378282246310005", cvc="1234")
    page.wait_for_url("**/back?*")
    assert "redirect_status=succeeded" in page.url
    assert "payment_intent_client_secret=pi_" in page.url


@pytest.mark.parametrize("theme", ["stripe", "night"])
def test_the_form_fits_320_pixels(page: Page, shopping: tuple[Box, str], theme: str) -> None:
    _, url = shopping
    page.set_viewport_size({"width": 320, "height": 560})
    page.goto(f"{url}/?theme={theme}")
    type_card(page, PAN)
    overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for frame in page.frames:
        assert frame.evaluate(overflow) is False
    page.screenshot(path=f"/tmp/sandbox-card-{theme}.png")


def test_the_form_works_by_keyboard_alone(page: Page, shopping: tuple[Box, str]) -> None:
    _, url = shopping
    page.goto(url)
    until(lambda: seen(page, "ready"))
    page.keyboard.press("Tab")
    page.keyboard.type("4242 4242 4242 4242")
    page.keyboard.type("12/34")
    page.keyboard.type("123")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("requires_capture")


def test_no_other_origin_may_frame_the_card_form(browser: Browser, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page = browser.new_page()
    html = f'<iframe src="{box.url}/elements/card"></iframe>'
    page.route("http://thief.test/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://thief.test/")
    until(lambda: page.frames[1].url.startswith("chrome-error"))
    page.close()
    policy = box.http.get("/elements/card").headers["content-security-policy"]
    assert f"frame-ancestors {url}" in policy
    assert "unsafe" not in policy


def test_inbox(box: Box, page: Page) -> None:
    page.goto(f"{box.url}/inbox")
    expect(page.get_by_text("No messages yet.")).to_be_visible()
    text = "Hello Ada, pay £49.99 to Boiler & Sons here: http://shop.test/p/abc. Thank you."
    box.send("dlv_1", "+447700900123", text=text)
    box.send("dlv_2", "+447700900123", channel="whatsapp", text="And by WhatsApp: http://shop.test/p/def")
    html = "<html><head></head><body style='font-family:sans-serif'><h1>Boiler &amp; Sons</h1><p>Pay <b>£49.99</b></p>"
    html += "<p><a href='http://shop.test/p/ghi'>Pay now</a></p></body></html>"
    box.send("dlv_3", "ada@example.test", channel="email", subject="Your payment link", text="…", html=html)
    expect(page.get_by_role("button", name="ada@example.test")).to_be_visible()
    page.set_viewport_size({"width": 1100, "height": 700})
    page.get_by_role("button", name="+447700900123").click()
    link = page.get_by_role("link", name="http://shop.test/p/abc", exact=True)
    expect(link).to_have_attribute("href", "http://shop.test/p/abc")
    page.screenshot(path="/tmp/sandbox-inbox-wide.png")
    until(lambda: box.receiver.receipts().count("read") == 1)
    page.get_by_role("button", name="ada@example.test").click()
    letter = page.frame_locator('iframe[title="Your payment link"]')
    expect(letter.get_by_role("link", name="Pay now")).to_be_visible()
    page.screenshot(path="/tmp/sandbox-inbox-mail.png")
    page.set_viewport_size({"width": 360, "height": 700})
    page.screenshot(path="/tmp/sandbox-inbox-narrow.png")
    page.get_by_role("button", name="Back to the list").click()
    expect(page.get_by_role("button", name="+447700900123")).to_be_visible()
    page.screenshot(path="/tmp/sandbox-inbox-list.png")


def test_index(box: Box, page: Page) -> None:
    page.goto(box.url)
    page.screenshot(path="/tmp/sandbox-index.png")
    page.get_by_role("link", name="Open the inbox").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def test_the_frame_is_deaf_to_windows_that_are_not_its_parent(page: Page, shopping: tuple[Box, str]) -> None:
    _, url = shopping
    page.goto(url)
    type_card(page, PAN)
    frame = next(frame for frame in page.frames if frame.url.endswith("/elements/card"))
    # The same origin as the parent's, from another window: a message of the frame to itself.
    forged = {"channel": "paylink-sandbox", "kind": "clear", "data": {}}
    frame.evaluate("(forged) => window.postMessage(forged, '*')", forged)
    frame.evaluate("() => new Promise((done) => setTimeout(done, 50))")
    expect(card_frame(page).get_by_label("Card number")).to_have_value("4242 4242 4242 4242")
    page.evaluate("elements.getElement('payment').clear()")
    expect(card_frame(page).get_by_label("Card number")).to_have_value("")


def test_a_sum_that_was_not_shown_is_not_confirmed(page: Page, shopping: tuple[Box, str]) -> None:
    box, url = shopping
    page.goto(url)
    type_card(page, PAN)
    page.evaluate("elements.update({ amount: 100 })")
    page.get_by_role("button", name="Pay").click()
    text = "invalid_request_error:payment_intent_elements_mismatch:"
    expect(page.get_by_role("status")).to_have_text(text)
    assert not box.stripe.v1.charges.list().data
