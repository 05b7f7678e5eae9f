"""A file cut into chunks: where each lies, and which are missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from towpath.core.cut import Cut
from towpath.core.ranges import Extent, Span


def test_the_last_chunk_is_as_long_as_what_is_left() -> None:
    cut = Cut(25, 10)
    assert cut.total == 3
    assert [cut.at(index) for index in range(3)] == [(0, 10), (10, 10), (20, 5)]
    assert Cut(0, 10).total == 0
    assert Cut(20, 10).total == 2


@given(
    length=st.integers(1, 60),
    chunk=st.integers(1, 20),
    spans=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20))),
)
def test_a_chunk_is_missing_if_one_of_its_bytes_is(
    length: int, chunk: int, spans: list[tuple[int, int]]
) -> None:
    extent, durable = Extent(), set[int]()
    for start, count in spans:
        end = min(start + count, length)
        if start < end and not extent.overlaps(start, end):
            extent = extent.add(Span(start, end, 0))
            durable |= set(range(start, end))
    cut = Cut(length, chunk)
    lacking = [
        index
        for index in range(cut.total)
        if not set(range(cut.at(index)[0], sum(cut.at(index)))) <= durable
    ]
    missing = cut.missing(extent)
    assert missing.list(1000) == lacking
    assert missing.count == len(lacking)
    assert missing.first == (lacking[0] if lacking else None)
    assert missing.list(2) == lacking[:2]


def test_what_is_missing_of_a_huge_file_is_counted_without_being_listed() -> None:
    missing = Cut(2**63 - 1, 1).missing(Extent())
    assert missing.count == 2**63 - 1
    assert missing.list(3) == [0, 1, 2]
