"""Walking a chain from its first entry to its head, and naming the first place where it is not what was written.

Rows are read as text and never trusted to have their columns' types: SQLite stores what it is given.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.audit.models import AuditEntry, AuditHead
from paylink.audit.service import BEGINNING, BROKEN_OFF, ENTRY_PURPOSE, Fields, head_fits
from paylink.db import table
from paylink.kit.crypto import Keyring, same

PAGE: Final = 500

_entries = table(AuditEntry)
_heads = table(AuditHead)


class Fault(StrEnum):
    # Its content, its place or the hash before it is not what was written; or the key it was written with is not
    # configured any more.
    ALTERED = "altered"
    MISSING = "missing"
    # A number that was there already, or that no entry has.
    PUT_IN = "put_in"
    # Written by the product, which found that the chain before it was not whole.
    BROKEN_OFF = "broken_off"
    # Entries after this one are gone: the head counts further.
    CUT_OFF = "cut_off"
    # The entries are whole, and the head is not theirs.
    WRONG_HEAD = "wrong_head"
    # The chain is whole, and the head that somebody noted was never part of it.
    NOT_AS_NOTED = "not_as_noted"


@dataclass(frozen=True, slots=True)
class Break:
    """``seq`` is the first entry that is not as it was; ``entry`` the id that stands there, if one does."""

    seq: int
    fault: Fault
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``entries`` and ``head`` (the last entry's hash, hex) are what was sound up to the break, or all of it."""

    merchant: str
    entries: int
    head: str | None
    broken: Break | None

    def form(self) -> dict[str, Any]:
        return asdict(self)


def merchants(session: Session) -> list[str]:
    """Everybody who has an entry or a head."""
    return [str(found) for found in session.scalars(sa.select(_known(None).c.merchant_id).order_by("merchant_id"))]


def verify(session: Session, keyring: Keyring, merchant_id: str, *, noted: Mapping[int, str] | None = None) -> Verdict:
    """``noted``: hashes that the chain must have, by ``seq``."""
    walk = _Walk(keyring, merchant_id, dict(noted or {}))
    rows = session.execute(_chain(merchant_id), execution_options={"yield_per": PAGE})
    broken = walk.run(rows.mappings())
    rows.close()
    return Verdict(merchant_id, walk.count, walk.last.hex() or None, broken)


class _Walk:
    """``count`` entries were sound so far, and the last of them has the hash ``last``."""

    def __init__(self, keyring: Keyring, merchant_id: str, noted: dict[int, str]) -> None:
        self._keyring = keyring
        self._merchant_id = merchant_id
        self._noted = noted
        self.count = 0
        self.last = BEGINNING

    def run(self, rows: Iterable[sa.RowMapping]) -> Break | None:
        seq, seal = None, None
        for row in rows:
            seq, seal = row["head_seq"], row["head_hash"]
            if row["merchant_id"] is not None and (broken := self._step(row)):
                return broken
        return self._head(seq, seal) or self._missed()

    def _step(self, row: sa.RowMapping) -> Break | None:
        expected, seq = self.count + 1, row["seq"]
        if not isinstance(seq, int):
            return Break(expected, Fault.ALTERED, _text(row["id"]))
        if seq != expected:
            gap = seq > expected
            return Break(expected, Fault.MISSING) if gap else Break(seq, Fault.PUT_IN, _text(row["id"]))
        if fault := self._fault(row):
            return Break(expected, fault, _text(row["id"]))
        self.count, self.last = seq, row["hash"]
        wanted = self._noted.pop(seq, None)
        return Break(seq, Fault.NOT_AS_NOTED, _text(row["id"])) if wanted not in {None, self.last.hex()} else None

    def _fault(self, row: sa.RowMapping) -> Fault | None:
        try:
            entry, found = _fields(row), row["hash"]
            for previous in (self.last, BROKEN_OFF):
                made = self._keyring.digests(entry.canonical(previous), purpose=ENTRY_PURPOSE)
                if any(same(found, one) for one in made):
                    return None if previous is self.last else Fault.BROKEN_OFF
        except (TypeError, ValueError, RecursionError):  # not even of the form in which entries are written
            return Fault.ALTERED
        return Fault.ALTERED

    def _head(self, seq: Any, seal: Any) -> Break | None:
        if isinstance(seq, int) and seq > self.count:
            return Break(self.count + 1, Fault.CUT_OFF)
        if seq is None and self.count == 0:
            return None
        sound = seq == self.count and isinstance(seal, bytes)
        if sound and head_fits(self._keyring, self._merchant_id, seq=seq, seal=seal, last=self.last):
            return None
        return Break(self.count, Fault.WRONG_HEAD)

    def _missed(self) -> Break | None:
        """What was noted of entries that are not there."""
        return Break(min(self._noted), Fault.NOT_AS_NOTED) if self._noted else None


def _known(merchant_id: str | None) -> sa.Subquery:
    parts = [sa.select(found.c.merchant_id) for found in (_entries, _heads)]
    if merchant_id is not None:
        entries, heads = parts
        parts = [
            entries.where(_entries.c.merchant_id == merchant_id),
            heads.where(_heads.c.merchant_id == merchant_id),
        ]
    return sa.union(*parts).subquery()


def _chain(merchant_id: str) -> sa.Select[Any]:
    """Entries and head in one statement: both as of one moment, while others go on adding."""
    known = _known(merchant_id)
    return (
        sa.select(
            _heads.c.seq.label("head_seq"),
            _raw(_heads.c.hash).label("head_hash"),
            *(_entries.c[name] for name in ("id", "merchant_id", "seq", "actor", "actor_name", "action", "subject")),
            sa.cast(_entries.c.at, sa.Text).label("at"),
            sa.cast(_entries.c.details, sa.Text).label("details"),
            _raw(_entries.c.hash).label("hash"),
        )
        .select_from(known)
        .outerjoin(_heads, _heads.c.merchant_id == known.c.merchant_id)
        .outerjoin(_entries, _entries.c.merchant_id == known.c.merchant_id)
        .order_by(_entries.c.seq, _entries.c.id)
    )


def _raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """As the driver gives it."""
    return sa.type_coerce(column, sa.types.NULLTYPE)


def _fields(row: sa.RowMapping) -> Fields:
    at = datetime.fromisoformat(row["at"])
    return Fields(
        id=row["id"],
        merchant_id=row["merchant_id"],
        seq=row["seq"],
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        actor=row["actor"],
        actor_name=row["actor_name"],
        action=row["action"],
        subject=row["subject"],
        details=json.loads(row["details"]),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
