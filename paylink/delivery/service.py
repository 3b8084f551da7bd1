"""Sending a link: the rows, their tokens, the job that hands the message over, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal
from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.customers.models import Customer
from paylink.db import table
from paylink.delivery.models import Delivery, Purpose
from paylink.delivery.states import DIRECT, EVENT, PATH, outranked_by, steps_between
from paylink.errors import Conflict, NotFound
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from paylink.links import tokens
from paylink.links.lifecycle import OPEN
from paylink.links.models import LinkStatus, PaymentLink
from paylink.messages.render import Facts
from paylink.prepared import PreparedInsert

SEND_JOB: Final = "delivery.send"
# Doors per link: enough for any conversation, and a bound on what one link can make us send.
MAX_DELIVERIES: Final = 50
# Why a message that waited for its carrier was not sent in the end.
UNSENT: Final = {
    LinkStatus.PAID: "The link was paid before this could be sent",
    LinkStatus.EXPIRED: "The link expired before this could be sent",
    LinkStatus.CANCELED: "The link was canceled before this could be sent",
}

_deliveries = table(Delivery)
_insert = PreparedInsert(_deliveries)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A delivery asked for. ``to`` is already checked for its channel; ``None`` for what is shown on a screen."""

    channel: str
    to: str | None


@dataclass(frozen=True, slots=True)
class Added:
    """``token`` is the text for this one answer; it is not kept."""

    row: dict[str, Any]
    token: str

    def __repr__(self) -> str:
        return f"Added({self.row['id']})"


@dataclass(frozen=True, slots=True)
class Door:
    """Through which delivery a visitor comes to a link."""

    link_id: str
    delivery_id: str
    merchant_id: str
    channel: str


def add(
    session: Session,
    jobs: JobQueue,
    keyring: Keyring,
    *,
    link_id: str,
    merchant_id: str,
    wanted: Sequence[Wanted],
    origin: Origin,
) -> tuple[list[Added], list[NewEvent]]:
    """Writes deliveries, each with its own token, and the jobs that send them. The caller appends the events."""
    added = [_new(keyring, link_id=link_id, merchant_id=merchant_id, wanted=one) for one in wanted]
    if added:
        _insert.later(session, [one.row for one in added])
    events: list[NewEvent] = []
    for one in added:
        if one.row["channel"] == DIRECT:
            continue
        events.append(NewEvent(EventType.DELIVERY_QUEUED, origin, _facts(one.row)))
        if one.row["status"] == DeliveryStatus.SENT:
            events.append(NewEvent(EventType.DELIVERY_SENT, origin, _facts(one.row)))
        else:
            jobs.enqueue(session, SEND_JOB, one.row["id"], key=f"{SEND_JOB}:{one.row['id']}")
    return added, events


def add_to_open_link(
    session: Session, jobs: JobQueue, keyring: Keyring, *, principal: Principal, link_id: str, wanted: Wanted
) -> Added:
    """One more door to the same link. Raises ``Conflict`` when the link has ended."""
    query = (
        sa.select(PaymentLink)
        .where(PaymentLink.id == link_id, PaymentLink.merchant_id == principal.merchant_id)
        .with_for_update()
    )
    link = session.scalars(query).one_or_none()
    if link is None:
        raise NotFound("No such payment link")
    if link.status not in OPEN or link.expires_at <= utcnow():
        raise Conflict("This payment link has ended and cannot be sent", code="link_not_active")
    count = session.scalar(sa.select(sa.func.count()).where(_deliveries.c.link_id == link_id)) or 0
    if count >= MAX_DELIVERIES:
        raise Conflict(f"A link can be sent {MAX_DELIVERIES} times at most", code="too_many_deliveries")
    (added,), events = add(
        session,
        jobs,
        keyring,
        link_id=link_id,
        merchant_id=link.merchant_id,
        wanted=[wanted],
        origin=principal.origin,
    )
    log.append(session, merchant_id=link.merchant_id, link_id=link_id, events=events)
    return added


def of_links(session: Session, link_ids: Sequence[str]) -> dict[str, list[Delivery]]:
    """The deliveries of each link, oldest first."""
    query = sa.select(Delivery).where(Delivery.link_id.in_(link_ids), Delivery.channel != DIRECT).order_by(Delivery.id)
    found: dict[str, list[Delivery]] = {link_id: [] for link_id in link_ids}
    for delivery in session.scalars(query):
        found[delivery.link_id].append(delivery)
    return found


def find_by_token(session: Session, keyring: Keyring, token: str) -> Door | None:
    """The door a token opens, whatever became of the link; ``None`` for a token that never was."""
    row = session.execute(
        sa.select(_deliveries.c.link_id, _deliveries.c.id, _deliveries.c.merchant_id, _deliveries.c.channel).where(
            _deliveries.c.token_hash.in_(tokens.hashes(keyring, token))
        )
    ).one_or_none()
    return None if row is None else Door(row.link_id, row.id, row.merchant_id, row.channel)


def shown_token(session: Session, keyring: Keyring, principal: Principal, *, link_id: str, delivery_id: str) -> str:
    """The token of a QR delivery, while its link can be paid."""
    delivery = session.scalars(
        sa.select(Delivery).where(
            Delivery.id == delivery_id, Delivery.link_id == link_id, Delivery.merchant_id == principal.merchant_id
        )
    ).one_or_none()
    if delivery is None:
        raise NotFound("No such delivery")
    if delivery.token_sealed is None or delivery.channel != ChannelName.QR:
        raise Conflict(
            "Only a QR delivery of a link that can still be paid has a code to show; add one by channel qr",
            code="qr_not_available",
        )
    return tokens.unseal(keyring, delivery.token_sealed, bound_to=delivery.id)


def forget_tokens(session: Session, link_id: str) -> None:
    """Erases what could still be sent or shown of a link that has ended."""
    session.execute(sa.update(_deliveries).where(_deliveries.c.link_id == link_id).values(token_sealed=None))


@dataclass(frozen=True, slots=True)
class ToSend:
    """A queued delivery with all its message needs."""

    delivery_id: str
    channel: str
    to: str
    token: str
    facts: Facts

    def __repr__(self) -> str:
        return f"ToSend({self.delivery_id})"


def to_send(session: Session, keyring: Keyring, delivery_id: str, *, checkout_url: str) -> ToSend | None:
    """What the job must send; ``None`` when it was sent already or the link has ended meanwhile."""
    query = (
        sa.select(Delivery, PaymentLink, Merchant, Customer)
        .join(PaymentLink, PaymentLink.id == Delivery.link_id)
        .join(Merchant, Merchant.id == Delivery.merchant_id)
        .outerjoin(Customer, Customer.id == PaymentLink.customer_id)
        .where(Delivery.id == delivery_id)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    delivery, link, merchant, customer = row
    if delivery.status != DeliveryStatus.QUEUED or link.status not in OPEN:
        return None
    if delivery.token_sealed is None or delivery.address is None:
        return None
    token = tokens.unseal(keyring, delivery.token_sealed, bound_to=delivery.id)
    facts = Facts(
        merchant=merchant.name,
        amount=link.amount - link.amount_paid,
        currency=link.currency,
        url=tokens.url(checkout_url, token),
        expires_at=link.expires_at,
        description=link.description,
        reference=link.reference,
        name=customer.name if customer else None,
    )
    return ToSend(delivery.id, delivery.channel, delivery.address, token, facts)


def close_unsent(session: Session, delivery_id: str) -> None:
    """Says of a delivery that still waits why it will not be sent any more: its link has ended meanwhile."""
    query = sa.select(PaymentLink.status).join(Delivery, Delivery.link_id == PaymentLink.id)
    status = session.scalar(query.where(Delivery.id == delivery_id, Delivery.status == DeliveryStatus.QUEUED))
    if status is not None and status not in OPEN:
        record(session, delivery_id, DeliveryStatus.FAILED, reason=UNSENT[LinkStatus(status)])


def record(
    session: Session,
    delivery_id: str,
    status: DeliveryStatus,
    *,
    occurred_at: datetime | None = None,
    reason: str | None = None,
    provider: str | None = None,
    message_id: str | None = None,
) -> bool:
    """Moves a delivery forward by rank and tells of every step on the way. False for news that is old."""
    row = session.execute(sa.select(_deliveries).where(_deliveries.c.id == delivery_id).with_for_update()).one_or_none()
    if row is None:
        return False
    known = {"provider": provider, "provider_message_id": message_id}
    values: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    current, now = DeliveryStatus(row.status), occurred_at or utcnow()
    moves = current in outranked_by(status)
    if moves:
        values |= {"status": status.value, "token_sealed": None, "failure_reason": reason}
        values |= {f"{step.value}_at": now for step in steps_between(current, status) if step in PATH}
    if values:
        session.execute(sa.update(_deliveries).where(_deliveries.c.id == delivery_id).values(values))
    if moves:
        facts = _facts({name: getattr(row, name) for name in ("id", "channel", "address")})
        events = [
            NewEvent(EVENT[step], Origin.PROVIDER, {**facts, **({"reason": reason} if reason else {})}, now)
            for step in steps_between(current, status)
        ]
        log.append(session, merchant_id=row.merchant_id, link_id=row.link_id, events=events)
    return moves


def _new(keyring: Keyring, *, link_id: str, merchant_id: str, wanted: Wanted) -> Added:
    delivery_id, now = new_id("dlv"), utcnow()
    token = tokens.mint(keyring)
    # What the agent shows or pastes is sent the moment it is made; only a QR code is shown again later.
    by_hand = wanted.channel in {DIRECT, ChannelName.QR} or wanted.to is None
    keep = wanted.channel == ChannelName.QR or not by_hand
    row = {
        "id": delivery_id,
        "link_id": link_id,
        "merchant_id": merchant_id,
        "channel": wanted.channel,
        "address": wanted.to,
        "status": (DeliveryStatus.SENT if by_hand else DeliveryStatus.QUEUED).value,
        "token_hash": token.hash,
        "token_sealed": tokens.seal(keyring, token.text, bound_to=delivery_id) if keep else None,
        "provider": None,
        "provider_message_id": None,
        "failure_reason": None,
        "created_at": now,
        "sent_at": now if by_hand else None,
        "delivered_at": None,
        "read_at": None,
        "purpose": Purpose.LINK.value,
        "attempts": 0,
    }
    return Added(row, token.text)


def _facts(row: Any) -> dict[str, Any]:
    return {"delivery": row["id"], "channel": row["channel"], "to": mask(row["address"])}


def mask(address: str | None) -> str | None:
    """``+44•••••0123``, ``a•••@example.com``: enough to recognise, too little to use."""
    if address is None:
        return None
    name, at, domain = address.partition("@")
    if at and name:  # a chat handle begins with it
        return f"{name[:1]}•••@{domain}"
    return f"{address[:3]}•••••{address[-4:]}" if len(address) > 7 else "•••"
