"""``Idempotency-Key``: the same key and body bring the first answer again, another body is refused.

The answer is kept sealed, since it may hold the one URL or key that is shown only once. Two shapes of use:

- ``remember`` inside the transaction that does the work: the answer and its effect are one commit.
- ``begin`` before and ``finish`` after work that calls a provider in between, with ``effect`` in the transaction that
  makes its effect. A crash leaves a claim that the next request with the key takes over; it is told of that effect, and
  goes on with it instead of making another.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from paylink.db import Base, Database, table
from paylink.errors import BadRequest, Conflict
from paylink.kit.cards import contains_issued_card_number
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, fingerprint

MAX_LENGTH = 255
# Stripe keeps keys for at least a day; after that a repeat is new work.
KEEP = timedelta(hours=24)
# A claim without an answer for this long belongs to a process that died.
CLAIM_LEASE = timedelta(seconds=60)
# How long one of two requests at once waits for the other's answer, and how often it looks.
PATIENCE_S = 5.0
LOOK_S = 0.1
PURPOSE = "idempotency"
# Random, so that one in some hundred holds a long number by chance.
UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int | None]
    answer_sealed: Mapped[bytes | None]
    # What the request has made so far, while its answer is not known yet.
    effect: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


_keys = table(IdempotencyKey)


class InUse(Conflict):
    code = "idempotency_key_in_use"

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being worked on", retry_after=1)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """``answer``: it was done before. ``effect``: the id of what a try that died has made already."""

    answer: Answer | None = None
    effect: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that named a key. ``scope`` is the merchant and the route, so that keys of two calls never meet."""

    scope: str
    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str | None, *, scope: str, body: bytes) -> "Request | None":
        if key is None:
            return None
        if not key or len(key) > MAX_LENGTH or not key.isprintable():
            raise BadRequest(
                f"Idempotency-Key must be 1 to {MAX_LENGTH} printable characters", code="bad_idempotency_key"
            )
        if not UUID.fullmatch(key) and contains_issued_card_number(key):
            raise BadRequest(
                "Idempotency-Key looks like it contains a card number; use a random one", code="card_number_not_allowed"
            )
        return cls(scope, key, fingerprint(body))


def replay(session: Session, request: Request | None, keyring: Keyring) -> Answer | None:
    """The stored answer, or ``None`` when this is the first time. Raises ``Conflict`` for another body."""
    if request is None:
        return None
    row = session.execute(
        sa.select(_keys).where(_keys.c.scope == request.scope, _keys.c.key == request.key)
    ).one_or_none()
    if row is None:
        return None
    if row.created_at < utcnow() - KEEP:
        _clear(session, request)
        return None
    if row.fingerprint != request.fingerprint:
        raise Conflict("This Idempotency-Key was used with another body", code="idempotency_key_reused")
    if row.status is None:
        if row.created_at > utcnow() - CLAIM_LEASE:
            raise InUse
        _clear(session, request)
        return None
    body = keyring.unseal(row.answer_sealed, purpose=PURPOSE, bound_to=_bound_to(request))
    return Answer(row.status, json.loads(body), replayed=True)


def remember(session: Session, request: Request | None, keyring: Keyring, answer: Answer) -> Answer:
    """Keeps the answer in the transaction that does the work. Of two at once one fails on the key, and then replays."""
    if request is not None:
        session.execute(
            sa.insert(_keys),
            {
                "scope": request.scope,
                "key": request.key,
                "fingerprint": request.fingerprint,
                "created_at": utcnow(),
                **_sealed(request, keyring, answer),
            },
        )
    return answer


def begin(session: Session, request: Request, keyring: Keyring) -> Begun:
    """Claims the key before work that leaves the transaction; the stored answer if there is one already."""
    effect = session.scalar(sa.select(_keys.c.effect).where(_claim(request), _keys.c.created_at > utcnow() - KEEP))
    if found := replay(session, request, keyring):
        return Begun(answer=found)
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    row = {"scope": request.scope, "key": request.key, "fingerprint": request.fingerprint, "created_at": utcnow()}
    statement = insert(_keys).values(row | {"effect": effect})
    claimed = statement.on_conflict_do_nothing(index_elements=[_keys.c.scope, _keys.c.key]).returning(_keys.c.key)
    if session.execute(claimed).one_or_none() is None:
        raise InUse
    return Begun(effect=effect)


async def claim(db: Database, request: Request, keyring: Keyring) -> Begun:
    """``begin``, for a caller who may ask twice at once: the second waits a while for the first one's answer."""
    patience_ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await db.transact(lambda session: begin(session, request, keyring))
        except InUse:
            if time.monotonic() > patience_ends:
                raise
        await asyncio.sleep(LOOK_S)


def effect(session: Session, request: Request | None, subject: str) -> None:
    """Notes what the claimed request makes, in the transaction that makes it."""
    if request is not None:
        session.execute(sa.update(_keys).where(_claim(request)).values(effect=subject))


def finish(session: Session, request: Request | None, keyring: Keyring, answer: Answer) -> Answer:
    if request is not None:
        session.execute(
            sa.update(_keys)
            .where(_keys.c.scope == request.scope, _keys.c.key == request.key)
            .values(_sealed(request, keyring, answer))
        )
    return answer


def forget(session: Session, request: Request | None) -> None:
    """Gives a claim back after work that was refused and had no effect, so that it can be asked again."""
    if request is not None:
        session.execute(sa.delete(_keys).where(_claim(request)))


def prune(session: Session) -> None:
    """Deletes the keys whose time is over."""
    session.execute(sa.delete(_keys).where(_keys.c.created_at < utcnow() - KEEP))


def _clear(session: Session, request: Request) -> None:
    """Makes room for a new claim. Of two that do so at once, the second finds the first one's."""
    session.execute(sa.delete(_keys).where(_keys.c.scope == request.scope, _keys.c.key == request.key))


def _claim(request: Request) -> sa.ColumnElement[bool]:
    """The key's row while it has no answer."""
    return sa.and_(_keys.c.scope == request.scope, _keys.c.key == request.key, _keys.c.status.is_(None))


def _sealed(request: Request, keyring: Keyring, answer: Answer) -> dict[str, Any]:
    body = json.dumps(answer.body, separators=(",", ":")).encode()
    return {
        "status": answer.status,
        "answer_sealed": keyring.seal(body, purpose=PURPOSE, bound_to=_bound_to(request)),
    }


def _bound_to(request: Request) -> str:
    return f"{request.scope}\n{request.key}"
