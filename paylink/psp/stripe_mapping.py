"""Stripe's JSON → the port's types. Pure, and patient with what it does not know.

Stripe adds fields and values at any time and an account's API version decides the shape, so nothing is read without
asking for its type first. What is missing is ``None`` or ``UNKNOWN``; only an object without an id, an amount or a
currency is no answer at all, which raises ``PspOutcomeUnknown``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from paylink.psp.base import (
    Card,
    Decline,
    DisputeStatus,
    ProviderDispute,
    ProviderPayment,
    ProviderRefund,
    ProviderReview,
    ProviderStatus,
    PspOutcomeUnknown,
    RefundStatus,
    RiskLevel,
    RiskOutcome,
    Screening,
)
from paylink.psp.stripe_currencies import from_provider

Json = Mapping[str, Any]

STATUSES = {
    **{status.value: status for status in ProviderStatus},
    # Card details are there and nobody has confirmed: no money can have moved.
    "requires_confirmation": ProviderStatus.REQUIRES_PAYMENT_METHOD,
    # Names before API version 2019-02-11.
    "requires_source": ProviderStatus.REQUIRES_PAYMENT_METHOD,
    "requires_source_action": ProviderStatus.REQUIRES_ACTION,
}
SCREENINGS = {
    "authorized": Screening.AUTHORIZED,
    "manual_review": Screening.MANUAL_REVIEW,
    "blocked": Screening.BLOCKED,
    "issuer_declined": Screening.DECLINED,
    "invalid": Screening.DECLINED,
}
RISK_LEVELS = {level.value: level for level in RiskLevel}
REFUND_STATUSES = {
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
DISPUTE_STATUSES = {status.value: status for status in DisputeStatus}
# `redacted` and `acknowledged` close a review too, and say nothing of the money.
REVIEW_VERDICTS = {
    "approved": True,
    **dict.fromkeys(("refunded", "refunded_as_fraud", "disputed", "canceled", "payment_never_settled"), False),
}
# A declined try shows in these; in every other status an old error is history.
FAILED_STATUSES = frozenset({ProviderStatus.REQUIRES_PAYMENT_METHOD, ProviderStatus.CANCELED})
# Beside it Stripe's ``code`` says the same or more: ``card_declined`` for a refusal without a reason.
UNEXPLAINED = "generic_decline"
AUTHENTICATION_CODES = frozenset(
    {
        "payment_intent_authentication_failure",
        "setup_intent_authentication_failure",
        "authentication_required",
        "authentication_not_handled",
        "mobile_device_authentication_required",
    }
)
# Visa's and Mastercard's "attempted" counts: the bank was asked, answered for it, and carries the liability.
AUTHENTICATED_RESULTS = frozenset({"authenticated", "attempt_acknowledged"})
# No long run of digits: a code goes into events and logs, and what looks like part of a card number must not.
CODE = re.compile(r"[a-z](?!.*\d{5})[a-z0-9_]{0,63}")
LAST_FOUR = re.compile(r"[0-9]{4}")


def payment(intent: Json, charge: Json | None) -> ProviderPayment:
    """``charge`` is the newest one: ``charge_of`` finds it. Raises ``PspOutcomeUnknown``."""
    status = STATUSES.get(text(intent, "status") or "", ProviderStatus.PROCESSING)
    currency = _currency(intent)
    charge = charge or {}
    error = part(intent, "last_payment_error")
    secret = text(intent, "client_secret")
    return ProviderPayment(
        id=_required(intent, "id"),
        status=status,
        amount=_amount(intent, "amount", currency, required=True),
        currency=currency,
        livemode=intent.get("livemode") is True,
        metadata=_metadata(intent),
        amount_capturable=_amount(intent, "amount_capturable", currency),
        amount_received=_amount(intent, "amount_received", currency),
        amount_refunded=_amount(charge, "amount_refunded", currency),
        charge_id=text(charge, "id") or charge_id(intent),
        card=_card(charge) or _card_of_method(part(error, "payment_method")),
        risk=risk(charge, review=intent.get("review")),
        decline=decline(error) if status in FAILED_STATUSES else None,
        authenticated=_authenticated(charge),
        disputed=charge.get("disputed") is True,
        capture_before=moment(part(part(charge, "payment_method_details"), "card"), "capture_before"),
        created_at=moment(intent, "created"),
        client_secret=SecretStr(secret) if secret else None,
    )


def charge_of(intent: Json) -> Json | None:
    """The newest charge where the answer holds it in full: ``latest_charge``, or ``charges`` before 2022-11-15."""
    charges = part(intent, "charges").get("data")
    newest = charges[0] if isinstance(charges, list) and charges else None
    for candidate in (intent.get("latest_charge"), newest, part(intent, "last_payment_error").get("charge")):
        if isinstance(candidate, Mapping):
            return candidate
    return None


def charge_id(intent: Json) -> str | None:
    return text(intent, "latest_charge") or text(part(intent, "last_payment_error"), "charge")


def refund(raw: Json) -> ProviderRefund:
    """Raises ``PspOutcomeUnknown``."""
    currency = _currency(raw)
    return ProviderRefund(
        id=_required(raw, "id"),
        status=REFUND_STATUSES.get(text(raw, "status") or "", RefundStatus.PENDING),
        amount=_amount(raw, "amount", currency, required=True),
        currency=currency,
        payment_id=reference(raw, "payment_intent"),
        metadata=_metadata(raw),
        failure_reason=code_of(raw, "failure_reason"),
    )


def dispute(raw: Json) -> ProviderDispute:
    """Raises ``PspOutcomeUnknown``."""
    currency = _currency(raw)
    opened_at = moment(raw, "created")
    if opened_at is None:
        raise PspOutcomeUnknown("Stripe's answer has no created")
    return ProviderDispute(
        id=_required(raw, "id"),
        status=DISPUTE_STATUSES.get(text(raw, "status") or "", DisputeStatus.UNDER_REVIEW),
        amount=_amount(raw, "amount", currency, required=True),
        currency=currency,
        payment_id=reference(raw, "payment_intent"),
        livemode=raw.get("livemode") is True,
        opened_at=opened_at,
        reason=code_of(raw, "reason"),
        evidence_due_at=moment(part(raw, "evidence_details"), "due_by"),
    )


def review(raw: Json) -> ProviderReview:
    """Closed only where Stripe says so outright, and nothing is decided by a word not known here.

    Raises ``PspOutcomeUnknown``.
    """
    # Where there is a `closed_reason`, it alone counts: `reason` is the form before it.
    key = "reason" if raw.get("closed_reason") is None else "closed_reason"
    reason = code_of(raw, key) if raw.get("open") is False else None
    return ProviderReview(
        id=_required(raw, "id"),
        approved=REVIEW_VERDICTS.get(reason or ""),
        reason=reason,
        payment_id=reference(raw, "payment_intent"),
        livemode=raw.get("livemode") is True,
    )


def items(raw: Json) -> list[Json]:
    """What a list holds. Raises ``PspOutcomeUnknown`` for what is no list: an empty one would say there is nothing."""
    data = raw.get("data")
    if not isinstance(data, list):
        raise PspOutcomeUnknown("Stripe's answer is not a list")
    return [item for item in data if isinstance(item, Mapping)]


def next_page(raw: Json) -> str | None:
    """Stripe's cursor is the last object's id. Raises ``PspOutcomeUnknown`` where there is more and no way to it."""
    if raw.get("has_more") is not True:
        return None
    found = items(raw)
    return _required(found[-1] if found else {}, "id")


def risk(charge: Json, *, review: object) -> RiskOutcome | None:
    """What Radar said of the charge; ``None`` where there was no charge to judge.

    A payment with an open review waits for a person, whatever its outcome says (docs.stripe.com/radar/reviews).
    """
    outcome = part(charge, "outcome")
    held = bool(review) and not (isinstance(review, Mapping) and review.get("open") is False)
    if not outcome and not held:
        return None
    screening = SCREENINGS.get(text(outcome, "type") or "", Screening.UNKNOWN)
    if held and screening in {Screening.AUTHORIZED, Screening.UNKNOWN}:
        screening = Screening.MANUAL_REVIEW
    return RiskOutcome(
        screening=screening,
        risk_level=RISK_LEVELS.get(text(outcome, "risk_level") or "", RiskLevel.UNKNOWN),
        risk_score=whole(outcome, "risk_score"),
        reason=code_of(outcome, "reason"),
    )


def decline(error: Json) -> Decline | None:
    """``None`` where there was no error: a payment that nobody has tried yet."""
    if not error:
        return None
    code = code_of(error, "decline_code", "code", "type") or "unknown"
    if code == UNEXPLAINED:
        code = code_of(error, "code") or code
    return Decline(code, authentication=bool({code, text(error, "code")} & AUTHENTICATION_CODES))


def code_of(raw: Json, *keys: str) -> str | None:
    """The first of Stripe's codes that looks like one, so that no free text passes for a code."""
    for key in keys:
        found = text(raw, key)
        if found and CODE.fullmatch(found):
            return found
    return None


def text(raw: Json, key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) and value else None


def whole(raw: Json, key: str) -> int | None:
    value = raw.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(raw: Json, key: str) -> datetime | None:
    """From Unix seconds; ``None`` for what is no time that can be told."""
    seconds = whole(raw, key)
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (OverflowError, OSError, ValueError):
        return None


def part(raw: Json, key: str) -> Json:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def reference(raw: Json, key: str) -> str | None:
    """The id of another object, which may be there in full."""
    return text(raw, key) or text(part(raw, key), "id")


def _required(raw: Json, key: str) -> str:
    value = text(raw, key)
    if value is None:
        raise PspOutcomeUnknown(f"Stripe's answer has no {key}")
    return value


def _currency(raw: Json) -> str:
    return _required(raw, "currency").upper()


def _amount(raw: Json, key: str, currency: str, *, required: bool = False) -> int:
    value = whole(raw, key)
    if value is None:
        if required:
            raise PspOutcomeUnknown(f"Stripe's answer has no {key}")
        return 0
    try:
        return from_provider(value, currency)
    except ValueError:
        raise PspOutcomeUnknown(f"Stripe's {key} is not an amount in ISO 4217's minor unit") from None


def _metadata(raw: Json) -> dict[str, str]:
    return {k: v for k, v in part(raw, "metadata").items() if isinstance(k, str) and isinstance(v, str)}


def _card(charge: Json) -> Card | None:
    """``payment_method_details`` since 2019, ``source`` before."""
    details = part(part(charge, "payment_method_details"), "card")
    source = part(charge, "source")
    return _card_from(details) or (_card_from(source) if source.get("object") == "card" else None)


def _card_of_method(method: Json) -> Card | None:
    return _card_from(part(method, "card"))


def _card_from(raw: Json) -> Card | None:
    if not raw:
        return None
    last4 = text(raw, "last4")
    return Card(
        brand=text(raw, "brand"),
        # Four digits or nothing: no longer part of a number may ever come in here.
        last4=last4 if last4 and LAST_FOUR.fullmatch(last4) else None,
        country=text(raw, "country"),
        fingerprint=text(raw, "fingerprint"),
    )


def _authenticated(charge: Json) -> bool:
    secure = part(part(part(charge, "payment_method_details"), "card"), "three_d_secure")
    # `authenticated` is the form before API version 2020-08-27.
    return text(secure, "result") in AUTHENTICATED_RESULTS or secure.get("authenticated") is True
