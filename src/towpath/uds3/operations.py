"""Operations as their callers see them: what they are, how they stand, how far they are.

Rules: values only; sizes in bytes; datetimes are naive and local, because callers subtract
`datetime.now()`. A snapshot never changes by itself: ask for a new one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from typing import Any, Self, cast


class OperationType(StrEnum):
    """Which way the bytes go."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


class OperationStatus(StrEnum):
    """Where an operation is on its way."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"  # asked for, or its process ended: it can go on
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


StreamingStatus = OperationStatus

ACTIVE = frozenset({OperationStatus.PENDING, OperationStatus.IN_PROGRESS, OperationStatus.PAUSED})


def now() -> datetime:
    """The time as all values here have it: naive and local."""
    return datetime.now()  # noqa: DTZ005 - callers subtract datetime.now()


@dataclass(kw_only=True)
class StreamingOperation:
    """An operation and how far it is. `checksum` is the whole file's, in hex, once it is known."""

    operation_id: str
    file_name: str
    total_size_bytes: int
    chunk_size_bytes: int
    chunks_total: int
    chunks_completed: int = 0
    status: OperationStatus = OperationStatus.PENDING
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    checksum: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class ChunkMetadata:
    """One chunk of an upload. `checksum` is in hex, None while it is not known."""

    chunk_index: int
    offset_bytes: int
    size_bytes: int
    checksum: str | None = None
    uploaded: bool = False
    retry_count: int = 0


@dataclass(kw_only=True)
class StreamingProgress:
    """How far an operation is. `current_chunk` counts the chunks that are done."""

    operation_id: str
    operation_type: OperationType
    status: OperationStatus
    total_bytes: int
    transferred_bytes: int = 0
    chunk_count: int = 0
    current_chunk: int = 0
    started_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    bytes_per_second: float = 0.0
    estimated_time_remaining: float | None = None  # seconds; None until it is measured

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        if self.is_complete:
            return 100.0
        return (
            min(100.0, self.transferred_bytes * 100 / self.total_bytes) if self.total_bytes else 0.0
        )

    @property
    def is_complete(self) -> bool:
        """True when every byte has arrived and was checked."""
        return self.status is OperationStatus.COMPLETED

    @property
    def is_failed(self) -> bool:
        """True when it has failed."""
        return self.status is OperationStatus.FAILED

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the fields by name, the properties, and times as ISO 8601 text."""
        found: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("started_at", "updated_at"):
            found[name] = found[name].isoformat()
        for name in ("operation_type", "status"):
            found[name] = found[name].value
        for name in ("progress_percent", "is_complete", "is_failed"):
            found[name] = getattr(self, name)
        return found


class Percent(float, StreamingProgress):
    """The progress in percent: a number, and the StreamingProgress itself."""

    def __new__(cls, progress: StreamingProgress) -> Self:
        """The percent of a progress."""
        return super().__new__(cls, progress.progress_percent)

    def __init__(self, progress: StreamingProgress) -> None:
        super().__init__(**{one.name: getattr(progress, one.name) for one in fields(progress)})

    def __reduce__(self) -> tuple[type[Self], tuple[StreamingProgress]]:
        """For copies and pickles: they are made from the progress, as this one is."""
        return type(self), (self.progress,)

    @property
    def progress(self) -> StreamingProgress:
        """The progress, without the number."""
        return StreamingProgress(**{one.name: getattr(self, one.name) for one in fields(self)})


class StreamingResult(Mapping[str, Any]):
    """What became of an operation: a mapping, and true if it succeeded.

    Keys: operation_id, status, success, error (None or text), resumed_from_chunk,
    resumed_from_bytes, document_id, destination, file_path, total_bytes, transferred_bytes,
    chunks_total, chunks_completed, checksum.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - values of several types
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __bool__(self) -> bool:
        return bool(self._values["success"])

    def __repr__(self) -> str:
        return f"StreamingResult({self._values!r})"


PercentCallback = Callable[[Percent], object]
OperationCallback = Callable[[Percent, StreamingOperation], object]
ProgressCallback = PercentCallback | OperationCallback
"""Takes (percent), or (percent, operation)."""


def takes_operation(callback: ProgressCallback) -> bool:
    """Tell whether the callback has two positional parameters, with defaults or without."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return True
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in places for each in parameters) >= 2


def with_operation(callback: ProgressCallback) -> OperationCallback:
    """A callback of two that calls this one with as much as it takes."""
    if takes_operation(callback):
        return cast("OperationCallback", callback)
    alone = cast("PercentCallback", callback)
    return lambda percent, _: alone(percent)


_FIRST_DOCUMENT = (
    "DEFAULT_CHUNK_SIZE",
    "LARGE_CHUNK_SIZE",
    "SMALL_CHUNK_SIZE",
    "StreamingManager",
    "UnifiedDatabaseStrategy",
    "calculate_optimal_chunk_size",
    "create_streaming_manager",
    "format_bytes",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes, functions and numbers
    """The names that the first document imports from here; later, since their modules need this."""
    if name not in _FIRST_DOCUMENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("towpath.uds3"), name)
