"""One operation of this process: its record, who wants it to stop, and who hears how far it is.

Rules: callbacks are called in the operation's thread, one after the other; what they do wrong is
logged and ends nothing; a checkpoint is written every so many chunks, and never takes more than a
small part of the time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from uuid import uuid4

from towpath.core.rate import Rate
from towpath.errors import StateConflict, TowpathError
from towpath.uds3.control import Control
from towpath.uds3.operations import (
    OperationStatus,
    OperationType,
    Percent,
    ProgressCallback,
    StreamingProgress,
    StreamingResult,
    now,
    with_operation,
)
from towpath.uds3.records import Record

_log = logging.getLogger(__name__)

_COST = 20.0  # times as long as a checkpoint took, until the next one
_MEASURED = 0.5  # seconds of moving before a time to the end is told
_RUNNING = frozenset({OperationStatus.PENDING, OperationStatus.IN_PROGRESS})


class Live:
    """An operation that this process knows."""

    def __init__(
        self,
        record: Record,
        *,
        callback: ProgressCallback | None = None,
        parallel: int = 1,
        rolls_back: bool = False,
    ) -> None:
        """`rolls_back`: whatever fails, nothing of it stays."""
        self.record = record
        self.control = Control()
        self.parallel = parallel
        self.rolls_back = rolls_back
        self.error: BaseException | None = None
        self.cleans = self.tells = False  # what a cancel is to do
        self.is_clean = False  # nothing of it is left
        self.future: Future[None] | None = None
        self.thread: int | None = None
        self._callback = None if callback is None else with_operation(callback)
        self._rate = Rate()
        self._looked, self._counted = time.monotonic(), 0
        self._kept, self._free = 0, 0.0  # chunks in the checkpoint; when the next may be written
        self._guard = threading.Lock()

    @property
    def is_running(self) -> bool:
        """True while its thread carries it, or it waits for one."""
        return self.future is not None and not self.future.done()

    @property
    def is_mine(self) -> bool:
        """True in the operation's own thread: in a callback."""
        return self.thread == threading.get_ident()

    def begin(self) -> None:
        """Its thread begins."""
        self.thread = threading.get_ident()
        self._looked, self._counted = time.monotonic(), self.record.transferred
        self._kept = self.record.chunks_completed
        self.enter(OperationStatus.IN_PROGRESS)

    def enter(self, status: OperationStatus) -> None:
        """It stands otherwise now; told at once."""
        self.record.status, self.record.updated_at = status, now()
        self.tell()

    def moved(self, save: Callable[[], None], interval: int) -> None:
        """More bytes are durable: count them, tell it, and keep it now and then."""
        record = self.record
        record.updated_at, at = now(), time.monotonic()
        with self._guard:
            count = max(record.transferred - self._counted, 0)
            self._rate.add(count, at - self._looked)
            self._looked, self._counted = at, record.transferred
        if record.chunks_completed - self._kept >= interval and at >= self._free:
            self._kept = record.chunks_completed
            save()
            self._free = time.monotonic() + _COST * (time.monotonic() - at)
        self.tell()

    def tell(self) -> None:
        """Call the callback."""
        if self._callback is None:
            return
        try:
            self._callback(Percent(self.progress()), self.record.operation())
        except Exception:  # noqa: BLE001 - a stranger's code; nothing of it may end a transfer
            _log.exception("The progress callback of %s failed.", self.record.operation_id)

    def progress(self) -> StreamingProgress:
        """How far it is."""
        record = self.record
        with self._guard:
            speed, seconds = self._rate.per_second, self._rate.seconds
        left: float | None = None
        if record.status is OperationStatus.COMPLETED:
            left = 0.0
        elif speed > 0 and seconds >= _MEASURED and record.status in _RUNNING:
            left = max(record.total - record.transferred, 0) / speed
        return StreamingProgress(
            operation_id=record.operation_id,
            operation_type=record.kind,
            status=record.status,
            total_bytes=record.total,
            transferred_bytes=record.transferred,
            chunk_count=record.chunks_total,
            current_chunk=record.chunks_completed,
            started_at=record.created_at,
            updated_at=record.updated_at,
            bytes_per_second=speed,
            estimated_time_remaining=left,
        )

    def result(self) -> StreamingResult:
        """What became of it."""
        record = self.record
        return StreamingResult(
            {
                "operation_id": record.operation_id,
                "status": record.status,
                "success": record.status is OperationStatus.COMPLETED,
                "error": record.error,
                "resumed_from_chunk": record.resumed_from // record.chunk_size,
                "resumed_from_bytes": record.resumed_from,
                "document_id": record.document_id,
                "destination": record.address if record.kind == "upload" else record.path,
                "file_path": record.path,
                "total_bytes": record.total,
                "transferred_bytes": record.transferred,
                "chunks_total": record.chunks_total,
                "chunks_completed": record.chunks_completed,
                "checksum": record.checksum,
            }
        )

    def raise_failure(self) -> None:
        """Raise what it ended with, if it has failed."""
        if self.record.status is OperationStatus.FAILED:
            raise self.error or StateConflict(
                "The operation has failed.",
                why=self.record.error or "",
                todo="Call restart_upload.",
            )


def failure(error: TowpathError, operation_id: str = "") -> StreamingResult:
    """The result of what could not even begin."""
    record = Record(
        operation_id=operation_id or uuid4().hex,
        kind=OperationType.UPLOAD,
        path="",
        address="",
        chunk_size=1,
        status=OperationStatus.FAILED,
        error=str(error),
    )
    return Live(record).result()
