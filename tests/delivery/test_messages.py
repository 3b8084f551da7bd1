"""The words that reach a customer: complete, in one line where phones want it, and never markup of the writer's."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from paylink.kit import gsm7
from paylink.messages.render import Facts, render

URL = "https://c.example/p/v1lkJ883kvs_QNdvQGr5cg"
FACTS = Facts(
    merchant="Acme Heating",
    amount=4999,
    currency="GBP",
    url=URL,
    expires_at=datetime(2026, 11, 22, 18, 30, tzinfo=UTC),
    description="Boiler repair",
    reference="INV-1042",
    name="Ann",
)
BARE = replace(FACTS, description=None, reference=None, name=None)


@pytest.mark.parametrize("facts", [FACTS, BARE])
@pytest.mark.parametrize("channel", ["sms", "chat", "email"])
def test_a_message_says_who_how_much_and_where(channel: str, facts: Facts) -> None:
    message = render(channel, facts)
    for part in ("Acme Heating", "£49.99", URL):
        assert part in message.text
    assert "None" not in message.text
    if channel == "email":
        assert message.html is not None
        assert message.subject is not None
        assert URL in message.html
        assert "\n" not in message.subject
    else:
        assert "\n" not in message.text


def test_a_text_message_keeps_to_the_cheap_alphabet_and_one_part() -> None:
    message = render("sms", replace(BARE, currency="EUR", merchant="Café “Zoë”"))
    counted = gsm7.count(render("sms", BARE).text)
    assert (counted.encoding, counted.segments) == ("GSM-7", 1)
    assert "€49.99" in message.text


def test_nobody_writes_markup_or_headers_into_a_mail() -> None:
    evil = replace(
        FACTS, name="<script>alert(1)</script>", description="{{ 7*7 }}<img src=x>", reference="a\r\nBcc: b@c.d"
    )
    message = render("email", evil)
    assert message.html is not None
    assert "<script>" not in message.html
    assert "<img src=x>" not in message.html
    assert "{{ 7*7 }}" in message.text or "49" not in message.text.replace("£49.99", "").replace("INV-1042", "")
    assert message.subject is not None
    assert "\n" not in message.subject
    assert "\r" not in message.subject
