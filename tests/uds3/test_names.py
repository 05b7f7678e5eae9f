"""Every name of both interfaces, with its arguments in their order and their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from typing import Any

import pytest

from towpath import errors, uds3
from towpath.uds3 import (
    ChunkMetadata,
    StreamingManager,
    StreamingOperation,
    StreamingProgress,
    UnifiedDatabaseStrategy,
    operations,
)

NAMES = {
    "ChecksumMismatchError",
    "ChunkMetadata",
    "ChunkMetadataCorruptError",
    "DEFAULT_CHUNK_SIZE",
    "LARGE_CHUNK_SIZE",
    "NetworkError",
    "OperationStatus",
    "OperationType",
    "Percent",
    "ProgressCallback",
    "SMALL_CHUNK_SIZE",
    "SagaRollbackRequired",
    "StreamingManager",
    "StreamingOperation",
    "StreamingProgress",
    "StreamingResult",
    "StreamingStatus",
    "StreamingTimeoutError",
    "UnifiedDatabaseStrategy",
    "calculate_chunk_size",
    "calculate_optimal_chunk_size",
    "create_streaming_manager",
    "format_bytes",
}

CALLS: dict[Callable[..., Any], str] = {
    uds3.create_streaming_manager: "chunk_size=5242880 max_concurrent_operations=10 **options",
    uds3.calculate_optimal_chunk_size: ("file_size available_memory=None network_speed_mbps=None"),
    uds3.calculate_chunk_size: "file_size_bytes",
    uds3.format_bytes: "n",
    StreamingManager.upload_large_file: (
        "file_path destination chunk_size=None progress_callback=None metadata=None"
    ),
    StreamingManager.download_large_file: (
        "source output_path chunk_size=None progress_callback=None"
    ),
    StreamingManager.resume_upload: (
        "operation_id file_path=None destination=None progress_callback=None"
    ),
    StreamingManager.get_progress: "operation_id",
    StreamingManager.list_operations: "status=None",
    StreamingManager.cancel_operation: "operation_id cleanup=True notify_user=False",
    StreamingManager.pause_operation: "operation_id",
    StreamingManager.cleanup_completed_operations: "",
    StreamingManager.upload_file: (
        "file_path destination progress_callback=None metadata=None parallel=False encrypt=False"
    ),
    StreamingManager.download_file: "document_id destination_path progress_callback=None",
    StreamingManager.resume_download: "operation_id progress_callback=None",
    StreamingManager.get_operation: "operation_id",
    StreamingManager.verify_upload: "operation_id",
    StreamingManager.restart_upload: "operation_id",
    StreamingManager.list_active_operations: "",
    StreamingManager.wait_for_operations: "ids",
    StreamingManager.cleanup_old_operations: (
        "retention_days=None delete_checkpoints=True delete_metadata=True"
    ),
    UnifiedDatabaseStrategy.upload_large_file: (
        "file_path destination chunk_size=None progress_callback=None metadata=None"
    ),
    UnifiedDatabaseStrategy.download_large_file: (
        "source output_path chunk_size=None progress_callback=None"
    ),
    UnifiedDatabaseStrategy.resume_upload: (
        "operation_id file_path=None destination=None progress_callback=None"
    ),
    UnifiedDatabaseStrategy.get_streaming_status: "operation_id",
    UnifiedDatabaseStrategy.list_streaming_operations: "status=None",
    UnifiedDatabaseStrategy.cancel_streaming_operation: "operation_id",
}

FIELDS = {
    StreamingOperation: (
        "operation_id file_name total_size_bytes chunk_size_bytes chunks_total chunks_completed "
        "status created_at updated_at checksum metadata"
    ),
    ChunkMetadata: "chunk_index offset_bytes size_bytes checksum uploaded retry_count",
    StreamingProgress: (
        "operation_id operation_type status total_bytes transferred_bytes chunk_count "
        "current_chunk started_at updated_at bytes_per_second estimated_time_remaining"
    ),
}


def test_every_name_can_be_imported_and_no_other_one_is_offered() -> None:
    assert set(uds3.__all__) == NAMES
    assert all(hasattr(uds3, name) for name in NAMES)
    assert issubclass(uds3.OperationType, Enum)
    assert operations.OperationStatus is uds3.StreamingStatus


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__qualname__)
def test_a_call_takes_its_arguments_in_their_order(call: Callable[..., Any]) -> None:
    taken = []
    for each in inspect.signature(call).parameters.values():
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        default = "" if each.default is each.empty else f"={each.default}"
        if each.name != "self":
            taken.append(f"{stars}{each.name}{default}")
    assert " ".join(taken) == CALLS[call]


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_value_has_its_fields(kind: Any) -> None:
    assert [each.name for each in fields(kind)] == FIELDS[kind].split()


def test_an_error_says_what_failed_why_and_how_often_it_was_tried() -> None:
    error = uds3.SagaRollbackRequired("It was not uploaded.", "The disk is full.", 3)
    assert (error.message, error.reason, error.retry_count) == (
        "It was not uploaded.",
        "The disk is full.",
        3,
    )
    assert str(error) == "It was not uploaded. The disk is full."
    for kind in (
        uds3.ChecksumMismatchError,
        uds3.ChunkMetadataCorruptError,
        uds3.NetworkError,
        uds3.StreamingTimeoutError,
    ):
        assert issubclass(kind, errors.TowpathError)
        assert kind("x").operation_id == error.operation_id == ""
    assert issubclass(uds3.StreamingTimeoutError, TimeoutError)
    assert issubclass(uds3.ChecksumMismatchError, errors.DigestMismatch)


def test_what_is_not_there_is_not_stubbed() -> None:
    for kind in (StreamingManager, UnifiedDatabaseStrategy):
        assert not hasattr(kind, "stream_to_vector_db")
        assert not hasattr(kind, "upload_embeddings")
