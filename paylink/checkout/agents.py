"""Who asks for a page, judged by what it says of itself.

The judgement names a ``link.fetched`` for the agent, with its reason, and decides whether the page comes with its
script. It locks nobody out: the data calls some in-app browsers robots, and a person in one of them still has the
``Continue`` button. Nor does it let anybody in: scanners that call themselves plain Chrome are told from people by
what they do on the page, see ``beacons``.
Sources: ``crawler-user-agents`` (MIT), and scanners seen in the wild that it does not list.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

# Enough for every true agent; longer ones are somebody's test of our patience.
LONGEST_AGENT: Final = 512
# One alternation of all patterns is slower than several short ones; the package found 25, too.
CHUNK: Final = 25
# A browser driven by a program is still a browser: it gets the page, and what it does there is judged there.
DRIVEN: Final = "browser-automation"
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{1,38}")

# What the data does not know, or not by the name that people know it by. The first that matches counts.
KNOWN: Final = (
    (re.compile(r"facebookexternalhit.*Twitterbot"), "iMessage"),
    (re.compile(r"facebookexternalhit|Facebot|meta-externalhit", re.IGNORECASE), "Facebook"),
    (re.compile(r"Slack(bot|-ImgProxy)"), "Slack"),
    (re.compile(r"TelegramBot"), "Telegram"),
    (re.compile(r"SkypeUriPreview|Microsoft-BotFramework|MicrosoftPreview"), "Microsoft Teams"),
    (re.compile(r"OneOutlook"), "Outlook"),
    (re.compile(r"Chrome/42\.0\.2311\.135.*Edge/12\.246"), "Gmail"),
    (re.compile(r"GoogleImageProxy"), "Gmail"),
)
# Outlook's apps look links up by this header, under a plain browser's name.
NATIVE_HOST: Final = "x-native-host"
# Loaded ahead of a click that may never come: browsers' own words for it, new and old.
AHEAD: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
AHEAD_WORDS: Final = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
HEADLESS: Final = re.compile(r"Headless", re.IGNORECASE)
PHONE: Final = re.compile(r"iPhone|iPod|Windows Phone|Android.*Mobile|Mobile.*Firefox", re.IGNORECASE)
TABLET: Final = re.compile(r"iPad|Android|Tablet|Silk/", re.IGNORECASE)
DESKTOP: Final = re.compile(r"Windows NT|Macintosh|X11|CrOS", re.IGNORECASE)


class By(StrEnum):
    BROWSER = "browser"
    BOT = "bot"
    UNKNOWN = "unknown"


class Device(StrEnum):
    MOBILE = "mobile"
    TABLET = "tablet"
    DESKTOP = "desktop"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """What gave a visitor away, where something did."""

    AGENT = "user_agent"
    HEADER = "header"
    HEAD = "head_request"
    AHEAD = "prefetch"
    BLANK = "no_user_agent"
    HEADLESS = "headless"
    ODD = "not_a_browser"


@dataclass(frozen=True, slots=True)
class Visitor:
    """``bot`` comes from a closed list, never from the request: it is shown to agents and kept."""

    by: By
    bot: str | None = None
    reason: Why | None = None


@dataclass(frozen=True, slots=True)
class Browser:
    """Who reports from a page. ``driven``: its name says that no person sees its window."""

    device: Device
    bot: bool
    driven: bool


def recognise(user_agent: str, *, method: str, headers: Mapping[str, str] | None = None) -> Visitor:
    """A HEAD is never a person looking, nor is a page loaded ahead; what does not say it is a browser may be anything.

    ``headers``: of the request, by lower-case names.
    """
    visitor, sent = _by_agent(user_agent[:LONGEST_AGENT]), headers or {}
    if visitor.by is not By.BOT and NATIVE_HOST in sent:
        visitor = Visitor(By.BOT, "Outlook", Why.HEADER)
    if method == "HEAD":
        return Visitor(By.BOT, visitor.bot, visitor.reason if visitor.bot else Why.HEAD)
    if visitor.by is By.BROWSER and any(AHEAD_WORDS.search(sent.get(name, "")) for name in AHEAD):
        return Visitor(By.UNKNOWN, None, Why.AHEAD)
    return visitor


def browser(user_agent: str) -> Browser:
    text = user_agent[:LONGEST_AGENT]
    return Browser(device(text), _by_agent(text).by is By.BOT, HEADLESS.search(text) is not None)


def device(user_agent: str) -> Device:
    text = user_agent[:LONGEST_AGENT]
    for pattern, kind in ((PHONE, Device.MOBILE), (TABLET, Device.TABLET), (DESKTOP, Device.DESKTOP)):
        if pattern.search(text):
            return kind
    return Device.UNKNOWN


@lru_cache(maxsize=2048)
def _by_agent(text: str) -> Visitor:
    for pattern, name in KNOWN:
        if pattern.search(text):
            return Visitor(By.BOT, name, Why.AGENT)
    entry = _crawler(text)
    if entry is not None and DRIVEN not in entry["tags"]:
        return Visitor(By.BOT, _name(entry["pattern"]), Why.AGENT)
    if entry is None and text.startswith("Mozilla/5.0 ("):
        return Visitor(By.BROWSER)
    return Visitor(By.UNKNOWN, None, Why.HEADLESS if entry else Why.ODD if text.strip() else Why.BLANK)


def _crawler(text: str) -> dict[str, Any] | None:
    for pattern, entries in _chunks():
        if found := pattern.search(text):
            return entries[found.lastgroup or ""]
    return None


@cache
def _chunks() -> list[tuple[re.Pattern[str], dict[str, dict[str, Any]]]]:
    """Alternations whose group says which entry matched: trying 1,500 patterns one by one takes 25 ms."""
    chunks = []
    for start in range(0, len(CRAWLER_USER_AGENTS_DATA), CHUNK):
        entries = {f"p{n}": entry for n, entry in enumerate(CRAWLER_USER_AGENTS_DATA[start : start + CHUNK])}
        chunks.append((re.compile("|".join(f"(?P<{n}>{e['pattern']})" for n, e in entries.items())), entries))
    return chunks


def _name(pattern: str) -> str:
    text = pattern.replace("\\", "").strip("^$/ ")
    return text if NAME.fullmatch(text) else "other"
