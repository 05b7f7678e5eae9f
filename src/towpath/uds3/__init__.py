"""Streaming operations under the names that users of UDS3 know, in process or against a server.

Rules: words of another interface (operation, manager, saga) live in this package and nowhere else;
below it everything is the engine's and the client's.
"""

from towpath.uds3.errors import (
    ChecksumMismatchError,
    ChunkMetadataCorruptError,
    NetworkError,
    SagaRollbackRequired,
    StreamingTimeoutError,
)
from towpath.uds3.manager import StreamingManager, create_streaming_manager
from towpath.uds3.operations import (
    ChunkMetadata,
    OperationStatus,
    OperationType,
    Percent,
    ProgressCallback,
    StreamingOperation,
    StreamingProgress,
    StreamingResult,
    StreamingStatus,
)
from towpath.uds3.sizes import (
    DEFAULT_CHUNK_SIZE,
    LARGE_CHUNK_SIZE,
    SMALL_CHUNK_SIZE,
    calculate_chunk_size,
    calculate_optimal_chunk_size,
    format_bytes,
)
from towpath.uds3.strategy import UnifiedDatabaseStrategy

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "LARGE_CHUNK_SIZE",
    "SMALL_CHUNK_SIZE",
    "ChecksumMismatchError",
    "ChunkMetadata",
    "ChunkMetadataCorruptError",
    "NetworkError",
    "OperationStatus",
    "OperationType",
    "Percent",
    "ProgressCallback",
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
]
