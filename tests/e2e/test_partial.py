"""Paying in parts and in currencies without decimals or with three, by people: the provider's books are the judge."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from paylink.kit.money import MAX_AMOUNT, currencies, format_amount, writing
from tests.e2e.conftest import Visit
from tests.e2e.shop import MERCHANT, PAID, PHONE, VIEWPORTS, Customer, Link, Shop, card_frame
from tests.e2e.test_page import assert_readable, tab_to

DECLINED, THREE_D_SECURE = "4000000000000002", "4000002500003155"


@pytest.fixture(scope="module")
def shop(sqlite_shop: Shop) -> Shop:
    """What the databases do is tested where payments are; a page is the same on every one."""
    return sqlite_shop


def parts(shop: Shop, **more: object) -> Link:
    return shop.link(**({"minimum_amount": 1000} | more))  # type: ignore[arg-type]


def amount_field(page: Page) -> Locator:
    return page.get_by_label("Amount to pay", exact=True)


def wait_ready(customer: Customer, button: str) -> None:
    expect(customer.page.get_by_role("button", name=button, exact=True)).to_be_enabled()
    expect(amount_field(customer.page)).to_be_editable()


def pay_part(customer: Customer, typed: str, button: str, number: str = PAID) -> None:
    amount_field(customer.page).fill(typed)
    customer.enter(number)
    customer.page.get_by_role("button", name=button, exact=True).click()


def status(shop: Shop, link: Link) -> tuple[str, int, int]:
    found = shop.get(f"/v1/payment_links/{link.id}")
    return found["status"], found["amount_paid"], found["amount_refunded"]


def test_two_people_pay_a_part_each(shop: Shop, visit: Visit) -> None:
    link = parts(shop)
    first = visit(link.url)
    wait_ready(first, "Pay £49.99")
    expect(amount_field(first.page)).to_have_value("49.99")
    expect(first.page.get_by_text("£49.99", exact=True)).to_be_visible()
    second = visit(link.url, viewport=PHONE)
    wait_ready(second, "Pay £49.99")

    pay_part(first, "20", "Pay £20.00")
    told = first.page.get_by_text("Paid £20.00, £29.99 left")
    expect(told).to_be_visible()
    # Read out where the page changed under the reader.
    expect(told).to_be_focused()
    expect(amount_field(first.page)).to_have_value("29.99")
    assert status(shop, link) == ("partially_paid", 2000, 0)

    # The other page has not heard yet. What it asks for is refused, and it shows what is left.
    pay_part(second, "35", "Pay £35.00")
    expect(second.page.get_by_text("Paid £20.00, £29.99 left")).to_be_visible()
    assert shop.captures(link.id) == [2000]
    wait_ready(second, "Pay £29.99")
    pay_part(second, "29,99", "Pay £29.99", THREE_D_SECURE)
    second.answer_3ds("Approve")
    second.heading("Payment complete")
    expect(second.page.get_by_text("Paid now")).to_be_visible()
    assert status(shop, link) == ("paid", 4999, 0)
    assert sorted(shop.captures(link.id)) == [2000, 2999]
    first.heading("Already paid")
    second.faults = [fault for fault in second.faults if "422" not in fault]


def test_the_field_says_what_is_wrong_and_the_button_what_will_be_paid(shop: Shop, visit: Visit) -> None:
    link = parts(shop, amount=123_456)
    customer = visit(link.url)
    wait_ready(customer, "Pay £1,234.56")
    page, field = customer.page, amount_field(customer.page)
    for typed, shown in (
        ("£1,000.00", "Pay £1,000.00"),
        ("1.000,50", "Pay £1,000.50"),
        (" 20 GBP ", "Pay £20.00"),
        ("1 000,5", "Pay £1,000.50"),
        ("20.5", "Pay £20.50"),
        ("1,234.56", "Pay £1,234.56"),
    ):
        field.fill(typed)
        expect(page.get_by_role("button", name=shown, exact=True)).to_be_visible()
    for typed, said in (
        ("9.99", "Please pay at least £10.00."),
        ("1,300", "Only £1,234.56 is left to pay."),
        ("1230", "Please pay all of the £1,234.56, or leave at least £10.00 to pay later."),
        ("ten", "Please enter an amount like 1234.56."),
        ("20.555", "Please enter an amount like 1234.56."),
        ("-20", "Please enter an amount like 1234.56."),
        ("", "Please enter an amount like 1234.56."),
    ):
        field.fill(typed)
        page.get_by_role("button", name="Pay", exact=True).click()
        expect(page.locator("#amount-error")).to_have_text(said)
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("1200")
    expect(page.locator("#amount-error")).to_have_text("")
    assert shop.payments(link.id) == []


def test_the_keyboard_alone_pays_a_part_after_a_decline(shop: Shop, visit: Visit) -> None:
    link = parts(shop)
    customer = visit(link.url)
    wait_ready(customer, "Pay £49.99")
    page = customer.page
    tab_to(page, "Amount to pay")
    page.keyboard.press("Control+A")
    page.keyboard.type("15.5")
    for label, typed in (("Card number", DECLINED), ("Expiration date", "1234"), ("Security code", "123")):
        tab_to(page, label)
        page.keyboard.type(typed)
    tab_to(page, "Pay £15.50")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Your card was declined")
    # What was typed is still there, and can be changed before the next try.
    expect(amount_field(page)).to_have_value("15.5")
    pay_part(customer, "12.00", "Pay £12.00")
    expect(page.get_by_text("Paid £12.00, £37.99 left")).to_be_visible()
    assert shop.captures(link.id) == [1200]


def test_a_lost_line_and_another_amount_charge_the_other_amount(shop: Shop, visit: Visit) -> None:
    link = parts(shop)
    customer = visit(link.url)
    wait_ready(customer, "Pay £49.99")
    customer.page.route("**/v1/payment_intents/**", lambda route: route.abort())
    customer.page.route("**/confirm**", lambda route: route.abort())
    pay_part(customer, "20", "Pay £20.00")
    expect(customer.page.get_by_role("alert")).to_be_visible()
    customer.page.unroute_all()
    pay_part(customer, "30", "Pay £30.00")
    expect(customer.page.get_by_text(re.compile("^Paid £30.00, £19.99 left$"))).to_be_visible()
    assert shop.captures(link.id) == [3000]
    customer.faults = [fault for fault in customer.faults if "ERR_FAILED" not in fault]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_the_field_can_be_read_in_every_scheme_and_size(shop: Shop, visit: Visit, scheme: str, viewport: str) -> None:
    customer = visit(parts(shop).url, viewport=VIEWPORTS[viewport], color_scheme=scheme)
    wait_ready(customer, "Pay £49.99")
    customer.heading(MERCHANT)
    amount_field(customer.page).fill("1")
    customer.page.get_by_role("button", name="Pay", exact=True).click()
    assert_readable(customer, dark=scheme == "dark")
    page = customer.page
    assert page.evaluate("document.documentElement.scrollWidth") <= VIEWPORTS[viewport]["width"]
    box = amount_field(page).locator("..").bounding_box()
    assert box
    assert box["height"] >= 44


@pytest.mark.parametrize(
    ("currency", "amount", "minimum", "part", "shown", "rest", "back", "books"),
    [
        ("JPY", 5000, 1000, "2,000", "JP¥2,000", "JP¥3,000", 500, [2000, 3000]),
        ("KWD", 12_340, 1000, "5.5", "KWD\u00a05.500", "KWD\u00a06.840", 250, [5500, 6840]),
        # Stripe counts kronur in hundredths that do not exist.
        ("ISK", 5000, 1000, "2000", "ISK\u00a02,000", "ISK\u00a03,000", 500, [200_000, 300_000]),
        # ISO counts an ariary in hundredths, Stripe does not.
        ("MGA", 500_000, 100_000, "2000", "MGA\u00a02,000.00", "MGA\u00a03,000.00", 50_000, [2000, 3000]),
    ],
)
def test_each_currency_is_paid_and_given_back_in_its_own_units(
    shop: Shop,
    visit: Visit,
    currency: str,
    amount: int,
    minimum: int,
    part: str,
    shown: str,
    rest: str,
    back: int,
    books: list[int],
) -> None:
    link = parts(shop, currency=currency, amount=amount, minimum_amount=minimum)
    customer = visit(link.url)
    whole = format_amount(amount, currency)
    expect(customer.page.get_by_text(whole, exact=True)).to_be_visible()
    wait_ready(customer, f"Pay {whole}")
    pay_part(customer, part, f"Pay {shown}")
    expect(customer.page.get_by_text(f"Paid {shown}, {rest} left")).to_be_visible()
    wait_ready(customer, f"Pay {rest}")
    customer.enter(PAID)
    customer.press_pay(rest)
    customer.heading("Payment complete")
    expect(customer.page.get_by_text(whole, exact=True)).to_be_visible()
    first = shop.payments(link.id)[0]
    shop.post(f"/v1/payments/{first['id']}/refunds", {"amount": back})
    assert status(shop, link) == ("paid", amount, back)
    assert sorted(shop.captures(link.id)) == books
    theirs = sum(one["refunded"] for one in shop.ledger(link.id))
    assert theirs * amount == back * sum(books)


@pytest.mark.parametrize(("currency", "amount", "back"), [("JPY", 5000, 1500), ("KWD", 12_340, 2340)])
def test_a_whole_link_in_each_currency(shop: Shop, visit: Visit, currency: str, amount: int, back: int) -> None:
    link = shop.link(currency=currency, amount=amount)
    customer = visit(link.url)
    customer.enter(PAID)
    customer.press_pay(format_amount(amount, currency))
    customer.heading("Payment complete")
    (payment,) = shop.payments(link.id)
    shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": back})
    (account,) = shop.ledger(link.id)
    assert (account["currency"].upper(), account["captured"], account["refunded"]) == (currency, amount, back)


def test_what_the_page_writes_is_read_back_as_the_same(shop: Shop, visit: Visit) -> None:
    """The page's own script and the server write alike, and the field reads what either wrote."""
    customer = visit(parts(shop).url)
    wait_ready(customer, "Pay £49.99")
    amounts = [1, 9, 10, 99, 100, 1000, 4999, 123_450, 1_234_567, MAX_AMOUNT]
    cases = [
        [
            code,
            {**vars_of(code), "groups": list(vars_of(code)["groups"])},
            [[a, format_amount(a, code)] for a in amounts],
        ]
        for code in currencies()
    ]
    wrong = customer.page.evaluate(
        """async (cases) => {
          const { read, write } = await import(JSON.parse(document.getElementById("data").textContent).parts.script);
          const wrong = [];
          for (const [code, w, pairs] of cases) for (const [amount, text] of pairs) {
            const plain = write(amount, { ...w, before: "", after: "", group: "" });
            if (write(amount, w) !== text) wrong.push([code, amount, text, write(amount, w)]);
            for (const one of [text, plain, `${plain} ${code}`, `${code} ${plain}`])
              if (read(one, w, code) !== amount) wrong.push([code, amount, one, read(one, w, code)]);
          }
          return wrong;
        }""",
        cases,
    )
    assert wrong == []


def vars_of(code: str) -> dict[str, object]:
    style = writing(code)
    return {name: getattr(style, name) for name in type(style).__slots__}


def test_the_card_fields_are_told_the_amount_that_is_paid(shop: Shop, visit: Visit) -> None:
    """The provider compares what its fields were told with what is confirmed; a lie would be refused."""
    link = parts(shop)
    customer = visit(link.url)
    wait_ready(customer, "Pay £49.99")
    expect(card_frame(customer.page).get_by_label("Card number", exact=True)).to_be_visible()
    for typed in ("10", "25", "48", "12.34"):
        amount_field(customer.page).fill(typed)
    customer.enter(PAID)
    customer.press_pay("£12.34")
    expect(customer.page.get_by_text("Paid £12.34, £37.65 left")).to_be_visible()
