"""Chunk sizes by both documents' rules, and sizes for people."""

from __future__ import annotations

import pytest

from towpath import errors
from towpath.uds3 import (
    DEFAULT_CHUNK_SIZE,
    LARGE_CHUNK_SIZE,
    SMALL_CHUNK_SIZE,
    calculate_chunk_size,
    calculate_optimal_chunk_size,
    format_bytes,
)

MB = 1 << 20
GB = 1 << 30


def test_the_constants_are_five_ten_and_one_mebibyte() -> None:
    assert (DEFAULT_CHUNK_SIZE, LARGE_CHUNK_SIZE, SMALL_CHUNK_SIZE) == (5 * MB, 10 * MB, 1 * MB)


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 1),
        (10 * MB - 1, 1),
        (10 * MB, 5),
        (100 * MB, 5),
        (300 * MB, 10),
        (500 * MB, 10),
        (GB, 20),
    ],
)
def test_the_first_rule_goes_by_the_size(size: int, chunk: int) -> None:
    assert calculate_optimal_chunk_size(size) == chunk * MB
    found = calculate_optimal_chunk_size(
        file_size=size, available_memory=8 * GB, network_speed_mbps=1000
    )
    assert found == chunk * MB


def test_little_memory_and_a_slow_line_make_chunks_smaller() -> None:
    assert calculate_optimal_chunk_size(GB, available_memory=80 * MB) == 8 * MB
    assert calculate_optimal_chunk_size(GB, network_speed_mbps=2) == 2 * MB
    assert calculate_optimal_chunk_size(GB, available_memory=1, network_speed_mbps=0.1) == MB


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 5),
        (100 * MB - 1, 5),
        (100 * MB, 10),
        (500 * MB, 10),
        (GB, 20),
        (5 * GB, 20),
        (6 * GB, 50),
    ],
)
def test_the_second_rule_goes_by_the_size(size: int, chunk: int) -> None:
    assert calculate_chunk_size(size) == calculate_chunk_size(file_size_bytes=size) == chunk * MB


def test_a_file_of_less_than_no_bytes_is_refused() -> None:
    with pytest.raises(errors.Malformed):
        calculate_chunk_size(-1)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (300 * MB, "300.0 MB"), (5 * GB, "5.0 GB")],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text
    assert format_bytes(2**70).endswith(" PB")
