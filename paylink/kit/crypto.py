"""Keyed hashes, sealed values, derived secrets and signatures, all from the operator's secret keys.

The newest key writes; every key reads. A purpose string separates the uses, so that a hash made for one column
can never be used in another.
"""

import base64
import hashlib
import hmac
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class SealBroken(ValueError):
    """The sealed value was changed, moved to another place, or sealed by a key that is no longer configured."""


class Keyring:
    """The operator's secret keys, newest first."""

    def __init__(self, secret_keys: list[str]) -> None:
        self._roots = [key.encode() for key in secret_keys]
        self._subkeys: dict[tuple[int, str], bytes] = {}

    def __repr__(self) -> str:
        return f"Keyring({len(self._roots)} keys)"

    def digest(self, value: str, *, purpose: str) -> bytes:
        """32 bytes: the keyed hash to store for a secret that must be found again but never read back."""
        return self._digest(0, value, purpose)

    def digests(self, value: str, *, purpose: str) -> list[bytes]:
        """The hashes under every key, newest first: what to look a secret up by while keys rotate."""
        return [self._digest(index, value, purpose) for index in range(len(self._roots))]

    def seal(self, value: bytes, *, purpose: str, bound_to: str) -> bytes:
        """AES-256-GCM. ``bound_to`` (a row's id) keeps a sealed value from being moved to another row."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._subkey(0, purpose)).encrypt(nonce, value, bound_to.encode())
        return self._key_id(0) + nonce + sealed

    def unseal(self, sealed: bytes, *, purpose: str, bound_to: str) -> bytes:
        key_id, nonce, body = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES:16], sealed[16:]
        for index in range(len(self._roots)):
            if self._key_id(index) == key_id:
                try:
                    return AESGCM(self._subkey(index, purpose)).decrypt(nonce, body, bound_to.encode())
                except (InvalidTag, ValueError):  # the latter when even the nonce is cut short
                    break
        raise SealBroken(f"a sealed value for {purpose!r} cannot be opened")

    def derive_text(self, purpose: str) -> str:
        """A secret of 32 hex digits that stays the same as long as the oldest key does: survives a rotation."""
        return hmac.digest(self._roots[-1], f"derive:{purpose}".encode(), "sha256").hex()[:32]

    def _digest(self, index: int, value: str, purpose: str) -> bytes:
        # Not hmac.digest(): that lets another thread have the interpreter for these few microseconds.
        return hmac.new(self._subkey(index, f"digest:{purpose}"), value.encode(), "sha256").digest()

    def _key_id(self, index: int) -> bytes:
        return self._subkey(index, "key-id")[:KEY_ID_BYTES]

    def _subkey(self, index: int, purpose: str) -> bytes:
        found = self._subkeys.get((index, purpose))
        if found is None:
            hkdf = HKDF(algorithm=SHA256(), length=32, salt=b"paylink", info=purpose.encode())
            found = self._subkeys[index, purpose] = hkdf.derive(self._roots[index])
        return found


def random_text(byte_count: int) -> str:
    """URL-safe text of ``byte_count`` random bytes."""
    return secrets.token_urlsafe(byte_count)


def fingerprint(value: bytes) -> str:
    """An unkeyed SHA-256 in base64, to compare public material such as request bodies."""
    return base64.b64encode(hashlib.sha256(value).digest()).decode()


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compares in a time that does not tell where they differ."""
    left = left.encode() if isinstance(left, str) else left
    right = right.encode() if isinstance(right, str) else right
    return hmac.compare_digest(left, right)
