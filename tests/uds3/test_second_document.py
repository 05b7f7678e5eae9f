"""The second document's names, used as it uses them: in process, and against a server."""

from __future__ import annotations

import hashlib
import inspect
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Make, Stalling, same, write
from towpath import errors
from towpath.uds3 import (
    ChunkMetadataCorruptError,
    OperationStatus,
    StreamingManager,
    StreamingOperation,
)

DEFAULTS = {
    "chunk_size_mb": 10,
    "max_retries": 3,
    "retry_delay_seconds": 5,
    "timeout_seconds": 300,
    "exponential_backoff": True,
    "retry_on_errors": ("NetworkError", "TimeoutError", "ChecksumMismatchError"),
    "enable_resume": True,
    "checkpoint_interval": 10,
    "checkpoint_storage": "local",
    "cleanup_completed": True,
    "checkpoint_retention_days": 7,
    "verify_checksums": True,
    "checksum_algorithm": "sha256",
    "parallel_chunks": 4,
    "thread_pool_size": 8,
    "compress_chunks": False,
    "compression_level": 6,
    "encrypt_chunks": False,
    "encryption_key": None,
}


def test_every_argument_has_its_default() -> None:
    parameters = inspect.signature(StreamingManager).parameters
    assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS


def test_a_file_goes_to_a_folder_at_once_and_is_waited_for(make: Make, paper: Path) -> None:
    manager = make(chunk_size_mb=1, max_retries=3, enable_resume=True)
    shown: list[str] = []
    operation_id = manager.upload_file(
        file_path=str(paper),
        destination="documents/2024/",
        progress_callback=lambda p: shown.append(f"{p:.1f}%"),
        metadata={"title": "A paper"},
    )
    assert isinstance(operation_id, str)
    (done,) = manager.wait_for_operations([operation_id])
    assert isinstance(done, StreamingOperation)
    assert (done.status.value, done.file_name) == ("completed", "paper.pdf")
    assert (done.chunks_completed, done.chunks_total) == (4, 4)
    assert (done.total_size_bytes, done.chunk_size_bytes) == (paper.stat().st_size, MIB)
    assert shown[-1] == "100.0%"
    assert manager.verify_upload(operation_id)


def test_a_callback_of_two_gets_the_operation(make: Make, paper: Path) -> None:
    manager, told = make(chunk_size_mb=1), []

    def cb(progress: float, operation: StreamingOperation) -> None:
        elapsed = (datetime.now() - operation.created_at).total_seconds()  # noqa: DTZ005
        moved = operation.chunks_completed * operation.chunk_size_bytes
        told.append((progress, elapsed, moved))

    manager.wait_for_operations([manager.upload_file(paper, "x.pdf", cb)])
    assert told[-1][0] == 100.0
    assert 0 <= told[-1][1] < 30
    assert told[-1][2] == 4 * MIB


def test_several_files_go_at_once_and_are_waited_for(make: Make, tmp_path: Path) -> None:
    manager = make(chunk_size_mb=1)
    files = [write(tmp_path / f"{n}.pdf", 2 * MIB + n) for n in range(5)]
    ids = [manager.upload_file(f, destination="several/", parallel=True) for f in files]
    done = manager.wait_for_operations(ids)
    assert [each.status for each in done] == [OperationStatus.COMPLETED] * 5
    assert manager.list_active_operations() == []
    downs = [manager.download_file(each, tmp_path / f"{each}.copy") for each in ids]
    manager.wait_for_operations(downs)
    assert all(same(f, tmp_path / f"{each}.copy") for f, each in zip(files, ids, strict=True))


def test_a_download_says_how_far_it_is(make: Make, paper: Path, tmp_path: Path) -> None:
    manager, told = make(chunk_size_mb=1), []
    manager.wait_for_operations([manager.upload_file(paper, "doc_12345")])
    operation_id = manager.download_file(
        document_id="doc_12345",
        destination_path=f"{tmp_path}/down/",
        progress_callback=lambda p: told.append(float(p)),
    )
    assert manager.wait_for_operations([operation_id])[0].status.value == "completed"
    assert told[-1] == 100.0
    assert same(paper, tmp_path / "down" / "doc_12345")
    assert manager.resume_download(operation_id)
    with pytest.raises(errors.StateConflict):
        manager.resume_upload(operation_id)


def test_a_download_that_was_paused_goes_on(
    make: Make, stalling: Stalling, large: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1)
    manager.wait_for_operations([manager.upload_file(large, "down.bin", parallel=True)])

    def pause(progress: Any) -> None:
        if progress.transferred_bytes >= 2 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    with stalling("down", 4 * MIB):
        key = manager.download_file("down.bin", tmp_path / "copy", pause)
        assert manager.wait_for_operations([key])[0].status is OperationStatus.PAUSED
    assert [each.file_name for each in manager.list_active_operations()] == ["copy"]
    assert not (tmp_path / "copy").exists()
    result = manager.resume_download(key)
    assert result
    assert result["resumed_from_bytes"] >= 2 * MIB
    assert same(large, tmp_path / "copy")


def test_an_upload_that_was_paused_is_resumed_by_its_id_alone(
    make: Make, stalling: Stalling, large: Path
) -> None:
    manager = make(chunk_size_mb=1)

    def pause(progress: Any, operation: StreamingOperation) -> None:
        # The last one may not be acknowledged.
        if operation.chunks_completed >= 4 and operation.status.value == "in_progress":
            manager.pause_operation(operation.operation_id)

    with stalling("up", 5 * MIB):
        key = manager.upload_file(large, "up.bin", pause)
        assert manager.wait_for_operations([key])[0].status is OperationStatus.PAUSED
    assert not manager.verify_upload(key)
    result = manager.resume_upload(key)
    assert bool(result) is True
    assert result["resumed_from_chunk"] >= 3
    assert manager.resume_upload(key)  # it is complete: true again
    assert manager.verify_upload(key)


def test_an_operation_on_its_way_says_how_far_it_is(make: Make, large: Path) -> None:
    manager, seen = make(chunk_size_mb=1), []

    def look(progress: float, operation: StreamingOperation) -> None:
        found = manager.get_operation(operation.operation_id)
        active = [each.file_name for each in manager.list_active_operations()]
        seen.append((found.status.value, found.chunks_completed, active))
        assert (found.chunks_total, found.total_size_bytes) == (10, 10 * MIB)

    manager.wait_for_operations([manager.upload_file(large, "looked-at.bin", look)])
    assert ("in_progress", ["large.bin"]) in [(status, active) for status, _, active in seen]
    assert seen[-1] == ("completed", 10, [])


def test_an_upload_that_is_not_what_was_sent_is_sent_again(
    make: Make, paper: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1)
    key = manager.upload_file(paper, "again.pdf")
    assert manager.verify_upload(key)
    manager.wait_for_operations([manager.upload_file(write(tmp_path / "other", 10), "again.pdf")])
    assert not manager.verify_upload(key)  # the name is another's now, and the object gone
    assert manager.restart_upload(key) is True
    assert manager.verify_upload(key)


def test_what_is_known_at_the_start_is_raised_there(
    make: Make, paper: Path, tmp_path: Path
) -> None:
    manager = make()
    with pytest.raises(FileNotFoundError):
        manager.upload_file(tmp_path / "none", "x")
    with pytest.raises(errors.SettingsError, match="There is no store for couchdb:// here"):
        manager.upload_file(paper, "couchdb://documents/doc_12345/attachment")
    with pytest.raises(errors.SettingsError, match="encrypt needs an encryption_key"):
        manager.upload_file(paper, "x", encrypt=True)
    for unknown in ("0" * 32, "no id"):
        with pytest.raises(errors.NotFound):
            manager.get_operation(unknown)


@pytest.mark.parametrize(
    "given",
    [
        {"encrypt_chunks": True},
        {"compression_level": 10},
        {"checkpoint_storage": "cloud"},
        {"checksum_algorithm": "crc"},
        {"max_retries": -1},
        {"parallel_chunks": 0},
        {"chunk_size_mb": 0},
    ],
    ids=lambda given: next(iter(given)),
)
def test_an_argument_that_cannot_be_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError):
        StreamingManager(data=tmp_path, **given)


@pytest.mark.parametrize("storage", ["local", "database"])
def test_a_checkpoint_outlives_its_manager(
    make: Make, stalling: Stalling, large: Path, storage: str
) -> None:
    first = make(chunk_size_mb=1, checkpoint_storage=storage, checkpoint_interval=2)

    def pause(progress: Any) -> None:
        if progress.current_chunk >= 5 and not progress.is_complete:  # so four are acknowledged
            first.pause_operation(progress.operation_id)

    with stalling("up", 6 * MIB):
        key = first.upload_file(large, f"{storage}.bin", pause)
        first.wait_for_operations([key])
    first.close()
    second = make(chunk_size_mb=1, checkpoint_storage=storage)
    (listed,) = [each for each in second.list_operations("paused") if each.operation_id == key]
    assert listed.total_bytes == large.stat().st_size
    result = second.resume_upload(key)
    assert result
    assert result["resumed_from_chunk"] >= 4
    assert second.verify_upload(key)
    second.close()
    third = make(checkpoint_storage=storage)
    with pytest.raises(errors.NotFound):  # cleanup_completed
        third.get_operation(key)


def test_a_damaged_checkpoint_is_said_to_be_damaged(local: Make, tmp_path: Path) -> None:
    manager = local(chunk_size_mb=1, cleanup_completed=False)
    key = manager.upload_file(write(tmp_path / "a", 1000), "a")
    manager.wait_for_operations([key])
    manager.close()
    (file,) = (tmp_path / "data" / "operations").glob("*.json")
    file.write_bytes(file.read_bytes().replace(b'"a"', b'"b"', 1))
    with pytest.raises(ChunkMetadataCorruptError) as caught:
        local().resume_upload(key)
    assert caught.value.operation_id == key


def test_nothing_is_written_down_without_resume(
    make: Make, stalling: Stalling, large: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, enable_resume=False)

    def pause(progress: Any) -> None:
        if progress.transferred_bytes and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    with (
        stalling("up", 3 * MIB),
        pytest.raises(errors.TransferError, match="enable_resume is off"),
    ):
        manager.wait_for_operations([manager.upload_file(large, "once.bin", pause)])
    assert not list(tmp_path.glob("**/operations/**/*.json"))


@pytest.mark.parametrize("algorithm", ["sha256", "SHA-512", "md5", "sha1"])
def test_the_checksum_is_the_one_that_was_asked_for(
    make: Make, paper: Path, algorithm: str
) -> None:
    manager = make(chunk_size_mb=1, checksum_algorithm=algorithm)
    key = manager.upload_file(paper, f"{algorithm}.pdf")
    (done,) = manager.wait_for_operations([key])
    name = algorithm.lower().replace("-", "")
    assert done.checksum == hashlib.new(name, paper.read_bytes()).hexdigest()
    assert manager.verify_upload(key)


def test_checksums_can_be_left_out(make: Make, paper: Path, tmp_path: Path) -> None:
    manager = make(verify_checksums=False)
    key = manager.upload_file(paper, "unchecked.pdf")
    assert manager.wait_for_operations([key])[0].checksum is None
    assert manager.verify_upload(key)
    assert manager.download_large_file("unchecked.pdf", tmp_path / "copy")


def test_two_managers_of_one_process_share_a_data_folder(
    local: Make, paper: Path, tmp_path: Path
) -> None:
    first, second = local(), local()
    first.wait_for_operations([first.upload_file(paper, "shared.pdf")])
    first.close()
    assert second.download_large_file("shared.pdf", tmp_path / "copy")


def test_leaving_a_block_waits_for_what_is_under_way(
    place: dict[str, Any], paper: Path, tmp_path: Path
) -> None:
    with StreamingManager(**place) as manager:
        manager.upload_file(paper, "left.pdf")
    with StreamingManager(**place) as manager:
        assert manager.download_large_file("left.pdf", tmp_path / "copy")


def test_an_operation_whose_turn_has_not_come_is_stopped_at_once(local: Make, paper: Path) -> None:
    manager, go_on = local(thread_pool_size=1), threading.Event()
    first = manager.upload_file(paper, "first.pdf", lambda p: go_on.wait(20))
    second = manager.upload_file(paper, "second.pdf")
    third = manager.upload_file(paper, "third.pdf")
    assert [each.operation_id for each in manager.list_active_operations()] == [
        first,
        second,
        third,
    ]
    assert manager.cancel_operation(second)
    assert manager.pause_operation(third)
    go_on.set()
    done = manager.wait_for_operations([first, second, third])
    assert [each.status.value for each in done] == ["completed", "cancelled", "paused"]
    assert manager.resume_upload(third)
    assert [each.status for each in manager.list_operations("cancelled")] == [
        OperationStatus.CANCELLED
    ]


def test_a_relative_data_folder_stays_where_it_was(
    local: Make, paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    manager = local(data="relative")
    assert manager.upload_large_file("paper.pdf", "a.pdf")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert manager.upload_large_file(paper, "b.pdf")
    manager.close()
    assert (tmp_path / "relative" / "ledger.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert local(data=tmp_path / "relative").download_large_file("a.pdf", "copy.pdf")


def test_a_pipe_is_refused_at_the_start(make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.Malformed, match="no regular file"):
        make().upload_file(tmp_path / "pipe", "x")
