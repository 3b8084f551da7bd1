"""The keyring: the newest key writes, every key reads, and nothing that was changed or moved opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit.crypto import Keyring, SealBroken, same

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32
values = st.binary(max_size=200)


@given(values)
def test_what_is_sealed_opens_in_its_own_place_only(value: bytes) -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(value, purpose="token", bound_to="row-1")
    assert ring.unseal(sealed, purpose="token", bound_to="row-1") == value
    assert len(value) < 4 or value not in sealed
    for purpose, row in (("token", "row-2"), ("other", "row-1")):
        with pytest.raises(SealBroken):
            ring.unseal(sealed, purpose=purpose, bound_to=row)


@given(values, st.data())
def test_one_changed_bit_breaks_the_seal(value: bytes, data: st.DataObject) -> None:
    ring = Keyring([NEW])
    sealed = bytearray(ring.seal(value, purpose="token", bound_to="row"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealBroken):
        ring.unseal(bytes(sealed), purpose="token", bound_to="row")


@given(values)
def test_a_shortened_seal_breaks(value: bytes) -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(value, purpose="token", bound_to="row")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            ring.unseal(sealed[:length], purpose="token", bound_to="row")


def test_keys_rotate_without_a_loss() -> None:
    before, during, after = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])
    old = before.seal(b"value", purpose="p", bound_to="r")
    new = during.seal(b"value", purpose="p", bound_to="r")
    assert during.unseal(old, purpose="p", bound_to="r") == b"value"
    assert after.unseal(new, purpose="p", bound_to="r") == b"value"
    with pytest.raises(SealBroken):
        after.unseal(old, purpose="p", bound_to="r")
    stored = before.digest("secret", purpose="p")
    assert during.digests("secret", purpose="p") == [after.digest("secret", purpose="p"), stored]
    assert during.digest("secret", purpose="p") == during.digests("secret", purpose="p")[0]
    assert during.derive_text("x") == before.derive_text("x") != after.derive_text("x")


def test_hashes_differ_by_key_and_purpose_and_seals_by_chance() -> None:
    ring = Keyring([NEW])
    assert (
        len({ring.digest("s", purpose="a"), ring.digest("s", purpose="b"), Keyring([OTHER]).digest("s", purpose="a")})
        == 3
    )
    assert ring.seal(b"s", purpose="a", bound_to="r") != ring.seal(b"s", purpose="a", bound_to="r")
    assert NEW not in repr(ring)


@given(st.text(max_size=20), st.text(max_size=20))
def test_same_compares_by_value(left: str, right: str) -> None:
    assert same(left, right) == (left == right)
    assert same(left, left.encode())
