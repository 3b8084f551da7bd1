"""Structured logs. What passes here is redacted: nobody has to remember not to log a secret."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from paylink.kit.cards import find_card_numbers, fold

# Link tokens in paths, API keys, provider secrets, bearer credentials.
SECRETS = re.compile(
    r"(/p/)[A-Za-z0-9_-]{16,}|\b(plk_(?:test|live)_|sk_(?:test|live)_|rk_(?:test|live)_|whsec_)[A-Za-z0-9_-]+"
    r"|(Bearer )\S+|(pi_[A-Za-z0-9]+_secret_)[A-Za-z0-9]+"
)
HIDDEN_KEYS = frozenset({"authorization", "cookie", "set-cookie", "password", "token", "secret", "client_secret"})
REDACTED = "[redacted]"
SHORTEST_CARD = 10**12
# Libraries that tell of every request, some of them with its address or its answer.
NOISY = ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "stripe", "dbos", "sse_starlette.sse", "alembic")


def redact(text: str) -> str:
    """The text without card numbers, tokens, keys and secrets."""
    text = SECRETS.sub(lambda match: next(filter(None, match.groups())) + REDACTED, text)
    folded = fold(text)
    found = sorted(set(find_card_numbers(folded)), key=len, reverse=True)
    for number in found:
        folded = folded.replace(number, REDACTED)
    return folded if found else text


def redact_value(value: Any) -> Any:
    """What is inside mappings and lists too: a logger dumps them as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if isinstance(value, int) and abs(value) >= SHORTEST_CARD:
        return value if redact(str(value)) == str(value) else REDACTED
    if isinstance(value, Mapping):
        return {name: _redact_named(name, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def _redact_named(name: object, value: Any) -> Any:
    return REDACTED if str(name).lower() in HIDDEN_KEYS and value is not None else redact_value(value)


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _redact_named(name, value)
    return event


def configure(*, level: str, json: bool) -> None:
    """One stream, standard error; JSON lines in production, readable lines on a terminal."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    final: list[Any] = (
        [structlog.processors.format_exc_info, _redact_event, structlog.processors.JSONRenderer()]
        if json
        else [structlog.processors.format_exc_info, _redact_event, structlog.dev.ConsoleRenderer(colors=False)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
