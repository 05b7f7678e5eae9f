"""Extents against the plainest thing that could be one: the set of byte numbers."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core import ranges
from towpath.core.crc import combine, crc
from towpath.core.ranges import Extent, Span
from towpath.errors import LimitReached

SIZE = 40
DATA = random.Random(0).randbytes(SIZE)

bounds = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted).map(tuple)
attempts = st.lists(bounds, max_size=12)


def span(start: int, end: int) -> Span:
    return Span(start, end, crc(DATA[start:end]))


def built(tries: list[tuple[int, int]]) -> tuple[Extent, set[int]]:
    """An extent, and its model, of all attempts that do not overlap what came before."""
    extent, model = Extent(), set[int]()
    for start, end in tries:
        wanted = set(range(start, end))
        if wanted and not wanted & model:
            extent = extent.add(span(start, end))
            model |= wanted
    return extent, model


def prefix_of(model: set[int]) -> int:
    return next(number for number in range(SIZE + 1) if number not in model)


@given(attempts)
def test_an_extent_holds_what_was_added_and_nothing_else(tries: list[tuple[int, int]]) -> None:
    extent, model = built(tries)
    held = set(range(extent.offset)).union(*(range(i.start, i.end) for i in extent.islands))
    assert (held, extent.total, extent.offset) == (model, len(model), prefix_of(model))


@given(attempts)
def test_islands_are_in_order_and_no_two_touch(tries: list[tuple[int, int]]) -> None:
    extent, _ = built(tries)
    ends = [extent.offset, *(island.end for island in extent.islands)]
    starts = [island.start for island in extent.islands]
    assert all(end < start for end, start in zip(ends, starts, strict=False))


@given(attempts)
def test_every_digest_is_that_of_the_bytes(tries: list[tuple[int, int]]) -> None:
    extent, _ = built(tries)
    assert extent.crc == crc(DATA[: extent.offset])
    assert all(island == span(island.start, island.end) for island in extent.islands)


@given(attempts, bounds)
def test_an_overlap_is_seen_and_refused(
    tries: list[tuple[int, int]], more: tuple[int, int]
) -> None:
    extent, model = built(tries)
    overlaps = bool(model & set(range(*more)))
    assert extent.overlaps(*more) == overlaps
    if overlaps:
        with pytest.raises(ValueError, match="overlaps"):
            extent.add(span(*more))


@given(attempts, bounds)
def test_runs_cut_a_stretch_into_durable_and_missing(
    tries: list[tuple[int, int]], stretch: tuple[int, int]
) -> None:
    extent, model = built(tries)
    runs = list(extent.runs(*stretch))
    seen = [(n, durable) for start, end, durable in runs for n in range(start, end or 0)]
    assert seen == [(number, number in model) for number in range(*stretch)]
    assert all(a[2] != b[2] for a, b in itertools.pairwise(runs))


@given(attempts, st.integers(0, SIZE))
def test_runs_without_an_end_go_on_missing_for_ever(
    tries: list[tuple[int, int]], start: int
) -> None:
    extent, model = built(tries)
    *runs, last = extent.runs(start, None)
    assert last == (max([start, *(number + 1 for number in model)]), None, False)
    assert runs == list(extent.runs(start, last[0]))


@given(attempts, st.integers(0, SIZE))
def test_what_is_missing_of_a_file_is_what_nobody_added(
    tries: list[tuple[int, int]], length: int
) -> None:
    extent, model = built(tries)
    missing = {number for start, end in extent.missing(length) for number in range(start, end)}
    assert missing == set(range(length)) - model


@given(attempts, st.integers(0, SIZE))
def test_a_byte_is_reached_if_it_or_the_one_before_is_durable(
    tries: list[tuple[int, int]], offset: int
) -> None:
    extent, model = built(tries)
    assert extent.reaches(offset) == (offset == 0 or bool({offset, offset - 1} & model))


@given(attempts, st.integers(0, SIZE))
def test_a_cut_forgets_islands_that_are_not_wholly_below(
    tries: list[tuple[int, int]], size: int
) -> None:
    extent, _ = built(tries)
    if size < extent.offset:
        with pytest.raises(ValueError, match="inside the prefix"):
            extent.cut(size)
        return
    cut = extent.cut(size)
    assert (cut.offset, cut.crc) == (extent.offset, extent.crc)
    assert cut.islands == tuple(island for island in extent.islands if island.end <= size)


@given(attempts, st.randoms())
def test_the_order_of_adding_makes_no_difference(
    tries: list[tuple[int, int]], draw: random.Random
) -> None:
    extent, _ = built(tries)
    spans = [Span(0, extent.offset, extent.crc)] if extent.offset else []
    spans.extend(extent.islands)
    draw.shuffle(spans)
    again = Extent()
    for piece in spans:
        again = again.add(piece)
    assert again == extent


@given(st.binary(max_size=200), st.integers(0, 200))
def test_the_digest_of_joined_spans_is_that_of_the_bytes(data: bytes, at: int) -> None:
    left, right = data[:at], data[at:]
    assert combine(crc(left), crc(right), len(right)) == crc(data) == crc(right, crc(left))


@given(attempts, st.integers(0, SIZE))
def test_an_empty_span_is_refused(tries: list[tuple[int, int]], at: int) -> None:
    extent, _ = built(tries)
    with pytest.raises(ValueError, match="empty"):
        extent.add(Span(at, at, 0))
    assert not extent.overlaps(at, at)


def test_one_island_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_ISLANDS", 2)
    extent = Extent().add(span(2, 4)).add(span(6, 8))
    with pytest.raises(LimitReached):
        extent.add(span(10, 12))
    assert len(extent.add(span(4, 6)).islands) == 1
    assert extent.add(span(8, 10)).total == 6
    assert extent.add(span(0, 2)).offset == 4
