"""The table of chunks: what is written is read, what cannot be is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec.compress import framed_length
from towpath.codec.encrypt import sealed_length
from towpath.codec.manifest import LONGEST_CHUNK, ROW, Chunk, Coding, Table
from towpath.core.crc import crc
from towpath.errors import Unreadable

WHOLE = 36  # bytes before the rows


def build(lengths: list[tuple[int, int]], *, sealed: bool = False) -> Table:
    """A table of chunks of these plain and packed lengths."""
    table = Table(sealed=sealed)
    for length, packed in lengths:
        raw = packed == length
        stored = packed if not raw else framed_length(length)
        table.append(
            Chunk(
                index=len(table),
                start=table.length,
                length=length,
                stored_start=table.stored_length,
                stored_length=sealed_length(packed) if sealed else stored,
                coding=Coding.RAW if raw else Coding.ZSTD,
                key=0,
                crc=crc(bytes([len(table) % 256]) * length),
                stored_crc=len(table),
            )
        )
    return table


LENGTHS = st.lists(
    st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), max_size=30
)


@given(LENGTHS, st.booleans())
def test_a_table_is_read_as_it_was_written(lengths: list[tuple[int, int]], sealed: bool) -> None:
    table = build(lengths, sealed=sealed)
    again = Table.parse(table.render(), sealed=sealed, keys=1)
    assert again.render() == table.render()
    assert [again[i] for i in range(len(again))] == [table[i] for i in range(len(table))]
    assert again.length == sum(length for length, _ in lengths)


@given(LENGTHS.filter(bool))
def test_every_byte_is_in_the_chunk_that_is_found_for_it(lengths: list[tuple[int, int]]) -> None:
    table = build(lengths)
    for index in range(len(table)):
        row = table[index]
        assert table.at(row.start) == table.at(row.end - 1) == row
        assert table.rows_of_stored(row.stored_end) == index + 1
        if row.stored_length > 1:
            assert table.rows_of_stored(row.stored_end - 1) is None
    assert table.rows_of_stored(0) == 0
    assert table.rows_of_stored(table.stored_length + 1) is None
    with pytest.raises(IndexError):
        table.at(table.length)


def test_the_crc_of_the_whole_follows_from_those_of_the_chunks() -> None:
    table = build([(10, 10), (20, 20), (3, 3)])
    assert table.crcs()[0] == crc(b"\0" * 10 + b"\1" * 20 + b"\2" * 3)


def test_rows_behind_a_cut_are_forgotten() -> None:
    table = build([(10, 5), (20, 15)])
    table.cut(1)
    assert (len(table), table.length, table.stored_length) == (1, 10, 5)


def with_row(index: int, **changes: int) -> bytes:
    """A table of three chunks with one row changed; the first ends at 100 and 112."""
    names = ("end", "stored_end", "coding", "key", "zero", "crc", "stored_crc")
    data = bytearray(build([(100, 100), (100, 50), (100, 100)]).render())
    at = WHOLE + index * ROW.size
    row = dict(zip(names, ROW.unpack_from(data, at), strict=True)) | changes
    ROW.pack_into(data, at, *row.values())
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(WHOLE - 1),
        build([(1, 1)]).render()[:-1],
        build([(1, 1)]).render() + b"\0",
        with_row(1, end=100),  # no byte in it
        with_row(1, end=50),  # backwards
        with_row(1, stored_end=112),
        with_row(1, stored_end=90),
        with_row(1, stored_end=250),  # compressed to more than it was
        with_row(0, stored_end=99),  # raw, and shorter than it is
        with_row(1, coding=2),
        with_row(1, key=1),
        with_row(1, zero=1),
        with_row(2, end=200 + LONGEST_CHUNK + 1),
        with_row(2, end=301, stored_end=275),  # longer than the whole
        with_row(2, crc=1),
        with_row(2, stored_crc=9),
    ],
)
def test_a_table_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="table of chunks"):
        Table.parse(data, sealed=False, keys=0)


def test_a_table_that_says_more_rows_than_it_has_costs_nothing() -> None:
    with pytest.raises(Unreadable, match="4294967295"):
        Table.parse(struct.pack(">QQQQI", 0, 0, 0, 0, 2**32 - 1), sealed=False, keys=0)


def test_a_sealed_row_needs_one_of_the_file_keys() -> None:
    data = build([(10, 10)], sealed=True).render()
    assert len(Table.parse(data, sealed=True, keys=1)) == 1
    with pytest.raises(Unreadable):
        Table.parse(data, sealed=True, keys=0)
    with pytest.raises(Unreadable):
        Table.parse(data, sealed=False, keys=0)
