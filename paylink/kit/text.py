"""Free text that people send us, as types: trimmed, without control characters, never with a card number in it."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from paylink.kit.cards import contains_card_number

# Line breaks and tabs are writing; the other control characters are not, and PostgreSQL cannot store NUL.
WRITING = frozenset("\n\r\t")


def refuse_card_number(value: str) -> str:
    """Raises for text with a card number in it. The message does not repeat the text."""
    if contains_card_number(value):
        raise PydanticCustomError(
            "card_number_not_allowed",
            "looks like it contains a card number, which must never be entered here; please remove it",
        )
    return value


def refuse_control_characters(value: str) -> str:
    if value.isprintable():  # the common case, told by one call
        return value
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in WRITING for char in value):
        raise PydanticCustomError("control_characters", "contains characters that cannot be shown")
    return value


_checks = (AfterValidator(refuse_control_characters), AfterValidator(refuse_card_number))

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), *_checks]
Long = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), *_checks]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40), *_checks]
MetadataValue = Annotated[str, StringConstraints(max_length=500), *_checks]
