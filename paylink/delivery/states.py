"""The delivery's states and their ranks. Carriers report late and out of order: reports merge by rank, not arrival."""

from enum import StrEnum
from typing import Final

from paylink.events.types import EventType


class ChannelName(StrEnum):
    SMS = "sms"
    EMAIL = "email"
    CHAT = "chat"
    QR = "qr"


# The door of the URL in the API's own answer: a token like the others, but nothing was sent and nothing is listed.
DIRECT: Final = "direct"


class DeliveryStatus(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


# A failure outranks the hope of ``sent``; a report of arrival outranks the failure it proves wrong.
RANK: Final = {
    DeliveryStatus.QUEUED: 0,
    DeliveryStatus.SENT: 1,
    DeliveryStatus.FAILED: 2,
    DeliveryStatus.DELIVERED: 3,
    DeliveryStatus.READ: 4,
}
EVENT: Final = {
    DeliveryStatus.QUEUED: EventType.DELIVERY_QUEUED,
    DeliveryStatus.SENT: EventType.DELIVERY_SENT,
    DeliveryStatus.DELIVERED: EventType.DELIVERY_DELIVERED,
    DeliveryStatus.READ: EventType.DELIVERY_READ,
    DeliveryStatus.FAILED: EventType.DELIVERY_FAILED,
}
# What must have happened on the way, in order: told too when its own report is late or lost.
PATH: Final = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ)


def outranked_by(status: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """The states that a report of ``status`` moves on from."""
    return tuple(state for state, rank in RANK.items() if rank < RANK[status])


def steps_between(current: DeliveryStatus, new: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """The states to tell of when moving from ``current`` to ``new``: those skipped, then ``new``."""
    if new is DeliveryStatus.FAILED:
        return (new,)
    return tuple(step for step in PATH if RANK[current] < RANK[step] <= RANK[new])
