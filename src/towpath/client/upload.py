"""Carry one local file to the server: find the way, go on with what was begun, verify.

Rules: runs in one worker thread, or several below it; the file stays open from the first look at it
to the last; what the server says that it has is held against what was read here.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from towpath.client import elsewhere
from towpath.client.beginning import insist_on_same, new_note, tus_metadata
from towpath.client.blocks import Blocks
from towpath.client.control import Control
from towpath.client.memory import SHARED, Memory
from towpath.client.opened import open_source
from towpath.client.ordered_upload import OrderedUpload
from towpath.client.ordered_words import spoken_in
from towpath.client.peer import Peer
from towpath.client.progress import Meter, TransferState
from towpath.client.proof import recognised, remembered
from towpath.client.results import Arrived, UploadResult
from towpath.client.resume import JOINED, RANGES, WHOLE, Note, Notebook, Source
from towpath.client.retry import Patience
from towpath.client.tuning import PARALLEL_FROM
from towpath.client.whole import SMALL, WholeUpload
from towpath.client.withdraw import removed, terminate, withdraw
from towpath.errors import (
    DigestMismatch,
    TowpathError,
)

if TYPE_CHECKING:
    from towpath.client.joined_upload import JoinedUpload
    from towpath.client.parallel_upload import ParallelUpload


class UploadTask(NamedTuple):
    """What is to be uploaded, and how."""

    id: str
    path: str  # absolute
    name: str  # on the server
    metadata: Mapping[str, str] = MappingProxyType({})
    on_conflict: str = ""
    restart: bool = False  # forget what was sent before
    verify: bool = True
    chunk_size: int | None = None  # bytes of one request; None: all that is left, or as is best
    connections: int | None = None  # at most; 1: in order, by tus; None: MOST of tuning
    fingerprint: str = ""  # what it is known by on another machine


class Errand(NamedTuple):
    """One file to be carried, by whichever way, and all that it takes."""

    task: UploadTask
    peer: Peer
    notebook: Notebook
    control: Control
    meter: Meter
    memory: Memory
    file: io.FileIO  # open
    source: Source  # the state of the file as it was opened


class Upload:
    """One upload on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: UploadTask,
        peer: Peer,
        notebook: Notebook,
        control: Control,
        meter: Meter,
        memory: Memory = SHARED,
    ) -> None:
        self._task = task
        self._peer = peer
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._restart = task.restart

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        with self._notebook.lock(self._task.id), open_source(self._task.path) as file:
            self._source = Source.of(os.fstat(file.fileno()))
            self._meter.total = self._source.size
            note = self._recall(file)
            arrived = self._at_once(file, note, patience) or self._by_ways(file, note, patience)
            return self._finish(arrived, began)

    def discard(self) -> None:
        """Give the upload up: at the server too, if it can be reached; then forget it."""
        note = self._notebook.read(self._task.id)
        if note is not None:
            self._notebook.remove(note.id)
            if note.dialect == JOINED:
                terminate(self._peer, note)
            else:
                self._peer.ask("DELETE", note.url, spoken_in(note.dialect).asking, again=True)

    def _recall(self, file: io.FileIO) -> Note | None:
        """What an earlier run left. Raises SourceChanged when the file is not the same."""
        if self._restart:
            self._restart = False
            with suppress(TowpathError):  # the old upload waits on the server until it expires
                self.discard()
            self._known_by(file)
            return None
        note = self._notebook.read(self._task.id)
        if note is None or note.dialect == WHOLE:  # what goes whole cannot be there in part
            return self._from_elsewhere(file)
        insist_on_same(note, self._task)

        def crc(start: int, end: int) -> int:
            with self._memory.block(self._control.check) as buffer:
                return Blocks(file, buffer).crc(start, end, 0, self._control.check)

        known = remembered(note) if self._task.verify else None
        return recognised(note, self._source, known=known, crc=crc)

    def _known_by(self, file: io.FileIO) -> None:
        """Let other machines know it again, if it takes long enough to be left there."""
        if self._source.size >= PARALLEL_FROM:
            blocks = Blocks(file, memoryview(bytearray(elsewhere.SAMPLE)))
            mark = elsewhere.fingerprint(self._task, self._source.size, blocks)
            self._task = self._task._replace(fingerprint=mark)

    def _from_elsewhere(self, file: io.FileIO) -> Note | None:
        """A note of what another machine began and left."""
        self._known_by(file)
        task, check = self._task, self._control.check
        if not task.fingerprint or not task.verify:  # without a checksum nothing would be proven
            return None
        said, size = (elsewhere.FINGERPRINT, task.fingerprint), self._source.size
        found = elsewhere.left_elsewhere(self._peer, task.name, said, check, length=size)
        if found is None:
            return None
        many = task.connections != 1
        place = f"{'ranges' if many else 'files'}/{found.id}"
        return new_note(task, self._peer, self._source, place, RANGES if many else "")

    def _at_once(self, file: io.FileIO, note: Note | None, patience: Patience) -> Arrived | None:
        """In one request; None if it is not small, or begun, or the server does not know how."""
        if note is not None or self._source.size > min(SMALL, self._task.chunk_size or SMALL):
            return None
        way = WholeUpload(self._peer, self._notebook, self._control, self._meter, self._memory)
        metadata = tus_metadata(self._task, self._source)
        return way.run(self._task, file, self._source, metadata, patience)

    def _by_ways(self, file: io.FileIO, note: Note | None, patience: Patience) -> Arrived:
        """By many connections, if that is wanted and the server knows how; else by one."""
        begun = None if note is None else note.dialect
        many = note is None and self._task.connections != 1 and self._source.size >= PARALLEL_FROM
        errand = Errand(
            self._task,
            self._peer,
            self._notebook,
            self._control,
            self._meter,
            self._memory,
            file,
            self._source,
        )
        for way, dialect in _ways():
            if way is not OrderedUpload and not many and begun != dialect:
                continue
            arrived = way(errand).run(note, patience)
            if arrived is not None:
                return arrived
        raise AssertionError("the last way is for every server")  # pragma: no cover

    def _finish(self, arrived: Arrived, began: float) -> UploadResult:
        task, crc, theirs = self._task, arrived.ours, arrived.crc
        if crc is not None and theirs is not None and crc != theirs:
            self._mismatch(arrived, theirs, crc)
        self._notebook.remove(task.id)
        self._meter.state(TransferState.COMPLETE)
        return UploadResult(
            transfer_id=task.id,
            name=arrived.name or task.name,
            path=task.path,
            url=arrived.object,
            length=self._source.size,
            crc64nvme=None if crc is None else f"{crc:016x}",
            verified=crc is not None and theirs is not None,
            resumed_from=self._meter.resumed_from,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
            perhaps_twice=arrived.perhaps_twice,
        )

    def _mismatch(self, arrived: Arrived, theirs: int, ours: int) -> None:
        """The server has other bytes: take them away again and say so."""
        note = self._notebook.read(self._task.id)
        self._notebook.remove(self._task.id)
        gone = withdraw(self._peer, arrived.url, arrived.name or self._task.name)
        if note is not None and note.dialect == JOINED:
            with suppress(TowpathError):  # they wait on the server until they expire
                terminate(self._peer, note)
        raise DigestMismatch(
            f"What the server has of {self._task.path} are not its bytes.",
            why=f"Its CRC64NVME is {theirs:016x} there and {ours:016x} here.",
            todo=removed(gone=gone),
        )


def _ways() -> Iterator[tuple[type[ParallelUpload | JoinedUpload | OrderedUpload], str]]:
    """All ways, the best first, each loaded when the one before cannot be."""
    from towpath.client.parallel_upload import ParallelUpload  # noqa: PLC0415 - slow to import

    yield ParallelUpload, RANGES
    from towpath.client.joined_upload import JoinedUpload  # noqa: PLC0415 - slow to import

    yield JoinedUpload, JOINED
    yield OrderedUpload, ""
