"""Signing in and out, API keys, and who a credential belongs to."""

import asyncio
import string
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from secrets import choice
from typing import Final

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from paylink.accounts.models import Agent, AgentSession, ApiKey, Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.errors import Conflict, NotFound, NotSignedIn
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, random_text
from paylink.kit.ids import new_id

SESSION_IDLE: Final = timedelta(hours=12)
SESSION_LIFE: Final = timedelta(days=7)
SESSION_PURPOSE: Final = "agent-session"
API_KEY_PURPOSE: Final = "api-key"
BASE62: Final = string.digits + string.ascii_letters
# 30 characters of base 62 are 178 bits; six more are a checksum, so a scanner can tell a key from noise.
KEY_LENGTH: Final = 30
MAX_API_KEYS: Final = 20

_hasher = PasswordHasher()
# Argon2 takes 64 MiB and a core for a while: few at a time, and never in the event loop.
_hash_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


@cache
def _nobody() -> str:
    """Checked when the e-mail is unknown, so that the answer takes as long as for a wrong password."""
    return _hasher.hash(random_text(16))


async def password_matches(stored: str | None, password: str) -> bool:
    def check() -> bool:
        try:
            return _hasher.verify(stored or _nobody(), password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.get_running_loop().run_in_executor(_hash_threads, check)


def agent_by_email(session: Session, email: str) -> Agent | None:
    return session.scalars(
        sa.select(Agent).where(Agent.email == email.strip().lower(), Agent.disabled_at.is_(None))
    ).one_or_none()


def start_session(session: Session, agent: Agent, keyring: Keyring) -> str:
    """Signs the agent in and returns the cookie's value, which is not kept."""
    secret = random_text(32)
    session.add(
        AgentSession(
            id=new_id("ses"),
            agent_id=agent.id,
            secret_hash=keyring.digest(secret, purpose=SESSION_PURPOSE),
            expires_at=utcnow() + SESSION_LIFE,
        )
    )
    return secret


def end_session(session: Session, session_id: str) -> bool:
    """False when it had ended before."""
    ended = session.execute(
        sa.update(AgentSession)
        .where(AgentSession.id == session_id, AgentSession.revoked_at.is_(None))
        .values(revoked_at=utcnow())
        .returning(AgentSession.id)
    )
    return ended.one_or_none() is not None


def prune_sessions(session: Session) -> None:
    """Deletes what has not been a session for as long as one can live."""
    session.execute(sa.delete(AgentSession).where(AgentSession.expires_at < utcnow() - SESSION_LIFE))


def principal_by_cookie(session: Session, secret: str, keyring: Keyring) -> Principal:
    query = (
        sa.select(AgentSession, Agent)
        .join(Agent, Agent.id == AgentSession.agent_id)
        .where(AgentSession.secret_hash.in_(keyring.digests(secret, purpose=SESSION_PURPOSE)))
    )
    row = session.execute(query).one_or_none()
    if row is None or not _session_good(*row):
        raise NotSignedIn("Please sign in", code="session_ended")
    agent_session, agent = row
    return principal_of(agent, credential_id=agent_session.id)


def principal_of(agent: Agent, *, credential_id: str = "") -> Principal:
    return Principal(PrincipalKind.AGENT, agent.id, agent.name, agent.merchant_id, credential_id)


def touch(session: Session, principal: Principal) -> None:
    """Notes that the session or the key is in use."""
    now = utcnow()
    if principal.kind is PrincipalKind.AGENT:
        statement = sa.update(AgentSession).where(AgentSession.id == principal.credential_id).values(last_seen_at=now)
    else:
        statement = sa.update(ApiKey).where(ApiKey.id == principal.credential_id).values(last_used_at=now)
    session.execute(statement)


def principal_by_key(session: Session, secret: str, keyring: Keyring) -> Principal:
    key = None
    if key_well_formed(secret):
        query = sa.select(ApiKey).where(ApiKey.secret_hash.in_(keyring.digests(secret, purpose=API_KEY_PURPOSE)))
        key = session.scalars(query).one_or_none()
    if key is None or key.revoked_at is not None:
        raise NotSignedIn("This API key is not valid", code="invalid_api_key")
    return Principal(PrincipalKind.API_KEY, key.id, key.name, key.merchant_id, key.id)


def still_good(session: Session, credential_ids: Iterable[str]) -> set[str]:
    """Those of the sessions and keys that still give their right."""
    ids = list(credential_ids)
    keys = session.scalars(sa.select(ApiKey.id).where(ApiKey.id.in_(ids), ApiKey.revoked_at.is_(None))).all()
    sessions = session.execute(
        sa.select(AgentSession, Agent).join(Agent, Agent.id == AgentSession.agent_id).where(AgentSession.id.in_(ids))
    ).all()
    return {*keys, *(row[0].id for row in sessions if _session_good(*row))}


def create_api_key(
    session: Session, *, merchant_id: str, name: str, live: bool, keyring: Keyring
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown once."""
    count = session.scalar(
        sa.select(sa.func.count()).where(ApiKey.merchant_id == merchant_id, ApiKey.revoked_at.is_(None))
    )
    if (count or 0) >= MAX_API_KEYS:
        raise Conflict(f"There are {MAX_API_KEYS} API keys; revoke one first", code="too_many_api_keys")
    prefix = "plk_live_" if live else "plk_test_"
    body = "".join(choice(BASE62) for _ in range(KEY_LENGTH))
    secret = f"{prefix}{body}{_checksum(prefix + body)}"
    key = ApiKey(
        id=new_id("key"),
        merchant_id=merchant_id,
        name=name,
        prefix=prefix,
        last4=secret[-4:],
        secret_hash=keyring.digest(secret, purpose=API_KEY_PURPOSE),
    )
    session.add(key)
    session.flush()
    return key, secret


def list_api_keys(session: Session, principal: Principal) -> list[ApiKey]:
    query = sa.select(ApiKey).where(ApiKey.merchant_id == principal.merchant_id).order_by(ApiKey.id.desc())
    return list(session.scalars(query))


def revoke_api_key(session: Session, principal: Principal, key_id: str) -> ApiKey | None:
    """The key that is good for nothing from now on; ``None`` when it was so before."""
    key = session.scalars(
        sa.select(ApiKey).where(ApiKey.id == key_id, ApiKey.merchant_id == principal.merchant_id)
    ).one_or_none()
    if key is None:
        raise NotFound("No such API key")
    if key.revoked_at is not None:
        return None
    key.revoked_at = utcnow()
    return key


def merchant(session: Session, merchant_id: str) -> Merchant:
    return session.get_one(Merchant, merchant_id)


def key_well_formed(secret: str) -> bool:
    """Whether the checksum fits, which refuses typos and noise without asking the database."""
    return secret.startswith(("plk_test_", "plk_live_")) and _checksum(secret[:-6]) == secret[-6:]


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def _session_good(agent_session: AgentSession, agent: Agent) -> bool:
    now = utcnow()
    return (
        agent_session.revoked_at is None
        and agent.disabled_at is None
        and now < agent_session.expires_at
        and now < _idle_end(agent_session.last_seen_at)
    )


def _idle_end(last_seen_at: datetime) -> datetime:
    return last_seen_at + SESSION_IDLE
