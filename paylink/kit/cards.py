"""Finding card numbers where none may be.

Customers and agents type card numbers into whatever field is at hand. A number is refused, never masked and kept, and
never echoed. PCI DSS 3.5.1 counts logs and backups as storage, so the only safe place to stop one is the door.
"""

import re
import unicodedata
from collections.abc import Iterator

# 13 to 19 digits (ISO/IEC 7812), in groups if the writer likes: white space, dashes, dots, slashes, underscores or
# characters that show nothing in between.
SEPARATOR = r"[\s\-./_\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff]{0,2}"
GROUP = re.compile(r"\d+")
RUN = re.compile(rf"\d(?:{SEPARATOR}\d){{12,}}")
SHORTEST, LONGEST = 13, 19
# What payment networks begin their numbers with. 1 is airlines', 0 and 7 are not about payment: a clock's milliseconds
# and nanoseconds begin with 1.
ISSUED = ("2", "3", "4", "5", "6", "8", "9")


def luhn_valid(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def fold(text: str) -> str:
    """The NFKC form of ``text``, with full-width and other digits as ASCII."""
    if text.isascii():
        return text
    return "".join(_ascii_digit(char) for char in unicodedata.normalize("NFKC", text))


def find_card_numbers(folded: str) -> Iterator[str]:
    """Pieces of a ``fold``-ed text that pass the Luhn check. They begin and end with a group of digits: a card number
    is found though a count stands before it, or its expiry date and security code behind it."""
    for run in RUN.finditer(folded):
        groups = list(GROUP.finditer(run.group()))
        for first, begin in enumerate(groups):
            digits = ""
            for end in groups[first:]:
                digits += end.group()
                if len(digits) > LONGEST:
                    break
                if len(digits) >= SHORTEST and digits.strip("0") and luhn_valid(digits):
                    yield run.group()[begin.start() : end.end()]


def contains_card_number(text: str) -> bool:
    return next(find_card_numbers(fold(text)), None) is not None


def contains_issued_card_number(text: str) -> bool:
    """For what machines make, where one long number in ten passes the Luhn check by chance."""
    return any(found.startswith(ISSUED) for found in find_card_numbers(fold(text)))


def _ascii_digit(char: str) -> str:
    return str(unicodedata.digit(char)) if char.isdigit() and not char.isascii() else char
