"""Who must not be written to: asked before every send, fed by replies, carriers, one click and agents.

One row per merchant, channel and address: a person who wrote STOP to a text still gets the e-mail they asked for. Who
sends asks ``blocked``; whoever hears that a person wants nothing more calls ``suppress``.
"""

from typing import Final

import sqlalchemy as sa
from pydantic_core import PydanticCustomError
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.consent.models import Suppression, SuppressionReason, SuppressionScope
from paylink.consent.words import Wish, wish_in
from paylink.customers.addresses import normal_phone
from paylink.db import table
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id

MAX_NOTE: Final = 1000
# Named as in ``deliveries.purpose``.
REMINDER: Final = "reminder"
PAYER: Final = "payer"
# What the person takes back with START: their own word, and the carrier's word for them. An address that does not
# exist is not made to exist by it, and what they asked an agent for they ask an agent for.
TAKEN_BACK: Final = frozenset({SuppressionReason.STOP, SuppressionReason.PROVIDER})
# These outlast a START, so they are written over one that does not.
LASTING: Final = frozenset({SuppressionReason.AGENT, SuppressionReason.BOUNCE})
BY_PHONE: Final = frozenset({"sms", "whatsapp"})

_suppressions = table(Suppression)


def normal(channel: str, address: str) -> str:
    """The address as it is compared: a phone as E.164, an e-mail address without its capitals."""
    address = address.strip()
    if channel == "email":
        return address.lower()
    if channel not in BY_PHONE:
        return address
    try:
        return normal_phone(address if address.startswith("+") else f"+{address}")
    except PydanticCustomError:
        return address


def blocked(
    session: Session, merchant_id: str, channel: str, address: str | None, *, purpose: str
) -> Suppression | None:
    """Why nothing may be sent there; ``None`` when it may. Reminders are stopped by what stops reminders, too."""
    if address is None:
        return None
    scopes = [SuppressionScope.ALL.value] + ([SuppressionScope.REMINDERS.value] if purpose == REMINDER else [])
    query = sa.select(Suppression).where(
        Suppression.merchant_id == merchant_id,
        Suppression.channel == channel,
        Suppression.address == normal(channel, address),
        Suppression.scope.in_(scopes),
    )
    # "all" sorts before "reminders": what says more is told.
    return session.scalars(query.order_by(Suppression.scope).limit(1)).one_or_none()


def suppress(
    session: Session,
    merchant_id: str,
    channel: str,
    address: str,
    *,
    scope: SuppressionScope,
    reason: SuppressionReason,
    by: str,
    note: str | None = None,
    keyring: Keyring | None = None,
    by_name: str = "",
) -> Suppression:
    """Once, however often it is said. ``by`` as the audit names actors; with ``keyring`` it is noted there too: then
    call it last in its transaction."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    suppression_id = new_id("sup")
    row = {
        "id": suppression_id,
        "merchant_id": merchant_id,
        "channel": channel,
        "address": normal(channel, address),
        "scope": scope.value,
        "reason": reason.value,
        "note": note[:MAX_NOTE] if note else None,
        "created_by": by,
        "created_at": utcnow(),
    }
    place = ["merchant_id", "channel", "address", "scope"]
    statement = insert(_suppressions).values(row)
    if reason in LASTING:
        changes = {name: row[name] for name in ("reason", "note", "created_by")}
        weaker = _suppressions.c.reason.not_in([one.value for one in LASTING])
        statement = statement.on_conflict_do_update(index_elements=place, set_=changes, where=weaker)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=place)
    new = session.execute(statement.returning(_suppressions.c.id)).scalar_one_or_none() is not None
    query = sa.select(Suppression).where(*(_suppressions.c[name] == row[name] for name in place))
    found = session.scalars(query.execution_options(populate_existing=True)).one()
    if new and keyring is not None:
        _note(session, keyring, found, Action.SUPPRESSION_ADDED, by=by, by_name=by_name)
    return found


def find(session: Session, merchant_id: str, suppression_id: str) -> Suppression | None:
    query = sa.select(Suppression).where(Suppression.id == suppression_id, Suppression.merchant_id == merchant_id)
    return session.scalars(query).one_or_none()


def lift(
    session: Session, suppression: Suppression, *, by: str, keyring: Keyring | None = None, by_name: str = ""
) -> bool:
    """False when somebody else has lifted it meanwhile. ``keyring`` as for ``suppress``."""
    gone = session.execute(
        sa.delete(_suppressions).where(_suppressions.c.id == suppression.id).returning(_suppressions.c.id)
    ).one_or_none()
    if gone is None:
        return False
    if keyring is not None:
        _note(session, keyring, suppression, Action.SUPPRESSION_LIFTED, by=by, by_name=by_name)
    return True


def newest(
    session: Session,
    merchant_id: str,
    *,
    limit: int,
    channel: str | None = None,
    address: str | None = None,
    before: str | None = None,
) -> list[Suppression]:
    query = sa.select(Suppression).where(Suppression.merchant_id == merchant_id)
    if channel is not None:
        query = query.where(Suppression.channel == channel)
    if address is not None:
        forms = {address.strip(), *(normal(each, address) for each in ("sms", "email"))}
        query = query.where(Suppression.address.in_(sorted(forms)))
    if before is not None:
        query = query.where(Suppression.id < before)
    return list(session.scalars(query.order_by(Suppression.id.desc()).limit(limit)))


def replied(
    session: Session, *, merchant_id: str, channel: str, address: str, text: str, keyring: Keyring | None = None
) -> None:
    """What a person wrote back: STOP and START count, in any of the languages known here; all else is conversation."""
    match wish_in(text):
        case Wish.STOP:
            suppress(
                session,
                merchant_id,
                channel,
                address,
                scope=SuppressionScope.ALL,
                reason=SuppressionReason.STOP,
                by=PAYER,
                keyring=keyring,
            )
        case Wish.START:
            _start(session, merchant_id=merchant_id, channel=channel, address=address, keyring=keyring)


def _start(session: Session, *, merchant_id: str, channel: str, address: str, keyring: Keyring | None) -> None:
    query = sa.select(Suppression).where(
        Suppression.merchant_id == merchant_id,
        Suppression.channel == channel,
        Suppression.address == normal(channel, address),
        Suppression.reason.in_([reason.value for reason in TAKEN_BACK]),
    )
    for one in session.scalars(query).all():
        lift(session, one, by=PAYER, keyring=keyring)


def _note(
    session: Session, keyring: Keyring, suppression: Suppression, action: Action, *, by: str, by_name: str
) -> None:
    details = {name: getattr(suppression, name) for name in ("channel", "scope", "reason")}
    audit.record(
        session,
        keyring,
        merchant_id=suppression.merchant_id,
        actor=by,
        actor_name=by_name,
        action=action,
        subject=suppression.id,
        details=details,
    )
