"""What can differ between a payment of ours and the provider's object, and which of it is right by itself again.

Pure: it says what it sees; ``reconcile`` acts on it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from paylink.payments.models import LIVE, Decision, Payment, PaymentStatus, Refund, RefundStatus
from paylink.payments.settle import mismatch
from paylink.psp import base as psp
from paylink.psp.base import ProviderPayment, ProviderRefund, ProviderStatus

# What changed so recently is being worked on: by the customer's page, a callback, or a job.
QUIET: Final = timedelta(seconds=60)
# An attempt whose customer left is given up after five minutes by the job that follows it. One that still waits long
# after that is followed by nobody.
FORSAKEN: Final = timedelta(minutes=15)


class DifferenceClass(StrEnum):
    """Every way in which the provider and we can disagree.

    Repaired by the run: ``behind``, ``left_open``, ``capture_overdue``, ``release_overdue``, ``stuck``,
    ``refund_behind``, ``refund_overdue``, ``refund_unknown``, ``undelivered_event``, and ``missing_here`` where an
    attempt of ours waits for exactly that object. The others are for a person.
    """

    # The provider is further than we are: a callback was lost.
    BEHIND = "behind"
    # We are further than the provider, which should not be able to happen.
    AHEAD = "ahead"
    # We gave the attempt up, and the provider's object could still be paid or holds money.
    LEFT_OPEN = "left_open"
    # Authorised, and what should have followed did not: the fraud check, or the capture that was decided.
    CAPTURE_OVERDUE = "capture_overdue"
    # Decided to let the customer's money go, and it is still held.
    RELEASE_OVERDUE = "release_overdue"
    # An attempt that keeps its link from being paid, whose customer has left and which no job follows.
    STUCK = "stuck"
    # We have an id that the provider does not know.
    MISSING_THERE = "missing_there"
    # The provider has an object that names us, and no payment of ours has its id.
    MISSING_HERE = "missing_here"
    AMOUNT = "amount"
    CURRENCY = "currency"
    # Made at another provider, in another account, or in test mode where we are live, or the other way round.
    ACCOUNT_OR_MODE = "account_or_mode"
    # The object names another payment or link than the one that has its id.
    METADATA = "metadata"
    # More was captured for a link than it asked for, and not given back.
    DOUBLE_CAPTURE = "double_capture"
    REFUND_BEHIND = "refund_behind"
    # Asked for here, and never made at the provider.
    REFUND_OVERDUE = "refund_overdue"
    # Made at the provider, by its dashboard or another program, and not known here.
    REFUND_UNKNOWN = "refund_unknown"
    # The provider says that a callback did not arrive, and indeed it is not in our inbox.
    UNDELIVERED_EVENT = "undelivered_event"
    # Could not be compared: the provider gave no usable answer for this one object.
    UNREAD = "unread"


C = DifferenceClass
MISMATCHES: Final = {
    "metadata": C.METADATA,
    "amount": C.AMOUNT,
    "currency": C.CURRENCY,
    "livemode": C.ACCOUNT_OR_MODE,
}
BEFORE_CAPTURE: Final = (
    PaymentStatus.REQUIRES_PAYMENT_METHOD,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING,
)
HOLDS_MONEY: Final = (ProviderStatus.REQUIRES_CAPTURE, ProviderStatus.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Found:
    """A difference that is seen, before anything is done about it."""

    kind: DifferenceClass
    what: str


@dataclass(frozen=True, slots=True)
class Difference:
    """``money``: held or taken at the provider, with no payment of ours that answers for it."""

    kind: DifferenceClass
    payment: str | None
    provider: str | None
    what: str
    repaired: bool = False
    money: bool = False

    def form(self) -> dict[str, Any]:
        raw = asdict(self)
        return {"class": raw.pop("kind").value, **raw}


def judge(payment: Payment, theirs: ProviderPayment, *, livemode: bool) -> Found | None:
    """The first thing that differs, the worst one first. ``None``: they agree."""
    if wrong := mismatch(payment, theirs, livemode=livemode):
        return Found(MISMATCHES[wrong], _mismatch_words(payment, theirs, wrong))
    words = f"{payment.status} here, {theirs.status} at the provider"
    if payment.status == PaymentStatus.SUCCEEDED:
        return _captured(payment, theirs, words)
    if theirs.status is ProviderStatus.SUCCEEDED:
        return Found(C.BEHIND, words)
    over = theirs.status is ProviderStatus.CANCELED
    if payment.status not in LIVE:
        return None if over else Found(C.LEFT_OPEN, words)
    return Found(C.BEHIND, words) if over else _live(payment, theirs, words)


def stuck(payment: Payment, now: datetime) -> Found | None:
    """For a live attempt that agrees with the provider, or of which the provider was never asked."""
    waits = payment.psp_payment_id is None or payment.status in BEFORE_CAPTURE[:2]
    if payment.status in LIVE and waits and payment.updated_at < now - FORSAKEN:
        return Found(C.STUCK, f"{payment.status} since {payment.updated_at:%Y-%m-%d %H:%M} UTC, and nobody follows it")
    return None


def judge_refund(ours: Refund | None, theirs: ProviderRefund | None) -> Found | None:
    """One of the two may be missing. A failed refund that was never ours is nothing to us."""
    if theirs is None:
        return _refund_not_there(ours) if ours is not None else None
    if ours is None:
        money = theirs.status is not psp.RefundStatus.FAILED
        return Found(C.REFUND_UNKNOWN, f"refund of {theirs.amount} {theirs.currency}") if money else None
    if theirs.amount != ours.amount:
        return Found(C.AMOUNT, f"refund {ours.id}: {ours.amount} here, {theirs.amount} at the provider")
    if theirs.currency.upper() != ours.currency:
        return Found(C.CURRENCY, f"refund {ours.id}: {ours.currency} here, {theirs.currency} at the provider")
    if theirs.status.value == ours.status:
        return None
    late = theirs.status is psp.RefundStatus.PENDING and ours.status == RefundStatus.SUCCEEDED
    words = f"refund {ours.id}: {ours.status} here, {theirs.status} at the provider"
    return Found(C.AHEAD if late else C.REFUND_BEHIND, words)


def pair_refunds(
    ours: Sequence[Refund], theirs: Sequence[ProviderRefund]
) -> list[tuple[Refund | None, ProviderRefund | None]]:
    """By the provider's id; and by ours in its metadata, for one whose answer was lost before we knew that id."""
    known = {made.psp_refund_id: made for made in ours if made.psp_refund_id}
    waiting = {made.id: made for made in ours if made.psp_refund_id is None and made.status == RefundStatus.PENDING}
    pairs: list[tuple[Refund | None, ProviderRefund | None]] = []
    for refund in theirs:
        found = known.pop(refund.id, None) or waiting.pop(refund.metadata.get("refund_id", ""), None)
        pairs.append((found, refund))
    return [*pairs, *((made, None) for made in (*known.values(), *waiting.values()))]


def _refund_not_there(ours: Refund) -> Found | None:
    if ours.psp_refund_id is not None:
        return Found(C.MISSING_THERE, f"refund {ours.id}: the provider does not know {ours.psp_refund_id}")
    if ours.status == RefundStatus.PENDING:
        return Found(C.REFUND_OVERDUE, f"refund {ours.id} of {ours.amount} {ours.currency} was never made")
    if ours.status == RefundStatus.SUCCEEDED:
        return Found(C.AHEAD, f"refund {ours.id}: succeeded here, not at the provider")
    return None


def _mismatch_words(payment: Payment, theirs: ProviderPayment, wrong: str) -> str:
    if wrong == "amount":
        return f"{payment.amount} here, {theirs.amount} at the provider"
    if wrong == "currency":
        return f"{payment.currency} here, {theirs.currency} at the provider"
    if wrong == "livemode":
        return f"the provider's object is in {'live' if theirs.livemode else 'test'} mode"
    return "the provider's object names another payment or link"


def _captured(payment: Payment, theirs: ProviderPayment, words: str) -> Found | None:
    if theirs.status is not ProviderStatus.SUCCEEDED:
        return Found(C.AHEAD, words)
    if payment.amount_captured == theirs.amount_received:
        return None
    return Found(C.AMOUNT, f"captured {payment.amount_captured} here, {theirs.amount_received} at the provider")


def _live(payment: Payment, theirs: ProviderPayment, words: str) -> Found | None:
    """Both can still move."""
    if payment.status in BEFORE_CAPTURE:
        return _before_capture(payment, theirs, words)
    return _authorised(payment) if theirs.status is ProviderStatus.REQUIRES_CAPTURE else Found(C.AHEAD, words)


def _before_capture(payment: Payment, theirs: ProviderPayment, words: str) -> Found | None:
    if theirs.status is ProviderStatus.REQUIRES_PAYMENT_METHOD:
        return Found(C.BEHIND, f"{words}, declined") if theirs.decline is not None else None
    return None if theirs.status.value == payment.status else Found(C.BEHIND, words)


def _authorised(payment: Payment) -> Found | None:
    if payment.status == PaymentStatus.IN_REVIEW:
        return None
    if payment.decision == Decision.RELEASE:
        return Found(C.RELEASE_OVERDUE, "decided to release, and still held")
    if payment.decision == Decision.CAPTURE:
        return Found(C.CAPTURE_OVERDUE, "decided to capture, and still not captured")
    return Found(C.CAPTURE_OVERDUE, "authorised, and the fraud check has not been made")
