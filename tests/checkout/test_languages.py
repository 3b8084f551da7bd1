"""The page in every language, in the one its reader wants, and with no word that slipped past the translators."""

import re
from collections.abc import Iterator
from gettext import NullTranslations
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from paylink.kit import i18n
from paylink.payments.advice import ADVICE
from paylink.payments.parts import Parts
from tests.checkout.test_security import MOST_BYTES
from tests.checkout.world import Page, World, data_of, heading

CODES = ["card_declined", "insufficient_funds", "incorrect_cvc", "expired_card", "processing_error"]
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
# What a customer reads that is not ours to translate.
DATA = (
    *("Acme & Sons", "Boiler repair", "INV-1042", "amber river seven", "Ann", "Visa", "4242", "1111"),
    *i18n.NAMES.values(),
)
SHOWN = {"title", "aria-label", "alt", "placeholder", "content"}


class Visible(HTMLParser):
    """The texts of a page that somebody reads or hears, and those that its script may show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(html)
        self.texts += list(strings(data_of(html).get("texts")))
        self.texts += list(strings((data_of(html).get("parts") or {}).get("texts")))
        self.texts += list(strings((data_of(html).get("away") or {}).get("texts")))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self._inside.append(tag)
        shown = (
            known.keys() & SHOWN if tag != "meta" else {"content"} if (known.get("property") or "")[:3] == "og:" else ()
        )
        self.texts += [str(known[name]) for name in shown if known.get("property") != "og:type"]
        if tag in {"meta", "link", "input", "br", "path", "circle"}:
            self._inside.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"script", "style"} & set(self._inside):
            self.texts.append(data.strip())


def strings(value: Any) -> Iterator[str]:
    for one in value.values() if isinstance(value, dict) else [value] if value else []:
        yield from strings(one) if isinstance(one, dict) else [str(one)]


class Bracketed(NullTranslations):
    """A language in which every text of ours stands in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


def outside(text: str) -> str:
    """What stands in no brackets and is no data."""
    while (bare := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = bare
    for data in DATA:
        text = text.replace(data, "")
    text = re.sub(r"£[\d.,]*|\d+ \w+ 20\d\d, \d\d:\d\d UTC|[\d.]{4,}", "", text)
    return re.sub(r"[\s:.…@]", "", text)


async def every_page(world: World, accept: str, **more: Any) -> dict[str, str]:
    """Each kind of page, as a browser that asks for ``accept`` gets it."""
    found: dict[str, str] = {}
    sent = {"Accept-Language": accept}

    async def opened(name: str, token: str) -> Page:
        browser = world.browser()
        browser.http.headers.update(sent)
        page = await browser.open(token)
        found[name] = page.text
        return page

    base = {"session_words": "amber river seven", **more}
    link_id, token = await world.link(**base)
    found["entry"] = (await world.browser().get(f"/p/{token}", **sent)).text
    found["wrong"] = (await world.browser().get("/p/nothing", **sent)).text
    found["missing"] = (await world.browser().get("/nothing", **sent)).text
    found["no session"] = (await world.browser().get(f"/pay/{link_id}", **sent)).text
    page = await opened("pay", token)
    await page.call("payments")
    await opened("elsewhere", token)
    await world.left(link_id)
    await opened("take over", token)
    world.provider.decline("insufficient_funds")
    await page.call("refresh")
    found["declined"] = (await page.reload()).text
    await page.call("payments")
    world.provider.authorise()
    await page.call("refresh")
    found["paid"] = (await page.reload()).text
    await opened("already paid", token)
    for name, changes in {
        "parts": {"minimum_amount": 1000},
        "rest": {"minimum_amount": 1000, "amount_paid": 1000, "status": "partially_paid"},
        "expired": {"status": "expired"},
        "expired in part": {"status": "expired", "amount_paid": 1000},
        "canceled": {"status": "canceled"},
        "canceled in part": {"status": "canceled", "amount_paid": 1000},
    }.items():
        _, token = await world.link(**base | changes)
        await opened(name, token)
    return found


async def test_every_text_goes_through_the_catalogs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "translator", lambda _language: Bracketed())
    for name, html in (await every_page(world, "en")).items():
        texts = Visible(html).texts
        assert texts, name
        assert not [text for text in texts if outside(text)], name


@pytest.mark.parametrize("language", i18n.LANGUAGES)
async def test_every_page_is_in_the_readers_language(world: World, language: str) -> None:
    pages = await every_page(world, language)
    english = {message for html in (await every_page(world, "en")).values() for message in Visible(html).texts}
    for name, html in pages.items():
        assert f'<html lang="{language}" dir="{i18n.direction(language)}">' in html, name
        if language != "en":
            same = {text for text in Visible(html).texts if text in english and outside(text)}
            assert not {text for text in same if " " in text}, (name, same)


@pytest.mark.parametrize("language", i18n.LANGUAGES)
async def test_the_page_stays_light_in_every_language(world: World, language: str) -> None:
    _, token = await world.link(session_words="amber river seven")
    browser = world.browser()
    browser.http.headers["Accept-Language"] = language
    entry = await browser.get(f"/p/{token}")
    own = re.findall(r'(?:src|href)="(/assets/[^"]+)"', entry.text)
    parts = [entry, await browser.post(f"/p/{token}"), *[await browser.get(address) for address in own]]
    # Of a letter of Arabic two bytes are sent, and three of one of Chinese.
    assert sum(len(part.text) for part in parts) <= MOST_BYTES
    assert sum(len(part.content) for part in parts) <= MOST_BYTES * 1.1


async def test_the_choice_on_the_page_comes_before_the_links_and_the_browsers(world: World) -> None:
    link_id, token = await world.link(locale="pl")
    browser = world.browser()
    browser.http.headers["Accept-Language"] = "fr"
    page = await browser.open(token)
    assert '<html lang="pl"' in page.text
    offered = re.findall(r'<button name="locale" value="([^"]+)" lang="\1">([^<]+)</button>', page.text)
    assert dict(offered) == {tag: name for tag, name in i18n.NAMES.items() if tag != "pl"}
    action = f'<form method="post" action="/pay/{link_id}/language">'
    assert action in page.text
    answer = await browser.http.post(f"/pay/{link_id}/language", content="locale=ar", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    again = (await browser.get(f"/pay/{link_id}")).text
    assert '<html lang="ar" dir="rtl">' in again
    assert '<html lang="pl"' in (await world.browser().get(f"/p/{token}", **{"Accept-Language": "fr"})).text


async def test_pages_without_a_session_offer_no_choice_that_could_not_be_kept(world: World) -> None:
    for path in ("/p/wrong", "/nothing"):
        assert "<details" not in (await world.browser().get(path)).text


async def test_wrong_tokens_answer_alike_in_each_language(world: World) -> None:
    for language in i18n.LANGUAGES:
        answers = [
            await world.browser().get(f"/p/{token}", **{"Accept-Language": language})
            for token in ("x" * 22, "x" * 11, "wrong", "a/b")
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("language", i18n.LANGUAGES)
async def test_a_decline_is_told_in_the_pages_language(world: World, language: str) -> None:
    _, token = await world.link(locale=language)
    page = await world.browser().open(token)
    said = set()
    for code in CODES:
        await page.call("payments")
        world.provider.decline(code)
        said.add((await page.call("refresh")).json()["decline"])
        if len(said) == 4:  # a fifth decline locks the link
            break
    assert said == {i18n.translator(language).gettext(ADVICE[code].customer) for code in CODES[:4]}


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_what_is_wrong_with_an_amount_is_said_with_amounts_of_the_language(language: str) -> None:
    sentences = Parts("GBP", 4999, 1000).sentences(language)
    assert len(set(sentences.values())) == 5
    for fault, sentence in sentences.items():
        assert "%" not in sentence
        assert ("49" in sentence) or ("10" in sentence) or fault == "amount_not_chargeable"


@pytest.mark.parametrize(
    ("language", "title", "drawn"), [("de", "Quittung", "de"), ("zh-Hant", "收據", "zh-Hant"), ("ar", "Receipt", "en")]
)
async def test_the_receipt_is_in_the_pages_language(world: World, language: str, title: str, drawn: str) -> None:
    _, token = await world.link(locale=language)
    page = await world.browser().open(token)
    await page.call("payments")
    world.provider.authorise()
    await page.call("refresh")
    document = PdfReader(BytesIO((await page.browser.get(f"{page.data['base']}/receipt.pdf")).content))
    assert document.trailer["/Root"]["/Lang"] == drawn
    assert (document.metadata or {})["/Title"] == title
    words = " ".join(document.pages[0].extract_text().split())
    assert title in words
    assert "49" in words
    assert "Visa" in words
    # An Arabic reader is told before that it is in English.
    assert ("بالإنجليزية" in (await page.reload()).text) == (language == "ar")


async def test_english_keeps_the_words_that_others_rely_on(world: World) -> None:
    found = await every_page(world, "en-US, en;q=0.9")
    assert heading(found["pay"]) == "Acme &amp; Sons"
    assert ">Pay £49.99</button>" in found["pay"]
    heads = {"paid": "Payment complete", "already paid": "Already paid", "expired": "This link has expired"}
    heads |= {"canceled": "This link was canceled", "wrong": "This link is not valid"}
    assert {name: heading(found[name]) for name in heads} == heads
