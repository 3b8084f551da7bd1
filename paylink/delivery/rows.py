"""Making deliveries: the rows, each with a token of its own, and the job that sends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.db import table
from paylink.delivery.models import Delivery, Purpose
from paylink.delivery.states import DIRECT
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.jobs import JobQueue
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from paylink.links import tokens
from paylink.prepared import PreparedInsert

SEND_JOB: Final = "delivery.send"
# Doors per link: enough for any conversation, and a bound on what one link can make us send.
MAX_DELIVERIES: Final = 50
# Shown or pasted by whoever asked for it, wherever it goes to.
ALWAYS_BY_HAND: Final = frozenset({DIRECT, ChannelName.QR.value, ChannelName.OTHER.value})

_insert = PreparedInsert(table(Delivery))


@dataclass(frozen=True, slots=True)
class Next:
    """What is tried when a delivery does not arrive. ``to`` is already checked for its channel."""

    channel: str
    to: str
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A delivery asked for. ``to`` is already checked for its channel; ``None`` for what is shown on a screen.

    ``account_id``: the account to send by, else the first that can. ``locale``: what to write it in, else the link's.
    ``fallback``: what is tried in its place, in order, when it fails or has not arrived after ``fallback_after_s``
    seconds. ``stands_for`` and ``because``: the delivery whose place it takes, and why.
    """

    channel: str
    to: str | None
    account_id: str | None = None
    locale: str | None = None
    fallback: tuple[Next, ...] = ()
    fallback_after_s: int | None = None
    stands_for: str | None = None
    because: str | None = None

    @property
    def by_hand(self) -> bool:
        """Nobody but the agent carries it: it is sent the moment it is made."""
        return self.channel in ALWAYS_BY_HAND or self.to is None


@dataclass(frozen=True, slots=True)
class Added:
    """``token`` is the text for this one answer; it is not kept."""

    row: dict[str, Any]
    token: str

    def __repr__(self) -> str:
        return f"Added({self.row['id']})"


def add(
    session: Session,
    jobs: JobQueue,
    keyring: Keyring,
    *,
    link_id: str,
    merchant_id: str,
    wanted: Sequence[Wanted],
    origin: Origin,
    later: bool = False,
) -> tuple[list[Added], list[NewEvent]]:
    """Writes deliveries, each with its own token, and the jobs that send them. The caller appends the events.

    ``later``: at the transaction's end, where those of several are written as one. For a link that is only just being
    made; others look at what is there, to count it or to find that it was done.
    """
    added = [_new(keyring, link_id=link_id, merchant_id=merchant_id, wanted=one) for one in wanted]
    if added:
        (_insert.later if later else _insert.now)(session, [one.row for one in added])
    events: list[NewEvent] = []
    for one in added:
        if one.row["channel"] == DIRECT:
            continue
        facts = facts_of(one.row["id"], one.row["channel"], one.row["address"])
        why = {"fallback_of": one.row["fallback_of"], "reason": one.row["fallback_reason"]}
        queued = {**facts, **why} if one.row["fallback_of"] else facts
        events.append(NewEvent(EventType.DELIVERY_QUEUED, origin, queued))
        if one.row["status"] == DeliveryStatus.SENT:
            events.append(NewEvent(EventType.DELIVERY_SENT, origin, facts))
        else:
            jobs.enqueue(session, SEND_JOB, one.row["id"], key=f"{SEND_JOB}:{one.row['id']}")
    return added, events


def facts_of(delivery_id: str, channel: str, address: str | None) -> dict[str, Any]:
    """What events say of a delivery."""
    return {"delivery": delivery_id, "channel": channel, "to": mask(address)}


def mask(address: str | None) -> str | None:
    """``+44•••••0123``, ``a•••@example.com``: enough to recognise, too little to use."""
    if address is None:
        return None
    name, at, domain = address.partition("@")
    if at and name:  # a chat handle begins with it
        return f"{name[:1]}•••@{domain}"
    return f"{address[:3]}•••••{address[-4:]}" if len(address) > 7 else "•••"


def _new(keyring: Keyring, *, link_id: str, merchant_id: str, wanted: Wanted) -> Added:
    delivery_id, now = new_id("dlv"), utcnow()
    token = tokens.mint(keyring, short=wanted.channel in tokens.SHORT_FOR)
    # What the agent shows or pastes is sent the moment it is made; only a QR code is shown again later.
    keep = wanted.channel == ChannelName.QR or not wanted.by_hand
    row = {
        "id": delivery_id,
        "link_id": link_id,
        "merchant_id": merchant_id,
        "channel": wanted.channel,
        "address": wanted.to,
        "status": (DeliveryStatus.SENT if wanted.by_hand else DeliveryStatus.QUEUED).value,
        "token_hash": token.hash,
        "token_sealed": tokens.seal(keyring, token.text, bound_to=delivery_id) if keep else None,
        "provider": None,
        "provider_message_id": None,
        "failure_reason": None,
        "failure_code": None,
        "account_id": wanted.account_id,
        "purpose": Purpose.LINK.value,
        "locale": wanted.locale,
        "attempts": 0,
        "last_fault": None,
        "fallback": [_kept(one) for one in wanted.fallback] or None,
        "fallback_after_s": wanted.fallback_after_s,
        "fallback_of": wanted.stands_for,
        "fallback_reason": wanted.because,
        "withdrawn_at": None,
        "created_at": now,
        "sent_at": now if wanted.by_hand else None,
        "delivered_at": None,
        "read_at": None,
    }
    return Added(row, token.text)


def _kept(one: Next) -> dict[str, Any]:
    return {"channel": one.channel, "to": one.to, "account_id": one.account_id}
