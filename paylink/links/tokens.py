"""Link tokens: capabilities. Whoever has one may see and pay the link, so we keep only its keyed hash.

128 random bits: at 10 million live links and a million guesses a second, a year of guessing expects no hit
(about 10 to the power of -18). Random beats signed: it is short in a text message, can be withdrawn, and has nothing
to forge.
"""

import re
from dataclasses import dataclass
from typing import Final

from paylink.kit.crypto import Keyring, random_text

PURPOSE: Final = "link-token"
BYTES: Final = 16
WELL_FORMED: Final = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class MintedToken:
    """``text`` goes into one URL and is forgotten; ``hash`` is stored."""

    text: str
    hash: bytes

    def __repr__(self) -> str:
        return "MintedToken(…)"


def mint(keyring: Keyring) -> MintedToken:
    text = random_text(BYTES)
    return MintedToken(text, keyring.digest(text, purpose=PURPOSE))


def seal(keyring: Keyring, text: str, *, bound_to: str) -> bytes:
    """For whoever must still send it, or show it again."""
    return keyring.seal(text.encode(), purpose=PURPOSE, bound_to=bound_to)


def unseal(keyring: Keyring, sealed: bytes, *, bound_to: str) -> str:
    return keyring.unseal(sealed, purpose=PURPOSE, bound_to=bound_to).decode()


def hashes(keyring: Keyring, token: str) -> list[bytes]:
    """What the token may be stored as, newest key first. Malformed tokens hash too, so that all take one path."""
    return keyring.digests(token, purpose=PURPOSE)


def url(checkout_url: str, token: str) -> str:
    return f"{checkout_url}/p/{token}"
