"""A coded object, or a coded file of this machine, read as the file that it holds.

Rules: what says how to read is read first, and bounded; no byte of a chunk is handed out before
all of it is proven; memory holds one chunk, coded and plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from towpath.codec.beside import record_name
from towpath.codec.chunks import Decoder, Rooms
from towpath.codec.container import FOOTER, Footer, Head, Tail
from towpath.codec.manifest import Table
from towpath.codec.record import LONGEST_RECORD, KeyRecord
from towpath.errors import DigestMismatch, NotFound, StoreLost, Unreadable, WrongKey
from towpath.uds3.coding import Key, wrong_key
from towpath.uds3.files import Origin
from towpath.uds3.small_objects import Beside

_BLOCK = 1 << 20


def tail_of(origin: Origin) -> Tail | None:
    """What stands behind its chunks; None if it does not end as a coded file does.

    Raises Unreadable, DigestMismatch when it does, and is damaged.
    """
    length = origin.length
    if length < FOOTER.size:
        return None
    try:
        footer = Footer.parse(bytes(_all(origin, length - FOOTER.size, length)), length)
    except Unreadable:
        return None
    return Tail(bytes(_all(origin, footer.start, length)), length)


def decoded(origin: Origin, keys: Sequence[Key], beside: Beside, name: str) -> Origin:
    """The file that it holds. `beside`: where the record of its keys is; `name`: its own one now.

    Raises Unreadable, WrongKey, DigestMismatch, and NotFound when the record is not there.
    """
    tail = tail_of(origin)
    if tail is None:
        raise Unreadable("This cannot be read as a coded file.", why="It does not end as one does.")
    head, secrets = tail.head, list[bytes]()
    if head.sealed:
        try:
            secrets = _record_of(beside, head, name)[1].open(keys)
        except WrongKey as error:
            raise wrong_key(error) from error
    table = tail.table(secrets)

    def read(start: int, end: int) -> _Decoding:
        decoder = Decoder(head.file_id, secrets, chunks=len(table))
        return _Decoding(origin, decoder, table, start, end)

    return Origin(origin.id, table.length, table.crcs()[0], read)


def record_beside(origin: Origin, beside: Beside, name: str) -> str | None:
    """What the record of its keys is called, if it is encrypted and has one."""
    try:
        tail = tail_of(origin)
        if tail is not None and tail.head.sealed:
            return _record_of(beside, tail.head, name)[0]
    except (NotFound, Unreadable, DigestMismatch):  # whatever it is: no keys open it
        return None
    return None


def _record_of(beside: Beside, head: Head, name: str) -> tuple[str, KeyRecord]:
    """The record of its keys, and what it is called: beside it, or still where it was at first."""
    own = record_name(name, head.file_id)
    with suppress(NotFound, Unreadable):
        return own, key_record(beside, own, head.file_id)
    return head.record, key_record(beside, head.record, head.file_id)


def key_record(beside: Beside, name: str, file_id: bytes) -> KeyRecord:
    """The record of a file's keys. Raises NotFound, Unreadable."""
    data = beside.read(name, LONGEST_RECORD)
    if data is None:
        raise NotFound(
            "The record of the file's keys is not there.",
            why=f"It was called {name}.",
            todo="Put it back: without it nobody can read the file.",
        )
    record = KeyRecord.parse(data)
    if record.file_id != file_id:
        raise Unreadable(
            f"{name} has the keys of another file.", todo="Put the right record in its place."
        )
    return record


class _Decoding:
    """Bytes start <= b < end of the file, from its chunks."""

    file: tuple[int, int, int] | None = None

    def __init__(
        self, origin: Origin, decoder: Decoder, table: Table, start: int, end: int
    ) -> None:
        self._origin = origin
        self._decoder = decoder
        self._table = table
        size = Rooms.each(table.longest)
        self._rooms = Rooms(memoryview(bytearray(size)), memoryview(bytearray(size)))
        self._at = start
        self._end = end

    def __iter__(self) -> Iterator[memoryview]:
        while self._at < self._end:
            row = self._table.at(self._at)
            stored = _all(self._origin, row.stored_start, row.stored_end)
            plain = self._decoder.decode(row, stored, self._rooms)
            stop = min(self._end, row.end)
            while self._at < stop:
                first = self._at - row.start
                block = plain[first : min(first + _BLOCK, stop - row.start)]
                self._at += len(block)
                yield block

    def close(self) -> None:
        """Nothing is open between two chunks."""


def _all(origin: Origin, start: int, end: int) -> memoryview:
    """Bytes start <= b < end as they are stored. Raises StoreLost if they are not all there."""
    room, filled = memoryview(bytearray(end - start)), 0
    with closing(origin.read(start, end)) as reading:
        for block in reading:
            room[filled : filled + len(block)] = block
            filled += len(block)
    if filled < len(room):
        raise StoreLost(
            "A coded file is shorter than it was.",
            why=f"It ends at byte {start + filled}.",
            todo="Restore it from a copy.",
        )
    return room
