"""What agents do at the console about the ways to customers: accounts, texts, opt-outs, one way after the other.

The console knows no database, so these run on one.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import FrameLocator, Locator, expect

from tests.channels.listener import Given, Request, serving
from tests.e2e.conftest import Visit
from tests.e2e.desk import Desk
from tests.e2e.shop import MERCHANT, Shop, new_phone
from tests.services import wait_until

# What the form asks of a gateway, as an agent reads it.
GATEWAY = {"User name": "paylink", "Password": "the gateway's own", "Report secret": "sixteen0letters0and0more"}


@pytest.fixture(scope="module")
def shop(sqlite_shop: Shop) -> Shop:
    return sqlite_shop


@pytest.fixture
def forgiven() -> tuple[str, ...]:
    """What these type wrongly is refused, and the browser complains of each refusal."""
    return ("status of 422",)


@contextmanager
def gateway(taken: list[dict[str, str]]) -> Iterator[str]:
    """Answers as Kannel does when it takes a message."""

    def answer(request: Request) -> Given:
        taken.append({name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()})
        return Given(202, b"0: Accepted for delivery")

    with serving(answer) as address:
        yield f"{address}/cgi-bin/sendsms"


def row(desk: Desk, text: str) -> Locator:
    return desk.page.get_by_role("listitem").filter(has_text=text)


def choose(desk: Desk, label: str, option: str) -> None:
    desk.page.get_by_label(label, exact=True).select_option(label=option)


def type_in(desk: Desk, label: str, text: str) -> None:
    desk.page.get_by_role("textbox", name=label, exact=True).fill(text)


def test_an_account_is_added_tried_used_and_removed(shop: Shop, desk: Desk) -> None:
    taken: list[dict[str, str]] = []
    page = desk.page
    desk.go("/settings/channels")
    expect(page.get_by_text("No account is set up yet.")).to_be_visible()
    with gateway(taken) as address:
        choose(desk, "Provider", "SMS: Kannel")
        type_in(desk, "Name", "Our gateway")
        type_in(desk, "Address of sendsms", "gateway")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("textbox", name="Address of sendsms")).to_have_accessible_description(
            "This is not written as it has to be Of your gateway, such as https://gateway.example.com:13013/cgi-bin/sendsms"
        )
        expect(page.get_by_role("textbox", name="Report secret")).to_have_accessible_description(
            re.compile("^This is needed")
        )
        type_in(desk, "Address of sendsms", address)
        for label, text in GATEWAY.items():
            type_in(desk, label, text)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(row(desk, "Our gateway")).to_contain_text("SMS by Kannel")
        assert GATEWAY["Password"] not in page.content()

        page.get_by_role("button", name="Test Our gateway").click()
        type_in(desk, "To", "+447700900999")
        page.get_by_role("button", name="Send a test message").click()
        expect(page.get_by_role("status").filter(has_text="Handed over")).to_be_visible()
        (tried,) = taken
        assert (tried["to"], tried["password"]) == ("+447700900999", GATEWAY["Password"])
        page.get_by_role("button", name="Back").click()

        to = new_phone()
        shop.link(deliver=[{"channel": "sms", "to": to}])
        wait_until(lambda: [one["to"] for one in taken].count(to) == 1, what="the message at the gateway")
        assert shop.product.messages(to) == []
    page.get_by_role("button", name="Remove Our gateway").click()
    desk.confirm("Remove Our gateway?", "Remove")
    expect(page.get_by_text("No account is set up yet.")).to_be_visible()


def test_a_text_is_written_seen_and_sent_until_it_is_taken_back(shop: Shop, desk: Desk) -> None:
    page = desk.page
    desk.go("/settings/messages")
    preview = page.get_by_role("region", name="Preview")
    expect(preview).to_contain_text(f"{MERCHANT}: Boiler repair (INV-1042). Pay £49.99 here:")
    type_in(desk, "Text", "{{ merchants }}")
    expect(preview.get_by_role("alert")).to_contain_text("There is no merchants; there are")
    type_in(desk, "Text", "Hello from {{ merchant }}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The text must hold the link: {{ url }}").first).to_be_visible()
    type_in(desk, "Text", "Ahoy! {{ amount }} to {{ merchant }}: {{ url }}")
    expect(preview).to_contain_text(f"Ahoy! £49.99 to {MERCHANT}: ")
    expect(preview).to_contain_text("GSM-7, costs 1 message")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your own", exact=True)).to_be_visible()
    assert said_to(shop).startswith(f"Ahoy! £49.99 to {MERCHANT}: http")
    page.get_by_role("button", name="Back to the built-in text").click()
    expect(page.get_by_text("Built in", exact=True)).to_be_visible()
    assert said_to(shop).startswith(f"{MERCHANT}: Boiler repair")


def test_an_email_is_seen_as_its_reader_will(desk: Desk) -> None:
    desk.go("/settings/messages")
    choose(desk, "Channel", "Email")
    choose(desk, "Language", "العربية")
    mail: FrameLocator = desk.page.frame_locator('iframe[title="The message as HTML"]')
    expect(mail.locator("html")).to_have_attribute("dir", "rtl")
    expect(mail.get_by_text(MERCHANT, exact=True)).to_be_visible()
    expect(desk.page.get_by_role("textbox", name="Subject")).not_to_have_value("")


def test_whoever_opted_out_is_not_written_to_and_the_agent_sees_why(shop: Shop, desk: Desk) -> None:
    page, to = desk.page, new_phone()
    desk.go("/settings/opt-outs")
    expect(page.get_by_text("Nobody has opted out.")).to_be_visible()
    type_in(desk, "Phone number or email address", "12")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Must begin with + and the country code")).to_be_visible()
    type_in(desk, "Phone number or email address", to)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(row(desk, to)).to_contain_text("SMS: Nothing is sent, asked an agent")

    link = shop.link(deliver=[{"channel": "sms", "to": to}])
    desk.see(link)
    desk.timeline("The customer has asked for no more texts; send it by another channel")
    assert shop.product.messages(to) == []
    page.get_by_role("link", name="See opt-outs").click()
    page.get_by_role("button", name=f"Lift for {to}").click()
    desk.confirm(f"Write to {to} again?", "Lift the opt-out")
    expect(page.get_by_text("Nobody has opted out.")).to_be_visible()
    shop.link(deliver=[{"channel": "sms", "to": to}])
    wait_until(lambda: shop.product.messages(to) != [], what="the message after the opt-out was lifted")


def test_what_was_sent_is_withdrawn_and_sent_again_by_another_channel(shop: Shop, desk: Desk, visit: Visit) -> None:
    page, to = desk.page, new_phone()
    link = shop.link(deliver=[{"channel": "sms", "to": to}])
    first = shop.message_url(to)
    desk.see(link)
    page.get_by_role("button", name="Withdraw what was sent by SMS").click()
    desk.confirm("Withdraw what was sent by SMS?", "Withdraw")
    desk.timeline("Withdrawn by Alex Morgan: the link sent by SMS")
    visit(first, expecting={404}).heading("This link is not valid")

    page.get_by_role("button", name="Send again").click()
    choose(desk, "Channel", "Email")
    type_in(desk, "To", "customer@example.com")
    page.get_by_role("dialog", name="Send again").get_by_role("button", name="Send", exact=True).click()
    desk.timeline("Delivered by email to")
    assert shop.get(f"/v1/payment_links/{link.id}")["deliveries"][-1]["to"] == "customer@example.com"


def test_what_is_pasted_speaks_of_its_own_link(shop: Shop, desk: Desk) -> None:
    link = shop.link(locale="de")
    page = desk.page
    desk.see(link)
    page.get_by_role("button", name="Send again").click()
    choose(desk, "Channel", "Chat")
    page.get_by_role("dialog", name="Send again").get_by_role("button", name="Send", exact=True).click()
    panel = page.get_by_role("region", name="Hand over")
    url = panel.get_by_label("Link to paste").input_value()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.get_by_role("button", name="Copy message").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    message = page.evaluate("navigator.clipboard.readText()")
    assert url in message
    assert f"Erkennungswörter: {link.answer['session_words']}." in message


def test_one_way_after_the_other(shop: Shop, desk: Desk) -> None:
    page, to = desk.page, new_phone()
    desk.go("/links/new")
    page.get_by_label("Amount", exact=True).fill("49.99")
    type_in(desk, "Phone", to)
    type_in(desk, "Email", "customer@example.com")
    page.get_by_role("checkbox", name="SMS").check()
    page.get_by_role("checkbox", name="Email").check()
    page.get_by_role("checkbox", name="One after the other").check()
    page.get_by_role("button", name="Create and send").click()
    desk.timeline("Delivered by SMS")
    made = shop.get(f"/v1/payment_links/{page.url.rpartition('/')[2]}")
    assert [one["channel"] for one in made["deliveries"]] == ["sms"]
    expect(row(desk, to).last).not_to_contain_text("If it does not arrive")


def said_to(shop: Shop) -> str:
    """What a customer is sent now."""
    to = new_phone()
    shop.link(deliver=[{"channel": "sms", "to": to}])
    wait_until(lambda: shop.product.messages(to) != [], what=f"a message to {to}")
    return str(shop.product.messages(to)[0]["text"])
