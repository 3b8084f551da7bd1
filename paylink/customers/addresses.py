"""Phone numbers and e-mail addresses as types: checked, normalised, and refused with what to correct."""

from typing import Annotated, Final, Literal

import phonenumbers
from babel import Locale, UnknownLocaleError
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from paylink.kit.text import refuse_card_number, refuse_control_characters

# Lines that cannot receive an SMS.
NOT_FOR_TEXTS = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)
# By what a caller is told a line is; every other kind is "other".
LineType = Literal["mobile", "fixed_line", "fixed_line_or_mobile", "voip", "other"]
LINE_TYPES: Final[dict[int, LineType]] = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.VOIP: "voip",
}


def normal_phone(value: str) -> str:
    """E.164, such as ``+447700900123``."""
    if not value.startswith("+"):
        raise PydanticCustomError(
            "phone_country_missing", "must begin with + and the country code, for example +447700900123"
        )
    try:
        number = phonenumbers.parse(value)
    except NumberParseException:
        raise PydanticCustomError("phone_invalid", "is not a phone number; write it like +447700900123") from None
    if not phonenumbers.is_possible_number(number):
        raise PydanticCustomError("phone_length", "has too few or too many digits for its country")
    if not _plausible(number):
        raise PydanticCustomError("phone_invalid", "is not a number in use in its country; please check the digits")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _plausible(number: phonenumbers.PhoneNumber) -> bool:
    """Valid by the numbering plan, or one of the ranges that regulators keep free for examples and films."""
    if phonenumbers.is_valid_number(number):
        return True
    national = str(number.national_number)
    # Ofcom: 07700 900000-900999. NANPA: 555-0100 to 555-0199.
    return (number.country_code == 44 and national.startswith("7700900")) or (
        number.country_code == 1 and national[3:8] == "55501"
    )


def textable(value: str) -> str:
    """A number that can receive a text message."""
    kind = phonenumbers.number_type(phonenumbers.parse(value))
    if kind in NOT_FOR_TEXTS:
        raise PydanticCustomError("phone_not_mobile", "is a line that cannot receive text messages")
    return value


def normal_email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email_invalid", "{reason}", {"reason": _without_value(str(error))}) from None


def normal_locale(value: str) -> str:
    """BCP 47, such as ``en-GB``."""
    try:
        return str(Locale.parse(value.replace("-", "_"))).replace("_", "-")
    except (UnknownLocaleError, ValueError, TypeError):
        raise PydanticCustomError("locale_unknown", "is not a known language, for example en or pt-BR") from None


def country_of(phone: str | None) -> str | None:
    """ISO 3166 code of the country a number belongs to."""
    if not phone:
        return None
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone))
    except NumberParseException:
        return None


def line_of(phone: str) -> tuple[LineType | None, str | None]:
    """What kind of line it is and its country, as far as the digits tell; nothing of what is not a phone number."""
    try:
        number = phonenumbers.parse(normal_phone(phone))
    except (NumberParseException, PydanticCustomError):
        return None, None
    return LINE_TYPES.get(phonenumbers.number_type(number), "other"), phonenumbers.region_code_for_number(number)


def _without_value(message: str) -> str:
    """email-validator sometimes quotes what it was given; nothing we were sent is repeated."""
    return message if "'" not in message and '"' not in message and "@" in message else "is not an e-mail address"


_clean = (AfterValidator(refuse_control_characters),)
Phone = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40), *_clean, AfterValidator(normal_phone)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    *_clean,
    AfterValidator(refuse_card_number),
    AfterValidator(normal_email),
]
LocaleTag = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=35), *_clean, AfterValidator(normal_locale)
]
