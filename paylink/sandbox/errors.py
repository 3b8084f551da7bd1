"""Stripe's error object and the statuses it travels with.

StripeError
├── invalid()            400 invalid_request_error
├── missing()            404 resource_missing
├── unauthorized()       401
├── unexpected_state()   400 payment_intent_unexpected_state
└── card_error()         402, its effects (a failed charge) are kept
"""

from typing import Any

DOC_URL = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """``keep_effects``: what the call has already written stays written, as a declined charge does."""

    def __init__(
        self, message: str, *, status: int, kind: str, keep_effects: bool = False, executed: bool = True, **fields: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keep_effects = keep_effects
        # Stripe saves an answer under its idempotency key only once execution began: validation comes before that.
        self.executed = executed
        self.error = {"type": kind, "message": message, **{k: v for k, v in fields.items() if v is not None}}
        if code := self.error.get("code"):
            self.error.setdefault("doc_url", DOC_URL + str(code).replace("_", "-"))

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400, raised before anything was done; not saved under the idempotency key."""
    return StripeError(message, status=400, kind="invalid_request_error", executed=False, param=param, code=code)


def refused(message: str, *, param: str | None = None, code: str | None = None, **fields: Any) -> StripeError:
    """400, refused because of the state of things; saved under the idempotency key."""
    return StripeError(message, status=400, kind="invalid_request_error", param=param, code=code, **fields)


def missing(noun: str, object_id: str, *, param: str) -> StripeError:
    message = f"No such {noun}: '{object_id}'"
    return StripeError(message, status=404, kind="invalid_request_error", code="resource_missing", param=param)


def unauthorized(message: str) -> StripeError:
    return StripeError(message, status=401, kind="invalid_request_error", executed=False)


def forbidden(message: str, *, code: str | None = None) -> StripeError:
    return StripeError(message, status=403, kind="invalid_request_error", executed=False, code=code)


def unexpected_state(intent: dict[str, Any], *, verb: str, legal: str) -> StripeError:
    return refused(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with one of the following statuses may be {legal}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def card_error(message: str, *, code: str, decline_code: str | None = None, **fields: Any) -> StripeError:
    """402: the bank or the screening said no. The failed charge and its events are kept."""
    return StripeError(
        message, status=402, kind="card_error", keep_effects=True, code=code, decline_code=decline_code, **fields
    )
