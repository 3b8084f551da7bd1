"""The error family. Each error carries the HTTP status and the stable ``code`` that a caller may rely on.

::

    PaylinkError
    ├── BadRequest            400  the request itself cannot be read
    ├── NotSignedIn           401  no credential, or one that is no longer good
    ├── Forbidden             403  a good credential without the right to this
    ├── NotFound              404  no such thing, or another merchant's: both look alike
    ├── Conflict              409  the thing is in a state that does not allow this
    ├── TooLarge              413
    ├── UnsupportedMediaType  415  the body is not JSON by its own word
    ├── Invalid               422  fields that are wrong, each named
    ├── TooManyRequests       429
    └── Unavailable           503  something we stand on does not answer; try again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field. ``field`` is a dotted path such as ``deliver.0.to``; the message never repeats the value."""

    field: str
    code: str
    message: str


# What Pydantic says in words of its own trade.
_PLAIN: Final = {
    "missing": "This is needed",
    "string_pattern_mismatch": "This is not written as it has to be",
    "extra_forbidden": "There is no such field",
}


def plainly(kind: str, message: str) -> str:
    """Pydantic's error as a sentence for whoever filled in the field."""
    said = _PLAIN.get(kind) or message.removeprefix("Value error, ").removeprefix("Input ")
    return said[:1].upper() + said[1:]


class PaylinkError(Exception):
    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str = "", *, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.retry_after = retry_after


class BadRequest(PaylinkError):
    status, code, title = 400, "bad_request", "Bad request"


class NotSignedIn(PaylinkError):
    status, code, title = 401, "not_signed_in", "Not signed in"


class Forbidden(PaylinkError):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(PaylinkError):
    status, code, title = 404, "not_found", "Not found"


class Conflict(PaylinkError):
    status, code, title = 409, "conflict", "Conflict"


class TooLarge(PaylinkError):
    status, code, title = 413, "body_too_large", "Body too large"


class UnsupportedMediaType(PaylinkError):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class Invalid(PaylinkError):
    status, code, title = 422, "validation_failed", "Some fields are not right"

    def __init__(self, errors: Sequence[FieldError], detail: str = "") -> None:
        super().__init__(detail or "; ".join(f"{e.field}: {e.message}" for e in errors))
        self.errors = tuple(errors)

    @classmethod
    def one(cls, field: str, code: str, message: str) -> "Invalid":
        return cls([FieldError(field, code, message)])


class TooManyRequests(PaylinkError):
    status, code, title = 429, "rate_limited", "Too many requests"


class Unavailable(PaylinkError):
    status, code, title = 503, "unavailable", "Not available just now"
