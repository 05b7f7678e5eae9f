"""Compression: worth it or not at all, and never more than was said."""

import shutil
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec import compress as codec
from towpath.codec.compress import SKIPPED, framed_length, skippable, unframed
from towpath.errors import DigestMismatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = memoryview(b"the same words again and again, " * 1000)


def compress(plain: memoryview) -> bytes | None:
    packed = codec.compress(plain, memoryview(bytearray(len(plain))))
    return None if packed is None else bytes(packed)


def decompress(packed: bytes | memoryview, length: int) -> bytes:
    room = memoryview(bytearray(length + 1))
    return bytes(codec.decompress(memoryview(packed), length, room))


def framed(plain: bytes) -> bytes:
    room = memoryview(bytearray(framed_length(len(plain))))
    return bytes(codec.framed(memoryview(plain), room))


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_what_is_compressed_comes_back(piece: bytes, times: int) -> None:
    plain = memoryview(piece * times)
    packed = compress(plain)
    if packed is not None:
        assert len(packed) < len(plain) * 0.95
        assert decompress(packed, len(plain)) == plain


@pytest.mark.parametrize("plain", [b"", b"x", bytes(range(256))])
def test_what_becomes_hardly_shorter_stays_as_it_is(plain: bytes) -> None:
    assert compress(memoryview(plain)) is None


@pytest.mark.parametrize("length", [1, 5, 131_071, 131_072, 131_073, 1_000_000])
def test_what_stays_as_it_is_can_be_a_frame_for_any_zstd_program(length: int) -> None:
    plain = Random(length).randbytes(length)
    frame = framed(plain)
    assert len(frame) == framed_length(length)
    assert decompress(frame, length) == plain


def test_zstd_programs_pass_over_what_they_shall_not_read() -> None:
    assert len(skippable(5)) == SKIPPED
    program = ["zstd", "-d", "-c"]
    if shutil.which(program[0]) is None:
        pytest.skip("LOUD: no zstd program has read a frame: install zstd")
    stored = framed(b"first ") + (compress(TEXT) or b"") + skippable(5) + b"table"
    done = subprocess.run(program, input=stored, capture_output=True, check=True)
    assert done.stdout == b"first " + TEXT


@pytest.mark.parametrize("length", [0, 1, len(TEXT) - 1, len(TEXT) + 1])
def test_another_length_than_was_said_is_refused(length: int) -> None:
    packed = compress(TEXT)
    assert packed is not None
    with pytest.raises(DigestMismatch, match="not one frame"):
        decompress(packed, length)


def test_a_frame_that_would_fill_the_memory_is_refused_early() -> None:
    bomb = compress(memoryview(bytes(64 * 1024 * 1024)))
    assert bomb is not None
    with pytest.raises(DigestMismatch):
        decompress(bomb, 1000)


PACKED = compress(TEXT) or b""


@pytest.mark.parametrize(
    "damaged",
    [PACKED[:-1], PACKED[1:], PACKED + PACKED, b"", b"no frame at all"],
    ids=["cut", "headless", "two", "none", "noise"],
)
def test_what_is_not_one_whole_frame_is_refused(damaged: bytes) -> None:
    with pytest.raises(DigestMismatch):
        decompress(damaged, len(TEXT))


@pytest.mark.parametrize("length", [1, 131_072, 131_073, 300_000])
def test_a_frame_of_what_stays_as_it_is_needs_no_zstd(length: int) -> None:
    plain = Random(length).randbytes(length)
    room = memoryview(bytearray(length))
    assert unframed(memoryview(framed(plain)), length, room) == plain


@given(st.data())
def test_only_the_very_frame_is_taken_for_it(data: st.DataObject) -> None:
    plain = Random(1).randbytes(131_100)
    frame = bytearray(framed(plain))
    heads = [*range(9 + 3), *range(9 + 3 + 131_072, 9 + 6 + 131_072)]
    kind = data.draw(st.sampled_from(["head", "short", "long"]))
    if kind == "head":
        frame[data.draw(st.sampled_from(heads))] ^= data.draw(st.integers(1, 255))
    elif kind == "short":
        del frame[-1]
    else:
        frame += b"\0"
    with pytest.raises(DigestMismatch):
        unframed(memoryview(frame), len(plain), memoryview(bytearray(len(plain))))


def test_a_chunk_of_any_length_keeps_what_zstd_makes_of_all_of_it_at_once() -> None:
    text = b"".join(b"%d," % number for number in range(400_000))
    packed = compress(memoryview(text))
    assert packed is not None
    assert len(packed) < len(text) * 0.5
    assert decompress(packed, len(text)) == text


def test_a_frame_that_wants_a_window_larger_than_the_chunk_is_refused() -> None:
    wide: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    machine = zstd.ZstdCompressor(options=wide)
    packed = machine.compress(bytes(TEXT)) + machine.flush()
    with pytest.raises(DigestMismatch, match="cannot be undone"):
        decompress(packed, len(TEXT))
