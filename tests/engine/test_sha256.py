"""SHA-256 that can be kept: the same value and the same state, whoever computes it."""

from __future__ import annotations

import ctypes
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.engine import sha256 as module
from towpath.engine.sha256 import agrees, sha256

CUTS = st.lists(st.binary(max_size=200), max_size=8)


@contextmanager
def computed_by(way: str) -> Iterator[None]:
    """Have it computed in one of the ways; OpenSSL's functions must be usable here."""
    assert module._trusted() is not None, "this Python's OpenSSL is not understood"
    with pytest.MonkeyPatch.context() as patch:
        if way == "rehashes":
            patch.setattr(module, "_trusted", lambda: None)
        yield


@pytest.mark.parametrize("way", ["openssl", "rehashes"])
@given(CUTS, st.booleans())
def test_the_value_is_that_of_hashlib_wherever_it_was_kept(
    way: str, pieces: list[bytes], writable: bool
) -> None:
    with computed_by(way):
        hasher = sha256()
        for piece in pieces:
            hasher.update(memoryview(bytearray(piece) if writable else piece))
            hasher = sha256(hasher.state())
        assert hasher.digest() == hashlib.sha256(b"".join(pieces)).digest()
        assert hasher.digest() == hasher.digest()


def test_a_state_of_one_way_is_gone_on_from_by_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    first = sha256()
    first.update(memoryview(b"x" * 1000))
    monkeypatch.setattr(module, "_trusted", lambda: None)
    second = sha256(first.state())
    assert type(second) is not type(first)
    assert second.state() == first.state()
    second.update(memoryview(b"y" * 1000))
    monkeypatch.undo()
    assert sha256(second.state()).digest() == hashlib.sha256(b"x" * 1000 + b"y" * 1000).digest()


def test_more_than_four_gigabits_are_counted() -> None:
    saved = sha256()
    saved.update(memoryview(bytes(64)))
    *words, _, count, rest = module._KEPT.unpack(saved.state())
    blocks = (1 << 26) + 1  # 4 GiB and a block: the count of bits needs two words
    there = sha256(module._KEPT.pack(*words, blocks, count, rest))
    there.update(memoryview(bytes(64)))
    assert module._KEPT.unpack(there.state())[8] == blocks + 1


def test_a_library_that_lays_its_state_out_otherwise_is_not_trusted() -> None:
    library = module._trusted()
    assert library is not None
    init, update, final = library.SHA256_Init, library.SHA256_Update, library.SHA256_Final

    class Otherwise:
        SHA256_Init = init
        SHA256_Final = final

        @staticmethod
        def SHA256_Update(context: Any, place: object, count: int) -> None:  # noqa: N802
            update(context, place, count)
            ctypes.cast(context, ctypes.POINTER(ctypes.c_uint32))[0] ^= 1

    assert agrees(library)
    assert not agrees(cast("ctypes.CDLL", Otherwise()))


def test_other_threads_run_while_it_computes() -> None:
    block = memoryview(bytearray(128 << 20))
    hasher = sha256()

    def turns() -> int:
        working = threading.Thread(target=hasher.update, args=(block,))
        working.start()
        taken = 0
        while working.is_alive():
            time.sleep(0.001)
            taken += 1
        return taken

    # With the lock held there is one, each time; a busy system may let few through, at times.
    assert any(turns() > 3 for _ in range(20))
