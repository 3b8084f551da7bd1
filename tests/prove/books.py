"""The judge: what the product wrote down, held against what the provider's ledger says really happened."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final

import httpx
import sqlalchemy as sa

from paylink.db import Database, table
from paylink.events.types import Event
from paylink.links.models import PaymentLink
from paylink.payments.models import LIVE, Payment, Refund

Row = sa.Row[Any]

ENDS: Final = {"link.paid", "link.canceled", "link.expired"}
PAID: Final = {"payment.succeeded", "payment.succeeded_late"}
OVER: Final = {*PAID, "payment.failed", "payment.canceled"}
# What is told at most once of one attempt.
ONCE: Final = {"payment.submitted", "fraud_check.started", "fraud_check.completed", "review.opened", *OVER}


@dataclass(frozen=True)
class Books:
    """``attempts``, ``events`` by link, ``refunds`` by payment, ``ledger`` by the provider's id of the payment."""

    links: dict[str, Row]
    attempts: dict[str, list[Row]]
    refunds: dict[str, list[Row]]
    events: dict[str, list[Row]]
    ledger: dict[str, dict[str, Any]]

    def accounts(self, link_id: str) -> list[dict[str, Any]]:
        return [one for one in self.ledger.values() if one["metadata"].get("link_id") == link_id]


def read(database_url: str, sandbox: str) -> Books:
    ledger = httpx.get(f"{sandbox}/_ledger", trust_env=False, timeout=60).json()
    db = Database(database_url)
    try:
        return db.read_sync(lambda session: _read(session.connection(), ledger))
    finally:
        db.close()


def _read(connection: sa.Connection, ledger: list[dict[str, Any]]) -> Books:
    def rows(entity: type[Any], by: str, order: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        columns = table(entity)
        for row in connection.execute(sa.select(columns).order_by(columns.c[order])):
            found[getattr(row, by)].append(row)
        return found

    links = {row.id: row for row in connection.execute(sa.select(table(PaymentLink)))}
    return Books(
        links,
        rows(Payment, "link_id", "attempt"),
        rows(Refund, "payment_id", "id"),
        rows(Event, "link_id", "seq"),
        {one["payment_intent"]: one for one in ledger},
    )


@dataclass
class Sums:
    """What was wrong, by kind: each of these must stay 0."""

    double_charges: int = 0
    double_captures: int = 0
    double_refunds: int = 0
    called_failed: int = 0


def judge(books: Books, sums: Sums) -> list[str]:
    """Everything in which product and provider do not agree, in sentences. To be asked when all is at rest."""
    by_link: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for account in books.ledger.values():
        by_link[account["metadata"].get("link_id", "")].append(account)
    found = [f"the provider has money of nobody's link: {one['payment_intent']}" for one in by_link.pop("", [])]
    for link_id, link in books.links.items():
        wrong = [
            *_of_money(books, link, by_link.get(link_id, []), sums),
            *_of_attempts(books, link_id, by_link.get(link_id, []), sums),
            *_of_log(books, link),
        ]
        found += [f"{link_id}: {one}" for one in wrong]
    return found


def unsettled(books: Books) -> list[str]:
    """Whose end at the provider the product has not yet taken over, or not yet brought about."""
    found = []
    for attempts in books.attempts.values():
        for one in attempts:
            account = books.ledger.get(one.psp_payment_id or "")
            if account is not None and not _agree(one, account):
                found.append(f"{one.id}: {one.status} here, {account['status']} there")
            for refund in books.refunds.get(one.id, []):
                if refund.status == "pending":
                    found.append(f"{refund.id} is pending")
    return found


def _agree(payment: Row, account: dict[str, Any]) -> bool:
    there = account["status"]
    if account["captured"]:
        return bool(payment.status == "succeeded")
    if there == "canceled":
        return bool(payment.status in {"failed", "canceled"})
    if there == "requires_capture":
        return bool(payment.status == "in_review")
    # Not confirmed: the customer may still come, or has gone and is given up later.
    return bool(payment.status != "succeeded")


def _of_money(books: Books, link: Row, accounts: list[dict[str, Any]], sums: Sums) -> list[str]:
    found = []
    captured = sum(one["captured"] for one in accounts)
    paid_by = [one["payment_intent"] for one in accounts if one["captured"]]
    if captured > link.amount:
        sums.double_charges += 1
        found.append(f"charged {captured} of {link.amount}, by {paid_by}")
    if any(len(one["captures"]) > 1 for one in accounts):
        sums.double_captures += 1
        found.append("one payment was captured twice")
    if (link.status == "paid") != (captured >= link.amount):
        found.append(f"{link.status} with {captured} of {link.amount} captured")
    refunded = sum(one["refunded"] for one in accounts)
    if refunded > captured:
        sums.double_refunds += 1
        found.append(f"{refunded} given back of {captured}")
    if (link.amount_paid, link.amount_refunded) != (captured, refunded):
        found.append(f"sums {link.amount_paid}/{link.amount_refunded}, the ledger has {captured}/{refunded}")
    return found


def _of_attempts(books: Books, link_id: str, accounts: list[dict[str, Any]], sums: Sums) -> list[str]:
    attempts = books.attempts.get(link_id, [])
    known = {one.psp_payment_id: one for one in attempts}
    found = []
    for account in accounts:
        mine = known.get(account["payment_intent"])
        if mine is None:
            if account["authorized"] and not account["canceled"]:
                found.append(f"{account['payment_intent']} holds money and nobody here knows of it")
            continue
        if not _agree(mine, account):
            found.append(f"{mine.id} is {mine.status} here and {account['status']} there")
        if account["captured"] and mine.status in {"failed", "canceled"}:
            sums.called_failed += 1
        found += _of_refunds(books.refunds.get(mine.id, []), mine, account, sums)
    if sum(one.status in LIVE for one in attempts) > 1:
        found.append("two attempts are live")
    return found


def _of_refunds(refunds: list[Row], payment: Row, account: dict[str, Any], sums: Sums) -> list[str]:
    """The ledger names each refund; a refund that failed after it was given is in it, and taken out of its sum."""
    found = []
    there = Counter(line["reference"] for line in account["refunds"])
    mine = {one.psp_refund_id for one in refunds if one.psp_refund_id}
    if extra := set(there) - mine:
        sums.double_refunds += 1
        found.append(f"{payment.id}: refunds at the provider that nobody here asked for: {sorted(extra)}")
    if any(times > 1 for times in there.values()):
        sums.double_refunds += 1
        found.append(f"{payment.id}: a refund was given twice")
    for one in refunds:
        if one.status == "failed" and one.psp_refund_id is None and extra:
            found.append(f"{one.id} is called failed, and was given")
    given = sum(one.amount for one in refunds if one.status == "succeeded")
    if not given == payment.amount_refunded == account["refunded"]:
        found.append(f"{payment.id}: refunds {given}, sum {payment.amount_refunded}, ledger {account['refunded']}")
    return found


def _of_log(books: Books, link: Row) -> list[str]:
    events = books.events.get(link.id, [])
    found = []
    if [one.seq for one in events] != list(range(1, len(events) + 1)):
        found.append(f"seq has a gap: {[one.seq for one in events]}")
    told = Counter((one.type, one.data.get("payment")) for one in events if one.type in ONCE)
    found += [f"{kind} of {payment} was told {times} times" for (kind, payment), times in told.items() if times > 1]
    ends = [one.type for one in events if one.type in ENDS]
    if len(ends) > 1 or (ends and ends[0] != f"link.{link.status}"):
        found.append(f"{link.status} after {ends}")
    found += _of_order(events)
    return found


def _of_order(events: list[Row]) -> list[str]:
    """Never two live attempts, and nothing called failed that was paid after all without being called late."""
    live: set[str] = set()
    found = []
    for event in events:
        payment = str(event.data.get("payment"))
        if event.type == "payment.submitted":
            if live:
                found.append(f"{payment} began while {sorted(live)} was live")
            live.add(payment)
        elif event.type in OVER:
            live.discard(payment)
            if event.type == "payment.succeeded_late":
                found.append(f"{payment} was given up and then paid")
    return found
