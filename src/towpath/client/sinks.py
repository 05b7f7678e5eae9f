"""Carry one object to where it cannot be taken back from: an open file, a callback.

Rules: runs in one worker thread; a block is handed on once and in order, whatever breaks between;
all that came is compared with what the server announced, at the end: until then nothing is proven.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, cast

from towpath.client.control import Control
from towpath.client.memory import SHARED, Memory
from towpath.client.peer import Peer
from towpath.client.progress import Meter, TransferState
from towpath.client.reading import Reading
from towpath.client.results import DownloadResult
from towpath.client.retry import Patience
from towpath.errors import DigestMismatch, TransferError

Take = Callable[[memoryview], object]
"""Takes a block, which is its own only until it returns."""

Sink = BinaryIO | Take
"""Where a download goes to when it is no path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkTask:
    """What is to be downloaded, and who takes it."""

    id: str
    name: str  # on the server, or the URL of an object
    sink: Sink
    verify: bool = True


class SinkDownload:
    """One download on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: SinkTask,
        peer: Peer,
        control: Control,
        meter: Meter,
        memory: Memory = SHARED,
    ) -> None:
        self._task = task
        self._peer = peer
        self._memory = memory
        self._meter = meter
        self._control = control
        self._reading = Reading(
            peer, task.name, control, _no_patience, whole=True, on_retry=self._retried
        )
        self._waiting = False

    def run(self, patience: Patience) -> DownloadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        reading = self._reading
        reading.patience = lambda: patience
        reading.find()
        self._meter.total = reading.length
        self._meter.begin(reading.position)
        with self._block() as block:
            try:
                while taken := self._read(block):
                    self._hand_on(taken)
                    self._meter.moved(len(taken))
            finally:
                reading.hang_up()
        self._flush()
        self._meter.state(TransferState.COMPLETE)
        crc = reading.crc if self._task.verify else None
        return DownloadResult(
            transfer_id=self._task.id,
            name=self._task.name,
            path="-",
            url=reading.url,
            length=reading.length,
            crc64nvme=None if crc is None else f"{crc:016x}",
            verified=self._task.verify and reading.verified,
            resumed_from=self._meter.resumed_from,
            received_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )

    def discard(self) -> None:
        """What was handed on is no longer ours, and there is nothing else."""

    def _block(self) -> AbstractContextManager[memoryview]:
        """What the bytes pass through; none for chunks, which have their memory while it lasts."""
        if self._peer.coded(self._reading.url) is not None:
            return nullcontext(memoryview(b""))
        return self._memory.block(self._control.check)

    def _retried(self) -> None:
        self._waiting = True
        self._meter.retry()

    def _read(self, block: memoryview) -> memoryview:
        try:
            taken = self._reading.take(block)
        except DigestMismatch:
            if self._task.verify:
                raise
            return memoryview(b"")
        if self._waiting:
            self._waiting = False
            self._meter.state(TransferState.RUNNING)
        return taken

    def _hand_on(self, view: memoryview) -> None:
        sink = self._task.sink
        try:
            if callable(sink):
                sink(view)
                return
            while view:
                written = cast("int | None", sink.write(view))  # None: a raw file that is full
                if written is None and isinstance(sink, io.RawIOBase):
                    raise BlockingIOError("it takes nothing now")
                view = view[len(view) if written is None else written :]
        except Exception as error:
            raise _refused(error) from error

    def _flush(self) -> None:
        flush = getattr(self._task.sink, "flush", None)
        try:
            if flush is not None:
                flush()
        except Exception as error:
            raise _refused(error) from error


def _refused(error: Exception) -> TransferError:
    return TransferError(
        "What was downloaded was not taken.",
        why=f"{type(error).__name__}: {error}." if str(error) else f"{type(error).__name__}.",
    )


def _no_patience() -> Patience:
    return Patience(0)
