"""Chunk sizes: every rule of the profiles, at its boundaries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.plan import (
    DEFAULT_CHUNK,
    GB,
    MB,
    MOST_CHUNKS,
    Profile,
    adaptive,
    chunk_size,
)

TB = 1 << 40
rates = st.none() | st.floats(0, 1e12)


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 1),
        (10 * MB - 1, 1),
        (10 * MB, 5),
        (100 * MB, 5),
        (100 * MB + 1, 10),
        (500 * MB, 10),
        (500 * MB + 1, 20),
        (TB, 20),
    ],
)
def test_steady_takes_1_5_10_and_20_mb(size: int, chunk: int) -> None:
    assert chunk_size(Profile.STEADY, size) == chunk * MB


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 5),
        (100 * MB - 1, 5),
        (100 * MB, 10),
        (500 * MB, 10),
        (500 * MB + 1, 20),
        (5 * GB, 20),
        (5 * GB + 1, 50),
        (TB, 50),
    ],
)
def test_broad_takes_5_10_20_and_50_mb(size: int, chunk: int) -> None:
    assert chunk_size(Profile.BROAD, size) == chunk * MB


@pytest.mark.parametrize(
    ("size", "asked", "chunk"),
    [
        (0, 50 * MB, 2 * MB),
        (10 * MB - 1, 50 * MB, 2 * MB),
        (10 * MB - 1, 2 * MB - 1, 2 * MB - 1),
        (10 * MB, 50 * MB, 8 * MB),
        (100 * MB, 50 * MB, 8 * MB),
        (100 * MB, 8 * MB - 1, 8 * MB - 1),
        (100 * MB + 1, 50 * MB, 50 * MB),
        (100 * MB + 1, 1, 1),
        (100 * MB + 1, DEFAULT_CHUNK, 5 * MB),
    ],
)
def test_document_takes_what_is_asked_up_to_2_then_8_mb(size: int, asked: int, chunk: int) -> None:
    assert chunk_size(Profile.DOCUMENT, size, asked=asked) == chunk


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 1),
        (10 * MB - 1, 1),
        (10 * MB, 5),
        (100 * MB - 1, 5),
        (100 * MB, 10),
        (GB - 1, 10),
        (GB, 25),
        (TB, 25),
    ],
)
def test_page_takes_1_5_10_and_25_mb(size: int, chunk: int) -> None:
    assert chunk_size(Profile.PAGE, size) == chunk * MB


def test_a_megabyte_has_2_to_the_20th_bytes() -> None:
    assert (MB, GB) == (2**20, 2**30)


@given(st.none() | st.integers(0, 100 * TB), rates, st.integers(0, TB), st.integers(1, 64))
def test_adaptive_keeps_its_bounds_whatever_it_is_told(
    size: int | None, rate: float | None, budget: int, in_flight: int
) -> None:
    chunk = adaptive(size, rate, budget, in_flight)
    fewest = -(-(size or 0) // MOST_CHUNKS)
    assert chunk >= 5 * MB
    assert chunk * MOST_CHUNKS >= (size or 0)
    assert chunk <= max(GB, fewest)
    assert chunk.bit_count() == 1 or chunk in {5 * MB, fewest}
    assert chunk in {5 * MB, fewest} or (in_flight + 1) * chunk <= budget


@given(st.floats(5e6, 2.5e8))
def test_adaptive_takes_one_to_two_seconds_worth_where_nothing_binds_it(rate: float) -> None:
    assert rate < adaptive(None, rate, TB) <= 2 * rate or rate < 5 * MB


def test_adaptive_begins_with_8_mb_when_no_rate_is_known() -> None:
    assert adaptive(GB, None, 256 * MB) == 8 * MB
    assert chunk_size(Profile.ADAPTIVE, GB) == 8 * MB


def test_adaptive_grows_with_the_rate() -> None:
    sizes = [adaptive(None, rate, TB) for rate in range(MB, 600 * MB, 7 * MB)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == GB
