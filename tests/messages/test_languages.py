"""Messages in all the languages: whole, short, and no dearer than they need to be."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
import smsutil

from paylink.kit import gsm7, i18n
from paylink.kit.crypto import Keyring
from paylink.links import tokens
from paylink.messages.builtin import source
from paylink.messages.render import Facts, ReceiptFacts, ours, render, render_receipt

CHANNELS = ["sms", "email", "chat", "whatsapp", "other"]
NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
TOKEN = tokens.mint(Keyring(["k" * 32]), short=True).text
FACTS = Facts(
    merchant="Acme Heating",
    amount=4999,
    currency="EUR",
    url=tokens.url("https://pay.acme.test", TOKEN),
    expires_at=NOW,
    description="Boiler repair",
    reference="INV-1042",
    name="Zoë",
    words="amber river seven",
    agent="Sam",
    replies=True,
)
BARE = Facts(merchant="Acme Heating", amount=4999, currency="EUR", url=FACTS.url, expires_at=NOW)
RECEIPT = ReceiptFacts(
    merchant="Acme Heating",
    amount=4999,
    currency="PLN",
    paid_at=NOW,
    payment="pay_01m7zz6yqzrwpqerw1pw8gcq45",
    description="Boiler repair",
    reference="INV-1042",
    left=1000,
)
# English words of our own that no message in another language may show.
ENGLISH = re.compile(r"\b(pay|here|secure|works|hello|reference|never|your|reply|receipt|thank|still)\b", re.IGNORECASE)
SEVERAL = [pytest.param(*one, id="-".join(one)) for one in product(CHANNELS, i18n.LANGUAGES)]


def spoken(text: str) -> str:
    """Without what is data."""
    for data in (FACTS.url, "Acme Heating", "Boiler repair", "INV-1042", "amber river seven", "STOP", RECEIPT.payment):
        text = text.replace(data, " ")
    return text


@pytest.mark.parametrize(("channel", "language"), SEVERAL)
def test_a_message_says_who_why_how_much_and_where(channel: str, language: str) -> None:
    message = render(channel, FACTS, locale=language)
    assert message.locale == language
    for part in ("Acme Heating", "Boiler repair", "INV-1042", "49", FACTS.url, "amber river seven"):
        assert part in message.text
        assert message.html is None or part in message.html
    assert (message.html is not None) == (message.subject is not None) == (channel == "email")
    if channel == "email":
        assert f'lang="{language}"' in str(message.html)
        assert f'dir="{i18n.direction(language)}"' in str(message.html)
        assert "Sam" in message.text
    words = spoken(message.text + (message.subject or ""))
    assert bool(ENGLISH.search(words)) == (language == "en")
    assert "None" not in words + render(channel, BARE, locale=language).text


@pytest.mark.parametrize("language", i18n.LANGUAGES)
@pytest.mark.parametrize("currency", ["EUR", "GBP", "USD", "PLN", "INR", "JPY", "KWD"])
def test_a_text_message_keeps_to_the_alphabet_it_can(language: str, currency: str) -> None:
    text = render("sms", replace(FACTS, currency=currency), locale=language).text
    counted, judge = gsm7.count(text), smsutil.split(text)
    assert counted.encoding == ("UCS-2" if language in {"zh-Hans", "zh-Hant", "ar"} else "GSM-7")
    assert smsutil.is_valid_gsm(text) == (counted.encoding == "GSM-7")
    assert counted.segments == len(judge.parts) <= (3 if counted.encoding == "UCS-2" else 2)
    assert counted.price_factor == counted.segments


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_a_usual_request_is_one_text_message(language: str) -> None:
    text, bare = render("sms", FACTS, locale=language).text, render("sms", BARE, locale=language).text
    cheap = gsm7.count(text).encoding == "GSM-7"
    assert len(smsutil.split(text).parts) == 1 or not cheap
    assert len(smsutil.split(bare).parts) <= (1 if cheap else 2)
    assert "STOP" in text
    assert "STOP" not in bare


def test_polish_letters_lose_their_marks_in_texts_alone() -> None:
    facts = replace(FACTS, merchant="Łódzka Gazownia", description="Usługa", currency="PLN")
    text = render("sms", facts, locale="pl").text
    assert text.startswith("Lodzka Gazownia: Usluga (INV-1042). Zaplac 49,99 PLN tutaj: ")
    mail = render("email", facts, locale="pl")
    assert "Łódzka Gazownia" in mail.text
    assert "49,99\u00a0zł" in mail.text


@pytest.mark.parametrize("text", ["Łódź 東京", "Zażółć 😀", "Ανακαίνιση"])
def test_a_text_that_cannot_be_made_to_fit_stays_as_it_was(text: str) -> None:
    assert gsm7.normalise(text) == text


def test_amounts_name_their_currency() -> None:
    def amount(currency: str, language: str) -> str:
        return str(render("chat", replace(FACTS, currency=currency), locale=language).parts["amount"])

    assert amount("GBP", "en") == "£49.99"
    assert amount("USD", "en") == "US$49.99"
    assert amount("USD", "de") == "49,99\u00a0USD"
    assert amount("TWD", "zh-Hant") == "TWD\u00a049.99"
    assert amount("CNY", "zh-Hans") == "CNY\u00a049.99"
    assert amount("KWD", "fr") == "4,999\u00a0KWD"


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_a_receipt_is_in_the_customers_language(language: str) -> None:
    facts = replace(RECEIPT, locale=language)
    mail, text = render_receipt("email", facts), render_receipt("sms", facts)
    for said in (mail.text, str(mail.html), text.text):
        assert RECEIPT.payment in said
        assert "INV-1042" in said
    assert f'<html lang="{language}" dir="{i18n.direction(language)}">' in str(mail.html)
    assert bool(ENGLISH.search(spoken(mail.text + text.text))) == (language == "en")
    assert (gsm7.count(text.text).encoding == "GSM-7") == (language in {"en", "de", "fr", "es", "pl"})


def test_an_address_in_a_text_message_is_short_and_still_not_to_be_guessed() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{11}", TOKEN)
    assert len({tokens.mint(Keyring(["k" * 32]), short=True).text for _ in range(2000)}) == 2000
    for host in ("http://127.0.0.1:8001", "https://pay.acme.test"):
        assert len(tokens.url(host, TOKEN)) == len(tokens.sample(host, "sms")) <= 35
    assert len(tokens.sample("https://pay.acme.test", "email")) == len("https://pay.acme.test/p/") + 22


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_ours_reads_as_a_merchant_could_have_written_it(language: str) -> None:
    for name in ("sms.txt", "chat.txt", "email.txt", "email_subject.txt", "email.mjml"):
        assert "_(" not in source(name, language)
    assert "{{ url }}" in str(ours("sms", language)["text"])


def test_arabic_begins_at_the_right() -> None:
    for channel in ("sms", "chat"):
        assert render(channel, FACTS, locale="ar").text.startswith("\u200fAcme Heating")
    assert 'align="right"' in str(render("email", FACTS, locale="ar").html) or "text-align:right" in str(
        render("email", FACTS, locale="ar").html
    )


def test_no_message_hurries_anybody() -> None:
    hurry = re.compile(r"urgent|immediately|now|asap|last chance|final|!", re.IGNORECASE)
    assert not any(hurry.search(render(channel, FACTS).text) for channel in CHANNELS)
