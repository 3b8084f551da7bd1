"""The cookie that stands for a token: one per link, so that two links open side by side in one browser.

The value is 256 random bits of which only a keyed hash is stored. The same browser that comes again, by whichever
delivery of the link, keeps its session: one device, one ``link.opened``.
"""

from dataclasses import dataclass
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

PURPOSE: Final = "checkout-session"
SECRET_BYTES: Final = 32
# From the last time the token itself was shown. Long enough for a bank's app and a call to the agent; a customer who
# comes later has the link.
LIFETIME: Final = timedelta(hours=24)

_sessions = table(CheckoutSession)
_deliveries = table(Delivery)


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
            session.execute(sa.update(_sessions).where(_sessions.c.id == known.id).values(expires_at=until))
            return Opened(known, presented)
    secret = random_text(SECRET_BYTES)
    visit = Visit(new_id("cks"), door.link_id, door.merchant_id, door.delivery_id, door.channel)
    row: dict[str, Any] = {
        "id": visit.id,
        "link_id": visit.link_id,
        "merchant_id": visit.merchant_id,
        "delivery_id": visit.delivery_id,
        "secret_hash": keyring.digest(secret, purpose=PURPOSE),
        "expires_at": until,
    }
    session.execute(sa.insert(_sessions), row)
    return Opened(visit, secret)


def find(session: Session, keyring: Keyring, *, link_id: str, secret: str) -> Visit | None:
    given = {"hashes": keyring.digests(secret, purpose=PURPOSE), "link_id": link_id, "now": utcnow()}
    row = session.execute(_FIND, given).one_or_none()
    return None if row is None else Visit(*row)


_FIND: Final = (
    sa.select(
        _sessions.c.id,
        _sessions.c.link_id,
        _sessions.c.merchant_id,
        _sessions.c.delivery_id,
        _deliveries.c.channel,
        _sessions.c.opened_at.is_not(None),
        _sessions.c.card_entry_started_at.is_not(None),
    )
    .join(_deliveries, _deliveries.c.id == _sessions.c.delivery_id)
    .where(
        _sessions.c.secret_hash.in_(sa.bindparam("hashes", expanding=True)),
        _sessions.c.link_id == sa.bindparam("link_id"),
        _sessions.c.expires_at > sa.bindparam("now"),
    )
)


def prune(session: Session, *, limit: int = 1000) -> int:
    """Deletes sessions that ended, up to ``limit`` at a time; how many there were."""
    ended = sa.select(_sessions.c.id).where(_sessions.c.expires_at <= utcnow()).limit(limit)
    gone = session.execute(sa.delete(_sessions).where(_sessions.c.id.in_(ended)).returning(_sessions.c.id))
    return len(gone.all())
