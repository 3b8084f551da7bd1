"""MJML into HTML: what merchants write is laid out or refused by line, and never hurts the process."""

import subprocess
import sys
import time

import pytest

from paylink.messages.mjml import DEEPEST, LONGEST_SOURCE, BadMjml, to_html


def page(inside: str) -> str:
    return f"<mjml>\n<mj-body><mj-section><mj-column>\n{inside}\n</mj-column></mj-section></mj-body></mjml>"


def test_a_message_is_laid_out() -> None:
    html = to_html(
        "<mjml><mj-head><mj-title>To pay</mj-title><mj-preview>£5 for Acme</mj-preview>"
        "<mj-attributes><mj-all font-family='Arial'/></mj-attributes><mj-style>a > b {color: red}</mj-style></mj-head>"
        "<mj-body><mj-section><mj-column><mj-text>Hello<br>Müller &amp; Söhne &lt;you&gt;</mj-text>"
        "<mj-button href='https://pay.example/p/x'>Pay</mj-button></mj-column></mj-section></mj-body></mjml>"
    )
    assert html.startswith("<!doctype html>")
    for part in ("£5 for Acme", "Müller &amp; Söhne &lt;you&gt;", 'href="https://pay.example/p/x"', "Arial"):
        assert part in html


def test_nothing_is_loaded_from_anybody() -> None:
    html = to_html(page("<mj-text font-family='Ubuntu, Roboto'>Hello</mj-text>"))
    assert "fonts.googleapis" not in html
    assert "@import" not in html
    assert "<img" not in html
    assert "<link" not in html


def test_comments_go_and_lines_stay_where_they_are() -> None:
    assert "secret" not in to_html(page("<!-- secret <mj-include path='x'/>\n -->"))
    with pytest.raises(BadMjml) as caught:
        to_html(page("<!-- one\ntwo\nthree -->\n<mj-nothing/>"))
    assert caught.value.line == 6


@pytest.mark.parametrize(
    ("inside", "line", "what"),
    [
        ("<mj-include path='/etc/passwd'/>", 3, "<mj-include> is not allowed"),
        ("<mj-include path='/etc/passwd' type='html'></mj-include>", 3, "<mj-include> is not allowed"),
        ("<MJ-INCLUDE path='x'/>", 3, "<mj-include> is not allowed"),
        ("\n\n<mj-text>a</mj-texx>", 5, "<mj-texx> is not known"),
        ("<mj-text>", 4, "</mj-column> stands where <mj-text> of line 3 is still open"),
        ("</mj-text>", 3, "</mj-text> stands where <mj-column> of line 2 is still open"),
        ("<mj-text>a < b</mj-text>", 3, "not a complete tag"),
        ("<mj-text a='<'>x</mj-text>", 3, "not a complete tag"),
        ("<!-- begun", 3, "not a complete tag"),
        ("<?xml version='1.0'?>", 3, "not a complete tag"),
        ("<![CDATA[ x ]]>", 3, "not a complete tag"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>", 3, "not a complete tag"),
        ("<mj-raw><script>alert(1)</script></mj-raw>", 3, "<script> is not allowed"),
        ("<mj-raw><iframe src='https://x.example'></iframe></mj-raw>", 3, "<iframe> is not allowed"),
        ("<mj-raw><form action='https://x.example'></form></mj-raw>", 3, "<form> is not allowed"),
        ("<mj-text><p onclick='x'>a</p></mj-text>", 3, "onclick is not allowed"),
        ("<mj-button href='javascript:alert(1)'>a</mj-button>", 3, "href must be"),
        ("<mj-button href=' JavaScript:alert(1)'>a</mj-button>", 3, "href must be"),
        ("<mj-button href='&#106;avascript:alert(1)'>a</mj-button>", 3, "href must be"),
        ("<mj-image src='data:text/html,x'/>", 3, "src must be"),
        ("<mj-font name='x' href='https://x.example/x.css'/>", 3, "<mj-font> is not allowed"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(inside: str, line: int, what: str) -> None:
    with pytest.raises(BadMjml) as caught:
        to_html(page(inside))
    assert caught.value.line == line
    assert what in caught.value.what


@pytest.mark.parametrize(
    "text", ["", "hello", "<p>hello</p>", "<mjml>", "<mjml></mj-body></mjml>", "<mjml>\n<p></mjml>"]
)
def test_what_is_no_message(text: str) -> None:
    with pytest.raises(BadMjml):
        to_html(text)


def test_a_mistake_the_engine_finds_has_its_line() -> None:
    with pytest.raises(BadMjml) as caught:
        to_html("<mjml>\n<mj-head>\n<mj-title>é</mj-title>\n<p></p></mj-head><mj-body></mj-body></mjml>")
    assert caught.value.line == 4


def test_what_is_too_long_or_too_deep_is_refused_at_once() -> None:
    begun = time.monotonic()
    for text in (
        "<mj-text>" * LONGEST_SOURCE,
        page("<b>" * (DEEPEST + 1) + "</b>" * (DEEPEST + 1)),
        "<mjml><mj-body>" + "<mj-wrapper>" * 2000 + "</mj-wrapper>" * 2000 + "</mj-body></mjml>",
        page("<mj-text>x</mj-text>" * 3000),
        page("<mj-social>" + "<mj-social-element name='x'/>" * 2000 + "</mj-social>"),
        "<mjml " + "a " * 30_000 + "<",
        "<" * 60_000,
        page("<mj-text " + "a='b' " * 10_000 + "</mj-text>"),
    ):
        with pytest.raises(BadMjml):
            to_html(text)
    assert time.monotonic() - begun < 5
    assert to_html(page("<mj-text>" + "<b>" * 30 + "</b>" * 30 + "</mj-text>"))


def test_the_bound_on_depth_is_needed() -> None:
    """The engine itself ends the process, which no ``except`` can stop."""
    program = "import mjml; n = 20000; mjml.mjml2html('<mjml><mj-body>' + '<mj-wrapper>' * n + '</mj-wrapper>' * n)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode < 0


def test_when_the_engine_gives_up_it_is_a_mistake_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})

    def give_up(*_args: object, **_named: object) -> str:
        raise panic("index out of bounds")

    monkeypatch.setattr("paylink.messages.mjml.mjml2html", give_up)
    with pytest.raises(BadMjml):
        to_html(page(""))
