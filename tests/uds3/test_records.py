"""What is written down of operations comes back as it was, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from towpath import errors
from towpath.uds3 import ChunkMetadataCorruptError, OperationStatus, OperationType
from towpath.uds3.records import FolderCheckpoints, Record, read, write

ID = "0123456789abcdef"


def record() -> Record:
    made = Record(
        operation_id=ID,
        kind=OperationType.UPLOAD,
        path="/a/b.pdf",
        address="documents/b.pdf",
        chunk_size=10,
        total=25,
        source=(25, 123456789),
        metadata={"court": "BGH", "year": 2024},
        status=OperationStatus.PAUSED,
    )
    for index in (0, 2):
        made.chunks[index] = made.chunk(index)
        made.chunks[index].uploaded = True
        made.chunks[index].checksum = f"{index}" * 64
    return made


def test_a_record_comes_back_as_it_was() -> None:
    made = record()
    found = read(write(made), ID)
    assert found == made
    assert found.chunks[2].size_bytes == 5
    assert (found.chunks_total, found.chunks_completed) == (3, 2)
    assert found.operation().metadata == {"court": "BGH", "year": 2024}
    assert found.source == (25, 123456789)


@pytest.mark.parametrize("place", [10, 100, -40])
def test_a_damaged_record_is_not_believed(place: int) -> None:
    data = bytearray(write(record()))
    data[place] ^= 1
    with pytest.raises(ChunkMetadataCorruptError) as caught:
        read(bytes(data), ID)
    assert caught.value.operation_id == ID


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": 1}'])
def test_what_is_no_record_is_not_believed(data: bytes) -> None:
    with pytest.raises(ChunkMetadataCorruptError):
        read(data, ID)


def test_a_folder_keeps_the_last_text_and_no_halves(tmp_path: Path) -> None:
    kept = FolderCheckpoints(tmp_path / "operations")
    assert list(kept.all()) == []
    assert kept.read(ID) is None
    kept.write(ID, b"one")
    kept.write(ID, b"two")
    assert (kept.read(ID), list(kept.all())) == (b"two", [ID])
    assert [path.name for path in kept.folder.iterdir()] == [f"{ID}.json"]
    kept.remove(ID)
    kept.remove(ID)
    assert kept.read(ID) is None


def test_an_id_never_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound):
        FolderCheckpoints(tmp_path).read("../../etc/passwd")
