"""A merchant's own words: what may stand in them, and that nothing in them costs us or a customer a message."""

import time
from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.audit.models import AuditEntry
from paylink.channels.base import ChannelName
from paylink.db import Database
from paylink.errors import Invalid
from paylink.kit import i18n
from paylink.kit.ids import new_id
from paylink.messages import custom, service
from paylink.messages.custom import NAMES, TemplateFault
from paylink.messages.models import MessageTemplate
from paylink.messages.render import ours, render, values_of
from tests.api.world import CARD, Api, problem
from tests.messages.test_languages import BARE, FACTS

VALUES = values_of("sms", FACTS, "en")
MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"

HOSTILE = [
    "{{ merchant.__class__.__mro__ }}",
    "{{ merchant['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ merchant|map('upper') }}",
    "{{ merchant|format('%s') }}",
    "{{ 'x' * 1000000000 }}",
    "{{ merchant ~ merchant }}",
    "{{ merchant + url }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ range(10) }}",
    "{{ lipsum() }}",
    "{{ cycler }}",
    "{{ self }}",
    "{{ config }}",
    "{{ secret }}",
    "{{ merchant.upper() }}",
    "{{ merchant|center(100000000) }}",
    "{{ merchant|indent(100000000) }}",
    "{{ merchant|replace('a', 'b' ) }}",
    "{{ merchant|safe }}",
    "{{ merchant[:1] }}",
    "{{ [1, 2] }}",
    "{{ {'a': 1} }}",
    "{% for a in merchant %}x{% endfor %}",
    "{% set merchant = url %}",
    "{% macro m() %}{{ m() }}{% endmacro %}",
    "{% include 'email.txt' %}",
    "{% import 'email.txt' as e %}",
    "{% extends 'email.txt' %}",
    "{% block a %}{% endblock %}",
    "{% autoescape false %}{{ merchant }}{% endautoescape %}",
    "{% with a = 1 %}{% endwith %}",
    "{% filter upper %}a{% endfilter %}",
    "{% do 1 %}",
    "{{ merchant is defined }}",
    "{{ merchant|default(*url) }}",
    "{{ merchant|default(**url) }}",
    "{% if merchant %}",
    "{{ merchant",
    "{{ }}",
    "{# never ends",
    "{{ " + "(" * 5000 + "url" + ")" * 5000 + " }}",
    "{% if url %}" * 300 + "{% endif %}" * 300,
    "{{ " + "not " * 500 + "url }}",
    "{{ url }}" * 1500,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("markup", [False, True])
def test_nothing_but_names_and_conditions_is_taken(text: str, markup: bool) -> None:
    begun = time.perf_counter()
    with pytest.raises(TemplateFault) as refused:
        custom.fill(text, VALUES, markup=markup)
    assert time.perf_counter() - begun < 1
    assert refused.value.line >= 1
    assert refused.value.what[0].isupper()


@pytest.mark.parametrize("size", ["{{ merchant|truncate(10**9) }}", "{{ merchant|truncate('x') }}", "{{ 1|upper }}"])
def test_a_filter_given_nonsense_is_a_fault_and_no_crash(size: str) -> None:
    try:
        custom.fill(size, VALUES)
    except TemplateFault:
        return
    assert size == "{{ 1|upper }}"


def test_what_a_merchant_needs_can_be_written() -> None:
    text = "{% if name %}Hi {{ name|upper }}, {% else %}Hi, {% endif %}{{ description or 'your order' }}: {{ url }}"
    assert custom.fill(text, VALUES) == f"Hi ZOË, Boiler repair: {FACTS.url}"
    assert custom.fill(text, values_of("sms", BARE, "en")) == f"Hi, your order: {FACTS.url}"
    every = " ".join(f"{{{{ {name} }}}}" for name in NAMES)
    assert "None" not in custom.fill(every, values_of("sms", BARE, "en"))


def test_names_are_escaped_where_there_is_markup() -> None:
    values = values_of("email", replace(FACTS, name="<b>&\"'"), "en")
    assert "&lt;b&gt;&amp;&#34;&#39;" in custom.page(MJML.format("{{ name }} {{ url }}"), values)


def test_a_fault_names_its_line() -> None:
    with pytest.raises(TemplateFault) as refused:
        custom.fill("one\ntwo {{ url }}\nthree {{ nobody }}", VALUES)
    assert (refused.value.line, "nobody" in refused.value.what, "merchant" in refused.value.what) == (3, True, True)


@pytest.mark.parametrize("language", i18n.LANGUAGES)
@pytest.mark.parametrize("channel", service.CHANNELS)
def test_our_own_pass_for_a_merchants(channel: ChannelName, language: str) -> None:
    words = ours(channel, language)
    text = str(words["text"])
    template = template_of(channel.value, language, text, subject=words["subject"], mjml=words["mjml"])
    for facts in (FACTS, BARE):
        mine, built_in = (
            render(channel, facts, locale=language, template=template),
            render(channel, facts, locale=language),
        )
        assert mine == built_in
    service.judged(
        channel, language, merchant="Acme", url=FACTS.url, subject=words["subject"], text=text, mjml=words["mjml"]
    )


def template_of(
    channel: str, language: str, text: str, *, subject: str | None = None, mjml: str | None = None
) -> MessageTemplate:
    return MessageTemplate(id="mtp_1", channel=channel, language=language, text=text, subject=subject, mjml=mjml)


@pytest.mark.parametrize("text", ["{{ nobody }}", "{% if name %}{{ url }}{% endif %}", "{% for", "no link at all"])
def test_a_template_that_fails_loses_no_message(text: str) -> None:
    mine = render("sms", BARE, locale="de", template=template_of("sms", "de", text))
    assert mine.text == render("sms", BARE, locale="de").text


def test_a_mail_whose_layout_fails_is_ours_as_a_whole() -> None:
    template = template_of("email", "en", "Mine: {{ url }}", subject="Mine", mjml="<mjml><mj-body>")
    assert render("email", FACTS, template=template) == render("email", FACTS)


def judged(channel: str = "sms", **words: str) -> str:
    given = {"subject": None, "mjml": None, "text": "{{ url }}", **words}
    return service.judged(ChannelName(channel), "en", merchant="Acme", url=FACTS.url, **given).text


@pytest.mark.parametrize(
    ("words", "field", "said"),
    [
        ({"text": "Hello"}, "text", "Line 1: The text must hold the link"),
        ({"text": "{% if description %}{{ url }}{% endif %}"}, "text", "must hold the link"),
        ({"text": "a\n\n{{ urll }}"}, "text", "Line 3: There is no urll"),
        ({"text": "{{ url }}", "subject": "x"}, "subject", "Only an e-mail"),
        ({"channel": "email", "subject": "{{ x }}", "text": "{{ url }}"}, "subject", "There is no x"),
        ({"channel": "email", "subject": "{{ description }}", "text": "{{ url }}"}, "subject", "is empty"),
        ({"channel": "email", "text": "{{ url }}", "mjml": MJML.format("no link")}, "mjml", "must hold the link"),
        ({"channel": "email", "text": "{{ url }}", "mjml": "<mjml>\n<mj-nope></mj-nope>"}, "mjml", "Line 2"),
        ({"channel": "email", "text": "{{ url }}", "mjml": MJML.format("<script>")}, "mjml", "not allowed"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(words: dict[str, str], field: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        judged(**words)
    (error,) = refused.value.errors
    assert error.field == field
    assert said in error.message


async def test_a_merchants_words_are_theirs_alone(db: Database) -> None:
    ids = [new_id("mer"), new_id("mer")]

    def work(session: Session) -> None:
        for merchant_id in ids:
            session.add(Merchant(id=merchant_id, name="Acme"))
        session.flush()
        words = {"subject": None, "mjml": None, "text": "Mine: {{ url }}", "updated_by": "agent:agt_1"}
        session.add(MessageTemplate(id=new_id("mtp"), merchant_id=ids[0], channel="sms", language="de", **words))

    await db.transact(work)

    def found(session: Session) -> list[MessageTemplate | None]:
        asked = [(ids[0], "sms", "de-AT"), (ids[0], "sms", "fr"), (ids[0], "email", "de"), (ids[1], "sms", "de")]
        return [service.template_for(session, *one) for one in asked]

    mine, *others = await db.read(found)
    assert mine is not None
    assert others == [None, None, None]
    assert render("sms", BARE, locale="de-AT", template=mine).text == f"Mine: {FACTS.url}"


def test_the_api_keeps_shows_and_forgets_them(api: Api, http: httpx.Client) -> None:
    listed = http.get("/v1/message_templates").json()
    assert listed["object"] == "list"
    assert len(listed["data"]) == len(service.CHANNELS) * len(i18n.LANGUAGES)
    assert not any(one["custom"] for one in listed["data"])
    body = {"text": "Bitte zahlen: {{ url }}"}
    put = http.put("/v1/message_templates/sms/de-AT", json=body)
    assert (put.status_code, put.json()["custom"], put.json()["language"]) == (200, True, "de")
    assert (
        http.put("/v1/message_templates/sms/de", json=body | {"text": "Neu: {{ url }}"}).json()["text"]
        == "Neu: {{ url }}"
    )
    (mine,) = [one for one in http.get("/v1/message_templates").json()["data"] if one["custom"]]
    assert (mine["channel"], mine["language"], mine["text"]) == ("sms", "de", "Neu: {{ url }}")
    seen = {"channel": "sms", "amount": 4999, "currency": "EUR", "language": "de-CH"}
    assert http.post("/v1/deliveries/preview", json=seen).json()["text"].startswith("Neu: http://checkout.test/p/")
    with api.client(api.other.key) as stranger:
        assert not any(one["custom"] for one in stranger.get("/v1/message_templates").json()["data"])
        problem(stranger.delete("/v1/message_templates/sms/de"), 404, "not_found")
    assert http.delete("/v1/message_templates/sms/de").status_code == 204
    problem(http.delete("/v1/message_templates/sms/de"), 404, "not_found")
    query = sa.select(AuditEntry).where(AuditEntry.merchant_id == api.shop.merchant_id).order_by(AuditEntry.seq)
    told = [
        (entry.action, entry.details["what"])
        for entry in api.db.read_sync(lambda session: list(session.scalars(query)))
        if entry.action == "template.changed"
    ]
    assert told == [("template.changed", "changed")] * 2 + [("template.changed", "removed")]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("sms/de", {"text": "Hello"}, "template_invalid"),
        ("sms/de", {"text": "{{ ''.__class__ }} {{ url }}"}, "template_invalid"),
        ("sms/tlh", {"text": "{{ url }}"}, "language_unknown"),
        ("qr/de", {"text": "{{ url }}"}, "channel_without_message"),
        ("sms/de", {"text": f"{CARD} {{{{ url }}}}"}, "card_number_not_allowed"),
        ("sms/de", {"text": "\x00{{ url }}"}, "control_characters"),
        ("sms/de", {"text": "x" * 5000}, "string_too_long"),
        ("email/de", {"text": "{{ url }}", "mjml": "x"}, "template_invalid"),
        ("sms/de", {"text": "{{ url }}", "more": 1}, "extra_forbidden"),
    ],
)
def test_the_api_refuses_with_the_reason(http: httpx.Client, path: str, body: dict[str, object], code: str) -> None:
    answers = [http.put(f"/v1/message_templates/{path}", json=body)]
    channel, _, language = path.partition("/")
    answers.append(http.post("/v1/message_templates/preview", json=body | {"channel": channel, "language": language}))
    for answer in answers:
        assert problem(answer, 422)["errors"][0]["code"] == code
        assert CARD not in answer.text


def test_a_template_can_be_looked_at_first(http: httpx.Client) -> None:
    body = {"channel": "sms", "language": "pl", "text": "Zażółć {{ amount }} {{ url }}"}
    seen = http.post("/v1/message_templates/preview", json=body).json()
    assert seen["text"].startswith("Zazolc 49,99 GBP http://checkout.test/p/")
    assert (seen["segments"]["encoding"], seen["segments"]["price_factor"], seen["html"]) == ("GSM-7", 1, None)
    mail = {"channel": "email", "language": "ar", "subject": "{{ merchant }}", "text": "{{ url }}"}
    seen = http.post("/v1/message_templates/preview", json=mail | {"mjml": MJML.format("<b>{{ url }}</b>")}).json()
    assert (seen["subject"], seen["segments"]) == ("Shop One", None)
    assert "<b>http://checkout.test/p/" in seen["html"]
    assert not any(one["custom"] for one in http.get("/v1/message_templates").json()["data"])


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_a_delivery_is_looked_at_in_its_language(http: httpx.Client, language: str) -> None:
    body = {"amount": 4999, "currency": "EUR", "description": "Boiler repair", "language": language}
    seen = http.post("/v1/deliveries/preview", json=body | {"channel": "sms"}).json()
    assert seen["language"] == language
    assert seen["segments"]["price_factor"] == seen["segments"]["segments"] <= 2
    assert (seen["html"], seen["url_length"]) == (None, len("http://checkout.test/p/") + 11)
    mail = http.post("/v1/deliveries/preview", json=body | {"channel": "email"}).json()
    assert f'lang="{language}"' in mail["html"]
    assert mail["segments"] is None
