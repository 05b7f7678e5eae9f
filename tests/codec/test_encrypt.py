"""Sealed messages: only with the key, only in their place, only whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec import encrypt
from towpath.codec.encrypt import (
    chunk_context,
    manifest_context,
    new_file_id,
    new_file_key,
    open_room,
    seal_room,
    sealed_length,
)
from towpath.errors import DigestMismatch

KEY, FILE = bytes(range(32)), bytes(range(16))
HERE = chunk_context(FILE, 3, final=False)


def seal(plain: bytes, context: bytes = HERE, key: bytes = KEY) -> bytes:
    room = memoryview(bytearray(seal_room(len(plain))))
    return bytes(encrypt.seal(key, context, memoryview(plain), room))


def unseal(sealed: bytes, context: bytes = HERE, key: bytes = KEY) -> bytes:
    room = memoryview(bytearray(open_room(len(sealed))))
    return bytes(encrypt.unseal(key, context, memoryview(sealed), room))


@given(st.binary(max_size=100_000))
def test_what_is_sealed_opens_again_and_is_as_long_as_computed(plain: bytes) -> None:
    sealed = seal(plain)
    assert len(sealed) == sealed_length(len(plain))
    assert unseal(sealed) == plain


@pytest.mark.parametrize("length", [0, 1, 16383, 16384, 16385, 32768, 1_000_000])
def test_the_stored_length_follows_from_the_plain_one(length: int) -> None:
    assert len(seal(bytes(length))) == sealed_length(length)


def test_one_room_serves_many_messages() -> None:
    rooms = [memoryview(bytearray(length)) for length in (seal_room(100_000), open_room(200_000))]
    for length in (100_000, 0, 5, 99_999):
        plain = bytes([length % 251]) * length
        sealed = encrypt.seal(KEY, HERE, memoryview(plain), rooms[0])
        assert encrypt.unseal(KEY, HERE, sealed, rooms[1]) == plain


def test_the_same_bytes_are_never_sealed_the_same_way() -> None:
    assert seal(b"the same") != seal(b"the same")
    assert new_file_key() != new_file_key()
    assert new_file_id() != new_file_id()


@pytest.mark.parametrize(
    "context",
    [
        chunk_context(FILE, 4, final=False),  # reordered
        chunk_context(FILE, 3, final=True),  # cut behind it
        chunk_context(FILE[::-1], 3, final=False),  # from another file
        manifest_context(FILE, b"head"),
        b"",
    ],
)
def test_a_message_opens_in_its_own_place_alone(context: bytes) -> None:
    with pytest.raises(DigestMismatch, match="cannot be opened"):
        unseal(seal(b"secret"), context)


def test_a_manifest_is_bound_to_the_head_before_it() -> None:
    sealed = seal(b"table", manifest_context(FILE, b"head"))
    assert unseal(sealed, manifest_context(FILE, b"head")) == b"table"
    with pytest.raises(DigestMismatch):
        unseal(sealed, manifest_context(FILE, b"Head"))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(DigestMismatch):
        unseal(seal(b"secret"), key=KEY[::-1])


@given(st.data())
def test_a_changed_or_cut_message_opens_not(data: st.DataObject) -> None:
    sealed = bytearray(seal(b"x" * 20_000))
    at = data.draw(st.integers(0, len(sealed) - 1))
    if data.draw(st.booleans()):
        del sealed[at:]
    else:
        sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DigestMismatch):
        unseal(bytes(sealed))
