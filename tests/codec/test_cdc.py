"""Where a file is cut: the same on every machine, for ever, and little changes when little does."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec.cdc import CUTS, Chunk, Cut, ReadInto, chunks, cut_for, read_map, write_map

FINE = CUTS["v1-256k"]
GIB = 1 << 30


def reader(data: bytes, most: Callable[[], int] = lambda: 1 << 30) -> ReadInto:
    """Gives the bytes, at most so many at once."""
    rest = memoryview(data)

    def read_into(view: memoryview) -> int:
        nonlocal rest
        count = min(len(view), len(rest), most())
        view[:count], rest = rest[:count], rest[count:]
        return count

    return read_into


def cut(data: bytes, how: Cut = FINE) -> list[Chunk]:
    return list(chunks(reader(data), how))


def sample(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_never_changes(name: str) -> None:
    found = hashlib.sha256(write_map(cut(sample(24 << 20), CUTS[name]))).hexdigest()
    assert found[:16] == FOR_EVER[name]


FOR_EVER = {"v1-256k": "46b4ceabe80646f6", "v1-1m": "4923f0304ebf76f5", "v1-4m": "a7b3e4cba4dfb017"}


@pytest.mark.parametrize("name", CUTS)
def test_chunks_lie_one_behind_the_other_and_are_neither_small_nor_large(name: str) -> None:
    data, how = sample(32 << 20, 1), CUTS[name]
    found = cut(data, how)
    assert [found[0].start, *(each.end for each in found[:-1])] == [each.start for each in found]
    assert found[-1].end == len(data)
    sizes = [each.end - each.start for each in found[:-1]]
    assert all(how.smallest <= size <= how.largest for size in sizes)
    assert all(hashlib.sha256(data[a:b]).digest() == sha256 for a, b, sha256 in found)


def test_it_does_not_matter_how_the_bytes_come() -> None:
    data, draw = sample(3 << 20, 2), random.Random(3)
    uneven = reader(data, lambda: draw.randrange(1, 200_000))
    assert list(chunks(uneven, FINE)) == cut(data)


@pytest.mark.parametrize("size", [0, 1, 5000, FINE.smallest, FINE.smallest + 1])
def test_a_small_file_is_one_chunk_and_an_empty_one_is_none(size: int) -> None:
    found = cut(bytes(size))
    assert sum(each.end - each.start for each in found) == size
    assert len(found) == min(size, 1)


def test_one_byte_more_changes_the_chunks_around_it_alone() -> None:
    data = sample(16 << 20, 4)
    middle = len(data) // 2
    before = {each.sha256 for each in cut(data)}
    new = [each for each in cut(data[:middle] + b"x" + data[middle:]) if each.sha256 not in before]
    assert 0 < sum(each.end - each.start for each in new) <= 3 * FINE.average


def test_a_file_without_an_end_needs_two_of_the_largest_chunks() -> None:
    block = memoryview(sample(1 << 20, 5))
    left = 64

    def read_into(view: memoryview) -> int:
        nonlocal left
        left -= 1
        count = min(len(view), len(block)) if left > 0 else 0
        view[:count] = block[:count]
        return count

    cut(b"x" * 2_000_000)  # the library is loaded now
    tracemalloc.start()
    for _ in chunks(read_into, FINE):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * FINE.largest


def test_larger_files_are_cut_more_coarsely() -> None:
    names = [cut_for(length).name for length in (0, 16 * GIB, 16 * GIB + 1, 64 * GIB + 1, 1 << 50)]
    assert names == ["v1-256k", "v1-256k", "v1-1m", "v1-4m", "v1-4m"]


CHUNKS = st.lists(st.tuples(st.integers(1, 2**23), st.binary(min_size=32, max_size=32)))


@given(CHUNKS, st.integers(1, 100))
def test_a_map_is_read_back_however_it_comes(listed: list[tuple[int, bytes]], size: int) -> None:
    found, at = [], 0
    for length, sha256 in listed:
        found.append(Chunk(at, at + length, sha256))
        at += length
    text = write_map(found)
    assert list(read_map(text[i : i + size] for i in range(0, len(text), size))) == found


@pytest.mark.parametrize("text", [b"x", bytes(36), write_map([Chunk(0, 5, bytes(32))]) + b"1234"])
def test_what_is_no_map_is_told_so(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|record"):
        list(read_map([text]))
