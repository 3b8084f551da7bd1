"""Structured logs. What passes here is redacted: nobody has to remember not to log a secret."""

import asyncio
import atexit
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from paylink.kit.cards import find_card_numbers, fold

# Link tokens in paths, API keys, provider secrets, bearer credentials.
SECRETS = re.compile(
    r"(/p/)[A-Za-z0-9_-]{11,}|\b(plk_(?:test|live)_|sk_(?:test|live)_|rk_(?:test|live)_|whsec_)[A-Za-z0-9_-]+"
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


class Lines:
    """A stream, written once per turn of the event loop: with many requests at once, one system call for the lines of
    all that ended together. Threads without a loop write at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: list[str] = []
        atexit.register(self.flush)

    def write(self, line: str) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._put(line + "\n")
            return
        if not self._waiting:
            loop.call_soon(self.flush)
        self._waiting.append(line)

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._put("\n".join(waiting) + "\n")

    def _put(self, text: str) -> None:
        with suppress(ValueError, OSError):  # nobody reads it any more; the work goes on
            self._stream.write(text)
            self._stream.flush()


class _Logger:
    """What structlog hands finished lines to; it calls the method named after the level."""

    def __init__(self, lines: Lines, name: str) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = lines.write


def configure(*, level: str, json: bool) -> None:
    """One stream, standard error; JSON lines in production, readable lines on a terminal.

    Our own lines go straight to it; those of libraries come by the standard logging and look the same.
    """
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    merge: Any = structlog.contextvars.merge_contextvars
    redacted: list[Any] = [structlog.processors.format_exc_info, _redact_event]
    stamps: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    lines = Lines(sys.stderr)
    structlog.configure(
        # The stamps come after the redaction, which is spared them: they hold nothing of a caller's.
        processors=[merge, *redacted, *stamps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="": _Logger(lines, name),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[merge, structlog.stdlib.ExtraAdder(), *stamps],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *redacted, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
