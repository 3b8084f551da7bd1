"""Stripe's callbacks: the signature over the raw body first, then the few fields that are believed.

Header ``Stripe-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{body}">[,v1=…]``. Stripe signs with the old and
the new secret while one is rotated; we hold several too, and one match is enough.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import stripe

from paylink.psp.base import ProviderEvent, Subject, WebhookRefused
from paylink.psp.stripe_mapping import Json, part, reference, text, whole

SIGNATURE_HEADER = "stripe-signature"
# Stripe's own tolerance. The SDK looks at the past only and takes any time to come: a header with a date of next year
# would stay good to be replayed until then.
TOLERANCE_SECONDS = 300
SUBJECTS = {
    "payment_intent": Subject.PAYMENT,
    "charge": Subject.PAYMENT,
    "refund": Subject.REFUND,
    "review": Subject.REVIEW,
    "dispute": Subject.DISPUTE,
}


def parse(body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str]) -> ProviderEvent:
    """``headers`` has lower-case names. Raises ``WebhookRefused``."""
    header = headers.get(SIGNATURE_HEADER, "")
    if not any(_signed(body, header, secret) for secret in secrets):
        raise WebhookRefused("the signature is missing, wrong or too old")
    if not _timely(header):
        raise WebhookRefused("the signature is from the future")
    return read(_object(body))


def _signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # ValueError: not UTF-8. TypeError: a signature beyond ASCII cannot be compared.
        return False
    return True


def _timely(header: str) -> bool:
    """Only for a header whose signature was found right; the first ``t`` is the one that was signed."""
    stamps = [value for name, _, value in (item.partition("=") for item in header.split(",")) if name == "t"]
    return int(stamps[0]) <= time.time() + TOLERANCE_SECONDS


def _object(body: bytes) -> Json:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is not JSON") from None
    if not isinstance(raw, dict) or raw.get("object", "event") != "event":
        # A "thin" event of API v2 names its object and holds nothing of it.
        raise WebhookRefused("the body is not an event")
    return raw


def read(raw: Json) -> ProviderEvent:
    """An event whose sender is known: signed, or fetched from the API. Raises ``WebhookRefused``."""
    event_id, kind = text(raw, "id"), text(raw, "type")
    about: Any = part(raw, "data").get("object")
    if event_id is None or kind is None or not isinstance(about, dict):
        raise WebhookRefused("the event has no id, type or object")
    subject = SUBJECTS.get(text(about, "object") or "", Subject.OTHER)
    is_intent = about.get("object") == "payment_intent"
    return ProviderEvent(
        id=event_id,
        type=kind,
        subject=subject,
        payment_id=text(about, "id") if is_intent else reference(about, "payment_intent"),
        object_id=text(about, "id"),
        livemode=raw.get("livemode") is True,
        account=text(raw, "account"),
        created_at=_moment(raw),
    )


def _moment(raw: Json) -> datetime:
    try:
        return datetime.fromtimestamp(whole(raw, "created") or 0, UTC)
    except (OverflowError, OSError, ValueError):
        raise WebhookRefused("the event's time cannot be read") from None
