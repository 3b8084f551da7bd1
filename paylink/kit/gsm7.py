"""What a text message costs: GSM 03.38 characters, and how many segments a text takes.

One character outside the GSM alphabet turns the whole text into UCS-2 and more than halves what fits, so texts are
normalised first: the spaces and quotes that word processors and currency formats produce have plain twins, and Latin
letters with marks that the alphabet lacks lose them (Zażółć → Zazolc, Añadirá → Añadira), as carriers and banks write
them in Poland and elsewhere. A text that cannot be made to fit so, such as an Arabic one, stays as its writer wrote it.
"""

import unicodedata
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
        "\u2026": "...", "\uffe5": "¥", "\u2212": "-", "\u201e": '"', "\u201a": "'", "«": '"', "»": '"', "\u2011": "-",
    }
)  # fmt: skip
# Latin letters that are no letter with a mark to Unicode.
LETTERS: Final = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "OE", "ı": "i", "ẞ": "SS"}


@dataclass(frozen=True, slots=True)
class Segments:
    encoding: str
    characters: int
    units: int
    segments: int

    @property
    def price_factor(self) -> int:
        """How many times the price of one message: carriers charge for every segment."""
        return self.segments


def normalise(text: str) -> str:
    """The text in the GSM alphabet, if plain twins and letters without their marks can bring it there."""
    plain = "".join(_in_alphabet(char) for char in unicodedata.normalize("NFC", text).translate(PLAIN_TWINS))
    return plain if fits(plain) else text


def fits(text: str) -> bool:
    """Whether the GSM alphabet has it all."""
    return all(char in BASIC or char in EXTENDED for char in text)


def _in_alphabet(char: str) -> str:
    if char in BASIC or char in EXTENDED:
        return char
    bare = unicodedata.normalize("NFD", char)[0]
    return LETTERS.get(char, bare if bare.isascii() and bare.isalpha() else char)


def count(text: str) -> Segments:
    if fits(text):
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
