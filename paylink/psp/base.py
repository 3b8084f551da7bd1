"""The port to a payment service provider (PSP): what the core asks for, in the core's words.

An adapter is a stateless translator. Types go in, types come out; it keeps nothing, knows no database, and maps every
status it does not know to ``PROCESSING``: unknown is a state, success and failure are only what the provider says
outright. Amounts are integers in the currency's minor unit, currencies ISO 4217 in upper case, times aware UTC.

::

    PspError
    ├── PspOutcomeUnknown   no usable answer: the call may have had its effect or not. Never a failure.
    │   └── PspKeySpent     and it never will be under this idempotency key: the provider repeats a failure of its own
    ├── PspBusy             the provider asks to come back later; nothing happened
    └── PspRefused          a clear no, with the provider's ``code``; nothing happened
    WebhookRefused          a callback whose signature, time or form is not right
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from pydantic import SecretStr

Item = TypeVar("Item")


class ProviderStatus(StrEnum):
    """Where the provider's payment object stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class RiskLevel(StrEnum):
    NORMAL = "normal"
    ELEVATED = "elevated"
    HIGHEST = "highest"
    UNKNOWN = "unknown"


class Screening(StrEnum):
    """What the provider's own fraud screening decided."""

    AUTHORIZED = "authorized"
    MANUAL_REVIEW = "manual_review"
    BLOCKED = "blocked"
    DECLINED = "declined"
    UNKNOWN = "unknown"


class RefundStatus(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Card:
    """All that may ever be known of a card here. ``fingerprint``: the provider's name for the same card seen again."""

    brand: str | None = None
    last4: str | None = None
    country: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class RiskOutcome:
    screening: Screening = Screening.UNKNOWN
    risk_level: RiskLevel = RiskLevel.UNKNOWN
    risk_score: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a try failed. ``code`` is the most precise of the provider's codes, such as ``insufficient_funds``.

    ``authentication`` tells a failed 3-D Secure apart from a bank's refusal.
    """

    code: str
    authentication: bool = False


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """The provider's payment object as it is now. ``metadata`` is what we gave it, to be checked and not believed."""

    id: str
    status: ProviderStatus
    amount: int
    currency: str
    livemode: bool
    metadata: Mapping[str, str] = field(default_factory=dict)
    amount_capturable: int = 0
    amount_received: int = 0
    amount_refunded: int = 0
    charge_id: str | None = None
    card: Card | None = None
    risk: RiskOutcome | None = None
    decline: Decline | None = None
    # True once the cardholder was asked to prove who they are and did.
    authenticated: bool = False
    disputed: bool = False
    # When an authorisation that is not captured lapses, where the provider says so.
    capture_before: datetime | None = None
    created_at: datetime | None = None
    # Lets the payer's browser confirm this one payment. Handed to that browser, never stored or logged.
    client_secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    id: str
    status: RefundStatus
    amount: int
    currency: str
    payment_id: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    failure_reason: str | None = None


class DisputeStatus(StrEnum):
    """Stripe's words, which are the card networks' own. A ``warning`` is a question; no money has moved."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


@dataclass(frozen=True, slots=True)
class ProviderDispute:
    """An unknown status is mapped to ``UNDER_REVIEW``: open, with nothing for us to do."""

    id: str
    status: DisputeStatus
    amount: int
    currency: str
    payment_id: str | None
    livemode: bool
    opened_at: datetime
    reason: str | None = None
    evidence_due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderReview:
    """A payment that the provider's screening put before the merchant's people, at the provider.

    ``approved``: what became of it there. True: the money may be taken; False: it is to be let go; None: still open, or
    closed without a word about the money. ``reason`` is the provider's code for why it was closed.
    """

    id: str
    approved: bool | None
    reason: str | None
    payment_id: str | None
    livemode: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list. ``next`` is where the rest begins; ``None``: this was the end."""

    items: Sequence[Item]
    next: str | None


class Subject(StrEnum):
    """What a callback is about; the handler re-reads that object and believes only what it reads."""

    PAYMENT = "payment"
    REFUND = "refund"
    REVIEW = "review"
    DISPUTE = "dispute"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A verified callback. ``id`` is the provider's own id of the event: the same on every repeat."""

    id: str
    type: str
    subject: Subject
    # The provider's payment object it belongs to, where the callback names one.
    payment_id: str | None
    object_id: str | None
    livemode: bool
    account: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What to ask the provider for. Money is authorised now and captured by us, after our own checks."""

    amount: int
    currency: str
    description: str
    # payment_id, link_id and merchant_id of ours: what is compared before anything is called paid.
    metadata: Mapping[str, str]
    idempotency_key: str
    receipt_email: str | None = None


@dataclass(frozen=True, slots=True)
class BrowserSetup:
    """What the customer's page needs to show the provider's card fields."""

    publishable_key: str
    script_url: str
    # Origins for the page's Content-Security-Policy, by directive.
    script_origins: tuple[str, ...]
    frame_origins: tuple[str, ...]
    connect_origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charging:
    """What one charge in a currency may be, in minor units: from ``minimum`` to ``maximum``, in steps of ``step``.

    ``shift``: how many decimals more than ISO 4217 the provider counts the currency in; its script is given amounts in
    the provider's own count.
    """

    minimum: int
    maximum: int
    step: int = 1
    shift: int = 0

    def takes(self, amount: int) -> bool:
        return self.minimum <= amount <= self.maximum and amount % self.step == 0


class Psp(Protocol):
    """A provider. Every call takes its own short time-out and raises ``PspError`` only."""

    name: str
    livemode: bool
    # Whose callbacks are ours, where the provider tells its customers' accounts apart; None: those that name nobody.
    account: str | None

    @property
    def browser(self) -> BrowserSetup: ...

    def charging(self, currency: str) -> Charging | None:
        """What can be charged in ``currency``; ``None``: nothing. The provider may still refuse, with its reasons."""

    async def create_payment(self, new: NewPayment) -> ProviderPayment: ...

    async def get_payment(self, payment_id: str) -> ProviderPayment: ...

    async def capture(self, payment_id: str, *, amount: int, currency: str, idempotency_key: str) -> ProviderPayment:
        """Takes ``amount`` of what was authorised and lets go of the rest."""

    async def cancel(self, payment_id: str, *, idempotency_key: str) -> ProviderPayment:
        """Releases what was authorised. Refused, with the object's real state to be read, once it succeeded."""

    async def refund(
        self, payment_id: str, *, amount: int, currency: str, metadata: Mapping[str, str], idempotency_key: str
    ) -> ProviderRefund: ...

    async def get_refund(self, refund_id: str) -> ProviderRefund: ...

    async def get_dispute(self, dispute_id: str) -> ProviderDispute: ...

    async def get_review(self, review_id: str) -> ProviderReview: ...

    async def list_payments(
        self, *, since: datetime, until: datetime, after: str | None = None
    ) -> Page[ProviderPayment]:
        """Made in [``since``, ``until``), newest first, as much of each as one read would bring."""

    async def list_refunds(self, payment_id: str, *, after: str | None = None) -> Page[ProviderRefund]: ...

    async def list_undelivered(self, *, since: datetime, after: str | None = None) -> Page[ProviderEvent]:
        """The callbacks that have not arrived at every address they should have, newest first."""

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        """Checks the signature over the raw body before anything is read from it. Raises ``WebhookRefused``."""

    async def close(self) -> None: ...


class PspError(Exception):
    """A provider call that brought no result. The message holds no card data and no secret."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class PspOutcomeUnknown(PspError):
    """Timed out, cut off, or answered with something that is not an answer."""


class PspKeySpent(PspOutcomeUnknown):
    """The first call under this idempotency key is over and ended in a failure of the provider's own, which it keeps
    and repeats for as long as it knows the key: a day at Stripe. Whether it had its effect is to be read."""


class PspBusy(PspError):
    """429, or the object is locked by another call."""


class PspRefused(PspError):
    """The provider understood and said no."""


class WebhookRefused(Exception):
    """Not to be stored, not to be worked on."""
