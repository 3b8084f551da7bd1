"""The customer's receipt: one for every payment that succeeded, the whole sum or a part, in time or late.

The row and the job are written with the success, so there is a receipt exactly if there was a payment. The job hands
it to the carrier under the receipt's own id: run again after a crash, it is the same message, which is taken once.
"""

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.channels import service as accounts
from paylink.channels.base import ChannelName, FinalRefusal, Message, TemporaryFault
from paylink.channels.switchboard import Switchboard
from paylink.consent import service as consent
from paylink.customers.addresses import textable
from paylink.customers.models import Customer
from paylink.db import Database, table
from paylink.delivery.models import Delivery
from paylink.delivery.sending import why_not
from paylink.delivery.service import mask
from paylink.delivery.states import ENDED_BADLY
from paylink.events import log as event_log
from paylink.events.log import NewEvent
from paylink.events.types import Event, EventType, Origin
from paylink.jobs import JobQueue, TryAgain
from paylink.kit import i18n
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink
from paylink.messages.render import ReceiptFacts, render_receipt
from paylink.payments.brands import card_words
from paylink.payments.models import Payment, PaymentStatus, Receipt, ReceiptStatus

log = structlog.get_logger(__name__)

RECEIPT_JOB: Final = "payments.receipt"
# Why it is sent, where consent is asked.
RECEIPT: Final = "receipt"
# A carrier that is away for longer has lost more than receipts; and a receipt of yesterday confuses.
GIVE_UP_AFTER: Final = timedelta(hours=24)
FIRST_RETRY_S: Final = 2.0
LONGEST_RETRY_S: Final = 3600.0
PAID: Final = (EventType.PAYMENT_SUCCEEDED.value, EventType.PAYMENT_SUCCEEDED_LATE.value)

_receipts = table(Receipt)
_deliveries = table(Delivery)
_events = table(Event)
# The page's own table. Nothing here knows the page; its sessions' ids stand with the payments.
_visits = sa.table("checkout_sessions", sa.column("id", sa.String), sa.column("locale", sa.String))


def queue(session: Session, jobs: JobQueue, payment: Payment) -> None:
    """To be called once, in the transaction in which ``payment`` succeeded. Nothing without an address to send to."""
    found = _address(session, payment)
    if found is None:
        return
    channel, to = found
    receipt_id = new_id("rcp")
    row = {
        "id": receipt_id,
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "channel": channel.value,
        "to": to,
        "status": ReceiptStatus.QUEUED.value,
        "created_at": utcnow(),
    }
    session.execute(sa.insert(_receipts), row)
    jobs.enqueue(session, RECEIPT_JOB, receipt_id, key=f"{RECEIPT_JOB}:{receipt_id}")


def facts_of(session: Session, payment: Payment, *, language: str | None = None) -> ReceiptFacts:
    """What is still to be paid is said as of now: another part may have been paid meanwhile.

    ``language``: what the customer reads; left out, what they chose on the page, or else the link's.
    """
    link, merchant, customer = session.execute(
        sa.select(PaymentLink, Merchant.name, Customer.name)
        .join(Merchant, Merchant.id == PaymentLink.merchant_id)
        .outerjoin(Customer, Customer.id == PaymentLink.customer_id)
        .where(PaymentLink.id == payment.link_id)
    ).one()
    left = link.amount - link.amount_paid if link.status in OPEN else 0
    spoken = language or i18n.choose(_chosen(session, payment), link.locale)
    return ReceiptFacts(
        merchant=merchant,
        amount=payment.amount_captured,
        currency=payment.currency,
        paid_at=_paid_at(session, payment),
        payment=payment.id,
        description=link.description,
        reference=link.reference,
        card=card_words(payment.card(), spoken),
        left=left if left > 0 else None,
        name=customer,
        locale=spoken,
    )


def _chosen(session: Session, payment: Payment) -> str | None:
    """The language that was chosen in the browser that paid."""
    return session.scalar(sa.select(_visits.c.locale).where(_visits.c.id == payment.session_id))


def language_of(session: Session, link_id: str) -> str | None:
    """The language the link was made in, as its maker named it."""
    return session.scalar(sa.select(PaymentLink.locale).where(PaymentLink.id == link_id))


def paid_by(session: Session, link_id: str, *, session_id: str) -> Payment | None:
    """The last payment of this link that the browser of this session made."""
    query = (
        sa.select(Payment)
        .where(
            Payment.link_id == link_id,
            Payment.session_id == session_id,
            Payment.status == PaymentStatus.SUCCEEDED.value,
        )
        .order_by(Payment.attempt.desc())
        .limit(1)
    )
    return session.scalars(query).one_or_none()


class ReceiptSender:
    """The job."""

    def __init__(self, db: Database, switchboard: Switchboard) -> None:
        self._db = db
        self._switchboard = switchboard

    async def send(self, receipt_id: str) -> None:
        found = await self._db.read(lambda session: _to_send(session, receipt_id))
        if found is None:
            return
        receipt, facts, account_id, unwanted = found
        if unwanted is not None:
            await self._end(receipt, ReceiptStatus.FAILED, reason=unwanted)
            return
        try:
            carrier = await self._switchboard.channel(account_id, receipt.channel)
            await carrier.send(_message(receipt, facts))
        except FinalRefusal as refusal:
            await self._end(receipt, ReceiptStatus.FAILED, reason=refusal.reason)
        except TemporaryFault as fault:
            age = utcnow() - receipt.created_at
            if age < GIVE_UP_AFTER:
                raise TryAgain(fault.reason, after_s=_patience_s(age)) from fault
            await self._end(receipt, ReceiptStatus.FAILED, reason=fault.reason)
        else:
            await self._end(receipt, ReceiptStatus.SENT)

    async def _end(self, receipt: Receipt, status: ReceiptStatus, *, reason: str | None = None) -> None:
        await self._db.transact(lambda session: _record(session, receipt, status, reason=reason))


def _patience_s(age: timedelta) -> float:
    """As long again as it has waited already: soon at first, then ever more rarely."""
    return min(max(FIRST_RETRY_S, age.total_seconds()), LONGEST_RETRY_S)


def _message(receipt: Receipt, facts: ReceiptFacts) -> Message:
    words = render_receipt(receipt.channel, facts)
    return Message(
        id=receipt.id,
        channel=receipt.channel,
        to=receipt.to,
        text=words.text,
        subject=words.subject,
        html=words.html,
        locale=words.locale,
        merchant=facts.merchant,
    )


def _to_send(session: Session, receipt_id: str) -> tuple[Receipt, ReceiptFacts, str | None, str | None] | None:
    """With the account it goes out by, as the merchant's accounts stand now; and why it must not, if so."""
    receipt = session.get(Receipt, receipt_id)
    if receipt is None or receipt.status != ReceiptStatus.QUEUED:
        return None
    account_id = accounts.choose(session, receipt.merchant_id, receipt.channel, to=receipt.to)
    stopped = consent.blocked(session, receipt.merchant_id, receipt.channel, receipt.to, purpose=RECEIPT)
    unwanted = None if stopped is None else why_not(stopped)
    return receipt, facts_of(session, session.get_one(Payment, receipt.payment_id)), account_id, unwanted


def _record(session: Session, receipt: Receipt, status: ReceiptStatus, *, reason: str | None) -> None:
    """Ends a receipt that is still to be sent, and tells of it, once."""
    sent_at = utcnow() if status is ReceiptStatus.SENT else None
    link_id = session.execute(
        sa.update(_receipts)
        .where(_receipts.c.id == receipt.id, _receipts.c.status == ReceiptStatus.QUEUED.value)
        .values(status=status.value, sent_at=sent_at, failure_reason=reason)
        .returning(sa.select(Payment.link_id).where(Payment.id == receipt.payment_id).scalar_subquery())
    ).scalar_one_or_none()
    if link_id is None:
        return
    said = {"receipt": receipt.id, "payment": receipt.payment_id, "channel": receipt.channel, "to": mask(receipt.to)}
    kind = EventType.RECEIPT_SENT if status is ReceiptStatus.SENT else EventType.RECEIPT_FAILED
    event = NewEvent(kind, Origin.SYSTEM, {**said, **({"reason": reason} if reason else {})})
    event_log.append(session, merchant_id=receipt.merchant_id, link_id=link_id, events=[event])
    if reason:
        log.warning("receipt_failed", receipt=receipt.id, reason=reason)


def _address(session: Session, payment: Payment) -> tuple[ChannelName, str] | None:
    """By e-mail, which a person can keep, or else as a text; to the customer's own address before one that a delivery
    of the link went to."""
    own = sa.select(Customer.email, Customer.phone).join(PaymentLink, PaymentLink.customer_id == Customer.id)
    row = session.execute(own.where(PaymentLink.id == payment.link_id)).one_or_none()
    email, phone = (row.email, row.phone) if row else (None, None)
    if email is None:
        email = _sent_to(session, payment.link_id, ChannelName.EMAIL)
    if email is not None:
        return ChannelName.EMAIL, email
    if phone is None or not _can_be_texted(phone):
        phone = _sent_to(session, payment.link_id, ChannelName.SMS)
    return None if phone is None else (ChannelName.SMS, phone)


def _sent_to(session: Session, link_id: str, channel: ChannelName) -> str | None:
    """Where the link was sent last by this channel, as far as is known with success."""
    query = sa.select(_deliveries.c.address).where(
        _deliveries.c.link_id == link_id,
        _deliveries.c.channel == channel.value,
        _deliveries.c.address.is_not(None),
        _deliveries.c.status.not_in([status.value for status in ENDED_BADLY]),
    )
    return session.scalars(query.order_by(_deliveries.c.id.desc()).limit(1)).one_or_none()


def _can_be_texted(phone: str) -> bool:
    try:
        textable(phone)
    except PydanticCustomError:
        return False
    return True


def _paid_at(session: Session, payment: Payment) -> datetime:
    """When the log says so: the row's own times go on with every refund."""
    query = (
        sa.select(_events.c.data, _events.c.occurred_at)
        .where(_events.c.link_id == payment.link_id, _events.c.type.in_(PAID))
        .order_by(_events.c.seq)
    )
    told: dict[Any, datetime] = {data.get("payment"): occurred_at for data, occurred_at in session.execute(query)}
    return told.get(payment.id, payment.updated_at)
