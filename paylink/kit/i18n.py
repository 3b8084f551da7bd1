"""Languages: which of ours a person reads, and our texts in it.

English stands in the code and is the message's id. The other languages are gettext catalogs,
``paylink/locales/{language}.po``, read as they are at first use: nothing is compiled, so nothing can be out of date.
"""

import gettext
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import Locale
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

# Each by the name its readers know it by.
NAMES: Final = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pl": "Polski",
    "zh-Hans": "简体中文",
    "zh-Hant": "繁體中文",
    "ar": "العربية",
}
LANGUAGES: Final = tuple(NAMES)
DEFAULT: Final = "en"
# How numbers and dates are written, where the language alone does not say it: £49.99 and US$49.99, never $49.99.
WRITTEN: Final = {"en": "en_GB"}
# Chinese is read in two scripts; a tag without one says it by its region.
TRADITIONAL_IN: Final = frozenset({"TW", "HK", "MO"})
# BCP 47: a language, then a script, a region and more, each of two to eight letters or digits.
TAG: Final = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,8}")
# One entry of Accept-Language (RFC 9110, 12.5.4): a range and a quality of three decimals at most.
ENTRY: Final = re.compile(rf"\s*({TAG.pattern}|\*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{{0,3}})?|1(?:\.0{{0,3}})?))?\s*")
# Browsers send a few dozen characters. What comes after these is not read.
ACCEPT_LENGTH: Final = 512
ACCEPT_ENTRIES: Final = 20
# Between a date and a time.
COMMA: Final = {"ar": "، ", "zh-Hans": " ", "zh-Hant": " "}


def N_(text: str) -> str:  # noqa: N802 - the name by which Babel's extractor finds a text to translate
    """Marks a text that is translated where it is shown."""
    return text


def match(tag: str | None) -> str | None:
    """The language of ours that serves a reader of ``tag`` (BCP 47); ``None`` where none does, or it is no tag.

    ``de-AT`` → ``de``, ``zh-HK`` → ``zh-Hant``, ``pt-BR`` → ``None``.
    """
    if not tag or len(tag) > 64 or not TAG.fullmatch(tag):
        return None
    language, *more = re.split("[-_]", tag)
    if language.lower() != "zh":
        return language.lower() if language.lower() in NAMES else None
    parts = {part.title() if len(part) == 4 else part.upper() for part in more}
    if "Hant" in parts or ("Hans" not in parts and parts & TRADITIONAL_IN):
        return "zh-Hant"
    return "zh-Hans"


def choose(*wanted: str | None, accept: str | None = None) -> str:
    """The first of ``wanted`` that we speak; else the best of ``accept`` (a raw Accept-Language); else English."""
    found = (match(tag) for tag in (*wanted, *_accepted(accept or "")))
    return next((language for language in found if language), DEFAULT)


def direction(language: str) -> str:
    """``ltr`` or ``rtl``."""
    return str(Locale.parse(written(language)).text_direction)


def isolated(value: str, language: str) -> str:
    """A name or an amount for the middle of a sentence, so that neither turns the other round (UAX 9, FSI and PDI)."""
    return f"\u2068{value}\u2069" if direction(language) == "rtl" else value


def written(language: str) -> str:
    """The name by which Babel knows how the language writes numbers and dates: ``en`` → ``en_GB``."""
    return WRITTEN.get(language, language.replace("-", "_"))


@cache
def translator(language: str) -> gettext.NullTranslations:
    """The texts in ``language``, one of ours; anything else and a text without a translation are English."""
    if language not in NAMES or language == DEFAULT:
        return gettext.NullTranslations()
    source = files("paylink") / "locales" / f"{language}.po"
    catalog = read_po(BytesIO(source.read_bytes()), locale=written(language), abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def moment(at: datetime, language: str, *, short: bool = False) -> str:
    """``21 November 2026, 17:48 UTC``: we do not know where the reader is, so the time names its zone."""
    locale = written(language)
    date = format_date(at, "medium" if short else "long", locale=locale)
    time = format_time(at, "HH:mm", locale=locale)
    return f"{date}{' ' if short else COMMA.get(language, ', ')}{time} UTC"


def _accepted(header: str) -> Iterator[str]:
    """The ranges of an Accept-Language header, most wanted first. An entry that is no entry is passed over."""
    entries = header[:ACCEPT_LENGTH].split(",")[:ACCEPT_ENTRIES]
    found = [(one[1], float(one[2] or 1)) for entry in entries if (one := ENTRY.fullmatch(entry))]
    for tag, quality in sorted(found, key=lambda one: -one[1]):
        if quality > 0 and tag != "*":
            yield tag
