"""Which ranges are copied and which are sent: all of the file, in order, in bounded rounds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from towpath.client.delta_plan import Base, Piece, next_round, plan
from towpath.codec.cdc import Chunk

WORDS = st.lists(st.sampled_from([b"a", b"bb", b"ccc", b"dddd", b"eeeee"]), max_size=12)


def chunked(words: list[bytes]) -> Iterator[Chunk]:
    """Words as if they were the chunks of a file."""
    at = 0
    for word in words:
        yield Chunk(at, at + len(word), hashlib.sha256(word).digest())
        at += len(word)


@given(WORDS, WORDS)
def test_a_plan_gives_the_file_and_sends_nothing_that_is_there(
    old: list[bytes], new: list[bytes]
) -> None:
    base, data = b"".join(old), b"".join(new)
    pieces = plan(chunked(new), Base(chunked(old)))
    made = b"".join(
        data[at:end] if source is None else base[source : source + end - at]
        for at, end, source in pieces
    )
    assert made == data
    sent = sum(end - at for at, end, source in pieces if source is None)
    assert sent == sum(len(word) for word in new if word not in old)
    assert all(one.end == other.at for one, other in pairwise(pieces))


@given(WORDS, st.integers(0, 12))
def test_of_a_base_only_so_much_is_remembered(words: list[bytes], most: int) -> None:
    base = Base(chunked(words), most=most)
    found = {word for word in words if base.find(hashlib.sha256(word).digest(), 0) is not None}
    assert found == set(words[:most])


def test_chunks_that_repeat_are_copied_as_one_piece() -> None:
    words = [b"zero", b"x", *[b"zero"] * 50]
    assert plan(chunked(words), Base(chunked(words))) == [Piece(0, 205, 0)]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_rounds_bring_every_byte_once_and_in_order(
    sizes: list[tuple[int, bool]], copies: int, copied: int, sent: int
) -> None:
    pieces, at = [], 0
    for size, copy in sizes:
        pieces.append(Piece(at, at + size, 1000 + at if copy else None))
        at += size
    offset = 0
    while offset < at:
        ask, send = next_round(pieces, offset, copies=copies, copied=copied, sent=sent)
        assert len(ask) <= copies
        assert sum(end - start for start, end, _ in ask) <= copied
        assert sum(end - start for start, end in send) <= sent
        done = sorted([*((to, to + end - start) for start, end, to in ask), *send])
        assert all(start == 1000 + to for start, _, to in ask)
        assert all(start < end for start, end in done)
        assert [offset, *(end for _, end in done[:-1])] == [start for start, _ in done]
        offset = done[-1][1]
