"""The pages before a judge of accessibility, from the left and from the right, and the language changed by hand."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, expect

from paylink.accounts.models import Merchant
from paylink.config import Settings
from paylink.consent.unsubscribe import unsubscribe_url
from paylink.db import Database
from tests.browser import judge
from tests.checkout.test_browser import link
from tests.product import Product

PAY = {"en": "Pay £49.99", "ar": "دفع"}


def context_of(browser: Browser, language: str, **options: Any) -> BrowserContext:
    return browser.new_context(locale=language, viewport={"width": 390, "height": 844}, **options)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_page_keeps_anybody_out(made: Product, browser: Browser, language: str, tmp_path: Path) -> None:
    one = link(made, reference="INV-1042", minimum_amount=1000)
    canceled = link(made)
    with made.client() as http:
        assert http.post(f"/v1/payment_links/{canceled['id']}/cancel").status_code == 200
    context = context_of(browser, language)
    page = context.new_page()
    page.goto(one["url"])
    submit = page.locator("#submit")
    expect(submit).to_be_enabled()
    expect(submit).to_contain_text(PAY[language])
    assert page.locator("html").get_attribute("dir") == {"en": "ltr", "ar": "rtl"}[language]
    for details in page.locator("footer details").all():
        details.locator("summary").click()
    judge(page, "pay")
    page.screenshot(path=tmp_path / f"pay-{language}.png", full_page=True)
    for path in ("/p/wrong", "/nothing", canceled["url"].removeprefix(made.node.checkout)):
        page.goto(made.node.checkout + path)
        judge(page, path)
    # The page as it stands before its script comes.
    page.route("**/assets/*.js", lambda route: route.abort())
    page.goto(link(made)["url"])
    expect(page.get_by_role("heading")).to_be_visible()
    judge(page, "entry")
    context.close()


def test_nothing_runs_out_of_the_page_from_the_right(made: Product, browser: Browser) -> None:
    page = context_of(browser, "ar").new_page()
    page.goto(link(made, reference="INV-1042", locale="ar")["url"])
    expect(page.locator("#submit")).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    amount, card = page.locator("main .amount").bounding_box(), page.locator("#main").bounding_box()
    assert amount is not None
    assert card is not None
    begins = page.evaluate("getComputedStyle(document.querySelector('main .amount')).textAlign")
    assert begins in {"start", "right"}
    assert page.evaluate("getComputedStyle(document.querySelector('#card')).direction") == "ltr"
    page.context.close()


@pytest.mark.parametrize("scripted", [True, False])
def test_the_language_is_changed_on_the_page_and_stays(made: Product, browser: Browser, scripted: bool) -> None:
    url = link(made)["url"]
    page = context_of(browser, "en", java_script_enabled=scripted).new_page()
    page.goto(url)
    if not scripted:
        page.get_by_role("button", name="Continue").click()
    page.get_by_text("Language: English").click()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("h2").first).to_have_text("Mit Karte bezahlen")
    assert page.locator("html").get_attribute("lang") == "de"
    assert "/p/" not in page.url
    if scripted:
        expect(page.locator("#submit")).to_have_text("49,99\u00a0£ bezahlen")
        expect(page.locator("#submit")).to_be_enabled()
        page.goto(url)
        expect(page.locator("html")).to_have_attribute("lang", "de")
    page.context.close()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_whoever_wants_no_more_reminders_can_say_so(made: Product, browser: Browser, language: str) -> None:
    given = {name.removeprefix("PAYLINK_").lower(): value for name, value in made.node.env.items()}
    settings = Settings(_env_file=None, **given)  # type: ignore[arg-type]
    db = Database(settings.database_url)
    merchant_id = db.read_sync(lambda session: session.scalars(sa.select(Merchant.id)).one())
    db.close()
    whom = {"merchant_id": merchant_id, "channel": "email", "address": f"{language}@example.com"}
    page = context_of(browser, language).new_page()
    page.goto(unsubscribe_url(settings.keyring, made.node.checkout, **whom))
    judge(page, "unsubscribe")
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    judge(page, "unsubscribed")
    page.context.close()


def test_a_chinese_customer_pays_from_end_to_end(made: Product, browser: Browser) -> None:
    page = context_of(browser, "zh-TW").new_page()
    page.goto(link(made)["url"])
    expect(page.locator("#submit")).to_have_text("支付 £49.99")
    expect(page.locator("#submit")).to_be_enabled()
    frame = page.frame_locator("#card iframe")
    for name, value in (("Card number", "4242424242424242"), ("Expiration date", "12 / 34"), ("Security code", "123")):
        frame.get_by_label(name).fill(value)
    page.locator("#submit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("付款完成")
    judge(page, "paid")
    page.context.close()
