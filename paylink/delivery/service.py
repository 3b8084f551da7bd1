"""Sending a link: its doors, each a delivery with a token of its own, and what agents do with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.db import table
from paylink.delivery.models import Delivery
from paylink.delivery.outcome import move, record
from paylink.delivery.rows import MAX_DELIVERIES, SEND_JOB, Added, Next, Wanted, add, facts_of, mask
from paylink.delivery.states import DIRECT
from paylink.errors import Conflict, NotFound
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.links import tokens
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink

__all__ = [
    "MAX_DELIVERIES",
    "SEND_JOB",
    "Added",
    "Door",
    "Next",
    "Wanted",
    "add",
    "add_to_open_link",
    "find_by_token",
    "forget_tokens",
    "mask",
    "of_links",
    "record",
    "shown_token",
    "withdraw",
]

WITHDRAWN_UNSENT = "It was withdrawn before it was sent"

_deliveries = table(Delivery)


@dataclass(frozen=True, slots=True)
class Door:
    """Through which delivery a visitor comes to a link."""

    link_id: str
    delivery_id: str
    merchant_id: str
    channel: str


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
    """The door a token opens, whatever became of the link; ``None`` for one that was withdrawn or never was."""
    row = session.execute(
        sa.select(_deliveries.c.link_id, _deliveries.c.id, _deliveries.c.merchant_id, _deliveries.c.channel).where(
            _deliveries.c.token_hash.in_(tokens.hashes(keyring, token)), _deliveries.c.withdrawn_at.is_(None)
        )
    ).one_or_none()
    return None if row is None else Door(row.link_id, row.id, row.merchant_id, row.channel)


def withdraw(session: Session, keyring: Keyring, principal: Principal, *, link_id: str, delivery_id: str) -> Delivery:
    """Closes one door of a link: its token opens nothing any more, and what still waits is not sent.

    Returns it as it is then. Raises ``Conflict`` (``delivery_withdrawn``) the
    second time. Call it last in its transaction: it writes to the audit.
    """
    place = (_deliveries.c.id == delivery_id, _deliveries.c.link_id == link_id, _deliveries.c.channel != DIRECT)
    query = sa.select(_deliveries).where(*place, _deliveries.c.merchant_id == principal.merchant_id)
    row = session.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise NotFound("No such delivery")
    if row.withdrawn_at is not None:
        raise Conflict("This delivery has been withdrawn already", code="delivery_withdrawn")
    now = utcnow()
    gone = sa.update(_deliveries).where(_deliveries.c.id == row.id).values(withdrawn_at=now, token_sealed=None)
    session.execute(gone)
    if row.status == DeliveryStatus.QUEUED:
        move(session, row, DeliveryStatus.FAILED, origin=principal.origin, reason=WITHDRAWN_UNSENT)
    data = facts_of(row.id, row.channel, row.address) | {"by": principal.name}
    told = NewEvent(EventType.DELIVERY_WITHDRAWN, principal.origin, data, now)
    log.append(session, merchant_id=row.merchant_id, link_id=row.link_id, events=[told])
    details = {"payment_link": row.link_id, "channel": row.channel}
    audit.note(session, keyring, principal, Action.DELIVERY_WITHDRAWN, subject=row.id, details=details)
    return session.get_one(Delivery, row.id, populate_existing=True)


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
