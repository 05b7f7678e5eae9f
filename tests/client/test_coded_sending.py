"""What a coded upload sends when it goes on: just what the server has not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.client.coded_sending import Local, Vanished, missing
from towpath.client.resume import Source
from towpath.codec.manifest import Chunk, Coding, Table
from towpath.errors import SourceChanged

SIZE = 10  # the rows of these tests need not be sound


def table_of(count: int) -> Table:
    table = Table(sealed=False)
    for index in range(count):
        at = index * SIZE
        table.append(
            Chunk(
                index=index,
                start=at,
                length=SIZE,
                stored_start=at,
                stored_length=SIZE,
                coding=Coding.RAW,
                key=0,
                crc=index,
                stored_crc=index,
            )
        )
    return table


def nothing() -> list[tuple[int, int]]:
    raise AssertionError("nobody need be asked")


@given(st.lists(st.booleans(), max_size=20))
def test_gaps_are_filled_and_rows_behind_the_last_durable_chunk_are_cut(held: list[bool]) -> None:
    table = table_of(len(held))
    runs = [(i * SIZE, i * SIZE + SIZE) for i, here in enumerate(held) if here]
    prefix = held.index(False) if False in held else len(held)
    last = max((i + 1 for i, here in enumerate(held) if here), default=0)
    holes = missing(table, prefix * SIZE, lambda: runs)
    assert len(table) == last
    assert [row.index for row in holes] == [i for i in range(last) if not held[i]]


def test_neighbours_may_be_told_as_one_range() -> None:
    table = table_of(5)
    assert [row.index for row in missing(table, 10, lambda: [(20, 40)])] == [1]
    assert len(table) == 4


def test_nobody_is_asked_when_there_is_no_gap() -> None:
    assert missing(table_of(3), 3 * SIZE, nothing) == []
    assert missing(table_of(0), 0, nothing) == []


@pytest.mark.parametrize("offset", [5, 31, 1000])
def test_bytes_that_no_row_tells_of_are_noticed(offset: int) -> None:
    with pytest.raises(Vanished):
        missing(table_of(3), offset, nothing)


@pytest.mark.parametrize("runs", [[(15, 20)], [(10, 35)], [(12, 14), (20, 30)]])
def test_a_part_of_a_chunk_is_not_taken_for_it(runs: list[tuple[int, int]]) -> None:
    with pytest.raises(Vanished):
        missing(table_of(3), 0, lambda: runs)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda at: at.write_bytes(b"other" * 20), id="written"),
        pytest.param(lambda at: at.touch(), id="touched"),
    ],
)
def test_a_file_that_changes_while_its_pieces_are_read_is_noticed_before_the_chunk_is_whole(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes" * 20)
    os.utime(path, (1, 1))
    with path.open("rb", buffering=0) as file:
        local = Local(file, str(path), Source.of(os.fstat(file.fileno())))
        pieces = local.pieces(memoryview(bytearray(7)), 10, 45, lambda: None)
        assert b"".join(map(bytes, pieces)) == b"bytes" * 9
        pieces = local.pieces(memoryview(bytearray(7)), 10, 45, lambda: None)
        next(pieces)
        change(path)
        with pytest.raises(SourceChanged):
            list(pieces)


def test_a_file_that_is_cut_while_its_pieces_are_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes" * 20)
    with path.open("rb", buffering=0) as file:
        local = Local(file, str(path), Source.of(os.fstat(file.fileno())))
        os.truncate(path, 50)
        with pytest.raises(SourceChanged, match="shorter"):
            list(local.pieces(memoryview(bytearray(7)), 10, 45, lambda: None))
