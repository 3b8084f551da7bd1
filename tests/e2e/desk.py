"""An agent at the console, in a browser."""

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.shop import Customer, Link, Shop


class Desk:
    """A signed-in agent's browser."""

    def __init__(self, browser: Browser, shop: Shop) -> None:
        self.shop = shop
        # Nobody is signed in when the console asks first.
        self.browser = Customer(browser, expecting={401})
        self.page = self.browser.page
        self.page.goto(shop.watch_on.console)
        self.page.get_by_label("Email").fill(shop.product.seed["agent"]["email"])
        self.page.get_by_label("Password", exact=True).fill(shop.product.seed["agent"]["password"])
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Payment links")

    def go(self, path: str, *, page: Page | None = None) -> None:
        (page or self.page).goto(f"{self.shop.watch_on.console}{path}")

    def see(self, link: Link) -> None:
        self.go(f"/links/{link.id}")
        self.timeline("Link created")

    def timeline(self, text: str) -> None:
        expect(self.page.get_by_role("log", name="Timeline")).to_contain_text(text)

    def notice(self, text: str | re.Pattern[str], *, page: Page | None = None) -> Locator:
        """What a screen reader is told of at once."""
        found = (page or self.page).get_by_role("alert").filter(has_text=text)
        expect(found).to_be_visible()
        return found

    def confirm(self, question: str, button: str) -> None:
        """By keyboard alone: whoever opened the dialog is in it."""
        dialog = self.page.get_by_role("dialog", name=question)
        expect(dialog).to_be_visible()
        expect(dialog.locator(":focus")).to_have_count(1)
        dialog.get_by_role("button", name=button, exact=True).focus()
        self.page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
