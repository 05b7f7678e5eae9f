"""Operations without a server: the same engine, on a data folder, inside this process.

Rules: a chunk with a checksum counts whole or not at all, and one that is wrong is sent again by
itself; what the ledger has is never sent again; an object takes its name in one step at the end, so
what had the name before stands until then. A file:// destination is written beside its name, and
renamed at last.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.core.digest import CRC64NVME, SHA256
from towpath.core.model import Object, OnConflict, Upload, UploadState
from towpath.core.ranges import Extent
from towpath.core.transfer import Write
from towpath.errors import Expired, NotFound, SourceChanged, StateConflict
from towpath.uds3 import house as houses
from towpath.uds3.carrier import Job, Rules, checksum_of
from towpath.uds3.destinations import FILE, file_of
from towpath.uds3.engine_checkpoints import EngineCheckpoints
from towpath.uds3.errors import StreamingTimeoutError
from towpath.uds3.files import Origin, fetch, part_of, place
from towpath.uds3.house import House
from towpath.uds3.records import Checkpoints, Record
from towpath.uds3.source import FileSource, behind

_DIALECT = "uds3"
_LOOK_SECONDS = 1.0  # between two looks at the clock while chunks are on their way


@dataclass(kw_only=True)
class _Piece:
    """Bytes start <= b < end of one chunk, on their way."""

    index: int
    start: int
    end: int
    failures: int = 0
    source: FileSource | None = None
    deadline: float = 0.0
    late: bool = False


class EngineCarrier:
    """A `Carrier` over the engine of a data folder. Raises what `house.enter` raises."""

    def __init__(self, house: House, rules: Rules) -> None:
        self._house = house
        self._rules = rules
        self._engine = house.service.engine
        self._shelf = house.service.shelf
        settings = house.settings
        self.folder = (settings.state or settings.data) / "operations"

    @property
    def checkpoints(self) -> Checkpoints:
        """Records as objects of the data folder."""
        return EngineCheckpoints(self._house)

    def upload(self, job: Job) -> None:
        record = job.record
        with open(record.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            record.insist_on_source(os.fstat(file.fileno()))
            upload, extent = self._begin(job)
            if upload.state is UploadState.OPEN:
                self._adopt(record, extent)
                job.moved()
                self._send(job, file.fileno(), extent)
                record.insist_on_source(os.fstat(file.fileno()))
            made = self._house.call(self._engine.complete(ANONYMOUS, record.key))
            record.transferred = record.total
            self._note(job, made)
        if record.address.startswith(FILE):
            place(self._origin(record.key), file_of(record.address, in_process=True), job.control)
            self._house.call(self._shelf.discard(ANONYMOUS, record.key))
            record.document_id = record.address

    def download(self, job: Job) -> None:
        fetch(self._origin(job.record.address), job)

    def undo(self, record: Record, *, tell: bool) -> None:
        if record.kind == "download":
            part_of(Path(record.path)).unlink(missing_ok=True)
            return
        placed = record.address.startswith(FILE)
        if placed:
            part_of(file_of(record.address, in_process=True)).unlink(missing_ok=True)
        if not record.key:
            return
        try:
            self._house.call(
                self._engine.cancel(ANONYMOUS, record.key, reason="its operation was given up")
            )
        except NotFound:  # it never was, or is gone
            return
        except StateConflict:  # it is an object; without a name nobody has seen it yet
            if not placed:
                raise
            self._house.call(self._shelf.discard(ANONYMOUS, record.key))
            return
        if tell and (upload := self._house.service.ledger.get(Upload, record.key)) is not None:
            self._house.tell_cancelled(upload)

    def verify(self, record: Record) -> bool:
        try:
            origin = self._origin(record.document_id)
        except (NotFound, FileNotFoundError):
            return False
        return origin.length == record.total and origin.is_sound(record.algorithm, record.checksum)

    def before_exit(self, call: Callable[[], None]) -> None:
        houses.before_exit(call)

    def close(self) -> None:
        houses.leave(self._house)

    # --- inside ------------------------------------------------------------------------------

    def _begin(self, job: Job) -> tuple[Upload, Extent]:
        """The upload as the ledger has it, or a new one."""
        record = job.record
        if record.key and not job.restart:
            try:
                upload, extent = self._house.call(self._engine.inspect(ANONYMOUS, record.key))
            except (NotFound, Expired):
                pass
            else:
                if upload.state is not UploadState.FAILED:
                    return upload, extent
        record.key = uuid4().hex if record.key else record.operation_id
        record.chunks.clear()
        job.save()  # the key is known before there is anything by it
        placed = record.address.startswith(FILE)
        new = NewUpload(
            id=record.key,
            length=record.total,
            name=None if placed else record.address,
            on_conflict=OnConflict.REPLACE,
            metadata=record.metadata_text(),
            dialect=_DIALECT,
            wants=(SHA256,) if record.algorithm == "sha256" else (),
            shares=False,
            completes=False,  # it is told to, once the source was seen not to have changed
        )
        self._house.call(self._engine.create(ANONYMOUS, new))
        return self._house.call(self._engine.inspect(ANONYMOUS, record.key))

    def _adopt(self, record: Record, extent: Extent) -> None:
        """Count as sent what is durable, and nothing else."""
        record.transferred = record.resumed_from = extent.total
        known, record.chunks = record.chunks, {}
        if not extent.total:
            return
        for index in range(record.chunks_total):
            chunk = known.get(index) or record.chunk(index)
            if not extent.absent(chunk.offset_bytes, chunk.offset_bytes + chunk.size_bytes):
                chunk.uploaded = True
                record.chunks[index] = chunk

    def _send(self, job: Job, handle: int, extent: Extent) -> None:
        """Send every missing byte, several chunks at once."""
        record, fresh = job.record, _pieces(job.record, extent)
        again: deque[_Piece] = deque()
        left: dict[int, int] = {}  # bytes of a chunk that are not durable
        flying: dict[Future[Upload], _Piece] = {}
        try:
            while True:
                job.control.check()
                while len(flying) < job.parallel:
                    piece = again.popleft() if again else next(fresh, None)
                    if piece is None:
                        break
                    record.insist_on_source(os.fstat(handle))
                    flying[self._start(job, handle, piece)] = piece
                if not flying:
                    return
                done, _ = wait(flying, min(self._rules.timeout, _LOOK_SECONDS), FIRST_COMPLETED)
                for future in done:
                    piece = flying.pop(future)
                    if self._landed(job, future, piece):
                        _count(record, extent, piece, left)
                        job.moved()
                    else:
                        again.append(piece)
                _stop_late(flying.values())
        finally:
            for piece in flying.values():
                if piece.source is not None:
                    piece.source.stop()
            wait(flying)

    def _start(self, job: Job, handle: int, piece: _Piece) -> Future[Upload]:
        algorithm = job.record.algorithm
        source = FileSource(handle, piece.start, piece.end, algorithm, job.control)
        piece.source, piece.late = source, False
        piece.deadline = time.monotonic() + self._rules.timeout
        write = Write(
            offset=piece.start,
            length=piece.end - piece.start,
            sequential=False,
            trailing=frozenset({CRC64NVME} if algorithm is not None else ()),
        )
        return self._house.submit(
            self._engine.write(ANONYMOUS, job.record.key, write, lambda: source, behind)
        )

    def _landed(self, job: Job, future: Future[Upload], piece: _Piece) -> bool:
        """True if the piece is durable; False if it is to be sent again, after a wait."""
        error = future.exception()
        if error is None:
            return True
        job.control.check()
        assert piece.source is not None  # noqa: S101 - it was started
        if piece.source.ran_dry:
            raise SourceChanged(f"{job.record.path} has become shorter while it was read.")
        if piece.late:
            error = StreamingTimeoutError(
                "A chunk took too long.", why=f"It may take {self._rules.timeout} seconds."
            )
        piece.failures += 1
        delay = self._rules.wait(error, piece.failures)
        job.record.retries += 1
        job.control.sleep(delay)
        return False

    def _note(self, job: Job, made: Object) -> None:
        """What is known of the whole file now."""
        record = job.record
        record.document_id, record.crc = made.id, f"{made.crc:016x}"
        if record.algorithm == "sha256" and made.sha256 is not None:
            record.checksum = made.sha256.hex()
        elif record.algorithm is not None:
            record.checksum = checksum_of(record.path, record.algorithm, job.control.check)

    def _origin(self, address: str) -> Origin:
        """What stands behind a name, an id or a file:// URL. Raises NotFound, StoreLost."""
        if address.startswith(FILE):
            return Origin.of_file(file_of(address, in_process=True))
        try:
            _, made = self._house.call(self._shelf.stat(ANONYMOUS, address))
            key = made.id
        except NotFound:
            key = address
        opened = self._house.call(self._shelf.open(ANONYMOUS, key))
        return Origin(opened.object.id, opened.object.length, opened.object.crc, opened.read)


def _pieces(record: Record, extent: Extent) -> Iterator[_Piece]:
    """What is missing, cut where chunks end."""
    for first, end in extent.missing(record.total):
        start = first
        while start < end:
            index = start // record.chunk_size
            stop = min(end, (index + 1) * record.chunk_size)
            yield _Piece(index=index, start=start, end=stop)
            start = stop


def _count(record: Record, extent: Extent, piece: _Piece, left: dict[int, int]) -> None:
    """A piece is durable."""
    size = piece.end - piece.start
    record.transferred += size
    chunk = record.chunk(piece.index)
    end = chunk.offset_bytes + chunk.size_bytes
    missing = left.pop(piece.index, None)
    missing = (extent.absent(chunk.offset_bytes, end) if missing is None else missing) - size
    if missing:
        left[piece.index] = missing
        return
    chunk.uploaded, chunk.retry_count = True, piece.failures
    if size == chunk.size_bytes and piece.source is not None:
        chunk.checksum = piece.source.checksum
    record.chunks[piece.index] = chunk


def _stop_late(pieces: Iterable[_Piece]) -> None:
    """End chunks that take too long."""
    for piece in pieces:
        if time.monotonic() > piece.deadline and piece.source is not None:
            piece.late = True
            piece.source.stop()
