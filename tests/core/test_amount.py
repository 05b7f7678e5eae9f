"""Bytes as people write them."""

import pytest

from towpath.core.amount import read_bytes

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("7", 7),
        ("7B", 7),
        ("8M", 8 * MIB),
        ("8MiB", 8 * MIB),
        ("8Mi", 8 * MIB),
        ("8mib", 8 * MIB),
        ("8MB", 8_000_000),
        ("8mb", 8_000_000),
        (" 2 GB ", 2_000_000_000),
        ("1.5k", 1536),
        ("1.5kB", 1500),
        ("2T", 2 << 40),
        ("1PB", 10**15),
        ("0.5", 0),
    ],
)
def test_a_unit_is_decimal_with_a_b_alone_and_else_binary(text: str, count: int) -> None:
    assert read_bytes(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "many", "M", "-1", "1e9", "0x10", "1_000", "8MiBs", "8ms", "8iB", "\u0661", "9" * 16],
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; write one such as 8MiB"):
        read_bytes(text)
