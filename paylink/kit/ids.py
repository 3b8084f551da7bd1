"""Public ids: a prefix that names the kind, then 26 characters that sort by the time they were made."""

import os
import threading
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that looks alike
RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """``plink_01k9…``: 48 bits of Unix milliseconds, then 80 random bits.

    Within a process every id is higher than the one before, as in the ULID specification: what is made together in one
    millisecond keeps its order in lists.
    """
    global _last  # noqa: PLW0603 - the one piece of state, under its lock
    number = (time.time_ns() // 1_000_000) << RANDOM_BITS | int.from_bytes(os.urandom(RANDOM_BITS // 8))
    with _lock:
        if number >> RANDOM_BITS <= _last >> RANDOM_BITS:
            number = _last + 1
        _last = number
    return f"{prefix}_{''.join([ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])}"
