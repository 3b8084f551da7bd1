"""Finding card numbers where none may be.

Customers and agents type card numbers into whatever field is at hand. A number is refused, never masked and kept, and
never echoed. PCI DSS 3.5.1 counts logs and backups as storage, so the only safe place to stop one is the door.
"""

import re
import unicodedata
from collections.abc import Iterator

# 13 to 19 digits (ISO/IEC 7812), in groups if the writer likes: spaces, dashes, dots, slashes or underscores between.
CANDIDATE = re.compile(r"(?<!\d)\d(?:[ \t\-./_\u00a0\u2010-\u2015\u202f]{0,2}\d){12,18}(?!\d)")


def luhn_valid(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def find_card_numbers(text: str) -> Iterator[re.Match[str]]:
    """Matches in the NFKC form of ``text`` (full-width and other digits folded to ASCII) that pass the Luhn check."""
    folded = "".join(_ascii_digit(char) for char in unicodedata.normalize("NFKC", text))
    for match in CANDIDATE.finditer(folded):
        digits = re.sub(r"\D", "", match.group())
        if luhn_valid(digits) and digits.strip("0"):
            yield match


def contains_card_number(text: str) -> bool:
    return next(find_card_numbers(text), None) is not None


def _ascii_digit(char: str) -> str:
    return str(unicodedata.digit(char)) if char.isdigit() and not char.isascii() else char
