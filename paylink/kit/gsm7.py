"""What a text message costs: GSM 03.38 characters, and how many segments a text takes.

One character outside the GSM alphabet turns the whole text into UCS-2 and more than halves what fits, so texts are
normalised first: the spaces and quotes that word processors and currency formats produce have plain twins.
"""

from dataclasses import dataclass
from typing import Final

BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Sent as an escape and a second character: two units each.
EXTENDED: Final = frozenset("\f^{}\\[~]|€")
# Units in one message, and in each part of a longer one (the rest is the header that joins the parts).
GSM_SINGLE, GSM_PART = 160, 153
UCS_SINGLE, UCS_PART = 70, 67

PLAIN_TWINS: Final = str.maketrans(
    {
        "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2007": " ", "\u200e": "", "\u200f": "",
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
        "\u2026": "...", "\uffe5": "¥", "\u2212": "-",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segments:
    encoding: str
    characters: int
    units: int
    segments: int


def normalise(text: str) -> str:
    """The text with the characters that have a plain twin replaced by it."""
    return text.translate(PLAIN_TWINS)


def count(text: str) -> Segments:
    if all(char in BASIC or char in EXTENDED for char in text):
        costs = [2 if char in EXTENDED else 1 for char in text]
        return _counted("GSM-7", costs, GSM_SINGLE, GSM_PART)
    costs = [len(char.encode("utf-16-be", "surrogatepass")) // 2 for char in text]
    return _counted("UCS-2", costs, UCS_SINGLE, UCS_PART)


def _counted(encoding: str, costs: list[int], single: int, part: int) -> Segments:
    units = sum(costs)
    return Segments(encoding, len(costs), units, 1 if units <= single else _parts(costs, part))


def _parts(costs: list[int], size: int) -> int:
    """A character of two units is never cut: one that does not fit begins the next part."""
    parts, used = 1, 0
    for cost in costs:
        if used + cost > size:
            parts, used = parts + 1, 0
        used += cost
    return parts
