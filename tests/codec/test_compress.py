"""Compression: worth it or not at all, and never more than was said."""

import shutil
import subprocess
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec.compress import SKIPPED, compress, decompress, framed, framed_length, skippable
from towpath.errors import DigestMismatch

TEXT = memoryview(b"the same words again and again, " * 1000)


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_what_is_compressed_comes_back(piece: bytes, times: int) -> None:
    plain = memoryview(piece * times)
    packed = compress(plain)
    if packed is not None:
        assert len(packed) < len(plain) * 0.95
        assert decompress(memoryview(packed), len(plain)) == plain


@pytest.mark.parametrize("plain", [b"", b"x", bytes(range(256))])
def test_what_becomes_hardly_shorter_stays_as_it_is(plain: bytes) -> None:
    assert compress(memoryview(plain)) is None


@pytest.mark.parametrize("length", [1, 5, 131_071, 131_072, 131_073, 1_000_000])
def test_what_stays_as_it_is_can_be_a_frame_for_any_zstd_program(length: int) -> None:
    plain = Random(length).randbytes(length)
    frame = framed(memoryview(plain))
    assert len(frame) == framed_length(length)
    assert decompress(memoryview(frame), length) == plain


def test_zstd_programs_pass_over_what_they_shall_not_read() -> None:
    assert len(skippable(5)) == SKIPPED
    program = ["zstd", "-d", "-c"]
    if shutil.which(program[0]) is None:
        pytest.skip("zstd is not installed")
    stored = framed(memoryview(b"first ")) + (compress(TEXT) or b"") + skippable(5) + b"table"
    done = subprocess.run(program, input=stored, capture_output=True, check=True)
    assert done.stdout == b"first " + TEXT


@pytest.mark.parametrize("length", [0, 1, len(TEXT) - 1, len(TEXT) + 1])
def test_another_length_than_was_said_is_refused(length: int) -> None:
    packed = compress(TEXT)
    assert packed is not None
    with pytest.raises(DigestMismatch, match="not one frame"):
        decompress(memoryview(packed), length)


def test_a_frame_that_would_fill_the_memory_is_refused_early() -> None:
    bomb = compress(memoryview(bytes(64 * 1024 * 1024)))
    assert bomb is not None
    with pytest.raises(DigestMismatch):
        decompress(memoryview(bomb), 1000)


PACKED = compress(TEXT) or b""


@pytest.mark.parametrize(
    "damaged",
    [PACKED[:-1], PACKED[1:], PACKED + PACKED, b"", b"no frame at all"],
    ids=["cut", "headless", "two", "none", "noise"],
)
def test_what_is_not_one_whole_frame_is_refused(damaged: bytes) -> None:
    with pytest.raises(DigestMismatch):
        decompress(memoryview(damaged), len(TEXT))
