"""The cookie that stands for a token: one per link, so that two links open side by side in one browser.

The value is 256 random bits of which only a keyed hash is stored. The same browser that comes again, by whichever
delivery of the link, keeps its session: one device, one ``link.opened``.

A session ends with its time, and with the withdrawal of the delivery it came by; but a browser whose payment is on its
way, or that has paid, still learns what became of it. A new session begins where the link's last one was left: with
the language its customer chose and the draft of what they were about to pay.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.checkout.models import CheckoutSession
from paylink.db import table
from paylink.delivery.models import Delivery
from paylink.delivery.service import Door
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, random_text
from paylink.kit.ids import new_id
from paylink.payments.models import LIVE, Payment, PaymentStatus

PURPOSE: Final = "checkout-session"
SECRET_BYTES: Final = 32
# From the last time the token itself was shown. Long enough for a bank's app and a call to the agent; a customer who
# comes later has the link.
LIFETIME: Final = timedelta(hours=24)
# How many of a link's last sessions are asked for what its customer left behind.
REMEMBERED: Final = 10

_sessions = table(CheckoutSession)
_deliveries = table(Delivery)
_payments = table(Payment)
_AT_STAKE: Final = [status.value for status in (*LIVE, PaymentStatus.SUCCEEDED)]


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser that has proved it holds the link's token."""

    id: str
    link_id: str
    merchant_id: str
    delivery_id: str
    channel: str
    # What was told of it when it was found. A step that was told is never untold, so these spare a look.
    opened: bool = False
    card_entry_started: bool = False
    # The customer goes on at another door: see ``doors``.
    superseded: bool = False
    locale: str | None = None
    # ``amount`` of ``left`` is what was to be paid, in minor units, and ``at`` when that was typed; ``handed``: doors
    # made from this page; ``door``: one this browser came by since, as id and channel, until it is known to be open.
    draft: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """``secret`` is the cookie's value, for this one answer."""

    visit: Visit
    secret: str

    def __repr__(self) -> str:
        return f"Opened({self.visit.id})"


def open_(session: Session, keyring: Keyring, door: Door, *, presented: str | None) -> Opened:
    """The browser's session for this link, prolonged if ``presented`` is still good, or a new one."""
    until = utcnow() + LIFETIME
    if presented:
        known = find(session, keyring, link_id=door.link_id, secret=presented)
        if known is not None:
            return Opened(_again(session, known, door), presented)
    secret = random_text(SECRET_BYTES)
    locale, draft = _left_behind(session, door.link_id)
    visit = Visit(
        new_id("cks"), door.link_id, door.merchant_id, door.delivery_id, door.channel, locale=locale, draft=draft
    )
    row: dict[str, Any] = {
        "id": visit.id,
        "link_id": visit.link_id,
        "merchant_id": visit.merchant_id,
        "delivery_id": visit.delivery_id,
        "secret_hash": keyring.digest(secret, purpose=PURPOSE),
        "expires_at": until,
        "locale": locale,
        "draft": draft or sa.null(),
    }
    session.execute(sa.insert(_sessions).values(row))
    return Opened(visit, secret)


def _again(session: Session, known: Visit, door: Door) -> Visit:
    """The browser that has the cookie shows a token again: its customer goes on here."""
    values: dict[str, Any] = {"expires_at": utcnow() + LIFETIME}
    if known.superseded or known.delivery_id != door.delivery_id:
        draft = {**known.draft, "door": [door.delivery_id, door.channel]}
        values |= {"superseded_at": None, "draft": draft}
        known = replace(known, superseded=False, draft=draft)
    session.execute(sa.update(_sessions).where(_sessions.c.id == known.id).values(values))
    return known


def find(session: Session, keyring: Keyring, *, link_id: str, secret: str) -> Visit | None:
    given = {"hashes": keyring.digests(secret, purpose=PURPOSE), "link_id": link_id, "now": utcnow()}
    row = session.execute(_FIND, given).one_or_none()
    if row is None:
        return None
    visit = Visit(*row)
    return visit if visit.draft else replace(visit, draft={})


def withdrawn(session: Session, keyring: Keyring, *, link_id: str, secret: str) -> bool:
    """Whether this browser came by a delivery that has been withdrawn."""
    query = sa.select(sa.literal(True)).select_from(_HERE).where(_MINE, _deliveries.c.withdrawn_at.is_not(None))
    given = {"hashes": keyring.digests(secret, purpose=PURPOSE), "link_id": link_id}
    return session.execute(query, given).first() is not None


def keep(session: Session, visit: Visit, **values: Any) -> None:
    """Writes ``draft`` or ``locale``: what the customer leaves behind."""
    session.execute(sa.update(_sessions).where(_sessions.c.id == visit.id).values(values))


def _left_behind(session: Session, link_id: str) -> tuple[str | None, dict[str, Any]]:
    """The language that was chosen last, and the draft that was written last, by any browser of the link."""
    query = (
        sa.select(_sessions.c.locale, _sessions.c.draft)
        .where(_sessions.c.link_id == link_id)
        .order_by(_sessions.c.created_at.desc(), _sessions.c.id.desc())
        .limit(REMEMBERED)
    )
    rows = session.execute(query).all()
    drafts = [row.draft for row in rows if row.draft and "amount" in row.draft]
    last: dict[str, Any] = max(drafts, key=lambda draft: str(draft.get("at", "")), default={})
    kept: dict[str, Any] = {name: last[name] for name in ("amount", "left", "at") if name in last}
    return next((row.locale for row in rows if row.locale), None), kept


_HERE: Final = _sessions.join(_deliveries, _deliveries.c.id == _sessions.c.delivery_id)
_MINE: Final = sa.and_(
    _sessions.c.secret_hash.in_(sa.bindparam("hashes", expanding=True)),
    _sessions.c.link_id == sa.bindparam("link_id"),
)
_FIND: Final = (
    sa.select(
        _sessions.c.id,
        _sessions.c.link_id,
        _sessions.c.merchant_id,
        _sessions.c.delivery_id,
        _deliveries.c.channel,
        _sessions.c.opened_at.is_not(None),
        _sessions.c.card_entry_started_at.is_not(None),
        _sessions.c.superseded_at.is_not(None),
        _sessions.c.locale,
        _sessions.c.draft,
    )
    .select_from(_HERE)
    .where(
        _MINE,
        _sessions.c.expires_at > sa.bindparam("now"),
        sa.or_(
            _deliveries.c.withdrawn_at.is_(None),
            sa.exists().where(_payments.c.session_id == _sessions.c.id, _payments.c.status.in_(_AT_STAKE)),
        ),
    )
)


def prune(session: Session, *, limit: int = 1000) -> int:
    """Deletes sessions that ended, up to ``limit`` at a time; how many there were."""
    ended = sa.select(_sessions.c.id).where(_sessions.c.expires_at <= utcnow()).limit(limit)
    gone = session.execute(sa.delete(_sessions).where(_sessions.c.id.in_(ended)).returning(_sessions.c.id))
    return len(gone.all())
