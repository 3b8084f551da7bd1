"""Public ids: a prefix that names the kind, then 26 characters that sort by the time they were made."""

import io
import os
import threading
import time
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that looks alike
RANDOM_BYTES = 10
RANDOM_BITS = 8 * RANDOM_BYTES

_lock = threading.Lock()
_last = 0
# Drawn for many ids at once: each call to the system lets another thread have the interpreter, and waiting to get it
# back costs more than the bytes.
_random = io.BytesIO()


def new_id(prefix: str) -> str:
    """``plink_01k9…``: 48 bits of Unix milliseconds, then 80 random bits.

    Within a process every id is higher than the one before, as in the ULID specification: what is made together in one
    millisecond keeps its order in lists.
    """
    global _last, _random  # noqa: PLW0603 - all the state there is, under its lock
    with _lock:
        drawn = _random.read(RANDOM_BYTES)
        if not drawn:
            _random = io.BytesIO(os.urandom(RANDOM_BYTES * 256))
            drawn = _random.read(RANDOM_BYTES)
        number = (time.time_ns() // 1_000_000) << RANDOM_BITS | int.from_bytes(drawn)
        if number >> RANDOM_BITS <= _last >> RANDOM_BITS:
            number = _last + 1
        _last = number
    return _written(prefix, number)


def lowest_id(prefix: str, moment: datetime) -> str:
    """No id made at ``moment`` or later is below it: a bound for "since then" that the primary key's index serves."""
    return _written(prefix, int(moment.timestamp() * 1000) << RANDOM_BITS)


def made_at(public_id: str) -> datetime:
    """When the id was made, to the millisecond."""
    number = 0
    for letter in public_id.rpartition("_")[2]:
        number = number << 5 | ALPHABET.index(letter)
    return datetime.fromtimestamp((number >> RANDOM_BITS) / 1000, UTC)


def _written(prefix: str, number: int) -> str:
    return f"{prefix}_{''.join([ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])}"
