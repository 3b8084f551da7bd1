"""MJML, the mark-up that e-mail programs can show, into HTML. What comes in was written by a merchant, so by anyone.

The text is read here before the engine sees it: the engine follows nesting as deep as it goes, and a few thousand
levels end the process; it says little of where a mistake is; and it passes on whatever it does not know.
"""

import re
from collections.abc import Iterator
from typing import Final

from mjml import mjml2html

# A message is a few kilobytes. Large mailbox providers cut off what they show at about 100 KiB.
LONGEST_SOURCE: Final = 64 * 1024
LONGEST_HTML: Final = 256 * 1024
# Ten levels make a rich message.
DEEPEST: Final = 40

_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_ATTRIBUTES: Final = r"""(?P<attributes>(?:\s+[A-Za-z_:][-\w:.]*\s*(?:=\s*(?:"[^"<]*"|'[^'<]*'))?)*)"""
_TAG: Final = re.compile(rf"<(?P<end>/?)(?P<name>[A-Za-z][-\w:]*){_ATTRIBUTES}\s*(?P<empty>/?)>")
_ATTRIBUTE: Final = re.compile(r"""([A-Za-z_:][-\w:.]*)\s*(?:=\s*("[^"<]*"|'[^'<]*'))?""")
_POSITION: Final = re.compile(r"at position (\d+):\d+")
_VOID: Final = frozenset({"area", "br", "col", "hr", "img", "wbr"})
_KNOWN: Final = frozenset(
    re.findall(
        r"\S+",
        """mjml mj-accordion mj-accordion-element mj-accordion-text mj-accordion-title mj-all mj-attributes mj-body
        mj-breakpoint mj-button mj-carousel mj-carousel-image mj-class mj-column mj-divider mj-group mj-head mj-hero
        mj-image mj-navbar mj-navbar-link mj-preview mj-raw mj-section mj-social mj-social-element mj-spacer mj-style
        mj-table mj-text mj-title mj-wrapper""",
    )
)
_ACTIVE: Final = re.compile(
    r"script|i?frame|frameset|object|embed|applet|form|input|textarea|select|link|meta|base|style|svg|math"
)
_REFUSED: Final = {
    "mj-include": "other files cannot be included",
    "mj-font": "fonts from elsewhere would tell others that the message was opened",
}
_ADDRESSES: Final = frozenset({"href", "src", "background-url", "background", "action"})
_SCHEMES: Final = ("https:", "http:", "mailto:", "tel:", "cid:", "#", "/")


class BadMjml(ValueError):
    """``line`` counts from 1; ``what`` is a sentence for whoever wrote it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


def to_html(text: str) -> str:
    """The page an e-mail shows. Names are filled in already. Comments are left out. Raises ``BadMjml``."""
    if len(text.encode(errors="replace")) > LONGEST_SOURCE:
        raise BadMjml(1, f"The text is longer than {LONGEST_SOURCE // 1024} KiB")
    source = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    _check(source)
    html = _laid_out(source)
    if len(html.encode(errors="replace")) > LONGEST_HTML:
        raise BadMjml(1, f"Laid out, the message is longer than {LONGEST_HTML // 1024} KiB")
    return html


def _laid_out(source: str) -> str:
    try:
        # No loader: even an include that was not seen here finds nothing. No fonts: the defaults are a third party's.
        return mjml2html(source, disable_comments=False, fonts={})
    except ValueError as error:
        raise BadMjml(*_explained(source, str(error))) from None
    except BaseException as error:
        # The engine's own way to give up is no Exception and has no importable name.
        if type(error).__name__ == "PanicException":
            raise BadMjml(1, "The message cannot be laid out") from None
        raise


def _explained(source: str, said: str) -> tuple[int, str]:
    place = _POSITION.search(said)
    if place is None:
        return 1, "This is not an MJML message"
    return source.encode(errors="replace")[: int(place[1])].count(b"\n") + 1, "This cannot stand here"


def _check(source: str) -> None:
    """Every tag known, allowed, closed, and not too deep. Raises ``BadMjml``."""
    opened: list[tuple[str, int]] = []
    for line, tag in _tags(source):
        name = tag["name"].lower()
        _allowed(line, name, tag["attributes"])
        if tag["end"]:
            if not opened or opened[-1][0] != name:
                raise BadMjml(line, _misplaced(name, opened))
            opened.pop()
        elif not tag["empty"] and name not in _VOID:
            opened.append((name, line))
            if len(opened) > DEEPEST:
                raise BadMjml(line, f"More than {DEEPEST} elements stand in each other")
    if opened:
        name, line = opened[-1]
        raise BadMjml(line, f"<{name}> is not closed")


def _tags(source: str) -> Iterator[tuple[int, re.Match[str]]]:
    line, seen, place = 1, 0, source.find("<")
    while place >= 0:
        line, seen = line + source.count("\n", seen, place), place
        tag = _TAG.match(source, place)
        if tag is None:
            raise BadMjml(line, "This is not a complete tag; a less-than sign in the text is written &lt;")
        yield line, tag
        place = source.find("<", tag.end())
    if not seen and not source.lstrip().startswith("<"):
        raise BadMjml(1, "This is not an MJML message")


def _misplaced(name: str, opened: list[tuple[str, int]]) -> str:
    if not opened:
        return f"</{name}> closes nothing"
    return f"</{name}> stands where <{opened[-1][0]}> of line {opened[-1][1]} is still open"


def _allowed(line: int, name: str, attributes: str) -> None:
    if name in _REFUSED:
        raise BadMjml(line, f"<{name}> is not allowed: {_REFUSED[name]}")
    if _ACTIVE.fullmatch(name):
        raise BadMjml(line, f"<{name}> is not allowed: e-mail programs do not show it")
    if name.startswith("mj") and name not in _KNOWN:
        raise BadMjml(line, f"<{name}> is not known")
    for attribute, quoted in _ATTRIBUTE.findall(attributes):
        if attribute.lower().startswith("on"):
            raise BadMjml(line, f"{attribute} is not allowed: e-mail programs run no scripts")
        if attribute.lower() in _ADDRESSES and not _harmless(quoted[1:-1]):
            raise BadMjml(line, f"{attribute} must be an address that begins with https:, mailto: or tel:")


def _harmless(address: str) -> bool:
    return not address or address.strip().lower().startswith(_SCHEMES)
