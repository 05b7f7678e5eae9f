"""Operations without a server: the same engine, on a data folder, inside this process.

Rules: a chunk with a checksum counts whole or not at all, and one that is wrong is sent again by
itself; what the ledger has is never sent again; an object takes its name in one step at the end, so
what had the name before stands until then. A file:// destination is written beside its name, and
renamed at last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from towpath.client.coded_sending import Vanished
from towpath.codec import MEDIA_TYPES, PACKED, SEALED
from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.core.digest import CRC64NVME, SHA256
from towpath.core.model import Object, OnConflict, Upload
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import (
    DigestMismatch,
    Expired,
    NotFound,
    StateConflict,
    TowpathError,
    Unreadable,
    WrongKey,
)
from towpath.uds3 import house as houses
from towpath.uds3.carrier import Job, Rules, checksum_of
from towpath.uds3.coded_origin import decoded, record_beside, tail_of
from towpath.uds3.coded_upload import CodedUpload, rows_of
from towpath.uds3.coding import Key, insist_on_keys
from towpath.uds3.destinations import FILE, file_of, insist_on_place
from towpath.uds3.engine_checkpoints import EngineCheckpoints
from towpath.uds3.files import Origin, fetch, part_of, place
from towpath.uds3.flights import Flights, Piece
from towpath.uds3.house import House
from towpath.uds3.records import Checkpoints, Record, remove_file, source_of
from towpath.uds3.small_objects import Beside, SmallFiles, SmallObjects
from towpath.uds3.source import FileSource

_DIALECT = "uds3"


class EngineCarrier:
    """A `Carrier` over the engine of a data folder. Raises what `house.enter` raises."""

    def __init__(self, house: House, rules: Rules, keys: tuple[Key, ...] = ()) -> None:
        self._house = house
        self._rules = rules
        self._keys = keys
        self._engine = house.service.engine
        self._shelf = house.service.shelf
        self._small = SmallObjects(house)
        settings = house.settings
        self.folder = (settings.state or settings.data) / "operations"

    @property
    def checkpoints(self) -> Checkpoints:
        """Records as objects of the data folder."""
        return EngineCheckpoints(self._small)

    def upload(self, job: Job) -> None:
        record = job.record
        if record.address.startswith(FILE):
            insist_on_place(file_of(record.address, in_process=True), "destination")
        insist_on_keys(record.path, sealed=record.sealed, keys=self._keys)
        with open(record.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            stat = os.fstat(file.fileno())
            record.insist_on_source(stat)
            anew, record.source = job.restart or not record.is_surely(stat), source_of(stat)
            coded = self._coded(job) if record.coded else None
            upload, extent = self._begin(job, coded, anew=anew)
            if upload.state is UploadState.OPEN:
                try:
                    self._send(job, file.fileno(), extent, coded)
                except Vanished:  # of no use without what was written down here
                    _, extent = self._begin(job, coded, anew=True)
                    self._send(job, file.fileno(), extent, coded)
                record.insist_on_source(os.fstat(file.fileno()))
            made = self._house.call(self._engine.complete(ANONYMOUS, record.key))
            record.transferred = record.total
            self._note(job, made)
        rows_of(self.folder, record).unlink(missing_ok=True)
        if record.address.startswith(FILE):
            target = file_of(record.address, in_process=True)
            part = part_of(target, record.operation_id)
            replaced = self._keys_of(target)
            place(self._stored(record.key), target, part, job.control)
            self._house.call(self._shelf.discard(ANONYMOUS, record.key))
            if replaced and replaced != record.keys:
                SmallFiles(target.parent).remove(replaced)
            record.document_id = record.address

    def download(self, job: Job) -> None:
        insist_on_place(Path(job.record.path), "destination_path")
        fetch(self._origin(job.record.address), job)

    def undo(self, record: Record, *, tell: bool) -> None:
        if record.kind == "download":
            remove_file(part_of(Path(record.path), record.operation_id))
            return
        placed = record.address.startswith(FILE)
        if record.key:
            self._give_up(record, tell=tell)
        if placed:  # last: a part that cannot be removed keeps nothing else here
            target = file_of(record.address, in_process=True)
            remove_file(part_of(target, record.operation_id))

    def _give_up(self, record: Record, *, tell: bool) -> None:
        """Remove what the engine has of an upload. Raises StateConflict."""
        try:
            self._house.call(
                self._engine.cancel(ANONYMOUS, record.key, reason="its operation was given up")
            )
        except NotFound:  # it never was, or is gone
            tell = False
        except StateConflict:  # it is an object; without a name nobody has seen it yet
            upload = self._house.service.ledger.get(Upload, record.key)
            if upload is None or upload.name is not None:
                raise
            with suppress(NotFound):  # it stands in its place already
                self._house.call(self._shelf.discard(ANONYMOUS, record.key))
            tell = False
        self._drop(record)
        if tell and (upload := self._house.service.ledger.get(Upload, record.key)) is not None:
            self._house.tell_cancelled(upload)

    def verify(self, record: Record) -> bool:
        try:
            read = self._origin if record.coded else self._stored
            origin = read(record.document_id)
            sound = origin.is_sound(record.algorithm, record.checksum)
        except WrongKey:
            raise
        except (NotFound, FileNotFoundError, DigestMismatch, Unreadable):
            return False
        return origin.length == record.total and sound

    def before_exit(self, call: Callable[[], None]) -> None:
        houses.before_exit(call)

    def close(self) -> None:
        houses.leave(self._house)

    # --- uploads -----------------------------------------------------------------------------

    def _begin(self, job: Job, coded: CodedUpload | None, *, anew: bool) -> tuple[Upload, Extent]:
        """The upload as the ledger has it, or a new one."""
        record = job.record
        if record.key and not anew:
            try:
                upload, extent = self._house.call(self._engine.inspect(ANONYMOUS, record.key))
            except (NotFound, Expired):
                pass
            else:
                if upload.state is not UploadState.FAILED:
                    return upload, extent
        if record.key:
            with suppress(NotFound, StateConflict):  # what is an object stands until it is replaced
                self._house.call(self._engine.cancel(ANONYMOUS, record.key, reason="it began anew"))
            self._drop(record)
        record.key = uuid4().hex if record.key else record.operation_id
        record.chunks.clear()
        if coded is not None:
            coded.prepare()
        else:
            job.save()  # the key is known before there is anything by it
        self._house.call(self._engine.create(ANONYMOUS, self._new(record)))
        return self._house.call(self._engine.inspect(ANONYMOUS, record.key))

    def _new(self, record: Record) -> NewUpload:
        media_type, length = None, record.total
        if record.coded:
            media_type = SEALED if record.sealed else PACKED
        follows = record.algorithm == "sha256" and not record.coded
        return NewUpload(
            id=record.key,
            length=None if record.coded else length,
            name=None if record.address.startswith(FILE) else record.address,
            on_conflict=OnConflict.REPLACE,
            media_type=media_type,
            metadata=record.metadata_text(),
            dialect=_DIALECT,
            wants=(SHA256,) if follows else (),
            shares=False,
            completes=False,  # it is told to, once the source was seen not to have changed
        )

    def _send(self, job: Job, handle: int, extent: Extent, coded: CodedUpload | None) -> None:
        """Send every missing byte, several chunks at once."""
        record, flights = job.record, Flights(self._house, self._rules, job)
        if coded is not None:
            coded.send(handle, extent, flights)
            return
        _adopt(record, extent)
        job.moved()
        left: dict[int, int] = {}  # bytes of a chunk that are not durable

        def begin(piece: Piece) -> Write:
            record.insist_on_source(os.fstat(handle))
            algorithm = record.algorithm
            piece.source = FileSource(handle, piece.start, piece.end, algorithm, job.control)
            return Write(
                offset=piece.start,
                length=piece.end - piece.start,
                sequential=False,
                trailing=frozenset({CRC64NVME} if algorithm is not None else ()),
            )

        def landed(piece: Piece) -> None:
            _count(record, extent, piece, left)

        flights.carry(_pieces(record, extent), begin, landed, most=job.parallel)

    def _note(self, job: Job, made: Object) -> None:
        """What is known of the whole file now."""
        record = job.record
        record.document_id, record.crc = made.id, f"{made.crc:016x}"
        if record.algorithm == "sha256" and made.sha256 is not None and not record.coded:
            record.checksum = made.sha256.hex()
        elif record.algorithm is not None:
            record.checksum = checksum_of(record.path, record.algorithm, job.control.check)

    # --- coded ones --------------------------------------------------------------------------

    def _coded(self, job: Job) -> CodedUpload:
        record = job.record
        own = record.address
        if own.startswith(FILE):
            own = file_of(own, in_process=True).name
        return CodedUpload(job, self.folder, own, self._beside(record.address), self._keys)

    def _beside(self, address: str) -> Beside:
        """Where the record of a file's keys is."""
        if address.startswith(FILE):
            return SmallFiles(file_of(address, in_process=True).parent)
        return self._small

    def _drop(self, record: Record) -> None:
        """Remove what goes with a coded upload, unless there is an object that needs it."""
        if not record.coded:
            return
        rows_of(self.folder, record).unlink(missing_ok=True)
        if record.keys and not self._is_needed(record):
            self._beside(record.address).remove(record.keys)
        record.keys = ""

    def _keys_of(self, target: Path) -> str | None:
        """What the record of the keys of a file of this machine is called, if it has one."""
        with suppress(TowpathError, OSError):  # there is no such file, or nobody can tell
            stored = Origin.of_file(target)
            return record_beside(stored, SmallFiles(target.parent), target.name)
        return None

    def _is_needed(self, record: Record) -> bool:
        if self._house.service.ledger.get(Object, record.key) is not None:
            return True
        if not record.address.startswith(FILE):
            return False
        try:
            tail = tail_of(self._stored(record.address))
        except NotFound:
            return False
        except (TowpathError, OSError):  # nobody can tell
            return True
        return tail is not None and tail.head.record == record.keys

    # --- reading -----------------------------------------------------------------------------

    def _origin(self, address: str) -> Origin:
        """The file behind a name, an id or a file:// URL: what is coded is undone.

        Raises NotFound, StoreLost, Unreadable, WrongKey, DigestMismatch.
        """
        if address.startswith(FILE):
            stored, name = self._stored(address), file_of(address, in_process=True).name
            coded = tail_of(stored) is not None
        else:
            stored, media_type, name = self._opened(address)
            coded = media_type in MEDIA_TYPES
        return decoded(stored, self._keys, self._beside(address), name) if coded else stored

    def _stored(self, address: str) -> Origin:
        """What is stored there, as it is. Raises NotFound, StoreLost."""
        if address.startswith(FILE):
            return Origin.of_file(file_of(address, in_process=True))
        return self._opened(address)[0]

    def _opened(self, address: str) -> tuple[Origin, str | None, str]:
        """The object of a name or an id, its media type, and what it is called."""
        try:
            _, made = self._house.call(self._shelf.stat(ANONYMOUS, address))
            key = made.id
        except NotFound:
            key = address
        opened = self._house.call(self._shelf.open(ANONYMOUS, key))
        made = opened.object
        origin = Origin(made.id, made.length, made.crc, opened.read)
        return origin, made.media_type, opened.name or ""


def _adopt(record: Record, extent: Extent) -> None:
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


def _pieces(record: Record, extent: Extent) -> Iterator[Piece]:
    """What is missing, cut where chunks end."""
    for first, end in extent.missing(record.total):
        start = first
        while start < end:
            index = start // record.chunk_size
            stop = min(end, (index + 1) * record.chunk_size)
            yield Piece(index=index, start=start, end=stop)
            start = stop


def _count(record: Record, extent: Extent, piece: Piece, left: dict[int, int]) -> None:
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
    if size == chunk.size_bytes and isinstance(piece.source, FileSource):
        chunk.checksum = piece.source.checksum
    record.chunks[piece.index] = chunk
