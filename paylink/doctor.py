"""``paylink doctor``: what is configured, what answers, and what would not be safe to go live with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import httpx
import sqlalchemy as sa
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from paylink.config import DEVELOPMENT_SECRET, PspName, Settings
from paylink.console import console_files
from paylink.db import Database
from paylink.engines import with_driver
from paylink.schema import is_current

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """``warn`` is right for development and wrong to go live with; ``bad`` does not work at all."""

    level: Literal["ok", "warn", "bad"]
    what: str
    text: str


async def examine(settings: Settings) -> list[Finding]:
    return [finding async for finding in _findings(settings)]


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    yield _environment(settings)
    yield _secret_keys(settings)
    for finding in await _database(settings):
        yield finding
    yield await _bus(settings)
    for finding in _provider(settings):
        yield finding
    yield await _provider_reachable(settings)
    yield _addresses(settings)
    yield _console()


def _environment(settings: Settings) -> Finding:
    if settings.production:
        return Finding("ok", "Environment", "production")
    return Finding("warn", "Environment", "development; set PAYLINK_ENV=production to go live")


def _secret_keys(settings: Settings) -> Finding:
    if any(key.get_secret_value() == DEVELOPMENT_SECRET for key in settings.secret_keys):
        return Finding("warn", "Secret keys", "the development default, known to everyone: set PAYLINK_SECRET_KEYS")
    return Finding("ok", "Secret keys", f"{len(settings.secret_keys)} set; the first one writes")


async def _database(settings: Settings) -> list[Finding]:
    kind = "SQLite, for one process" if settings.sqlite else "PostgreSQL"
    try:
        async with AsyncExitStack() as stack:
            db = Database(settings.database_url)
            stack.callback(db.close)
            await db.read(lambda session: session.execute(text("SELECT 1")).one())
            current = await db.read(is_current)
    except (SQLAlchemyError, OSError) as error:
        return [Finding("bad", "Database", f"{kind}: {database_trouble(settings, error)}")]
    found = [Finding("ok", "Database", f"{kind}: answers")]
    if current:
        return [*found, Finding("ok", "Schema", "newest")]
    return [*found, Finding("bad", "Schema", "not at the newest version: run `paylink migrate`")]


def database_trouble(settings: Settings, error: Exception) -> str:
    """Which database it is, without its password, and what is wrong with it, in one line."""
    url = sa.make_url(with_driver(settings.database_url))
    where = url.database if settings.sqlite else f"{url.host or 'local socket'}:{url.port or 5432}/{url.database}"
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = cause.strerror if isinstance(cause, OSError) else str(cause).partition("\n")[0]
    return f"{where}: {reason or type(error).__name__}"


async def _bus(settings: Settings) -> Finding:
    if settings.redis_url is None:
        return Finding("ok", "Bus", "in process; several processes tell each other by a poll, within a second")
    client = Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=TIMEOUT_S)
    try:
        await client.ping()
    except (RedisError, OSError):
        return Finding("bad", "Bus", "Redis does not answer; events still come, up to a second late")
    finally:
        await client.aclose()
    return Finding("ok", "Bus", "Redis: answers")


def _provider(settings: Settings) -> list[Finding]:
    if settings.psp is PspName.SANDBOX:
        return [Finding("warn", "Payment provider", "the sandbox: moves no money")]
    mode = "live" if settings.stripe.livemode else "test mode: moves no money"
    found = [Finding("ok" if settings.stripe.livemode else "warn", "Payment provider", f"Stripe, {mode}")]
    if not settings.stripe.publishable_key:
        found.append(Finding("bad", "Stripe", "PAYLINK_STRIPE_PUBLISHABLE_KEY is missing: no card fields"))
    if not settings.stripe.webhook_secrets:
        found.append(Finding("bad", "Stripe", "PAYLINK_STRIPE_WEBHOOK_SECRET is missing: callbacks are refused"))
    return found


async def _provider_reachable(settings: Settings) -> Finding:
    base = settings.stripe.api_base
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.get(
                f"{base}/v1/payment_intents?limit=1",
                headers={"Authorization": f"Bearer {settings.stripe.secret_key}"},
            )
    except httpx.HTTPError as error:
        hint = "; it runs with `paylink serve`" if settings.psp is PspName.SANDBOX else ""
        return Finding("warn", "Provider's API", f"{base} does not answer ({type(error).__name__}){hint}")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return Finding("bad", "Provider's API", f"{base} refuses the secret key")
    return Finding("ok", "Provider's API", f"{base} answers")


def _addresses(settings: Settings) -> Finding:
    plain = [url for url in (settings.console_url, settings.checkout_url) if not url.startswith("https://")]
    if plain:
        return Finding("warn", "Addresses", f"without TLS: {', '.join(plain)}; browsers and customers need https")
    return Finding("ok", "Addresses", f"{settings.console_url}, {settings.checkout_url}")


def _console() -> Finding:
    if (console_files() / "index.html").is_file():
        return Finding("ok", "Console", "built")
    return Finding("bad", "Console", "not built: run `make setup`")
