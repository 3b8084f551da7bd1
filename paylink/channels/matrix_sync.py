"""What a homeserver tells in ``/sync``: read receipts, and what people wrote. Pure, and written by strangers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from paylink.channels.base import DeliveryStatus, Reply, Report
from paylink.kit.clock import utcnow

# Of one room at a time; who writes more than that within one poll has said what matters in the last of it.
MESSAGES: Final = 50
# One poll's work. What is past it waits in no queue: a person's next receipt says the same again.
MAX_RECEIPTS: Final = 100
LONGEST_TEXT: Final = 4096
LONGEST_ID: Final = 255
# Ours are shorter.
LONGEST_REFERENCE: Final = 64
# What a client puts before an answer to a message: its words again, each line marked.
_QUOTED: Final = re.compile(r"\A(?:>[^\n]*\n)+\n?")


@dataclass(frozen=True, slots=True)
class Receipt:
    room: str
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """A person's message."""

    room: str
    event: str
    sender: str
    text: str
    at: datetime

    def replies(self, aliases: Sequence[str], direct: "Direct") -> Iterator[Reply]:
        """The room, and what else it is called; in a room of two, the person."""
        addresses = [self.room, *aliases, *([self.sender] if self.room in direct.rooms_of(self.sender) else [])]
        for address in addresses:
            yield Reply(id=f"{self.event}:{address}", sender=address, text=self.text, occurred_at=self.at, to=self.room)


@dataclass(frozen=True, slots=True)
class Heard:
    receipts: Sequence[Receipt]
    messages: Sequence[Written]


@dataclass(frozen=True, slots=True)
class Direct:
    """The rooms of two, by person, as ``m.direct`` of the account data keeps them."""

    rooms: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        return cls({user: [room for room in _list(rooms) if _is_id(room)] for user, rooms in content.items()})

    def rooms_of(self, user: str) -> Sequence[str]:
        return self.rooms.get(user, ())

    def has(self, room: str) -> bool:
        return any(room in rooms for rooms in self.rooms.values())

    def with_room(self, user: str, room: str) -> dict[str, Any]:
        return {**self.rooms, user: [*self.rooms_of(user), room]}


def filter_for(me: str) -> dict[str, Any]:
    """Receipts, and messages of others; nothing of state, presence or account data."""
    nothing: dict[str, Any] = {"types": []}
    return {
        "presence": nothing,
        "account_data": nothing,
        "room": {
            "account_data": nothing,
            "state": nothing,
            "ephemeral": {"types": ["m.receipt"]},
            "timeline": {"types": ["m.room.message"], "not_senders": [me], "limit": MESSAGES},
        },
    }


def ours_only(me: str) -> dict[str, Any]:
    return {"types": ["m.room.message"], "senders": [me]}


def heard(content: Mapping[str, Any], *, me: str) -> Heard:
    receipts: list[Receipt] = []
    messages: list[Written] = []
    for room, joined in _dict(_dict(content, "rooms"), "join").items():
        if not isinstance(joined, dict) or not _is_id(room):
            continue
        events = [one for one in _list(_dict(joined, "ephemeral").get("events")) if isinstance(one, dict)]
        receipts += [found for one in events for found in _receipts(room, one, me=me)]
        timeline = _list(_dict(joined, "timeline").get("events"))
        messages += [found for one in timeline if isinstance(one, dict) and (found := _written(room, one, me=me))]
    return Heard(receipts[:MAX_RECEIPTS], messages)


def read_by(receipt: Receipt, context: Mapping[str, Any], *, me: str) -> list[Report]:
    """Our messages at and above the receipt, of what ``/context`` says of the event it stands at."""
    events = [context.get("event"), *_list(context.get("events_before"))]
    return [
        _read(one, receipt)
        for one in events
        if isinstance(one, dict)
        and (one.get("sender"), one.get("type")) == (me, "m.room.message")
        and _is_id(one.get("event_id"))
    ]


def _read(event: Mapping[str, Any], receipt: Receipt) -> Report:
    """The homeserver tells whoever sent an event the transaction id it was sent under: our own id of the message."""
    reference = _dict(event, "unsigned").get("transaction_id")
    return Report(
        id=f"{event['event_id']}:read",
        status=DeliveryStatus.READ,
        occurred_at=receipt.at,
        reference=reference if isinstance(reference, str) and len(reference) <= LONGEST_REFERENCE else "",
        message_id=event["event_id"],
    )


def _receipts(room: str, event: Mapping[str, Any], *, me: str) -> Iterator[Receipt]:
    if event.get("type") != "m.receipt":
        return
    for event_id, kinds in _dict(event, "content").items():
        readers = _dict(kinds, "m.read") if isinstance(kinds, dict) else {}
        moments = [_moment(one.get("ts")) for user, one in readers.items() if user != me and isinstance(one, dict)]
        if moments and _is_id(event_id):
            yield Receipt(room, event_id, min(moments))


def _written(room: str, event: Mapping[str, Any], *, me: str) -> Written | None:
    """``None`` for pictures, for what other bots say (``m.notice``), and for what is not as it should be."""
    content, sender, event_id = _dict(event, "content"), event.get("sender"), event.get("event_id")
    text = content.get("body")
    if (event.get("type"), content.get("msgtype")) != ("m.room.message", "m.text") or not isinstance(text, str):
        return None
    if not (isinstance(sender, str) and _is_id(sender) and isinstance(event_id, str) and _is_id(event_id)):
        return None
    if _dict(content, "m.relates_to").get("m.in_reply_to"):
        text = _QUOTED.sub("", text)
    text = text.strip()[:LONGEST_TEXT]
    if sender == me or not text:
        return None
    return Written(room, event_id, sender, text, _moment(event.get("origin_server_ts")))


def _moment(value: object) -> datetime:
    """Milliseconds since 1970 by another server's clock: never later than ours."""
    now = utcnow()
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < now.timestamp() * 1000:
        return now
    return datetime.fromtimestamp(value / 1000, UTC)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID


def _dict(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = item.get(name)
    return found if isinstance(found, dict) else {}


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []
