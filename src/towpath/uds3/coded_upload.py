"""One coded upload into a data folder: its chunks in their order, then the table of them.

Rules: the record of the keys is durable before the first chunk; a row is written down before its
chunk is sent; a chunk counts whole or not at all, and is sent again as it was coded; chunks are
coded one after the other and sent side by side. docs/reference/format.md is exact about the bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.client.coded_journal import Journal
from towpath.client.coded_sending import Vanished, missing
from towpath.codec.beside import record_name
from towpath.codec.chunks import Coder, Place, Rooms
from towpath.codec.container import Head, render
from towpath.codec.encrypt import new_file_id, new_file_key
from towpath.codec.manifest import Chunk, Table
from towpath.codec.record import KeyRecord
from towpath.core.crc import crc
from towpath.core.digest import CRC64NVME, crc_bytes
from towpath.core.names import check_name
from towpath.core.ranges import Extent
from towpath.core.transfer import Write
from towpath.errors import NotFound, SourceChanged, WrongKey
from towpath.uds3.carrier import Job
from towpath.uds3.coded_origin import key_record
from towpath.uds3.coding import Key, wrong_key
from towpath.uds3.flights import Flights, Piece
from towpath.uds3.records import Record
from towpath.uds3.small_objects import Beside
from towpath.uds3.source import BytesSource

_HELD = 64 << 20  # bytes of coded chunks on their way at once, unless one has more
_READ = 1 << 20  # bytes at once, between two looks at what is wished


@dataclass(kw_only=True)
class _Coded(Piece):
    """A coded chunk, or with `declares` the table, which ends the object there."""

    stored: memoryview
    crc: int
    declares: int | None = None
    row: Chunk | None = None
    rooms: Rooms | None = None
    checksum: str | None = None


class CodedUpload:
    """An upload of coded chunks. `own`: what the file is called, beside which its keys stand."""

    def __init__(
        self, job: Job, folder: Path, own: str, beside: Beside, keys: Sequence[Key]
    ) -> None:
        self._job = job
        self._folder = folder
        self._own = own
        self._beside = beside
        self._keys = keys
        self._key: tuple[int, bytes] | None = None  # number and file key

    def prepare(self) -> None:
        """Write down what must be known before the upload is there. Raises Malformed."""
        record, file_id = self._job.record, new_file_id()
        record.keys = ""
        if record.sealed:
            name = check_name(record_name(self._own, file_id))
            while self._beside.read(name, 0) is not None:  # never another file's
                file_id = new_file_id()
                name = check_name(record_name(self._own, file_id))
            record.keys = name
        self._job.save()  # what is to be removed is known before it is there
        Journal.begin(rows_of(self._folder, record), file_id, record.chunk_size, record.keys)
        if record.sealed:
            self._key = 0, new_file_key()
            made = KeyRecord(file_id=file_id).added(self._key[1], self._keys)
            self._beside.write(record.keys, made.render())

    def send(self, handle: int, extent: Extent, flights: Flights) -> None:
        """Send what is not in the extent. Raises Vanished if nothing can be made of what is."""
        record = self._job.record
        journal = Journal.load(rows_of(self._folder, record))
        if journal is None or (journal.chunk, journal.record) != (record.chunk_size, record.keys):
            raise Vanished
        durable = [(span.start, span.end) for span in extent.spans()]
        if durable and durable[-1][1] > journal.table.stored_length:
            raise Vanished
        key = self._file_key(journal)
        holes = missing(journal.table, extent.offset, lambda: durable)
        _adopt(record, journal.table, holes)
        self._job.moved()
        sending = _Sending(self._job, handle, journal, key)
        flights.carry(sending.chunks(holes), sending.begin, sending.landed, most=len(sending.rooms))
        flights.carry(iter([sending.table()]), sending.begin, sending.landed, most=1)

    def _file_key(self, journal: Journal) -> tuple[int, bytes] | None:
        """The key of the chunks to come, and its number. Raises WrongKey, Unreadable, Vanished."""
        if not journal.record:
            return None
        if self._key is None:
            try:
                found = key_record(self._beside, journal.record, journal.file_id).open(self._keys)
            except NotFound as error:
                raise Vanished from error
            except WrongKey as error:
                raise wrong_key(error) from error
            self._key = len(found) - 1, found[-1]
        return self._key


class _Sending:
    """One run over the chunks that are missing."""

    def __init__(
        self, job: Job, handle: int, journal: Journal, key: tuple[int, bytes] | None
    ) -> None:
        self._job = job
        self._record = job.record
        self._handle = handle
        self._journal = journal
        self._key = key
        longest = min(journal.chunk, job.record.total)
        size, count = Rooms.each(longest), max(1, min(job.parallel, _HELD // (2 * journal.chunk)))
        self._room = memoryview(bytearray(longest))
        self._coder = Coder(journal.file_id, level=job.record.level, key=key)
        self.rooms = [
            Rooms(memoryview(bytearray(size)), memoryview(bytearray(size))) for _ in range(count)
        ]

    def chunks(self, holes: Sequence[Chunk]) -> Iterator[_Coded]:
        """What fills the holes, then what is behind the last row; coded when it is asked for."""
        table, total = self._journal.table, self._record.total
        for hole in holes:
            place = Place(index=hole.index, start=hole.start, final=hole.end == total)
            yield self._coded(place, hole.length, hole)
        while (start := table.length) < total:
            length = min(self._journal.chunk, total - start)
            final = start + length == total
            yield self._coded(Place(index=len(table), start=start, final=final), length, None)

    def table(self) -> _Coded:
        """What stands behind the chunks: with it the upload is filled."""
        journal, record = self._journal, self._record
        number, secret = self._key if self._key is not None else (0, None)
        head = Head(file_id=journal.file_id, sealed=record.sealed, key=number, record=record.keys)
        stored = memoryview(render(head, journal.table, secret))
        start = journal.table.stored_length
        end = start + len(stored)
        return _Coded(index=-1, start=start, end=end, stored=stored, crc=crc(stored), declares=end)

    def begin(self, piece: _Coded) -> Write:
        """How it is written: whole or not at all."""
        piece.source = BytesSource(piece.stored)
        return Write(
            offset=piece.start,
            length=len(piece.stored),
            sequential=False,
            declares=piece.declares,
            digests={CRC64NVME: crc_bytes(piece.crc)},
        )

    def landed(self, piece: _Coded) -> None:
        """It is durable."""
        record, row = self._record, piece.row
        if row is None or piece.rooms is None:
            return
        chunk = record.chunk(row.index)
        chunk.uploaded, chunk.retry_count, chunk.checksum = True, piece.failures, piece.checksum
        record.chunks[row.index] = chunk
        record.transferred += row.length
        self.rooms.append(piece.rooms)

    def _coded(self, place: Place, length: int, hole: Chunk | None) -> _Coded:
        """Read and code a chunk, and write down its row."""
        rooms, table = self.rooms.pop(), self._journal.table
        plain = self._room[:length]
        self._read(plain, place.start)
        row, stored = self._coder.code(plain, place, rooms)
        if hole is not None and row.stored_length != hole.stored_length:
            raise Vanished  # another zstd than before: it fits no more
        start = table.stored_length if hole is None else hole.stored_start
        row = replace(row, stored_start=start)
        self._journal.put(row)
        algorithm, checksum = self._record.algorithm, None
        if algorithm is not None:
            checksum = hashlib.new(algorithm, plain, usedforsecurity=False).hexdigest()
        return _Coded(
            index=row.index,
            start=row.stored_start,
            end=row.stored_end,
            stored=stored,
            crc=row.stored_crc,
            row=row,
            rooms=rooms,
            checksum=checksum,
        )

    def _read(self, room: memoryview, start: int) -> None:
        """Read a chunk, and see that the file is what it was."""
        filled, record = 0, self._record
        while filled < len(room):
            self._job.control.check()
            block = room[filled : filled + _READ]
            count = os.preadv(self._handle, [block], start + filled)
            if not count:
                raise SourceChanged(f"{record.path} has become shorter while it was read.")
            filled += count
        record.insist_on_source(os.fstat(self._handle))


def rows_of(folder: Path, record: Record) -> Path:
    """The file with the rows of an upload."""
    return folder / f"{record.key}.chunks"


def _adopt(record: Record, table: Table, holes: Sequence[Chunk]) -> None:
    """Count as sent what is durable, and nothing else."""
    absent = {hole.index for hole in holes}
    known, record.chunks = record.chunks, {}
    for index in range(len(table)):
        if index not in absent:
            chunk = known.get(index) or record.chunk(index)
            chunk.uploaded = True
            record.chunks[index] = chunk
    record.transferred = record.resumed_from = table.length - sum(hole.length for hole in holes)
