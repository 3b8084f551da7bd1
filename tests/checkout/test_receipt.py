"""The receipt as a PDF: for the browser that paid, with text that can be read out of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pypdf import PdfReader

from paylink.checkout import receipt
from paylink.checkout.receipt_pdf import NOT_SHOWN, draw
from paylink.kit.cards import contains_issued_card_number
from paylink.messages.render import ReceiptFacts
from tests.checkout.world import Page, World

FACTS = ReceiptFacts(
    merchant="Acme & Sons",
    amount=4999,
    currency="GBP",
    paid_at=datetime(2026, 11, 21, 17, 48, 39, tzinfo=UTC),
    payment="pay_01m7zz6yqzrwpqerw1pw8gcq45",
    reference="INV-1042",
    card="Visa ending in 4242",
)


def read(document: bytes) -> str:
    """Its words."""
    return " ".join(word for page in PdfReader(BytesIO(document)).pages for word in page.extract_text().split())


def of(facts: ReceiptFacts) -> str:
    return read(draw(facts))


async def paid(world: World) -> tuple[str, Page]:
    _, token = await world.link()
    page = await world.browser().open(token)
    assert (await page.call("payments")).status_code == 200
    world.provider.authorise()
    assert (await page.call("refresh")).json()["state"] == "paid"
    return token, await page.reload()


async def test_the_browser_that_paid_can_keep_it(world: World) -> None:
    token, page = await paid(world)
    assert "Download receipt (PDF)" in page.text
    address = f"{page.data['base']}/receipt.pdf"
    assert f'href="{address}"' in page.text
    answer = await page.browser.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["cache-control"] == "no-store"
    text = read(answer.content)
    (payment_id,) = [
        data["payment"] for kind, data in await world.events(page.data["base"][5:]) if kind[-9:] == "succeeded"
    ]
    for part in ("£49.99 (GBP)", "Acme & Sons", "Boiler repair", "INV-1042", "Visa ending in 4242", "UTC", payment_id):
        assert part in text
    assert "Still to pay" not in text
    assert answer.headers["content-disposition"] == f'attachment; filename="receipt-{payment_id}.pdf"'
    for secret in (token, "4242424242424242", "pi_0"):
        assert secret not in text
        assert secret.encode() not in answer.content
    assert not contains_issued_card_number(text)


async def test_nobody_else_learns_that_there_is_one(world: World) -> None:
    token, page = await paid(world)
    _, other_token = await world.link()
    unpaid = await world.browser().open(other_token)
    second = await page.browser.open(token)
    stranger = world.browser()
    device = world.browser()
    await device.post(f"/p/{token}")
    forged = world.browser()
    forged.http.cookies.update(dict.fromkeys(page.browser.http.cookies, "x" * 43))
    address = f"{page.data['base']}/receipt.pdf"
    answers = [
        await stranger.get(address),
        await device.get(address),
        await forged.get(address),
        await unpaid.browser.get(f"{unpaid.data['base']}/receipt.pdf"),
        await page.browser.get("/pay/plink_00000000000000000000000000/receipt.pdf"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert second.response.status_code == 200
    assert (await page.browser.get(address)).status_code == 200


async def test_a_device_that_looked_on_while_another_paid_gets_none(world: World) -> None:
    link_id, token = await world.link()
    page, watching = await world.browser().open(token), await world.browser().open(token)
    await page.call("payments")
    world.provider.authorise()
    await page.call("refresh")
    for browser, status in ((page.browser, 200), (watching.browser, 404)):
        assert (await browser.get(f"/pay/{link_id}/receipt.pdf")).status_code == status


async def test_it_is_not_drawn_without_end_for_one_browser(limited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt, "draw", lambda _facts: b"%PDF")
    _, page = await paid(limited)
    asked = (page.browser.get(f"{page.data['base']}/receipt.pdf") for _ in range(130))
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200, 429}


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [(500, "JPY", "JP¥500 (JPY)"), (5000, "KWD", "KWD 5.000"), (150000, "INR", "₹1,500.00 (INR)")],
)
def test_amounts_have_the_decimals_of_their_currency(amount: int, currency: str, words: str) -> None:
    assert f"Amount paid {words} Paid to" in of(replace(FACTS, amount=amount, currency=currency))


def test_what_is_still_to_be_paid_is_said() -> None:
    assert "Still to pay £10.00 (GBP)" in of(replace(FACTS, left=1000))


@pytest.mark.parametrize("name", ["Łódź Ćwikła", "Αθηναϊκή Ζυθοποιία", "Київські Ґанки", "Đặng Thị Hương", "Ünlü İş"])
def test_latin_greek_and_cyrillic_are_written(name: str) -> None:
    text = of(replace(FACTS, merchant=name))
    assert f"Paid to {name}" in text
    assert NOT_SHOWN not in text


def test_letters_it_lacks_are_marked_and_said_to_be() -> None:
    text = of(replace(FACTS, merchant="Acme 株式会社", description="خدمة"))
    assert "Paid to Acme □□□□" in text
    assert NOT_SHOWN in text


def test_a_usual_one_has_one_page_and_long_texts_go_on() -> None:
    assert len(PdfReader(BytesIO(draw(FACTS))).pages) == 1
    words = " ".join(f"word{number}" for number in range(140))
    long = replace(FACTS, description=words, reference="R" * 200, merchant="M" * 200)
    assert len(PdfReader(BytesIO(draw(long))).pages) == 2
    text = of(long)
    assert words in text
    assert text.replace(" ", "").count("R" * 200) == 1
    assert text.endswith(FACTS.payment)
    assert of(replace(FACTS, description="W" * 1000 + "\n" * 500 + "end")).count("W") == 1000


def test_its_properties_are_its_title_and_nothing_else() -> None:
    document = draw(FACTS)
    reader = PdfReader(BytesIO(document))
    assert dict(reader.metadata or {}) == {"/Title": "Receipt"}
    assert reader.xmp_metadata is None
    assert reader.trailer["/Root"]["/Lang"] == "en"
    for word in (b"/Producer", b"anonymous", b"Date"):
        assert word not in document


def test_its_font_is_in_it() -> None:
    (page,) = PdfReader(BytesIO(draw(FACTS))).pages
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    assert fonts
    for font in fonts:
        assert "/FontFile2" in font["/FontDescriptor"]
        assert "/ToUnicode" in font
    assert len(draw(FACTS)) < 60_000
