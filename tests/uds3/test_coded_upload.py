"""Coded chunks in a data folder: each whole or not at all, and nothing left where it fails."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.uds3 import coded
from tests.uds3.coded import SEAL, WORDS, paused, remains, stored
from tests.uds3.conftest import MIB, Make, same
from towpath import errors
from towpath.uds3 import ChecksumMismatchError, OperationStatus, SagaRollbackRequired
from towpath.uds3.records import read
from towpath.uds3.records import write as record_text
from towpath.uds3.source import BytesSource


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return coded.mixed(tmp_path / "mixed.bin", 12)


def spoil(patch: pytest.MonkeyPatch, times: int) -> list[BytesSource]:
    """Flip a bit of what is sent in so many tries; return these."""
    honest, done = BytesSource.read_into, list[BytesSource]()

    def read_into(self: BytesSource, view: memoryview) -> int:
        count = honest(self, view)
        if self.length > 100_000 and self not in done and len(done) < times:
            view[0] ^= 1
            done.append(self)
        return count

    patch.setattr(BytesSource, "read_into", read_into)
    return done


def test_a_coded_chunk_that_is_wrong_is_sent_again_by_itself(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = spoil(monkeypatch, 2)
    manager = local(chunk_size_mb=1, **way)
    key = manager.upload_file(paper, "x.pdf", parallel=True)
    manager.wait_for_operations([key])
    chunks = manager.get_chunks(key)
    assert (len(spoiled), sum(chunk.retry_count for chunk in chunks)) == (2, 2)
    data = paper.read_bytes()
    assert [chunk.checksum for chunk in chunks] == [
        hashlib.sha256(data[at : at + MIB]).hexdigest() for at in range(0, len(data), MIB)
    ]
    assert manager.download_large_file("x.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_what_stays_wrong_is_rolled_back_with_its_keys(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = local(chunk_size_mb=1, max_retries=1, **way)
    spoil(monkeypatch, 10**6)
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    assert isinstance(caught.value.__cause__, ChecksumMismatchError)
    assert [*remains(tmp_path), *stored(tmp_path)] == []


def test_a_source_that_changes_is_never_mixed_into_coded_chunks(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, parallel_chunks=1, **way)

    def change(progress: Any) -> None:
        if progress.current_chunk == 2:
            with mixed.open("ab") as file:
                file.write(b"more")

    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(mixed, "x.bin", change)])
    assert isinstance(caught.value.__cause__, errors.SourceChanged)
    assert [*remains(tmp_path), *stored(tmp_path)] == []


def test_an_upload_that_was_paused_sends_only_what_is_missing(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    first = local(chunk_size_mb=1, checkpoint_interval=1, **way)
    name = f"{tmp_path.name}.bin"
    key = paused(first, mixed, name)
    first.close()
    second = local(chunk_size_mb=2, encryption_key=way.get("encryption_key"))
    result = second.resume_upload(key)
    assert result["resumed_from_chunk"] >= 2
    assert second.get_operation(key).chunk_size_bytes == MIB
    assert second.verify_upload(key)
    assert second.download_large_file(name, tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")


def test_what_nobody_can_tell_of_any_more_is_sent_anew(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    first = local(chunk_size_mb=1, **way)
    key = paused(first, mixed, "x.bin")
    first.close()
    (rows,) = (tmp_path / "data" / "operations").glob("*.chunks")
    rows.unlink()
    second = local(**way)
    result = second.resume_upload(key)
    assert result["resumed_from_bytes"] == 0
    assert second.verify_upload(key)
    assert second.download_large_file("x.bin", tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")
    assert not list((tmp_path / "data").glob("uploads/*/*"))


def test_a_cancel_on_the_way_leaves_nothing(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, **way)

    def cancel(progress: Any) -> None:
        if progress.current_chunk == 3 and not progress.is_complete:
            manager.cancel_operation(progress.operation_id)

    key = manager.upload_file(mixed, "x.bin", cancel, parallel=True)
    (operation,) = manager.wait_for_operations([key])
    assert operation.status is OperationStatus.CANCELLED
    assert [*remains(tmp_path), *stored(tmp_path)] == []


@pytest.mark.parametrize("at", [MIB // 2, -60], ids=["a chunk", "the table"])
def test_bytes_that_were_changed_are_refused(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, at: int
) -> None:
    manager = local(chunk_size_mb=1, **way)
    key = manager.upload_file(paper, "x.pdf")
    manager.wait_for_operations([key])
    largest = max(stored(tmp_path), key=lambda each: each.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(at % largest.stat().st_size)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert manager.verify_upload(key) is False
    down = manager.download_file("x.pdf", tmp_path / "copy")
    with pytest.raises(ChecksumMismatchError):
        manager.wait_for_operations([down])
    assert not list(tmp_path.glob("copy*"))


def test_a_file_of_this_machine_is_coded_with_its_keys_beside_it(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, **way)
    target = tmp_path / "archive" / "x.bin"
    result = manager.upload_large_file(mixed, target.as_uri())
    assert result, result["error"]
    assert not same(mixed, target)
    assert manager.verify_upload(result["operation_id"])
    assert manager.download_large_file(target.as_uri(), tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")
    names = sorted(each.name for each in target.parent.iterdir())
    keys = [name for name in names if name.endswith(".keys")]
    assert len(keys) == ("encryption_key" in way)
    assert set(names) == {"x.bin", *keys}
    assert stored(tmp_path) == []
    key = paused(manager, mixed, f"{target.parent}/y.bin")
    assert manager.cancel_operation(key)
    assert sorted(each.name for each in target.parent.iterdir()) == names
    assert remains(tmp_path) == []


@pytest.mark.parametrize("then", [SEAL, {}], ids=["encrypted", "plain"])
@pytest.mark.parametrize("where", ["a file", "a name"])
def test_the_keys_of_a_file_that_is_replaced_go_with_it(
    local: Make, mixed: Path, paper: Path, tmp_path: Path, then: dict[str, Any], where: str
) -> None:
    target = (tmp_path / "archive" / "x.bin").as_uri() if where == "a file" else "archive/x.bin"
    assert local(chunk_size_mb=1, **SEAL).upload_large_file(mixed, target)
    manager = local(chunk_size_mb=1, **{"encryption_key": WORDS, **then})
    assert manager.upload_large_file(paper, target)
    assert manager.download_large_file(target, tmp_path / "copy")
    assert same(paper, tmp_path / "copy")
    if where == "a file":
        names = [each.name for each in (tmp_path / "archive").iterdir()]
        assert len(names) == 1 + bool(then)
    else:
        assert len(stored(tmp_path)) == 2 * (1 + bool(then))  # each with its manifest


@pytest.mark.parametrize("destination", ["x.pdf", "archive"])
def test_the_keys_of_a_file_that_stands_are_never_removed(
    local: Make, paper: Path, tmp_path: Path, destination: str
) -> None:
    first = local(chunk_size_mb=1, cleanup_completed=False, **SEAL)
    where = destination if destination == "x.pdf" else (tmp_path / "archive" / "x.pdf").as_uri()
    key = first.upload_large_file(paper, where)["operation_id"]
    first.close()
    (file,) = (tmp_path / "data" / "operations").glob("*.json")
    record = read(file.read_bytes(), key)
    record.status = OperationStatus.IN_PROGRESS  # as if the process had been killed at the end
    file.write_bytes(record_text(record))
    second = local(encryption_key=WORDS)
    second.cancel_operation(key, cleanup=True)
    assert second.download_large_file(where, tmp_path / "copy")
    assert same(paper, tmp_path / "copy")
