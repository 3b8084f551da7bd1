"""What becomes of a delivery: news of it, merged by rank and told once."""

import re
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.channels.base import DeliveryStatus
from paylink.consent import service as consent
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.db import table
from paylink.delivery import fallback
from paylink.delivery.models import Delivery
from paylink.delivery.rows import facts_of, mask
from paylink.delivery.states import ENDED_BADLY, EVENT, PATH, outranked_by, steps_between
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import Origin
from paylink.jobs import JobQueue
from paylink.kit.cards import contains_issued_card_number
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring

PROVIDER: Final = "provider"
# What a carrier says is shown to agents and kept in the log.
LONGEST_REASON: Final = 200
LONGEST_CODE: Final = 64
# A chat handle of fewer letters may be a word of the reason.
SHORTEST_HIDDEN: Final = 6
# Mail servers quote what they refuse, the link in it too. An address of ours is a key: it is never repeated.
_ADDRESS_OF_A_PAGE: Final = re.compile(r"\S*(?:://|www\.|/p/)\S*")
# What the carrier has told us of the person, and not only of this message.
_SUPPRESSES: Final = {
    DeliveryStatus.OPTED_OUT: SuppressionReason.PROVIDER,
    DeliveryStatus.BOUNCED: SuppressionReason.BOUNCE,
}

_deliveries = table(Delivery)


def record(
    session: Session,
    delivery_id: str,
    status: DeliveryStatus,
    *,
    occurred_at: datetime | None = None,
    reason: str | None = None,
    code: str | None = None,
    provider: str | None = None,
    message_id: str | None = None,
    locale: str | None = None,
    asked: bool = False,
    jobs: JobQueue | None = None,
    keyring: Keyring | None = None,
) -> bool:
    """Takes what a carrier says of a delivery: moved forward by rank, each step on the way told. False for old news.

    An address that has opted out or does not exist is suppressed; with ``keyring`` the audit says so, then call it
    last in its transaction. ``asked``: the carrier was asked to send it, in ``locale``. With ``jobs`` a bad end is
    answered by the next channel at once, else when its time is over.
    """
    row = lock(session, delivery_id)
    if row is None:
        return False
    reason = said(reason, address=row.address)
    known = {"provider": provider, "provider_message_id": message_id, "locale": locale}
    values: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    if asked:
        values["attempts"] = row.attempts + 1
    moves = move(
        session, row, status, origin=Origin.PROVIDER, occurred_at=occurred_at, reason=reason, code=code, more=values
    )
    if moves and jobs is not None and status in ENDED_BADLY:
        fallback.ended(session, jobs, row)
    if moves or row.status in ENDED_BADLY or status is DeliveryStatus.OPTED_OUT:
        _suppress(session, row, status, note=reason, keyring=keyring)
    return moves


def lock(session: Session, delivery_id: str) -> Any:
    """Its row, held until the commit; ``None`` when there is none."""
    query = sa.select(_deliveries).where(_deliveries.c.id == delivery_id).with_for_update()
    return session.execute(query).one_or_none()


def move(
    session: Session,
    row: Any,
    status: DeliveryStatus,
    *,
    origin: Origin,
    occurred_at: datetime | None = None,
    reason: str | None = None,
    code: str | None = None,
    more: dict[str, Any] | None = None,
) -> bool:
    """Moves a locked row by rank and tells of it. ``more``: values that are kept whether it moves or not."""
    values = dict(more or {})
    current, now = DeliveryStatus(row.status), occurred_at or utcnow()
    moves = current in outranked_by(status)
    if moves:
        values |= {"status": status.value, "token_sealed": None, "last_fault": None}
        values |= {"failure_reason": reason, "failure_code": code[:LONGEST_CODE] if code else None}
        values |= {f"{step.value}_at": now for step in steps_between(current, status) if step in PATH}
    if values:
        session.execute(sa.update(_deliveries).where(_deliveries.c.id == row.id).values(values))
    if moves:
        facts = {**facts_of(row.id, row.channel, row.address), **({"reason": reason} if reason else {})}
        events = [NewEvent(EVENT[step], origin, facts, now) for step in steps_between(current, status)]
        log.append(session, merchant_id=row.merchant_id, link_id=row.link_id, events=events)
    return moves


def said(reason: str | None, *, address: str | None) -> str | None:
    """A carrier's words as they may be shown: one short line, without the link, and the address as events show it."""
    if reason is None:
        return None
    if contains_issued_card_number(reason.replace(address or "\0", "")):
        return "The carrier's reason is not shown, because it looks like it contains a card number"
    if address and len(address) >= SHORTEST_HIDDEN:
        reason = reason.replace(address, mask(address) or "").replace(address.lstrip("+"), mask(address) or "")
    line = " ".join(_ADDRESS_OF_A_PAGE.sub("…", reason).split())
    shown = "".join(char for char in line if char.isprintable())
    return shown if len(shown) <= LONGEST_REASON else f"{shown[: LONGEST_REASON - 1]}…"


def _suppress(session: Session, row: Any, status: DeliveryStatus, *, note: str | None, keyring: Keyring | None) -> None:
    why = _SUPPRESSES.get(status)
    if why is None or row.address is None:
        return
    consent.suppress(
        session,
        row.merchant_id,
        row.channel,
        row.address,
        scope=SuppressionScope.ALL,
        reason=why,
        by=PROVIDER,
        note=note,
        keyring=keyring,
    )
