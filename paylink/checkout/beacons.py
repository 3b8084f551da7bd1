"""What the page says its customer is doing. Told to the agent, believed by nobody: a beacon never moves money.

``link.opened`` means a person. Its evidence is what the page's script saw: ``visible``, the page was in sight for a
second on end; or ``input``, a key, a touch or a click that the browser itself vouches for. A scanner that runs scripts
and waits can feign the first. So an agent that says it is a robot must show the second, and whoever drives a browser by
program is told of with ``automated``: a hint for the reader, since tests and helpful tools drive browsers, too.

``link.opened`` and ``card_entry.started`` are told once per session, by a conditional update in the transaction that
appends the event. A later step implies the earlier ones, so that a beacon lost on a poor line leaves no hole and no
disorder in the timeline.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from paylink.checkout import doors, sessions
from paylink.checkout.agents import Browser
from paylink.checkout.models import CheckoutSession
from paylink.checkout.sessions import Visit
from paylink.db import table
from paylink.events import log
from paylink.events.log import NewEvent
from paylink.events.types import EventType, Origin
from paylink.kit.clock import utcnow
from paylink.kit.money import MAX_AMOUNT
from paylink.links.lifecycle import OPEN
from paylink.links.models import PaymentLink

# A person completes a few cards and mistypes some more; a program must not fill the timeline.
MOST_REPEATS: Final = 10

_sessions = table(CheckoutSession)
_links = table(PaymentLink)
_STILL_OPEN: Final = sa.select(_links.c.id).where(_links.c.id == sa.bindparam("link"), _links.c.status.in_(OPEN))


def _once(column: sa.Column[Any]) -> sa.Executable:
    return _change(column.is_(None), {column: sa.bindparam("now")})


def _counted(column: sa.Column[Any]) -> sa.Executable:
    return _change(column < MOST_REPEATS, {column: column + 1})


def _change(where: sa.ColumnElement[bool], values: dict[Any, Any]) -> sa.Executable:
    """Of the session, where nothing has changed it before; answers with a row if it did. Built once, not per beacon."""
    update = sa.update(_sessions).where(_sessions.c.id == sa.bindparam("visit"), where).values(values)
    return update.returning(_sessions.c.id)


_OPENED: Final = _once(_sessions.c.opened_at)
_STARTED: Final = _once(_sessions.c.card_entry_started_at)
_COMPLETED: Final = _counted(_sessions.c.card_entry_completed_count)
_INVALID: Final = _counted(_sessions.c.card_entry_invalid_count)


class Step(StrEnum):
    OPENED = "opened"
    STARTED = "card_entry_started"
    COMPLETED = "card_entry_completed"
    INVALID = "card_entry_invalid"
    # What the customer means to pay of a link that takes parts: kept for their next device, told to nobody.
    DRAFT = "draft"


class Evidence(StrEnum):
    """Why we think that a person saw the page; see above."""

    VISIBLE = "visible"
    INPUT = "input"


class Reason(StrEnum):
    """What was wrong with the card fields: which field, never what was in it."""

    NUMBER = "number"
    EXPIRY = "expiry"
    CVC = "cvc"
    INCOMPLETE = "incomplete"


class Beacon(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    step: Step
    reason: Reason | None = None
    evidence: Evidence | None = None
    # The browser says that a program drives it.
    automated: Annotated[bool, Field(strict=True)] = False
    # In minor units, with all that was left to pay then.
    amount: Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT)] | None = None
    left: Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT)] | None = None

    @model_validator(mode="after")
    def _each_with_its_step(self) -> "Beacon":
        if self.reason is not None and self.step is not Step.INVALID:
            raise ValueError("a reason belongs to card_entry_invalid")
        if self.evidence is not None and self.step is not Step.OPENED:
            raise ValueError("evidence belongs to opened")
        if (self.amount is not None, self.left is not None) != (self.step is Step.DRAFT,) * 2:
            raise ValueError("an amount and what is left belong to a draft, and a draft has them")
        return self

    @property
    def shown_by(self) -> Evidence:
        """Of ``opened``; a card's fields move by a person's hand alone."""
        return (self.evidence or Evidence.VISIBLE) if self.step is Step.OPENED else Evidence.INPUT


def note(session: Session, visit: Visit, beacon: Beacon, *, browser: Browser) -> bool:
    """Appends what is new in ``beacon``. False when nothing was: told before, too often, or of a link that ended."""
    if beacon.step is Step.DRAFT:
        kept = {"amount": beacon.amount, "left": beacon.left, "at": utcnow().isoformat()}
        sessions.keep(session, visit, draft={**visit.draft, **kept})
        return False
    if browser.bot and beacon.shown_by is Evidence.VISIBLE:
        return False
    if session.execute(_STILL_OPEN, {"link": visit.link_id}).one_or_none() is None:
        return False
    events = []
    first = not visit.opened and _changed(session, visit, _OPENED)
    if first:
        events.append(_event(EventType.LINK_OPENED, _opened_facts(visit, beacon, browser)))
    if first or doors.LATEST in visit.draft:
        doors.opened(session, visit)
    started = visit.card_entry_started or beacon.step is Step.OPENED
    if not started and _changed(session, visit, _STARTED):
        events.append(_event(EventType.CARD_ENTRY_STARTED, {}))
    if beacon.step is Step.COMPLETED and _changed(session, visit, _COMPLETED):
        events.append(_event(EventType.CARD_ENTRY_COMPLETED, {}))
    if beacon.step is Step.INVALID and _changed(session, visit, _INVALID):
        reason = beacon.reason or Reason.INCOMPLETE
        events.append(_event(EventType.CARD_ENTRY_INVALID, {"reason": reason.value}))
    log.append(session, merchant_id=visit.merchant_id, link_id=visit.link_id, events=events)
    return bool(events)


def _changed(session: Session, visit: Visit, change: sa.Executable) -> bool:
    return session.execute(change, {"visit": visit.id, "now": utcnow()}).one_or_none() is not None


def _opened_facts(visit: Visit, beacon: Beacon, browser: Browser) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "channel": visit.channel,
        "delivery": visit.delivery_id,
        "device": browser.device.value,
        "evidence": beacon.shown_by.value,
    }
    return {**facts, "automated": True} if beacon.automated or browser.driven else facts


def _event(kind: EventType, facts: dict[str, Any]) -> NewEvent:
    return NewEvent(kind, Origin.PAYER, facts)
