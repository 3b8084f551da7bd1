"""What an agent sees of money that needs a person, in the console: locks, holds, late money, disputes, the pause.

The console knows no database, so these run on one.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from playwright.sync_api import expect
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.config import Settings
from paylink.db import Database
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import rfc3339, utcnow
from paylink.links.models import LinkStatus, PaymentLink
from paylink.payments.models import Payment
from tests.e2e.conftest import Visit
from tests.e2e.desk import Desk
from tests.e2e.shop import PHONE, Link, Shop

DECLINED_CARDS = ("4000000000000002", "4000000000009995", "4000000000000069")
ELEVATED = "4000000000009235"
DISPUTED = "4000000000000259"
REFUND_FAILS = "4000000000005126"
WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="module")
def shop(sqlite_shop: Shop) -> Shop:
    return sqlite_shop


@pytest.fixture
def order(shop: Shop) -> Iterator[Callable[..., None]]:
    """Tells the stand-in provider what to do; afterwards it is as it was."""

    def order(**orders: Any) -> None:
        httpx.post(f"{shop.product.node.sandbox}/_control", json=orders, trust_env=False).raise_for_status()

    yield order
    order(dispute_delay_ms=2000, refund_delay_ms=2000, authorization_s=WEEK_S)


def test_a_locked_link_says_why_and_takes_more_tries_when_the_agent_allows_it(
    shop: Shop, visit: Visit, desk: Desk
) -> None:
    link = shop.link()
    desk.see(link)
    customer = visit(link.url, expecting={409})
    for tries, card in enumerate(DECLINED_CARDS, start=1):
        customer.pay(card)
        shop.stream.wait_for(link.id, "payment.failed", times=tries)
    notice = desk.notice(re.compile("Too many different cards: locked .*Nobody can pay with it", re.DOTALL))
    expect(notice).to_contain_text("Read out to the customer")
    desk.timeline("Link locked: Too many different cards")
    # The advice of the last decline would send the customer to a page that takes no more cards.
    expect(desk.page.get_by_role("alert").filter(has_text="Payment failed")).to_have_count(0)
    expect(desk.page.get_by_role("heading", level=1)).to_contain_text("Locked")

    desk.page.get_by_role("link", name="Links", exact=True).click()
    row = desk.page.get_by_role("list", name="Payment links").get_by_role("link").first
    expect(row).to_contain_text("Locked")
    row.click()

    desk.page.get_by_role("button", name="Allow more tries").press("Enter")
    desk.confirm("Allow more tries?", "Allow more tries")
    expect(desk.page.get_by_role("alert")).to_have_count(0)
    desk.timeline("More tries allowed by")
    again = visit(link.url)
    again.pay()
    again.heading("Payment complete")
    expect(desk.page.get_by_role("heading", level=1)).to_contain_text("Paid")


def test_a_held_payment_says_how_long_it_can_be_decided_and_the_audit_who_did(
    shop: Shop, visit: Visit, desk: Desk, order: Callable[..., None]
) -> None:
    order(authorization_s=20 * 3600 + 60)
    link = held(shop, visit)
    desk.see(link)
    notice = desk.notice("Decide soon: the fraud check holds this payment of £49.99")
    expect(notice).to_contain_text(re.compile(r"Decide before .* \((20|19) hours left\)"))
    notice.get_by_role("button", name="Approve").press("Enter")
    desk.page.get_by_role("dialog").get_by_label("Reason").fill("Known customer")
    desk.confirm("Approve this payment?", "Take £49.99")
    desk.timeline("Link paid")
    expect(desk.page.get_by_role("alert")).to_have_count(0)

    desk.page.get_by_role("link", name="Settings").click()
    desk.page.get_by_role("link", name="Audit").click()
    (payment,) = shop.payments(link.id)
    entry = desk.page.get_by_role("list", name="Audit").get_by_role("listitem").filter(has_text=payment["id"])
    expect(entry).to_contain_text("Approved a held payment")
    expect(entry).to_contain_text("Reason: Known customer")
    entry.get_by_role("link", name=payment["id"]).click()
    expect(desk.page).to_have_url(f"{shop.watch_on.console}/links/{link.id}")


def test_a_hold_with_days_to_go_is_no_alarm(shop: Shop, visit: Visit, desk: Desk) -> None:
    link = held(shop, visit)
    desk.see(link)
    notice = desk.notice(re.compile(r"\(6 days left\)"))
    expect(notice).not_to_contain_text("Decide soon")


def test_money_that_came_late_is_shown_until_it_is_given_back(shop: Shop, visit: Visit, desk: Desk) -> None:
    link = held(shop, visit)
    desk.see(link)
    ended_meanwhile(shop, link)
    captured_at_the_provider(shop, link)
    notice = desk.notice(re.compile("£49.99 arrived late.*after the link had ended", re.DOTALL))
    desk.timeline("Payment of £49.99 arrived late")
    notice.get_by_role("button", name="Refund £49.99").press("Enter")
    dialog = desk.page.get_by_role("dialog")
    amount = dialog.get_by_label("Amount to refund")
    expect(amount).to_have_value("49.99")
    amount.fill("50")
    expect(dialog).to_contain_text("At most £49.99")
    dialog.get_by_role("button", name="Full amount, £49.99").click()
    expect(amount).to_have_value("49.99")
    dialog.get_by_label("Reason").fill("Came after the end")
    desk.confirm("Refund this payment?", "Refund £49.99")
    refunds = desk.page.get_by_role("list", name="Refunds")
    expect(refunds).to_contain_text(re.compile("Refund of £49.99.*Came after the end.*Refunded", re.DOTALL))
    expect(desk.page.get_by_role("alert")).to_have_count(0)
    assert [one["refunded"] for one in shop.ledger(link.id)] == [4999]


def test_late_money_that_could_not_be_given_back_stays_a_problem(
    shop: Shop, visit: Visit, desk: Desk, order: Callable[..., None]
) -> None:
    order(refund_delay_ms=0)
    link = shop.link()
    visit(link.url).pay(REFUND_FAILS)
    shop.stream.wait_for(link.id, "link.paid")
    called_late(shop, link)
    desk.see(link)
    desk.notice("£49.99 arrived late").get_by_role("button", name="Refund £49.99").click()
    desk.confirm("Refund this payment?", "Refund £49.99")
    notice = desk.notice("£49.99 arrived late and could not be given back")
    expect(notice).to_contain_text("The refund failed: the card has expired or was canceled.")
    expect(notice.get_by_role("button", name="Refund £49.99")).to_be_enabled()
    desk.timeline("Refund of £49.99 failed: the card has expired or was canceled")


def test_a_dispute_says_what_to_do_and_by_when_beside_the_receipt(
    shop: Shop, visit: Visit, desk: Desk, order: Callable[..., None]
) -> None:
    order(dispute_delay_ms=0)
    link = shop.link(amount=5901, customer={"email": "sam@example.com"})
    desk.see(link)
    customer = visit(link.url)
    customer.enter(DISPUTED)
    customer.press_pay("£59.01")
    desk.timeline("Payment of £59.01 disputed: the cardholder says they did not make this payment")
    payments = desk.page.get_by_role("region", name="Payments")
    expect(payments).to_contain_text(re.compile(r"Receipt sent by email .*\d\d:\d\d"))
    dispute = payments.get_by_role("list", name="Disputes")
    expect(dispute).to_contain_text(re.compile(r"Dispute of £59.01.*Answer needed.*Answer by .*days left", re.DOTALL))
    expect(dispute).to_contain_text("your payment provider's dashboard")
    # The bank has the money already.
    expect(desk.page.get_by_role("button", name="Refund", exact=True)).to_have_count(0)

    desk.page.get_by_role("link", name=re.compile(r"^Disputes \d+ to answer$")).click()
    row = desk.page.get_by_role("list", name="Disputes").get_by_role("link").filter(has_text="£59.01")
    expect(row).to_contain_text("Answer needed")
    row.press("Enter")
    expect(desk.page).to_have_url(f"{shop.watch_on.console}/links/{link.id}")


def test_a_pause_is_told_on_every_page_until_it_is_over(shop: Shop, desk: Desk) -> None:
    link, other = shop.link(), shop.link()
    desk.go("/")
    expect(desk.page.get_by_role("list", name="Payment links")).to_be_visible()
    paused(shop, link)
    desk.notice(re.compile(r"Payments are paused until .* \((9|10) minutes left\).*no customer can pay", re.DOTALL))
    desk.see(other)
    desk.notice("Payments are paused until")

    # It goes by itself when its time is over; this page's clock is ahead of the others.
    ahead = desk.browser.tab()
    ahead.clock.install()
    desk.go("/settings", page=ahead)
    banner = desk.notice("Payments are paused until", page=ahead)
    ahead.clock.fast_forward("10:30")
    expect(banner).to_be_hidden()
    ahead.close()

    desk.page.get_by_role("button", name="Resume payments").press("Enter")
    expect(desk.page.get_by_role("dialog")).to_contain_text("stolen cards")
    desk.confirm("Resume payments?", "Resume payments")
    expect(desk.page.get_by_role("alert")).to_have_count(0)
    assert shop.get("/v1/me")["payments_paused_until"] is None
    desk.see(link)
    desk.timeline("Payments resumed by")


def test_nothing_is_wider_than_a_phone(shop: Shop, desk: Desk) -> None:
    page = desk.browser.tab()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path, heading in (("/", "Payment links"), ("/disputes", "Disputes"), ("/settings/audit", "Settings")):
        desk.go(path, page=page)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.get_by_role("link", name=re.compile("^Disputes"))).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
    page.close()


def held(shop: Shop, visit: Visit) -> Link:
    """A link whose payment waits for a decision. The customer's page asks how it ends, and may be told: too late."""
    link = shop.link()
    customer = visit(link.url, expecting={410})
    customer.pay(ELEVATED)
    customer.heading("We are checking your payment")
    return link


def written(shop: Shop, work: Callable[[Session], Any]) -> None:
    """What another node would have written."""
    db = Database(shop.database_url)
    try:
        db.transact_sync(work)
    finally:
        db.close()


def ended_meanwhile(shop: Shop, link: Link) -> None:
    over = sa.update(PaymentLink).where(PaymentLink.id == link.id).values(status=LinkStatus.EXPIRED.value)
    written(shop, lambda session: session.execute(over))


def called_late(shop: Shop, link: Link) -> None:
    late = sa.update(Payment).where(Payment.link_id == link.id).values(late=True)
    written(shop, lambda session: session.execute(late))


def captured_at_the_provider(shop: Shop, link: Link) -> None:
    """At its own desk, past us; we hear of it by its callback."""
    given: dict[str, Any] = {
        name.removeprefix("PAYLINK_").lower(): value for name, value in shop.product.node.env.items()
    }
    settings = Settings(_env_file=None, **given)
    (account,) = shop.ledger(link.id)
    httpx.post(
        f"{settings.stripe.api_base}/v1/payment_intents/{account['payment_intent']}/capture",
        headers={"Authorization": f"Bearer {settings.stripe.secret_key}"},
        trust_env=False,
    ).raise_for_status()


def paused(shop: Shop, link: Link) -> None:
    until = utcnow() + timedelta(minutes=10)

    def work(session: Session) -> None:
        merchant_id = session.get_one(PaymentLink, link.id).merchant_id
        session.execute(sa.update(Merchant).where(Merchant.id == merchant_id).values(payments_paused_until=until))
        event = NewEvent(EventType.PAYMENTS_PAUSED, Origin.SYSTEM, {"until": rfc3339(until)})
        log.append(session, merchant_id=merchant_id, link_id=link.id, events=[event])

    written(shop, work)
