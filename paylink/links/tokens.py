"""Link tokens: capabilities. Whoever has one may see and pay the link, so we keep only its keyed hash.

128 random bits: at 10 million live links and a million guesses a second, a year of guessing expects no hit
(about 10 to the power of -18). Random beats signed: it is short, can be withdrawn, and has nothing to forge.

A text message pays for every character, and carriers distrust long addresses: its token has 66 bits, so that an
address with a host of up to 13 characters keeps to 35. A thousand guesses in every second of a year, which the limits
by address do not let through, would find one of ten thousand open links with a chance of 1 in 200,000; and what it
opens shows what is to be paid to whom, and takes money for it: it gives none out.
"""

from dataclasses import dataclass
from typing import Final

from paylink.kit.crypto import Keyring, random_text

PURPOSE: Final = "link-token"
BYTES: Final = 16
# Characters of 6 random bits each, in a text message.
SHORT_LENGTH: Final = 11
LENGTH: Final = 22
SHORT_FOR: Final = frozenset({"sms"})


@dataclass(frozen=True, slots=True)
class MintedToken:
    """``text`` goes into one URL and is forgotten; ``hash`` is stored."""

    text: str
    hash: bytes

    def __repr__(self) -> str:
        return "MintedToken(…)"


def mint(keyring: Keyring, *, short: bool = False) -> MintedToken:
    """``short``: for a text message."""
    text = random_text(BYTES)[: SHORT_LENGTH if short else LENGTH]
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


def sample(checkout_url: str, channel: str) -> str:
    """An address as long as a real one of ``channel``, for looking at a message before it is sent."""
    return url(checkout_url, "x" * (SHORT_LENGTH if channel in SHORT_FOR else LENGTH))
