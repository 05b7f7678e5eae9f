"""The values that callers see, and how a callback is called."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timedelta
from typing import Any

import pytest

from towpath import uds3
from towpath.uds3 import operations
from towpath.uds3.operations import (
    ChunkMetadata,
    OperationStatus,
    OperationType,
    Percent,
    StreamingOperation,
    StreamingProgress,
    StreamingResult,
    StreamingStatus,
    takes_operation,
)


def progress(status: OperationStatus = OperationStatus.IN_PROGRESS) -> StreamingProgress:
    return StreamingProgress(
        operation_id="an-id",
        operation_type=OperationType.UPLOAD,
        status=status,
        total_bytes=200,
        transferred_bytes=50,
        chunk_count=4,
        current_chunk=1,
        bytes_per_second=10.0,
        estimated_time_remaining=15.0,
    )


def test_both_documents_names_stand_in_one_module() -> None:
    assert StreamingStatus is OperationStatus
    assert {each.value for each in OperationStatus} == {
        "pending",
        "in_progress",
        "paused",
        "completed",
        "failed",
        "cancelled",
    }
    assert operations.StreamingOperation is StreamingOperation
    assert operations.OperationType.UPLOAD.value == "upload"


def test_an_operation_is_measured_with_naive_local_time() -> None:
    made = StreamingOperation(
        operation_id="x",
        file_name="x.pdf",
        total_size_bytes=10,
        chunk_size_bytes=5,
        chunks_total=2,
        chunks_completed=1,
    )
    assert (datetime.now() - made.created_at) < timedelta(seconds=5)  # noqa: DTZ005 - as documented
    assert made.created_at.tzinfo is made.updated_at.tzinfo is None
    assert made.chunks_completed * made.chunk_size_bytes == 5
    assert (made.status, made.checksum, made.metadata) == (OperationStatus.PENDING, None, {})


def test_a_chunk_is_described_by_its_place() -> None:
    chunk = ChunkMetadata(chunk_index=2, offset_bytes=10, size_bytes=5)
    assert (chunk.checksum, chunk.uploaded, chunk.retry_count) == (None, False, 0)


def test_progress_is_a_share_and_knows_when_it_is_over() -> None:
    assert progress().progress_percent == 25.0
    assert not progress().is_complete
    assert not progress().is_failed
    assert progress(OperationStatus.COMPLETED).progress_percent == 100.0
    assert progress(OperationStatus.COMPLETED).is_complete
    assert progress(OperationStatus.FAILED).is_failed
    empty = StreamingProgress(
        operation_id="x",
        operation_type=OperationType.DOWNLOAD,
        status=OperationStatus.PENDING,
        total_bytes=0,
    )
    assert empty.progress_percent == 0.0


def test_progress_as_a_mapping_can_be_written_as_json() -> None:
    found = json.loads(json.dumps(progress().to_dict()))
    assert (found["status"], found["operation_type"]) == ("in_progress", "upload")
    assert found["progress_percent"] == 25.0
    assert datetime.fromisoformat(found["started_at"]) <= datetime.now()  # noqa: DTZ005 - the same kind


def test_a_percent_is_a_number_that_knows_the_progress() -> None:
    made = progress()
    percent = Percent(made)
    assert f"{percent:.1f}%" == "25.0%"
    assert percent.progress_percent == 25.0
    assert (percent.current_chunk, percent.bytes_per_second) == (1, 10.0)
    assert isinstance(percent, StreamingProgress)
    assert percent.progress == made
    assert percent.to_dict() == made.to_dict()
    assert {percent: "a key"}[percent] == "a key"
    assert (percent.is_complete, percent.estimated_time_remaining) == (False, 15.0)
    with pytest.raises(AttributeError):
        percent.nothing  # type: ignore[attr-defined] # noqa: B018 - looking at it is the test


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda percent: pickle.loads(pickle.dumps(percent))],  # noqa: S301 - its own
)
def test_a_percent_can_be_copied_and_pickled(again: Any) -> None:
    made = again(Percent(progress()))
    assert (type(made), float(made), made.current_chunk) == (Percent, 25.0, 1)


@pytest.mark.parametrize(
    "name",
    [
        "DEFAULT_CHUNK_SIZE",
        "LARGE_CHUNK_SIZE",
        "SMALL_CHUNK_SIZE",
        "StreamingManager",
        "UnifiedDatabaseStrategy",
        "calculate_optimal_chunk_size",
        "create_streaming_manager",
        "format_bytes",
    ],
)
def test_the_first_documents_names_are_importable_from_here(name: str) -> None:
    assert getattr(operations, name) is getattr(uds3, name)


def test_another_name_is_not_importable_from_here() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        operations.nothing  # noqa: B018 - looking at it is the test


def test_a_result_is_a_mapping_and_a_truth_value() -> None:
    good, bad = (
        StreamingResult({"success": True}),
        StreamingResult({"success": False, "error": "x"}),
    )
    assert good
    assert not bad
    assert (bad["error"], len(bad), dict(bad)["success"]) == ("x", 2, False)
    assert "success" in repr(good)


class Told:
    def one(self, percent: float) -> None: ...

    def two(self, percent: float, operation: object) -> None: ...


@pytest.mark.parametrize(
    ("callback", "both"),
    [
        pytest.param(lambda p: None, False, id="one"),
        pytest.param(lambda p, o: None, True, id="two"),
        pytest.param(lambda p, operation=None: None, True, id="one and a default"),
        pytest.param(lambda p, *, name="x": None, False, id="one and a keyword"),
        pytest.param(lambda *all_: None, True, id="any"),
        pytest.param(Told().one, False, id="method of one"),
        pytest.param(Told().two, True, id="method of two"),
        pytest.param([].append, False, id="builtin"),
    ],
)
def test_a_callback_gets_as_much_as_it_takes(callback: Any, both: bool) -> None:
    assert takes_operation(callback) is both
