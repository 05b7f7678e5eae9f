"""The first document's names, used as it uses them: in process, and against a server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Make, Stalling, same, write
from towpath.uds3 import (
    OperationStatus,
    Percent,
    StreamingManager,
    StreamingProgress,
    StreamingStatus,
    UnifiedDatabaseStrategy,
    calculate_optimal_chunk_size,
    create_streaming_manager,
)


@pytest.fixture
def uds(make: Make) -> UnifiedDatabaseStrategy:
    return UnifiedDatabaseStrategy(make(chunk_size=MIB))


def test_a_file_goes_up_with_progress_and_down_again(
    uds: UnifiedDatabaseStrategy, paper: Path, tmp_path: Path
) -> None:
    heard: list[StreamingProgress] = []

    def cb(progress: Percent) -> None:
        assert progress.progress_percent == float(progress)
        assert progress.bytes_per_second >= 0
        assert progress.estimated_time_remaining is None or progress.estimated_time_remaining >= 0
        heard.append(progress.progress)

    result = uds.upload_large_file(
        file_path=str(paper), destination="storage/documents/x.pdf", progress_callback=cb
    )
    assert result["error"] is None
    assert (result["success"], result["status"]) == (True, "completed")
    assert result["status"] == StreamingStatus.COMPLETED
    assert heard[-1].is_complete
    assert heard[-1].current_chunk == heard[-1].chunk_count == 4
    assert [each.current_chunk for each in heard] == sorted(each.current_chunk for each in heard)
    assert {each.operation_id for each in heard} == {result["operation_id"]}

    down = uds.download_large_file("storage/documents/x.pdf", str(tmp_path / "out" / "x.pdf"))
    assert down["success"], down["error"]
    assert same(paper, tmp_path / "out" / "x.pdf")
    assert not list((tmp_path / "out").glob("*.part"))


def test_the_status_is_a_mapping(uds: UnifiedDatabaseStrategy, paper: Path) -> None:
    result = uds.upload_large_file(file_path=paper, destination="a.pdf")
    status = uds.get_streaming_status(result["operation_id"])
    assert status["progress_percent"] == 100.0
    assert status["bytes_per_second"] > 0
    assert status["estimated_time_remaining"] == 0.0
    assert status["status"] == "completed"


def test_three_files_in_a_loop_are_each_asked_for(
    uds: UnifiedDatabaseStrategy, tmp_path: Path
) -> None:
    ids = []
    for name in ("1.pdf", "2.pdf", "3.pdf"):
        path = write(tmp_path / name, 100_000)
        ids.append(uds.upload_large_file(file_path=path, destination="case/")["operation_id"])
    assert [uds.get_streaming_status(each)["status"] for each in ids] == ["completed"] * 3
    listed = uds.list_streaming_operations("completed")
    assert [each["operation_id"] for each in listed] == ids
    assert uds.list_streaming_operations(status=StreamingStatus.FAILED) == []


def test_a_manager_is_made_with_a_calculated_chunk_size(place: dict[str, Any], paper: Path) -> None:
    n = calculate_optimal_chunk_size(
        file_size=paper.stat().st_size, available_memory=4 << 30, network_speed_mbps=1000
    )
    with create_streaming_manager(chunk_size=n, max_concurrent_operations=10, **place) as manager:
        result = manager.upload_large_file(
            file_path=paper, destination="judgments/", metadata={"court": "BGH", "pages": 812}
        )
        assert result["success"], result["error"]
        operation = manager.get_operation(result["operation_id"])
        assert operation.chunk_size_bytes == n == MIB
        assert operation.metadata == {"court": "BGH", "pages": 812}


def test_a_missing_source_is_the_one_thing_that_is_raised(
    uds: UnifiedDatabaseStrategy, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        uds.upload_large_file(file_path=tmp_path / "none.pdf", destination="x.pdf")
    with pytest.raises(FileNotFoundError):
        uds.download_large_file("no/such.pdf", tmp_path / "y.pdf")
    with pytest.raises(FileNotFoundError):
        uds.resume_upload(operation_id="0" * 32, file_path=tmp_path / "none", destination="x")


def test_other_failures_stand_in_the_result(uds: UnifiedDatabaseStrategy, paper: Path) -> None:
    result = uds.upload_large_file(file_path=paper, destination="s3://bucket/x.pdf")
    assert not result["success"]
    assert result["status"] == "failed"
    assert "There is no store for s3:// here." in result["error"]
    result = uds.upload_large_file(file_path=paper.parent, destination="x.pdf")
    assert "is a folder" in result["error"]
    again = uds.resume_upload(
        operation_id=result["operation_id"], file_path=paper, destination="x.pdf"
    )
    assert (again["success"], again["resumed_from_chunk"]) == (True, 0)


def test_an_upload_that_was_paused_goes_on_where_it_was(
    make: Make, stalling: Stalling, large: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size=MIB, checkpoint_interval=1)

    def pause(progress: Percent) -> None:
        # More than four chunks are sent one after the other, so four are acknowledged.
        if progress.transferred_bytes > 4 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    with stalling("up", 6 * MIB):
        result = manager.upload_large_file(large, "large.bin", progress_callback=pause)
    assert (result["status"], result["success"]) == ("paused", False), result
    key = result["operation_id"]
    assert manager.get_progress(key).status is OperationStatus.PAUSED
    assert not manager.pause_operation(key)
    resumed = manager.resume_upload(operation_id=key, file_path=large, destination="large.bin")
    assert resumed, resumed["error"]
    assert resumed["resumed_from_chunk"] >= 4
    assert manager.verify_upload(key)
    down = manager.download_large_file("large.bin", tmp_path / "copy")
    assert down, down["error"]
    assert same(large, tmp_path / "copy")
    repeated = manager.resume_upload(operation_id=key, file_path=large, destination="large.bin")
    assert repeated["status"] == "completed"


def test_an_upload_that_is_cancelled_leaves_nothing(
    make: Make, stalling: Stalling, large: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size=MIB)
    before = manager.upload_large_file(write(tmp_path / "old", 1000), "cancelled.bin")

    def cancel(progress: Percent) -> None:
        if progress.transferred_bytes >= MIB and not progress.is_complete:
            manager.cancel_operation(progress.operation_id)

    with stalling("up", 3 * MIB):
        result = manager.upload_large_file(large, "cancelled.bin", progress_callback=cancel)
    assert result["status"] == "cancelled"
    uds = UnifiedDatabaseStrategy(manager)
    assert not uds.cancel_streaming_operation(result["operation_id"])
    assert not uds.cancel_streaming_operation(before["operation_id"])
    assert manager.download_large_file("cancelled.bin", tmp_path / "copy")
    assert same(tmp_path / "old", tmp_path / "copy")  # what was there before


def test_completed_operations_are_forgotten_and_documents_stay(
    make: Make, paper: Path, tmp_path: Path
) -> None:
    manager = make(cleanup_completed=False)
    result = manager.upload_large_file(paper, "kept.pdf")
    assert manager.cleanup_completed_operations() == 1
    assert manager.list_operations() == []
    assert manager.cleanup_completed_operations() == 0
    assert manager.download_large_file("kept.pdf", tmp_path / "copy")
    assert result["document_id"]


def test_a_document_is_found_by_its_id_too(make: Make, paper: Path, tmp_path: Path) -> None:
    manager = make()
    result = manager.upload_large_file(paper, "by-id.pdf")
    assert manager.download_large_file(result["document_id"], tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_an_empty_file_is_a_document_too(make: Make, tmp_path: Path) -> None:
    manager = make()
    (tmp_path / "empty").touch()
    result = manager.upload_large_file(tmp_path / "empty", "empty.txt")
    assert (result["status"], result["chunks_total"]) == ("completed", 0), result["error"]
    assert manager.download_large_file("empty.txt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b""


def test_ten_threads_use_one_manager_at_once(make: Make, tmp_path: Path) -> None:
    manager = make(chunk_size=256 << 10)
    failures: list[object] = []

    def one(number: int) -> None:
        try:
            path = write(tmp_path / f"{number}.bin", MIB + number)
            result = manager.upload_large_file(path, "ten/")
            assert result, result["error"]
            assert manager.get_progress(result["operation_id"]).is_complete
            assert manager.list_operations()
            assert manager.download_large_file(f"ten/{number}.bin", tmp_path / f"{number}.copy")
            assert same(path, tmp_path / f"{number}.copy")
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_callback_that_fails_ends_nothing(make: Make, paper: Path) -> None:
    def bad(progress: float) -> None:
        raise RuntimeError

    assert make().upload_large_file(paper, "x.pdf", progress_callback=bad)


def test_a_file_of_this_machine_can_be_the_destination(
    local: Make, paper: Path, tmp_path: Path
) -> None:
    manager: StreamingManager = local(chunk_size=MIB)
    target = tmp_path / "archive" / "2024" / "x.pdf"
    result = manager.upload_large_file(paper, target.as_uri())
    assert result, result["error"]
    assert same(paper, target)
    assert manager.verify_upload(result["operation_id"])
    again = manager.upload_large_file(write(tmp_path / "new.pdf", 500), str(target))
    assert again, again["error"]
    assert target.stat().st_size == 500
    assert manager.download_large_file(target.as_uri(), tmp_path / "copy")
    assert same(target, tmp_path / "copy")
    assert [path.name for path in target.parent.iterdir()] == ["x.pdf"]
