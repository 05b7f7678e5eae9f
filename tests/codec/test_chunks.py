"""Chunks there and back: proven, each in its place."""

import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.sample import FILE, KEY, TEXT, Sample, rooms_for
from towpath.codec.chunks import Coder, Decoder, Place
from towpath.codec.compress import LEVEL
from towpath.codec.encrypt import sealed_length
from towpath.codec.manifest import Coding
from towpath.errors import DigestMismatch

PIECE = st.one_of(st.binary(min_size=1, max_size=300), st.just(TEXT))


def decode(sample: Sample, index: int, stored: bytes, key: bytes = KEY) -> bytes:
    keys = [key] if sample.sealed else []
    decoder = Decoder(FILE, keys, chunks=len(sample.table))
    rooms = rooms_for(sample.table.longest)
    first = rooms.first[: len(stored)]
    first[:] = stored  # as a reader has it
    return bytes(decoder.decode(sample.table[index], first, rooms))


@given(st.lists(PIECE, max_size=5), st.booleans(), st.booleans())
def test_chunks_come_back(cuts: list[bytes], sealed: bool, compresses: bool) -> None:
    sample = Sample(cuts, sealed, compresses)
    for index, plain in enumerate(cuts):
        assert decode(sample, index, sample.chunks[index]) == plain


def test_a_chunk_is_compressed_only_where_it_helps() -> None:
    sample = Sample([TEXT, bytes(range(256))], sealed=False)
    assert [sample.table[i].coding for i in range(2)] == [Coding.ZSTD, Coding.RAW]
    assert sample.table[0].stored_length < len(TEXT) // 10
    assert sample.table[1].stored_length == 256 + 9 + 3
    assert Sample([TEXT], compresses=False).table[0].stored_length == sealed_length(len(TEXT))


def test_what_is_sealed_shows_nothing_of_its_bytes() -> None:
    assert b"the same words" not in Sample([TEXT], compresses=False).stored


def test_a_chunk_that_is_coded_again_has_another_salt() -> None:
    assert Sample([TEXT]).chunks[0] != Sample([TEXT]).chunks[0]


@pytest.mark.parametrize("sealed", [True, False])
@given(st.data())
def test_a_changed_or_cut_chunk_is_refused(sealed: bool, data: st.DataObject) -> None:
    sample = Sample([TEXT, b"second"], sealed)
    stored = bytearray(sample.chunks[0])
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        del stored[at:]
    else:
        stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DigestMismatch, match="Chunk 0 is damaged") as refused:
        decode(sample, 0, bytes(stored))
    assert "not the bytes that were written" in refused.value.why


def test_a_chunk_in_anothers_place_is_refused() -> None:
    sample = Sample([b"a" * 50, b"b" * 50, b"c" * 50])
    with pytest.raises(DigestMismatch, match="Chunk 1"):
        decode(sample, 1, sample.chunks[0])


def test_a_chunk_of_another_key_is_refused() -> None:
    sample = Sample([TEXT])
    with pytest.raises(DigestMismatch) as refused:
        decode(sample, 0, sample.chunks[0], key=KEY[::-1])
    assert "another key" in refused.value.why


@pytest.mark.parametrize("compresses", [False, True])
@pytest.mark.parametrize("key", [None, (0, KEY)])
@pytest.mark.parametrize("plain", [TEXT * 50, Random(5).randbytes(200_000)], ids=["text", "noise"])
def test_a_chunk_is_coded_and_undone_where_it_lies(
    plain: bytes, key: tuple[int, bytes] | None, compresses: bool
) -> None:
    rooms = rooms_for(len(plain))
    inside = rooms.first[: len(plain)]
    inside[:] = plain
    place = Place(index=0, start=0, final=True)
    row, coded = Coder(FILE, level=LEVEL if compresses else 0, key=key).code(inside, place, rooms)
    stored = rooms.first[: row.stored_length]
    stored[:] = bytes(coded)
    decoder = Decoder(FILE, [] if key is None else [KEY], chunks=1)
    assert decoder.decode(row, stored, rooms) == plain


def test_a_chunk_that_is_only_sealed_is_coded_as_it_is_read_through_one_small_piece() -> None:
    plain, piece = Random(7).randbytes(1_000_000), memoryview(bytearray(100_000))

    def read() -> Iterator[memoryview]:
        for start in range(0, len(plain), len(piece)):
            piece[:] = plain[start : start + len(piece)]
            yield piece

    rooms, place = rooms_for(len(plain)), Place(index=3, start=0, final=True, stored_start=70)
    coder = Coder(FILE, level=0, key=(0, KEY))
    assert coder.by_pieces
    assert not Coder(FILE, level=0, key=None).by_pieces
    assert not Coder(FILE, level=LEVEL, key=(0, KEY)).by_pieces
    row, coded = coder.code_pieces(read(), place, rooms.first)
    whole, _ = coder.code(memoryview(plain), place, rooms)
    assert (row.length, row.crc, row.stored_length) == (len(plain), whole.crc, whole.stored_length)
    decoder = Decoder(FILE, [KEY], chunks=4)
    assert decoder.decode(row, coded, rooms) == plain
    stored = bytes(coded)
    pieces = (memoryview(stored)[at : at + 70_000] for at in range(0, len(stored), 70_000))
    assert decoder.decode_pieces(row, pieces, rooms.first) == plain


@pytest.mark.parametrize("at", [0, 60, 500_000, -1])
def test_a_changed_chunk_that_comes_in_pieces_is_refused_at_its_end(at: int) -> None:
    sample = Sample([Random(8).randbytes(1_000_000)], compresses=False)
    stored, room = bytearray(sample.chunks[0]), rooms_for(1_000_000).first
    decoder = Decoder(FILE, [KEY], chunks=1)
    stored[at] ^= 1
    pieces = [memoryview(stored)[:300_000], memoryview(stored)[300_000:]]
    with pytest.raises(DigestMismatch, match="Chunk 0 is damaged"):
        decoder.decode_pieces(sample.table[0], pieces, room)
    stored[at] ^= 1
    with pytest.raises(DigestMismatch, match="Chunk 0 is damaged"):
        decoder.decode_pieces(sample.table[0], pieces[:1], room)
    another = Decoder(FILE, [KEY[::-1]], chunks=1)
    with pytest.raises(DigestMismatch, match="Chunk 0 is damaged"):
        another.decode_pieces(sample.table[0], pieces, room)


def test_what_is_made_of_a_chunk_lies_in_the_two_rooms_and_nowhere_else() -> None:
    plain = TEXT * 2000 + Random(6).randbytes(4_000_000)  # 6.4 MB, a third of it compressible
    rooms = rooms_for(len(plain))
    decoder = Decoder(FILE, [KEY], chunks=1)
    place = Place(index=0, start=0, final=True)
    coder = Coder(FILE, level=LEVEL, key=(0, KEY))
    coder.code(memoryview(b"once, so that all is loaded"), place, rooms)
    rooms.first[: len(plain)] = plain
    tracemalloc.start()
    try:
        row, coded = coder.code(rooms.first[: len(plain)], place, rooms)
        assert row.coding is Coding.ZSTD
        assert len(decoder.decode(row, coded, rooms)) == len(plain)
        assert tracemalloc.get_traced_memory()[1] < len(plain) // 4
    finally:
        tracemalloc.stop()
