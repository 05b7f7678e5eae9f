"""The rows that a client remembers of a coded upload: whole ones, or none from a torn one on."""

from pathlib import Path

import pytest

from tests.codec.sample import FILE, Sample
from towpath.client.coded_journal import Journal
from towpath.codec.manifest import ROW, row_of
from towpath.core.crc import crc

CUTS = [b"first", b"second", b"the third"]
ROWS = Sample(CUTS, compresses=False).table


def journal(path: Path) -> bytes:
    """One with all rows; what the file has."""
    made = Journal.begin(path, FILE, 10, "a.keys")
    for index in range(len(ROWS)):
        made.put(ROWS[index])
    return path.read_bytes()


def read(path: Path) -> Journal:
    found = Journal.load(path)
    assert found is not None
    return found


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    journal(tmp_path / "rows")
    found = read(tmp_path / "rows")
    assert (found.file_id, found.chunk, found.record) == (FILE, 10, "a.keys")
    assert [found.table[index] for index in range(3)] == [ROWS[index] for index in range(3)]


@pytest.mark.parametrize("last", range(1, ROW.size + 9))
@pytest.mark.parametrize("left", ["zeros", "nothing"])
def test_a_row_whose_last_bytes_a_power_cut_took_is_not_read(
    tmp_path: Path, last: int, left: str
) -> None:
    data = journal(tmp_path / "rows")
    kept = data[:-last] + (bytes(last) if left == "zeros" else b"")
    (tmp_path / "rows").write_bytes(kept)
    assert len(read(tmp_path / "rows").table) == 2 + (kept == data)


def test_rows_from_a_torn_one_on_are_not_read(tmp_path: Path) -> None:
    data = bytearray(journal(tmp_path / "rows"))
    data[-2 * (ROW.size + 8) + 3] ^= 1
    (tmp_path / "rows").write_bytes(data)
    found = read(tmp_path / "rows")
    assert len(found.table) == 1
    found.put(ROWS[1])
    assert len(read(tmp_path / "rows").table) == 2


def test_what_an_earlier_version_wrote_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    data = journal(path)
    begin = len(data) - 3 * (ROW.size + 8)
    old = data[:begin].replace(b"towrows2", b"towrows1")
    old = old[:-8] + crc(memoryview(old[:-8])).to_bytes(8, "big")
    path.write_bytes(old + row_of(ROWS[0]) + row_of(ROWS[1]))
    found = read(path)
    assert len(found.table) == 2
    found.put(ROWS[2])
    assert path.read_bytes()[begin:] == b"".join(row_of(ROWS[index]) for index in range(3))
    assert len(read(path).table) == 3
