"""The delivery's states and their ranks. Carriers report late and out of order: reports merge by rank, not arrival."""

from typing import Final

from paylink.channels.base import DeliveryStatus
from paylink.events.types import EventType

# The door of the URL in the API's own answer: a token like the others, but nothing was sent and nothing is listed.
DIRECT: Final = "direct"


# A failure outranks the hope of ``sent``; a report of arrival outranks the failure it proves wrong.
RANK: Final = {
    DeliveryStatus.QUEUED: 0,
    DeliveryStatus.SENT: 1,
    DeliveryStatus.FAILED: 2,
    DeliveryStatus.BOUNCED: 2,
    DeliveryStatus.OPTED_OUT: 2,
    DeliveryStatus.EXPIRED: 2,
    DeliveryStatus.DELIVERED: 3,
    DeliveryStatus.READ: 4,
}
EVENT: Final = {
    DeliveryStatus.QUEUED: EventType.DELIVERY_QUEUED,
    DeliveryStatus.SENT: EventType.DELIVERY_SENT,
    DeliveryStatus.DELIVERED: EventType.DELIVERY_DELIVERED,
    DeliveryStatus.READ: EventType.DELIVERY_READ,
    DeliveryStatus.FAILED: EventType.DELIVERY_FAILED,
    DeliveryStatus.BOUNCED: EventType.DELIVERY_BOUNCED,
    DeliveryStatus.OPTED_OUT: EventType.DELIVERY_OPTED_OUT,
    DeliveryStatus.EXPIRED: EventType.DELIVERY_EXPIRED,
}
# It did not arrive, for one reason or another.
ENDED_BADLY: Final = frozenset(
    {DeliveryStatus.FAILED, DeliveryStatus.BOUNCED, DeliveryStatus.OPTED_OUT, DeliveryStatus.EXPIRED}
)
# What must have happened on the way, in order: told too when its own report is late or lost.
PATH: Final = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ)


def outranked_by(status: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """The states that a report of ``status`` moves on from."""
    return tuple(state for state, rank in RANK.items() if rank < RANK[status])


def steps_between(current: DeliveryStatus, new: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """The states to tell of when moving from ``current`` to ``new``: those skipped, then ``new``."""
    if new in ENDED_BADLY:
        return (new,)
    return tuple(step for step in PATH if RANK[current] < RANK[step] <= RANK[new])
