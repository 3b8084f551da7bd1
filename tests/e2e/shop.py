"""The whole product with a merchant in it, and the people who use it: an agent's program and customers."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa
from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Page, expect

from paylink.db import Database
from tests.e2e.stream import Stream
from tests.product import Node, Product
from tests.services import wait_until

_numbers = count(100)

PAID = "4242424242424242"
THREE_D_SECURE = "4000002500003155"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
VIEWPORTS = {"desktop": DESKTOP, "phone": PHONE}
MERCHANT = "Acme Heating"


def new_phone() -> str:
    """Ofcom's numbers for drama; each is used once, so that its inbox holds one message."""
    return f"+447700900{next(_numbers)}"


@dataclass
class Link:
    id: str
    url: str
    answer: dict[str, Any]


@dataclass
class Shop:
    """``pay_on`` serves the customer; ``watch_on`` the agent, the API and the stream. With one node they are one."""

    product: Product
    name: str
    database_url: str
    stream: Stream
    answers: list[bytes] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    @property
    def pay_on(self) -> Node:
        return self.product.nodes[0]

    @property
    def watch_on(self) -> Node:
        return self.product.nodes[-1]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        with self.product.client(self.watch_on) as client:
            answer = client.request(method, path, json=body)
        self.answers.append(answer.content)
        return answer

    def get(self, path: str) -> dict[str, Any]:
        answer = self.call("GET", path)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.call("POST", path, body or {})
        assert answer.is_success, answer.text
        return dict(answer.json())

    def link(self, *, amount: int = 4999, **more: Any) -> Link:
        """A link handed over in the answer itself."""
        body = {"amount": amount, "currency": "GBP", "description": "Boiler repair", "reference": "INV-1042", **more}
        with self.product.client(self.watch_on) as client:
            answer = client.post("/v1/payment_links", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return self.known(Link(made["id"], made["url"], made))

    def known(self, link: Link) -> Link:
        self.secrets.append(token_of(link.url))
        return link

    def message_url(self, to: str) -> str:
        """The address in the message that came to this phone."""
        wait_until(lambda: self.product.messages(to), what=f"a message to {to}")
        (message,) = self.product.messages(to)
        found = re.search(r"http\S+/p/\S+", message["text"])
        assert found, message["text"]
        self.secrets.append(token_of(found.group()))
        return found.group()

    def change(self, update: sa.Update) -> None:
        """What would take minutes, or a person, at once."""
        db = Database(self.database_url)
        try:
            db.transact_sync(lambda session: session.execute(update) and None)
        finally:
            db.close()

    def ledger(self, link_id: str) -> list[dict[str, Any]]:
        """What the provider has on its books for this link."""
        return [one for one in self.product.ledger() if one["metadata"].get("link_id") == link_id]

    def captures(self, link_id: str) -> list[int]:
        return [capture["amount"] for account in self.ledger(link_id) for capture in account["captures"]]

    def payments(self, link_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        return list(reversed(self.get(f"/v1/payment_links/{link_id}/payments")["data"]))


def token_of(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


class Customer:
    """A browser of its own with one open page.

    ``faults`` is what the page complained of. A failed request is one complaint: a declined card is answered 402, and
    what else a test provokes it names in ``expecting``.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        viewport: Mapping[str, int] = DESKTOP,
        expecting: Collection[int] = (),
        **context: Any,
    ) -> None:
        self.context = browser.new_context(viewport=dict(viewport), locale="en-GB", **context)  # type: ignore[arg-type]
        self.faults: list[str] = []
        self._expecting = {402, *expecting}
        self.page = self.tab()

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        failed = re.search(r"responded with a status of (\d+)", message.text)
        expected = failed is not None and int(failed[1]) in self._expecting
        if message.type in {"error", "warning"} and not expected:
            self.faults.append(f"{message.text} {message.location['url']}")

    def open(self, url: str) -> "Customer":
        self.page.goto(url)
        return self

    def heading(self, name: str, *, page: Page | None = None) -> None:
        expect((page or self.page).get_by_role("heading", level=1)).to_have_text(name)

    def enter(self, number: str, *, page: Page | None = None) -> None:
        """As people do: once the page is ready for it. What it says of the last try takes the focus to itself."""
        expect((page or self.page).locator("#submit")).to_be_enabled()
        frame = card_frame(page or self.page)
        for label, value in (("Card number", number), ("Expiration date", "1234"), ("Security code", "123")):
            field = frame.get_by_label(label, exact=True)
            field.fill("")
            field.press_sequentially(value)

    def press_pay(self, amount: str = "£49.99", *, page: Page | None = None) -> None:
        (page or self.page).get_by_role("button", name=f"Pay {amount}", exact=True).click()

    def pay(self, number: str = PAID, *, page: Page | None = None) -> None:
        self.enter(number, page=page)
        self.press_pay(page=page)

    def alert(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_role("alert")).to_have_text(text)

    def answer_3ds(self, button: str) -> None:
        self.page.frame_locator('iframe[title="3D Secure authentication"]').get_by_role("button", name=button).click()


def card_frame(page: Page) -> FrameLocator:
    return page.frame_locator('iframe[title="Secure payment input frame"]')
