"""Whom a text message comes from, as the settings of an account name it."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_NUMBER: Final = re.compile(r"\+?[0-9]{3,15}")
# GSM 03.40 leaves room for 11 characters; carriers want a letter among them.
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


def _checked(value: str) -> str:
    if value and not _NUMBER.fullmatch(value) and not _NAME.fullmatch(value):
        raise ValueError("must be a number, such as +15551230000, or a name of at most 11 letters, digits and spaces")
    return value


# Empty where a provider may choose.
Sender = Annotated[str, AfterValidator(_checked)]
