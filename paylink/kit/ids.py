"""Public ids: a prefix that names the kind, then 26 characters that sort by the time they were made."""

import os
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that looks alike
RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """``plink_01k9…``: 48 bits of Unix milliseconds, then 80 random bits."""
    number = (time.time_ns() // 1_000_000) << RANDOM_BITS | int.from_bytes(os.urandom(RANDOM_BITS // 8))
    return f"{prefix}_{''.join([ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])}"
