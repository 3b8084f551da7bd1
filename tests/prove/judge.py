"""What must be true at every moment, and what must be true at the end: the rows against the provider's ledger and
against the log, by rules of its own that share nothing with the product's."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import table
from paylink.events.types import Event
from paylink.links.models import PaymentLink
from paylink.payments.models import Dispute, Payment, Refund

Row = Any
LIVE: Final = {"requires_payment_method", "requires_action", "processing", "in_review", "requires_capture"}
OPEN: Final = {"active", "partially_paid"}
ENDS: Final = {"link.paid": "paid", "link.expired": "expired", "link.canceled": "canceled"}
TAKEN: Final = ("payment.succeeded", "payment.succeeded_late")
OUTCOMES: Final = {
    "payment.succeeded": "succeeded",
    "payment.succeeded_late": "succeeded",
    "payment.failed": "failed",
    "payment.canceled": "canceled",
}
# Of one attempt: what may stand right before each event. None: nothing.
BEFORE: Final[dict[str, set[str | None]]] = {
    "payment.submitted": {None},
    "authentication.required": {"payment.submitted"},
    "authentication.succeeded": {"authentication.required"},
    "authentication.failed": {"authentication.required"},
    "fraud_check.started": {"payment.submitted", "authentication.required", "authentication.succeeded"},
    "fraud_check.completed": {"fraud_check.started"},
    "review.opened": {"fraud_check.completed"},
    "review.expiring": {"review.opened"},
    "review.closed": {"review.opened", "review.expiring"},
    "payment.succeeded": {"fraud_check.completed", "review.closed"},
    "payment.succeeded_late": {"payment.failed", "payment.canceled", "fraud_check.completed", "review.closed"},
    "payment.failed": {
        *("payment.submitted", "authentication.required", "authentication.failed", "authentication.succeeded"),
        "fraud_check.completed",
    },
    "payment.canceled": {
        *("payment.submitted", "authentication.required", "authentication.succeeded"),
        *("fraud_check.started", "fraud_check.completed", "review.closed"),
    },
}
# The same of one refund and of one dispute.
BEFORE_REFUND: Final[dict[str, set[str | None]]] = {
    "refund.succeeded": {None},
    "refund.failed": {None, "refund.succeeded"},
}
BEFORE_DISPUTE: Final[dict[str, set[str | None]]] = {
    "dispute.opened": {None},
    "dispute.updated": {"dispute.opened", "dispute.updated"},
    "dispute.closed": {"dispute.opened", "dispute.updated"},
}
_TABLES: Final = (PaymentLink, Payment, Refund, Dispute, Event)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows of one merchant, each kind in the order it was made; ``accounts`` by the provider's id of a payment."""

    links: Sequence[Row]
    payments: Sequence[Row]
    refunds: Sequence[Row]
    disputes: Sequence[Row]
    events: Sequence[Row]
    accounts: dict[str, dict[str, Any]]


def take(session: Session, merchant_id: str, accounts: dict[str, dict[str, Any]]) -> Snapshot:
    found: list[Sequence[Row]] = []
    for entity in _TABLES:
        columns = table(entity).c
        query = sa.select(*columns).where(columns.merchant_id == merchant_id).order_by(columns.id)
        found.append(session.execute(query).all())
    links, payments, refunds, disputes, events = found
    return Snapshot(links, payments, refunds, disputes, events, accounts)


def always(now: Snapshot) -> list[str]:
    """What is broken, in sentences."""
    by_link, told = _grouped(now.payments, "link_id"), _grouped(now.events, "link_id")
    asked_back, taken = _grouped(now.refunds, "payment_id"), Counter[str]()
    for account in now.accounts.values():
        taken[account["metadata"].get("link_id", "")] += account["captured"]
    return [
        *(wrong for link in now.links for wrong in _link(link, by_link[link.id], told[link.id], taken[link.id])),
        *(
            wrong
            for payment in now.payments
            for wrong in _payment(
                payment,
                now.accounts.get(payment.psp_payment_id or ""),
                asked_back[payment.id],
                [event.type for event in told[payment.link_id] if event.data.get("payment") == payment.id],
            )
        ),
        *(wrong for one in told.values() for wrong in _log(one)),
    ]


def at_rest(now: Snapshot, *, odd: Collection[str] = ()) -> list[str]:
    """When all is delivered, every job is done and every link's time is over. ``odd``: the provider's ids of payments
    that never fitted ours, which nobody may settle."""
    return [*always(now), *_rest(now, odd)]


def _link(link: Row, payments: Sequence[Row], events: Sequence[Row], taken: int) -> Iterator[str]:
    live = [one.id for one in payments if one.status in LIVE]
    if len(live) > 1:
        yield f"{link.id}: {len(live)} live attempts: {live}"
    if taken > link.amount:
        yield f"{link.id}: {taken} of {link.amount} captured"
    for name in ("captured", "refunded"):
        ours, theirs = _paid_column(link, name), sum(getattr(one, f"amount_{name}") for one in payments)
        if ours != theirs:
            yield f"{link.id}: {ours} {name}, its payments say {theirs}"
    yield from _link_status(link, events, late=any(one.late for one in payments))


def _paid_column(link: Row, name: str) -> int:
    return int(link.amount_paid if name == "captured" else link.amount_refunded)


def _link_status(link: Row, events: Sequence[Row], *, late: bool) -> Iterator[str]:
    """A link that has ended is full only by money that came late."""
    full, part = link.amount_paid >= link.amount, 0 < link.amount_paid < link.amount
    right = {"active": not (full or part), "partially_paid": part, "paid": full}.get(link.status, late or not full)
    if not right:
        yield f"{link.id}: {link.status} with {link.amount_paid} of {link.amount} paid"
    ended = [ENDS[event.type] for event in events if event.type in ENDS]
    if ended != ([] if link.status in OPEN else [link.status]):
        yield f"{link.id}: is {link.status} and its log says {ended}"


def _payment(payment: Row, account: dict[str, Any] | None, refunds: Sequence[Row], own: Sequence[str]) -> Iterator[str]:
    """``own``: the types of its events, in order."""
    captured = account["captured"] if account else 0
    if account and len(account["captures"]) > 1:
        yield f"{payment.id}: captured {len(account['captures'])} times"
    if captured > payment.amount:
        yield f"{payment.id}: {captured} of {payment.amount} captured"
    if payment.amount_captured > captured:
        yield f"{payment.id}: says {payment.amount_captured} captured, the ledger says {captured}"
    if (payment.status == "succeeded") != (payment.amount_captured > 0):
        yield f"{payment.id}: {payment.status} with {payment.amount_captured} captured"
    yield from _refunds(payment, account, refunds)
    outcome = next((OUTCOMES[kind] for kind in reversed(own) if kind in OUTCOMES), None)
    if outcome != (None if payment.status in LIVE else payment.status):
        yield f"{payment.id}: is {payment.status} and its log says {outcome}"
    if (payment.status == "in_review") != (own.count("review.opened") > own.count("review.closed")):
        yield f"{payment.id}: is {payment.status} and its log says {own}"


def _refunds(payment: Row, account: dict[str, Any] | None, of_it: Sequence[Row]) -> Iterator[str]:
    asked = sum(one.amount for one in of_it if one.status in {"pending", "succeeded"})
    given = sum(one.amount for one in of_it if one.status == "succeeded")
    if asked > payment.amount_captured:
        yield f"{payment.id}: {asked} asked back of {payment.amount_captured}"
    if given != payment.amount_refunded:
        yield f"{payment.id}: {payment.amount_refunded} refunded, its refunds say {given}"
    if account and account["refunded"] > account["captured"]:
        yield f"{payment.id}: the ledger has {account['refunded']} of {account['captured']} refunded"


def _log(events: Sequence[Row]) -> Iterator[str]:
    """One link's events, in order."""
    link = events[0].link_id
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield f"{link}: seq has gaps: {[event.seq for event in events]}"
    if [event.type for event in events].index("link.created") != 0:
        yield f"{link}: link.created is not the first"
    last: dict[str, str | None] = defaultdict(lambda: None)
    ended: str | None = None
    for event in events:
        kind, payment = event.type, event.data.get("payment")
        yield from _follows(f"{link}/{payment}", kind, last, BEFORE, payment)
        yield from _follows(link, kind, last, BEFORE_REFUND, event.data.get("refund"))
        yield from _follows(link, kind, last, BEFORE_DISPUTE, event.data.get("dispute"))
        if ended and kind in {*ENDS, "payment.submitted", "payment.succeeded", "link.partially_paid"}:
            yield f"{link}: {kind} after {ended}"
        ended = kind if kind in ENDS else ended
        if kind.startswith(("refund.", "dispute.")) and last[str(payment)] not in TAKEN:
            yield f"{link}: {kind} after {last[str(payment)]}"


def _follows(
    where: str, kind: str, last: dict[str, str | None], rules: dict[str, set[str | None]], subject: str | None
) -> Iterator[str]:
    if kind not in rules:
        return
    before = last[str(subject)]
    if before not in rules[kind]:
        yield f"{where}: {kind} right after {before}"
    last[str(subject)] = kind


def _rest(now: Snapshot, odd: Collection[str]) -> Iterator[str]:
    ours = {one.psp_payment_id: one for one in now.payments if one.psp_payment_id}
    waiting = {payment.link_id for psp_id, payment in ours.items() if psp_id in odd}
    for link in now.links:
        if link.status in OPEN and link.id not in waiting:
            yield f"{link.id}: still {link.status}"
    for payment in now.payments:
        if payment.status in LIVE and payment.psp_payment_id not in odd:
            yield f"{payment.id}: still {payment.status}"
        if payment.status == "succeeded" and payment.psp_payment_id in odd:
            yield f"{payment.id}: succeeded by an object that is not its own"
    for psp_id, account in now.accounts.items():
        if psp_id not in odd:
            yield from _account(ours.get(psp_id), psp_id, account)


def _account(payment: Row | None, psp_id: str, account: dict[str, Any]) -> Iterator[str]:
    if account["status"] == "requires_capture":
        yield f"{psp_id}: money is still held for {payment.status if payment else 'nobody'}"
    for name in ("captured", "refunded"):
        known = getattr(payment, f"amount_{name}") if payment else 0
        if known != account[name]:
            yield f"{psp_id}: {known} {name}, the ledger says {account[name]}"


def _grouped(rows: Iterable[Row], column: str) -> "defaultdict[str, list[Row]]":
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[getattr(row, column)].append(row)
    return found
