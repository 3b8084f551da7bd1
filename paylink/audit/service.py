"""Who did what, in a chain that shows every change made behind our back.

Every entry has a hash under the operator's secret key over all of its fields and the hash of the entry before. The
head keeps the last number and a seal over it, so that a tail that was cut off is missed too. Whoever can write to the
database but has no key can still destroy entries; ``verify`` says where. What no chain can show on its own is a whole
database set back to an older copy of itself: for that an operator notes a head elsewhere and asks about it later.

Keys: the newest one writes, all that are configured read, so a rotation breaks nothing. An old key must stay in
``PAYLINK_SECRET_KEYS`` for as long as what it wrote shall be verifiable.

Making and sending links is not recorded here: it is the hot path, and the link's row and its event log name who did it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.audit.models import Action, AuditEntry, AuditHead
from paylink.db import table
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, same
from paylink.kit.ids import new_id

log = structlog.get_logger(__name__)

SYSTEM: Final = "system"
NOBODY: Final = "nobody"
ENTRY_PURPOSE: Final = "audit"
HEAD_PURPOSE: Final = "audit-head"
# What the first entry follows; and what an entry follows that was added to a chain which was not whole any more. The
# second keeps a break visible for good: going on as if nothing were would make what is left look sound.
BEGINNING: Final = b""
BROKEN_OFF: Final = b"broken off"

_entries = table(AuditEntry)
_heads = table(AuditHead)


def _take(insert: Any) -> Any:
    """Makes the head if need be, and locks it: the update that changes nothing is what takes the lock."""
    statement = insert(_heads).values(merchant_id=sa.bindparam("merchant"), seq=0, hash=BEGINNING)
    return statement.on_conflict_do_update(index_elements=[_heads.c.merchant_id], set_={"seq": _heads.c.seq}).returning(
        _heads.c.seq, _heads.c.hash
    )


_TAKE_HEAD: Final = {"sqlite": _take(sqlite_insert), "postgresql": _take(postgres_insert)}
_LAST: Final = (
    sa.select(_entries.c.seq, _entries.c.hash)
    .where(_entries.c.merchant_id == sa.bindparam("merchant"))
    .order_by(_entries.c.seq.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Fields:
    """All of an entry that its hash speaks for."""

    id: str
    merchant_id: str
    seq: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    subject: str | None
    details: Any

    def canonical(self, previous: bytes) -> str:
        """One text for one content, whichever database it comes from: microseconds are what both of them keep."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        everything = {name: getattr(self, name) for name in self.__slots__} | {"at": at, "previous": previous.hex()}
        return json.dumps(everything, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Actor(Protocol):
    """Whoever may act for a merchant; ``actor`` is what they are called here, such as ``agent:agt_…``."""

    @property
    def merchant_id(self) -> str: ...

    @property
    def actor(self) -> str: ...

    @property
    def name(self) -> str: ...


def note(
    session: Session,
    keyring: Keyring,
    who: Actor,
    action: Action,
    *,
    subject: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """``record`` for somebody who is signed in."""
    record(
        session,
        keyring,
        merchant_id=who.merchant_id,
        actor=who.actor,
        actor_name=who.name,
        action=action,
        subject=subject,
        details=details,
    )


def record(
    session: Session,
    keyring: Keyring,
    *,
    merchant_id: str,
    actor: str,
    actor_name: str,
    action: Action,
    subject: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Adds an entry to the caller's transaction: it is there exactly if what it tells of was committed.

    Call it last. The head stays locked until the commit, and everybody who takes it after the rows of their own work
    takes them in the same order. ``details`` holds ids, codes and what people wrote as a reason: no secrets, no
    addresses.
    """
    seq, previous = _place(session, keyring, merchant_id)
    entry = Fields(
        id=new_id("aud"),
        merchant_id=merchant_id,
        seq=seq,
        at=utcnow(),
        actor=actor,
        actor_name=actor_name,
        action=action.value,
        subject=subject,
        details=json.loads(json.dumps(details or {}, allow_nan=False)),
    )
    made = keyring.digest(entry.canonical(previous), purpose=ENTRY_PURPOSE)
    row = {name: getattr(entry, name) for name in entry.__slots__}
    session.execute(sa.insert(_entries), row | {"hash": made})
    head = {"seq": seq, "hash": keyring.digest(sealed(merchant_id, seq, made), purpose=HEAD_PURPOSE)}
    session.execute(sa.update(_heads).where(_heads.c.merchant_id == merchant_id).values(head))


def sealed(merchant_id: str, seq: int, last: bytes) -> str:
    """What a head's seal is over: ``last`` is the hash of entry ``seq``."""
    return f"{merchant_id}:{seq}:{last.hex()}"


def head_fits(keyring: Keyring, merchant_id: str, *, seq: int, seal: bytes, last: bytes) -> bool:
    return any(same(seal, one) for one in keyring.digests(sealed(merchant_id, seq, last), purpose=HEAD_PURPOSE))


def _place(session: Session, keyring: Keyring, merchant_id: str) -> tuple[int, bytes]:
    """The next entry's number, and the hash it follows."""
    statement = _TAKE_HEAD[session.get_bind().dialect.name]
    head = session.execute(statement, {"merchant": merchant_id}).one()
    last = session.execute(_LAST, {"merchant": merchant_id}).one_or_none()
    if last is None and head.seq == 0:
        return 1, BEGINNING
    seq, made = (last.seq, last.hash) if last else (0, BEGINNING)
    if seq == head.seq and head_fits(keyring, merchant_id, seq=seq, seal=head.hash, last=made):
        return seq + 1, made
    log.error("audit_chain_broken", merchant=merchant_id, head=head.seq, last=seq)
    return max(head.seq, seq) + 1, BROKEN_OFF


def newest(session: Session, *, merchant_id: str, limit: int, before_seq: int | None = None) -> list[AuditEntry]:
    query = sa.select(AuditEntry).where(AuditEntry.merchant_id == merchant_id)
    if before_seq is not None:
        query = query.where(AuditEntry.seq < before_seq)
    return list(session.scalars(query.order_by(AuditEntry.seq.desc()).limit(limit)))


def seq_of(session: Session, *, merchant_id: str, entry_id: str) -> int | None:
    query = sa.select(_entries.c.seq).where(_entries.c.id == entry_id, _entries.c.merchant_id == merchant_id)
    return session.scalar(query)
