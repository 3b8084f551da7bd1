"""Chains of a dozen entries, and somebody who can write to the database and has no key."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from paylink.audit import service
from paylink.audit.models import Action, AuditEntry, AuditHead
from paylink.audit.service import Fields
from paylink.db import Database, table
from paylink.kit.crypto import Keyring

SECRETS: Final = ["the newest key, thirty-two characters", "an older key, of thirty-two characters"]
KEYS: Final = Keyring(SECRETS)
WRONG: Final = Keyring(["a key that somebody made up, of course"])
LENGTH: Final = 12
ENTRIES: Final = table(AuditEntry)
HEADS: Final = table(AuditHead)

Row = dict[str, Any]


@dataclass
class Chain:
    """A merchant's entries and head as they stand in the tables."""

    rows: list[Row]
    head: Row | None
    others: list[Row] = field(default_factory=list)

    def copy(self) -> "Chain":
        return Chain([dict(row) for row in self.rows], self.head and dict(self.head), self.others)


def append(session: Session, merchant_id: str, number: int, keyring: Keyring = KEYS) -> None:
    service.record(
        session,
        keyring,
        merchant_id=merchant_id,
        actor=f"agent:agt_{number % 3}",
        actor_name=["Zoë", "Иван", "Alex"][number % 3],
        action=list(Action)[number % len(Action)],
        subject=f"pay_{number}" if number % 4 else None,
        details={"reason": "known", "amount": number} if number % 2 else None,
    )


def written(db: Database, merchant_id: str, *, entries: int = LENGTH) -> Chain:
    for number in range(entries):
        db.transact_sync(lambda session, number=number: append(session, merchant_id, number))  # type: ignore[misc]
    return db.read_sync(lambda session: read(session, merchant_id))


def read(session: Session, merchant_id: str) -> Chain:
    def of(found: sa.Table) -> list[Row]:
        query = sa.select(found).where(found.c.merchant_id == merchant_id).order_by(found.c.seq)
        return [dict(row) for row in session.execute(query).mappings()]

    heads = of(HEADS)
    return Chain(of(ENTRIES), heads[0] if heads else None)


def lay_open(db: Database) -> None:
    """Without triggers, keys and checks: what somebody can do who may change the schema."""
    with db.engine.begin() as connection:
        for name in (ENTRIES.name, HEADS.name):
            connection.exec_driver_sql(f"CREATE TABLE bare AS SELECT * FROM {name}")
            connection.exec_driver_sql(f"DROP TABLE {name}")
            connection.exec_driver_sql(f"ALTER TABLE bare RENAME TO {name}")


@contextmanager
def tampered(db: Database, merchant_id: str, chain: Chain) -> Iterator[Session]:
    """The database with ``chain`` in place of the merchant's own; as before afterwards."""
    with db.engine.connect() as connection, connection.begin() as transaction, Session(connection) as session:
        for found in (ENTRIES, HEADS):
            session.execute(sa.delete(found).where(found.c.merchant_id == merchant_id))
        if rows := [*chain.rows, *chain.others]:
            session.execute(sa.insert(ENTRIES), rows)
        if chain.head is not None:
            session.execute(sa.insert(HEADS), chain.head)
        yield session
        transaction.rollback()


def first_difference(whole: Chain, found: Chain) -> int | None:
    """By comparing with what was written: the number at which somebody must be told to look."""
    expected = 1
    for row in sorted(found.rows, key=lambda row: (row["seq"], row["id"])):
        if row["seq"] != expected:
            return min(int(row["seq"]), expected)
        if expected > len(whole.rows) or _content(row) != _content(whole.rows[expected - 1]):
            return expected
        expected += 1
    if expected <= len(whole.rows) and found.head is not None and found.head["seq"] >= expected:
        return expected
    if found.head == whole.head:
        return None
    last = expected - 1
    return last + 1 if found.head is not None and found.head["seq"] > last else last


def _content(row: Row) -> str:
    return json.dumps({**row, "at": row["at"].isoformat(), "hash": row["hash"].hex()}, sort_keys=True)


# --- what is done to a chain: each takes it and changes it

Tampering = Callable[[Chain], None]
_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
_at = st.integers(0, LENGTH - 1)
_values: dict[str, st.SearchStrategy[Any]] = {
    "id": _text,
    "actor": _text,
    "actor_name": _text,
    "action": _text,
    "subject": st.none() | _text,
    "details": st.dictionaries(_text, st.none() | st.booleans() | st.integers(-9, 99) | _text, max_size=3),
    "at": st.integers(1, 10**12).map(lambda micros: timedelta(microseconds=micros)),
    "hash": st.binary(max_size=40),
}


@st.composite
def tamperings(draw: st.DrawFn) -> Tampering:
    kinds = [_edits(), _deletes(), _swaps(), _cuts(), _inserts(), _heads(), _forgeries()]
    tampering: Tampering = draw(st.one_of(kinds))
    return tampering


def _pick(chain: Chain, position: int) -> Row | None:
    return chain.rows[position % len(chain.rows)] if chain.rows else None


@st.composite
def _edits(draw: st.DrawFn) -> Tampering:
    position, name = draw(_at), draw(st.sampled_from(sorted(_values)))
    value = draw(_values[name])

    def edit(chain: Chain) -> None:
        if row := _pick(chain, position):
            row[name] = row["at"] + value if name == "at" else value

    return edit


@st.composite
def _deletes(draw: st.DrawFn) -> Tampering:
    position, close_up = draw(_at), draw(st.booleans())

    def delete(chain: Chain) -> None:
        if row := _pick(chain, position):
            chain.rows.remove(row)
            for later in chain.rows:
                later["seq"] -= close_up and later["seq"] > row["seq"]

    return delete


@st.composite
def _swaps(draw: st.DrawFn) -> Tampering:
    one, other = draw(_at), draw(_at)

    def swap(chain: Chain) -> None:
        left, right = _pick(chain, one), _pick(chain, other)
        if left and right:
            left["seq"], right["seq"] = right["seq"], left["seq"]

    return swap


@st.composite
def _cuts(draw: st.DrawFn) -> Tampering:
    kept, with_head = draw(st.integers(0, LENGTH - 1)), draw(st.booleans())

    def cut(chain: Chain) -> None:
        chain.rows = [row for row in chain.rows if row["seq"] <= kept]
        if with_head and chain.head:
            # The best that can be done without the key: the entry's own hash.
            chain.head |= {"seq": kept, "hash": chain.rows[-1]["hash"] if chain.rows else b""}

    return cut


@st.composite
def _inserts(draw: st.DrawFn) -> Tampering:
    position, seq, shift = draw(_at), draw(st.integers(-1, LENGTH + 3)), draw(st.booleans())
    name = draw(_text)

    def insert(chain: Chain) -> None:
        if row := _pick(chain, position):
            for later in chain.rows:
                later["seq"] += shift and later["seq"] >= seq
            chain.rows.append({**row, "id": f"aud_new{len(chain.rows)}", "seq": seq, "actor_name": name})

    return insert


@st.composite
def _heads(draw: st.DrawFn) -> Tampering:
    seq, made, gone = draw(st.integers(0, LENGTH + 2)), draw(st.binary(max_size=33)), draw(st.booleans())

    def change(chain: Chain) -> None:
        chain.head = None if gone or chain.head is None else {**chain.head, "seq": seq, "hash": made}

    return change


@st.composite
def _forgeries(draw: st.DrawFn) -> Tampering:
    """The whole chain anew from some entry on, head and all, under a key of one's own."""
    position, name = draw(_at), draw(_text)

    def forge(chain: Chain) -> None:
        if not chain.rows or chain.head is None:
            return
        first = position % len(chain.rows)
        chain.rows.sort(key=lambda row: row["seq"])
        last = chain.rows[first - 1]["hash"] if first else service.BEGINNING
        chain.rows[first]["actor_name"] = name
        for row in chain.rows[first:]:
            fields = replace(_fields(row))
            last = row["hash"] = WRONG.digest(fields.canonical(last), purpose=service.ENTRY_PURPOSE)
        seq = chain.rows[-1]["seq"]
        seal = WRONG.digest(service.sealed(chain.head["merchant_id"], seq, last), purpose=service.HEAD_PURPOSE)
        chain.head |= {"seq": seq, "hash": seal}

    return forge


def _fields(row: Row) -> Fields:
    return Fields(**{name: row[name] for name in Fields.__slots__})
