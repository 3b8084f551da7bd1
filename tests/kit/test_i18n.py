"""Which language a person gets, and that everything they may see is said in it."""

import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit import i18n

ROOT = Path(__file__).resolve().parents[2]
TRANSLATED = [language for language in i18n.LANGUAGES if language != "en"]
PLACES = re.compile(r"%\(\w+\)s|\{\w+\}")


def catalog(language: str) -> Catalog:
    return read_po(BytesIO((ROOT / f"paylink/locales/{language}.po").read_bytes()), locale=i18n.written(language))


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        *(("de", "de"), ("DE-at", "de"), ("de_CH", "de"), ("en-US", "en"), ("es-419", "es"), ("ar-EG", "ar")),
        *(("zh", "zh-Hans"), ("zh-CN", "zh-Hans"), ("zh-SG", "zh-Hans"), ("zh-Hans-HK", "zh-Hans")),
        *(("zh-TW", "zh-Hant"), ("zh-HK", "zh-Hant"), ("zh-Hant-CN", "zh-Hant"), ("ZH_hant", "zh-Hant")),
        *(("pt-BR", None), ("", None), (None, None), ("german", None), ("d", None), ("de-", None), ("de;q=1", None)),
        *(("../de", None), ("de" + "-x" * 40, None), ("dе", None)),  # the last with a Cyrillic letter
    ],
)
def test_a_tag_is_served_by_a_language_of_ours_or_by_none(tag: str | None, language: str | None) -> None:
    assert i18n.match(tag) == language


@pytest.mark.parametrize(
    ("wanted", "accept", "language"),
    [
        (("pl", "de"), "fr", "pl"),
        ((None, "de"), "fr", "de"),
        (("pt-BR", None), "fr, de", "fr"),
        (("pt-BR",), None, "en"),
        ((), "pt-BR, pt;q=0.9, es;q=0.8, en;q=0.7", "es"),
        ((), "de;q=0.3, pl;q=0.31, fr;q=0.3", "pl"),
        ((), "de;q=0, fr;q=0.001", "fr"),
        ((), "*, ar;q=0.1", "ar"),
        ((), "de;q=2, fr;q=0.1", "fr"),
        ((), "de;q=1.0000, fr;q=0.1", "fr"),
        ((), "de;q=-1, de;q=x, de;level=1, fr;q=0.5", "fr"),
        ((), "tlh, " * 30 + "de", "en"),
        ((), "x" * 100_000, "en"),
        ((), " de ; q = 0.5 , , ,pl", "pl"),
    ],
)
def test_the_first_wish_that_can_be_met_is_met(
    wanted: tuple[str | None, ...], accept: str | None, language: str
) -> None:
    assert i18n.choose(*wanted, accept=accept) == language


@given(st.text(max_size=2000))
def test_whatever_a_browser_sends_gives_a_language(header: str) -> None:
    assert i18n.choose(accept=header) in i18n.LANGUAGES


def test_no_header_costs_much() -> None:
    begun = time.perf_counter()
    for header in ("-" * 100_000, "de-" * 50_000, "a;q=" * 50_000, "," * 100_000, " " * 100_000 + "de"):
        i18n.choose(accept=header)
    assert time.perf_counter() - begun < 0.5


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_is_missing_or_doubtful(language: str) -> None:
    for message in catalog(language):
        if not message.id:
            continue
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(said), f"{language}: {message.id!r} is not translated"
        assert not message.fuzzy, message.id
        for one in said:
            assert sorted(PLACES.findall(one)) == sorted(PLACES.findall(str(message.id))), message.id
            assert not re.search(r"\{\{|\}\}|\{%|%\}|[<>&]", one), message.id
            assert one == one.strip(), message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_plural_forms_are_those_of_the_language(language: str) -> None:
    found, known = catalog(language), get_plural(i18n.written(language))
    assert (found.num_plurals, found.plural_expr) == (known.num_plurals, known.plural_expr)


def test_the_catalogs_hold_what_stands_in_the_code() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci/messages"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + "Run `make messages` and translate what is new."


def test_what_is_not_translated_is_english() -> None:
    assert i18n.translator("de").gettext("Pay") == "Bezahlen"
    assert i18n.translator("de").gettext("No such text") == "No such text"
    assert i18n.translator("tlh").gettext("Pay") == "Pay"
    assert i18n.translator("../de").gettext("Pay") == "Pay"


def test_directions() -> None:
    assert {language for language in i18n.LANGUAGES if i18n.direction(language) == "rtl"} == {"ar"}


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_a_moment_names_its_zone(language: str) -> None:
    said = i18n.moment(datetime(2026, 11, 21, 17, 48, tzinfo=UTC), language)
    assert said.endswith("17:48 UTC")
    assert "2026" in said
    assert "21" in said
