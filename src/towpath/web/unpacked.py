"""Compressed files for readers who know nothing of chunks: undone on their way out.

Rules: a reader who says that it takes chunks (Accept) gets what is stored; a file is undone only if
that takes little memory, so small chunks, a small table, a few readers at once; each chunk is
proven before a byte of it leaves.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from towpath.codec import PACKED
from towpath.codec.chunks import Decoder, Rooms
from towpath.codec.container import FOOTER, Footer, Tail
from towpath.codec.manifest import Table
from towpath.core.limits import MIB
from towpath.engine.shelf import Opened
from towpath.errors import DigestMismatch, LimitReached, StoreLost, Unreadable
from towpath.protocol.message import Head
from towpath.store.base import Reading

MOST_READERS = 8
"""Files that are undone at once."""

LONGEST_CHUNK = 8 * MIB
"""Plain bytes of a chunk, at most: a reader holds one, coded and plain."""

LONGEST_TABLE = 4 * MIB
"""Bytes of a table, at most; a file with a longer one is served as it is stored."""

_BLOCK = 1 * MIB
_readers = threading.BoundedSemaphore(MOST_READERS)


def is_packed(opened: Opened) -> bool:
    """True if what a reader gets depends on what it accepts."""
    return opened.object.media_type == PACKED


async def for_reader(head: Head, opened: Opened) -> Opened:
    """The object as whoever asks can read it."""
    if not is_packed(opened) or PACKED in (head.get("accept") or ""):
        return opened
    return await asyncio.to_thread(unpacked, opened)


def unpacked(opened: Opened) -> Opened:
    """The file in an object of chunks; the object itself if it cannot be undone here. Blocks."""
    try:
        tail = _tail(opened)
        if tail is None:
            return opened
        table = tail.table([])
    except (Unreadable, DigestMismatch):  # whoever stored it called it what it is not
        return opened
    if table.longest > LONGEST_CHUNK:
        return opened
    shown = replace(
        opened.object,
        id=f"{opened.object.id}.file",  # another representation has another ETag
        length=table.length,
        crc=table.crcs()[0],
        digests="",
        sha256=None,
        media_type=None,
    )
    name = opened.name or opened.object.id
    return Unpacked(shown, opened.segments, name, opened.store, opened, tail.head.file_id, table)


@dataclass(frozen=True, slots=True)
class Unpacked(Opened):
    """An object of chunks that reads as the file that it holds."""

    packed: Opened
    file_id: bytes
    table: Table

    def read(self, start: int, end: int) -> Reading:
        """Bytes start <= b < end of the file. Raises LimitReached, StoreError."""
        if not _readers.acquire(blocking=False):
            raise LimitReached(
                "Too many compressed files are read now.",
                why=f"At most {MOST_READERS} are undone at once.",
                todo=f"Try again soon, or take it as it is stored (Accept: {PACKED}).",
            )
        return _Undoing(self, start, end)


class _Undoing:
    """Bytes of a file, from its chunks."""

    file: tuple[int, int, int] | None = None  # the kernel cannot undo them

    def __init__(self, source: Unpacked, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self._end = end
        self._closed = False

    def __iter__(self) -> Iterator[memoryview]:
        source, at = self._source, self._start
        decoder = Decoder(source.file_id, [], chunks=len(source.table))
        size = Rooms.each(source.table.longest)
        rooms = Rooms(memoryview(bytearray(size)), memoryview(bytearray(size)))
        while at < self._end:
            row = source.table.at(at)
            stored = _into(source.packed, row.stored_start, row.stored_end, rooms.first)
            try:
                plain = decoder.decode(row, stored, rooms)
            except DigestMismatch as error:
                raise StoreLost(error.what, why=error.why, todo=error.todo) from error
            stop = min(self._end, row.end)
            while at < stop:
                size = min(_BLOCK, stop - at)
                yield plain[at - row.start : at - row.start + size]
                at += size

    def close(self) -> None:
        """Let the next reader in. Idempotent."""
        if not self._closed:
            self._closed = True
            _readers.release()


def _tail(opened: Opened) -> Tail | None:
    """What stands behind the chunks; None if it is longer than is read here."""
    length = opened.object.length
    if length < FOOTER.size:
        return None
    footer = Footer.parse(_all(opened, length - FOOTER.size, length), length)
    if length - footer.start > LONGEST_TABLE:
        return None
    tail = Tail(_all(opened, footer.start, length), length)
    return None if tail.head.sealed else tail


def _all(opened: Opened, start: int, end: int) -> bytes:
    """Bytes start <= b < end as they are stored."""
    return bytes(_into(opened, start, end, memoryview(bytearray(end - start))))


def _into(opened: Opened, start: int, end: int, room: memoryview) -> memoryview:
    """The same, in `room`."""
    reading, at = opened.read(start, end), 0
    try:
        for block in reading:
            room[at : at + len(block)] = block
            at += len(block)
    finally:
        reading.close()
    return room[:at]
