"""The widget in a real browser, on a site of another origin, with the whole product behind it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.browser import ARGUMENTS, AXE
from tests.chats.site import Site, foreign_site
from tests.product import Product, product
from tests.services import wait_until

# What a browser says in a frame of another origin when it keeps nothing for such frames.
NOTHING_KEPT = """
for (const store of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, store, { get() { throw new DOMException("Access is denied", "SecurityError"); } });
"""
NARROW = {"width": 320, "height": 568}


@dataclass
class Shop:
    product: Product
    site: Site

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.product.client() as client:
            answer = client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def chat(self, code: str) -> dict[str, Any]:
        """As an agent on the phone finds it."""
        (found,) = self.call("GET", f"/v1/chats?code={code}")["data"]
        return dict(found)

    def said(self, chat_id: str) -> list[tuple[str, str]]:
        found = self.call("GET", f"/v1/chats/{chat_id}/messages")["data"]
        return [(one["sender"], one["text"]) for one in found]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("chats")
    with foreign_site() as site, product(folder, f"sqlite:///{folder / 'paylink.db'}") as made:
        account_id = add_chat(made, site)
        site.checkout = made.node.checkout
        site.script = f"{made.node.checkout}/chat/{account_id}/widget.js"
        yield Shop(made, site)


def add_chat(made: Product, site: Site) -> str:
    """As an agent sets it up in the console."""
    console = made.node.console
    with made.client() as client:
        client.headers.pop("Authorization")
        client.headers.update({"Origin": console, "Sec-Fetch-Site": "same-origin"})
        assert client.post("/v1/sessions", json=made.seed["agent"]).status_code == 201
        config = {"title": "Acme Heating", "origins": site.url, "greeting": "Hello, how can we help?"}
        body = {"provider": "webchat", "name": "Our site", "config": config}
        answer = client.post("/v1/channel_accounts", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def lasting(chromium: Path, browser: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser that lets a frame of another origin keep something, as most people's do."""
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    preferences.write_text('{"profile": {"cookie_controls_mode": 0}}')
    context = browser.browser_type.launch_persistent_context(tmp_path, executable_path=chromium, args=[*ARGUMENTS])
    yield context
    context.close()


def widget(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def opened(page: Page, url: str) -> FrameLocator:
    page.goto(url)
    page.get_by_role("button", name="Open the chat").click()
    expect(widget(page).get_by_label("Your message")).to_be_focused()
    return widget(page)


def code_in(frame: FrameLocator) -> str:
    shown = frame.locator("#code strong")
    expect(shown).to_have_text(re.compile(r"^\d{6}$"))
    return shown.inner_text()


def test_a_visitor_talks_and_pays(shop: Shop, lasting: BrowserContext) -> None:
    page = lasting.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(shop.site.url)
    button = page.get_by_role("button", name="Open the chat")
    expect(button).to_have_count(1)
    button.press("Enter")
    frame = widget(page)
    expect(page.get_by_role("dialog", name="Acme Heating")).to_be_visible()
    expect(frame.get_by_role("log")).to_contain_text("Hello, how can we help?")
    expect(frame.get_by_label("Your message")).to_be_focused()
    frame.get_by_label("Your name").fill("Sam")
    frame.get_by_label("Your message").fill("My boiler <b>is</b> cold")
    frame.get_by_label("Your message").press("Enter")
    expect(frame.get_by_role("log")).to_contain_text("My boiler <b>is</b> cold")
    chat = shop.chat(code_in(frame))
    assert (chat["visitor_name"], chat["site"], chat["online"]) == ("Sam", shop.site.url, True)
    assert chat["last_message"]["text"] == "My boiler <b>is</b> cold"

    # The agent writes while the chat is closed, then sends a link by the code.
    frame.get_by_label("Your message").press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Open the chat")).to_be_focused()
    shop.call("POST", f"/v1/chats/{chat['id']}/messages", {"text": "We come today"})
    expect(page.get_by_role("button", name="Open the chat. New messages: 1")).to_be_visible()
    deliver = [{"channel": "chat", "to": chat["code"]}]
    made = shop.call("POST", "/v1/payment_links", {"amount": 4999, "currency": "GBP", "deliver": deliver})
    expect(page.get_by_role("button", name="Open the chat. New messages: 2")).to_be_visible()

    def status() -> str:
        return str(shop.call("GET", f"/v1/payment_links/{made['id']}")["deliveries"][0]["status"])

    wait_until(lambda: status() == "delivered", what="the delivery")
    page.get_by_role("button", name="Open the chat").click()
    expect(frame.get_by_role("log")).to_contain_text("We come today")
    pay = frame.get_by_role("link", name="Pay securely")
    wait_until(lambda: status() == "read", what="reading")
    assert pay.get_attribute("rel") == "noopener noreferrer"
    with lasting.expect_page() as popup:
        pay.click()
    expect(popup.value.get_by_role("button", name="Pay £49.99")).to_be_visible()
    assert popup.value.evaluate("window.opener") is None
    popup.value.close()

    page.get_by_role("button", name="Close the chat").click()
    page.reload()
    expect(page.get_by_role("button", name="Open the chat", exact=True)).to_be_visible()
    page.get_by_role("button", name="Open the chat").click()
    expect(frame.get_by_role("log")).to_contain_text("We come today")
    expect(frame.get_by_role("link", name="Pay securely")).to_have_count(1)
    assert faults == []


def test_a_site_that_was_not_named_shows_nothing(shop: Shop, page: Page) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(shop.site.stranger)
    page.wait_for_function("window.paylinkChat !== undefined")
    wait_until(lambda: any("frame-ancestors" in text for text in said) or page.wait_for_timeout(20), what="a refusal")
    page.evaluate("window.paylinkChat.open()")
    page.evaluate("window.postMessage({ paylink: 'unread', count: 3 }, '*')")
    page.wait_for_timeout(100)
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_page_around_learns_and_forges_nothing(shop: Shop, page: Page) -> None:
    frame = opened(page, shop.site.url)
    page.evaluate(
        """() => {
          window.heard = [];
          addEventListener('message', ({ data, origin }) => window.heard.push([origin, data]));
          for (const message of [{ paylink: 'close' }, { paylink: 'unread', count: 7 }, null, 'x'])
            window.postMessage(message, '*');
          const inner = document.querySelector('paylink-chat').shadowRoot.querySelector('iframe').contentWindow;
          for (const message of [null, 'x', { paylink: 'messages' }, { paylink: 'open', text: 'forged' }])
            inner.postMessage(message, '*');
        }"""
    )
    frame.get_by_label("Your message").fill("A secret")
    frame.get_by_role("button", name="Send").click()
    expect(frame.get_by_role("log")).to_contain_text("A secret")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("button", name="Close the chat", exact=True)).to_be_visible()
    own = [data for origin, data in page.evaluate("window.heard") if origin == shop.site.checkout]
    assert all(set(data) <= {"paylink", "count"} for data in own)
    assert page.evaluate("Object.keys(window).filter((name) => name.includes('paylink'))") == ["paylinkChat"]
    assert page.evaluate("localStorage.length") == 0


def test_a_card_number_gets_a_friendly_word(shop: Shop, page: Page) -> None:
    frame = opened(page, shop.site.url)
    frame.get_by_label("Your message").fill("4242 4242 4242 4242")
    frame.get_by_role("button", name="Send").click()
    expect(frame.get_by_role("alert")).to_contain_text("looks like a card number, so it was not sent")
    expect(frame.get_by_role("log")).not_to_contain_text("4242")
    assert shop.said(shop.chat(code_in(frame))["id"]) == []


def test_it_works_without_storage_and_under_a_strict_policy(shop: Shop, page: Page) -> None:
    violations: list[str] = []
    page.on("console", lambda message: violations.append(message.text) if message.type == "error" else None)
    page.add_init_script(NOTHING_KEPT)
    frame = opened(page, f"{shop.site.url}/strict")
    assert "SecurityError" in page.frames[1].evaluate(
        "() => { try { return localStorage } catch (e) { return e.name } }"
    )
    frame.get_by_role("button", name="On the phone with us?").click()
    chat = shop.chat(code_in(frame))
    shop.call("POST", f"/v1/chats/{chat['id']}/messages", {"text": "I see you"})
    expect(frame.get_by_role("log")).to_contain_text("I see you")
    assert [text for text in violations if "favicon" not in text and "404" not in text] == []


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "ar")])
def test_everyone_can_use_it(shop: Shop, browser: Browser, scheme: Any, language: str) -> None:
    # The policy of the frame lets no test's script in.
    context = browser.new_context(
        bypass_csp=True,
        viewport=NARROW,
        color_scheme=scheme,
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(f"{shop.site.url}/strict?lang={language}")
    page.locator("button").click()
    frame = widget(page)
    expect(frame.locator("#text")).to_be_focused()
    faults = violations(page)
    frame.locator("#text").fill("4242 4242 4242 4242")
    frame.locator("form .button").click()
    expect(frame.get_by_role("alert")).not_to_be_empty()
    frame.locator("#text").fill("Hello")
    frame.locator("form .button").click()
    expect(frame.get_by_role("log")).to_contain_text("Hello")
    chat = shop.chat(code_in(frame))
    shop.call("POST", "/v1/payment_links", link_to(chat["id"]))
    expect(frame.locator("a.button")).to_be_visible()
    faults += violations(page)
    inner = page.frames[1]
    assert inner.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert inner.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [
        language,
        "rtl" if language == "ar" else "ltr",
    ]
    # The whole screen of a small phone is the chat's, with its own way out.
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (NARROW["width"], NARROW["height"])
    frame.locator("#close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    context.close()
    assert faults == []


def link_to(chat_id: str) -> dict[str, Any]:
    return {"amount": 4999, "currency": "GBP", "deliver": [{"channel": "chat", "to": chat_id}]}


def violations(page: Page) -> list[str]:
    """What axe finds in the widget's frame."""
    inner = page.frames[1]
    inner.evaluate(AXE.read_text())
    found = inner.evaluate("axe.run(document, { iframes: false })")
    return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]
