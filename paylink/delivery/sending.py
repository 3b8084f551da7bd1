"""What the job needs to send a delivery, why one is not sent, and what a carrier's fault means for the next try."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.channels import service as accounts
from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.consent import service as consent
from paylink.consent.models import Suppression, SuppressionReason
from paylink.consent.unsubscribe import unsubscribe_url
from paylink.customers.models import Customer
from paylink.db import table
from paylink.delivery import fallback
from paylink.delivery.models import Delivery, Purpose
from paylink.delivery.outcome import lock, move, said
from paylink.delivery.rows import facts_of
from paylink.errors import Invalid
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.jobs import JobQueue, backoff_s
from paylink.kit import i18n
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, SealBroken
from paylink.links import tokens
from paylink.links.lifecycle import OPEN
from paylink.links.models import LinkStatus, PaymentLink
from paylink.messages.models import MessageTemplate
from paylink.messages.render import Facts, first_name, render
from paylink.messages.service import template_for

# With the back-off of the jobs a little more than four minutes: whoever waits for a message has somebody on the line
# who can send it by another channel. The job system itself gives up later.
MAX_TRIES: Final = 8
# What a provider may ask us to wait; links live no longer.
LONGEST_WAIT_S: Final = timedelta(days=70).total_seconds()
# Why a message that waited for its carrier was not sent in the end.
UNSENT: Final = {
    LinkStatus.PAID: "The link was paid before this could be sent",
    LinkStatus.EXPIRED: "The link expired before this could be sent",
    LinkStatus.CANCELED: "The link was canceled before this could be sent",
}
ACCOUNT_GONE: Final = "The channel account it was to go out by is switched off or gone; send it again by another one"
TOKEN_GONE: Final = "Its link can no longer be read, so it cannot be sent; send it again"  # noqa: S105 - not a secret
# What the customer has opted out of, in the agent's words.
_MESSAGES: Final = {
    ChannelName.SMS.value: "texts",
    ChannelName.EMAIL.value: "e-mails",
    ChannelName.WHATSAPP.value: "WhatsApp messages",
    ChannelName.CHAT.value: "chat messages",
}
_AGAIN: Final = {ChannelName.SMS.value: "text START to you", ChannelName.WHATSAPP.value: "write START to you"}

_deliveries = table(Delivery)
_links = table(PaymentLink)


@dataclass(frozen=True, slots=True)
class ToSend:
    """A queued delivery with all its message needs. ``account_id``: what it goes out by; ``noted``: the row says so."""

    delivery_id: str
    link_id: str
    channel: str
    to: str
    facts: Facts
    account_id: str | None
    noted: bool
    locale: str
    template: MessageTemplate | None
    fallback_after_s: int | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ToSend({self.delivery_id})"


@dataclass(frozen=True, slots=True)
class Unsent:
    """A queued delivery that is not to be sent, and why."""

    status: DeliveryStatus
    reason: str


def to_send(session: Session, keyring: Keyring, delivery_id: str, *, checkout_url: str) -> ToSend | Unsent | None:
    """What the job must send, or why not; ``None`` when there is nothing to do any more."""
    query = (
        sa.select(Delivery, PaymentLink, Merchant, Customer)
        .join(PaymentLink, PaymentLink.id == Delivery.link_id)
        .join(Merchant, Merchant.id == Delivery.merchant_id)
        .outerjoin(Customer, Customer.id == PaymentLink.customer_id)
        .where(Delivery.id == delivery_id)
    )
    row = session.execute(query).one_or_none()
    if row is None or row[0].status != DeliveryStatus.QUEUED:
        return None
    delivery, link, merchant, customer = row
    if (over := _over(link.status, link.expires_at)) is not None:
        return over
    stopped = consent.blocked(
        session, delivery.merchant_id, delivery.channel, delivery.address, purpose=delivery.purpose
    )
    if stopped is not None:
        return Unsent(DeliveryStatus.OPTED_OUT, why_not(stopped))
    token = _token(keyring, delivery)
    if token is None or delivery.address is None:
        return Unsent(DeliveryStatus.FAILED, TOKEN_GONE)
    try:
        account_id = accounts.choose(
            session, delivery.merchant_id, delivery.channel, account_id=delivery.account_id, to=delivery.address
        )
    except Invalid:
        return Unsent(DeliveryStatus.FAILED, ACCOUNT_GONE)
    locale = i18n.choose(delivery.locale, link.locale, customer.locale if customer else None)
    url = tokens.url(checkout_url, token)
    unsubscribe = _unsubscribe_url(keyring, delivery, checkout_url)
    return ToSend(
        delivery_id=delivery.id,
        link_id=link.id,
        channel=delivery.channel,
        to=delivery.address,
        facts=facts(vars(link), merchant=merchant.name, customer=customer, url=url, unsubscribe_url=unsubscribe),
        account_id=account_id,
        noted=account_id == delivery.account_id,
        locale=locale,
        template=template_for(session, delivery.merchant_id, delivery.channel, locale),
        fallback_after_s=delivery.fallback_after_s if delivery.fallback else None,
        headers=_headers(unsubscribe),
    )


def facts(
    link: Mapping[str, Any], *, merchant: str, customer: Customer | None, url: str, unsubscribe_url: str | None = None
) -> Facts:
    """What a message about ``link`` speaks of; ``link`` has the columns of ``payment_links``."""
    by_agent = link["created_by_type"] == "agent"
    return Facts(
        merchant=merchant,
        amount=link["amount"] - link["amount_paid"],
        currency=link["currency"],
        url=url,
        expires_at=link["expires_at"],
        description=link["description"],
        reference=link["reference"],
        name=customer.name if customer else None,
        words=link["session_words"],
        agent=first_name(link["created_by_name"]) if by_agent else None,
        unsubscribe_url=unsubscribe_url,
    )


def text_to_paste(
    session: Session, *, link: Mapping[str, Any], customer: Customer | None, url: str, locale: str | None
) -> str:
    """What an agent pastes into an app of their own; ``link`` as for ``facts``."""
    merchant = session.get_one(Merchant, link["merchant_id"])
    language = i18n.choose(locale, link["locale"], customer.locale if customer else None)
    template = template_for(session, merchant.id, ChannelName.OTHER, language)
    said_of = facts(link, merchant=merchant.name, customer=customer, url=url)
    return render(ChannelName.OTHER, said_of, locale=language, template=template).text


def note(session: Session, pending: ToSend) -> None:
    """Writes down what it goes out by before it does: reports come by the account, and may be faster than we are."""
    mine = sa.update(_deliveries).where(_deliveries.c.id == pending.delivery_id)
    session.execute(mine.values(account_id=pending.account_id))


def refuse(session: Session, jobs: JobQueue, delivery_id: str, unsent: Unsent) -> None:
    """Ends a delivery that still waits, without its carrier having been asked."""
    row = lock(session, delivery_id)
    if row is None or row.status != DeliveryStatus.QUEUED:
        return
    move(session, row, unsent.status, origin=Origin.SYSTEM, reason=unsent.reason)
    fallback.ended(session, jobs, row)


def faulted(
    session: Session, jobs: JobQueue, delivery_id: str, *, reason: str, retry_after_s: float | None = None
) -> float | None:
    """Notes that the carrier could not take it just now; seconds until the next try, ``None`` when there is none.

    A wait that ends after the link, or after the time when the next channel is due, is not waited for.
    """
    row = lock(session, delivery_id)
    if row is None or row.status != DeliveryStatus.QUEUED:
        return None
    reason = said(reason, address=row.address) or "The carrier had a fault"
    tries = row.attempts + 1
    delay, unsent = _next_try(session, row, tries=tries, reason=reason, retry_after_s=retry_after_s)
    if unsent is not None:
        more = {"attempts": tries}
        move(session, row, unsent.status, origin=Origin.SYSTEM, reason=unsent.reason, more=more)
        fallback.ended(session, jobs, row)
        return None
    values = {"attempts": tries, "last_fault": reason}
    session.execute(sa.update(_deliveries).where(_deliveries.c.id == row.id).values(values))
    if reason != row.last_fault:
        data = facts_of(row.id, row.channel, row.address) | {"reason": reason}
        told = NewEvent(EventType.DELIVERY_RETRIED, Origin.SYSTEM, data)
        log.append(session, merchant_id=row.merchant_id, link_id=row.link_id, events=[told])
    return delay


def why_not(stopped: Suppression) -> str:
    """Why nothing was sent, and what the agent can do instead."""
    messages = _MESSAGES.get(stopped.channel, "messages")
    match stopped.reason:
        case SuppressionReason.BOUNCE:
            return (
                "An earlier message to this address came back; ask for another address, or send it by another channel"
            )
        case SuppressionReason.UNSUBSCRIBE:
            return f"The customer has unsubscribed from {messages}; send it by another channel"
        case SuppressionReason.AGENT:
            return (
                f"The customer has asked for no more {messages}; send it by another channel, or lift that if they agree"
            )
    again = _AGAIN.get(stopped.channel)
    instead = f"send it by another channel, or ask them to {again}" if again else "send it by another channel"
    return f"The customer has opted out of {messages}; {instead}"


def _next_try(
    session: Session, row: Any, *, tries: int, reason: str, retry_after_s: float | None
) -> tuple[float, Unsent | None]:
    query = sa.select(_links.c.status, _links.c.expires_at).where(_links.c.id == row.link_id)
    link = session.execute(query).one()
    if (over := _over(link.status, link.expires_at)) is not None:
        return 0, over
    if tries >= MAX_TRIES:
        return 0, Unsent(DeliveryStatus.FAILED, f"Given up after {tries} tries: {reason}")
    now = utcnow()
    asked_for = min(retry_after_s, LONGEST_WAIT_S) if retry_after_s is not None and retry_after_s > 0 else 0.0
    left = (link.expires_at - now).total_seconds()
    if asked_for >= left:
        return 0, Unsent(DeliveryStatus.EXPIRED, f"The carrier cannot take it before the link expires: {reason}")
    if row.fallback and row.fallback_after_s is not None:
        patience = row.fallback_after_s - (now - row.created_at).total_seconds()
        if patience <= asked_for:
            return 0, Unsent(DeliveryStatus.FAILED, f"Not sent within {row.fallback_after_s} seconds: {reason}")
        left = min(left, patience)
    return min(max(backoff_s(tries), asked_for), left), None


def _over(status: str, expires_at: Any) -> Unsent | None:
    if status not in OPEN:
        ended = LinkStatus(status)
        how = DeliveryStatus.EXPIRED if ended is LinkStatus.EXPIRED else DeliveryStatus.FAILED
        return Unsent(how, UNSENT[ended])
    return Unsent(DeliveryStatus.EXPIRED, UNSENT[LinkStatus.EXPIRED]) if expires_at <= utcnow() else None


def _token(keyring: Keyring, delivery: Delivery) -> str | None:
    """``None`` when it was erased, or when the key it was sealed with is gone."""
    if delivery.token_sealed is None:
        return None
    try:
        return tokens.unseal(keyring, delivery.token_sealed, bound_to=delivery.id)
    except SealBroken:
        return None


def _unsubscribe_url(keyring: Keyring, delivery: Delivery, checkout_url: str) -> str | None:
    """Reminders can be stopped by one click; a link that was asked for is no subscription."""
    if delivery.purpose != Purpose.REMINDER or delivery.address is None:
        return None
    return unsubscribe_url(
        keyring,
        checkout_url,
        merchant_id=delivery.merchant_id,
        channel=delivery.channel,
        address=delivery.address,
    )


def _headers(unsubscribe: str | None) -> dict[str, str]:
    """RFC 8058: one click, by the mail program itself."""
    if unsubscribe is None:
        return {}
    return {"List-Unsubscribe": f"<{unsubscribe}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
