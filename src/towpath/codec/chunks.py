"""One chunk there and back: compressed if that is worth it, sealed if there is a key, and proven.

Rules: compress first, then seal; a chunk that is undone is held against its row before a byte of it
is handed out; all is done in rooms that the caller gives, so that no third copy is ever made: in
two of them, or in one where each piece can be sealed as it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from towpath.codec.compress import compress, decompress, framed, unframed
from towpath.codec.encrypt import (
    chunk_context,
    in_pieces,
    open_room,
    sealed_length,
    sealing,
    unseal,
    unsealing,
)
from towpath.codec.manifest import Chunk, Coding
from towpath.core.crc import crc
from towpath.core.ranges import Span
from towpath.errors import DigestMismatch


class Rooms(NamedTuple):
    """Two pieces of memory that a chunk is coded or undone in."""

    first: memoryview
    second: memoryview

    @staticmethod
    def each(longest: int) -> int:
        """Bytes of each of them, for chunks of at most `longest` plain bytes."""
        return open_room(sealed_length(longest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a chunk stands: its number, its offsets in bytes, and whether it is the last one.

    It can be coded before it is known where in the object it goes.
    """

    index: int
    start: int
    final: bool
    stored_start: int = 0


class Coder:
    """Codes the chunks of one file.

    `level`: of zstd; 0: they are not compressed. `key`: the file key and its number; None leaves
    the chunks open.
    """

    def __init__(self, file_id: bytes, *, level: int, key: tuple[int, bytes] | None) -> None:
        self._file_id = file_id
        self._level = level
        self._key = key

    @property
    def by_pieces(self) -> bool:
        """Whether nothing looks at a whole chunk before it is coded: `code_pieces` will do."""
        return self._key is not None and not self._level

    def code(self, plain: memoryview, place: Place, rooms: Rooms) -> tuple[Chunk, memoryview]:
        """The row and the coded bytes of a chunk, which lie in one of the rooms.

        `plain` is in the first room, or in none; there it is gone then.
        """
        packed = compress(plain, rooms.second, self._level) if self._level else None
        if self._key is None:
            stored = framed(plain, rooms.second) if packed is None else packed
            whole, stored_crc = crc(plain), crc(stored)
        elif packed is None:
            return self.code_pieces(in_pieces(plain), place, rooms.second)
        else:
            whole = crc(plain)  # before its room is used again
            stored, _, stored_crc = self._sealed(
                self._key[1], in_pieces(packed), place, rooms.first
            )
        coding = Coding.RAW if packed is None else Coding.ZSTD
        return self._row(place, Span(0, len(plain), whole), coding, stored, stored_crc), stored

    def code_pieces(
        self, pieces: Iterable[memoryview], place: Place, room: memoryview
    ) -> tuple[Chunk, memoryview]:
        """The same for a chunk that comes in pieces, where `by_pieces` says so.

        A piece is done with when the next is asked for. What is coded lies in `room`.
        """
        assert self._key is not None  # noqa: S101 - else nothing is `by_pieces`
        stored, plain, stored_crc = self._sealed(self._key[1], pieces, place, room)
        return self._row(place, plain, Coding.RAW, stored, stored_crc), stored

    def _row(
        self, place: Place, plain: Span, coding: Coding, stored: memoryview, stored_crc: int
    ) -> Chunk:
        return Chunk(
            index=place.index,
            start=place.start,
            length=plain.end,
            stored_start=place.stored_start,
            stored_length=len(stored),
            coding=coding,
            key=0 if self._key is None else self._key[0],
            crc=plain.crc,
            stored_crc=stored_crc,
        )

    def _sealed(
        self, key: bytes, pieces: Iterable[memoryview], place: Place, room: memoryview
    ) -> tuple[memoryview, Span, int]:
        """A sealed message in `room`; length and CRC64NVME of what is in it, and its own CRC."""
        context = chunk_context(self._file_id, place.index, final=place.final)
        inner = outer = length = end = 0
        for piece, sealed in sealing(key, context, pieces, room):
            inner, outer = crc(piece, inner), crc(sealed, outer)
            length += len(piece)
            end += len(sealed)
        return room[:end], Span(0, length, inner), outer


class Decoder:
    """Undoes chunks of one file. `keys`: its file keys; without one the chunks are open."""

    def __init__(self, file_id: bytes, keys: Sequence[bytes], *, chunks: int) -> None:
        self._file_id = file_id
        self._keys = keys
        self._chunks = chunks

    def decode(self, row: Chunk, stored: memoryview, rooms: Rooms) -> memoryview:
        """The plain bytes of a chunk, which lie in one of the rooms.

        `stored` is in the first room, or in none. Raises DigestMismatch when what comes of it are
        not the bytes of its row.
        """
        if len(stored) != row.stored_length or crc(stored) != row.stored_crc:
            raise _wrong(row, "What is stored are not the bytes that were written.")
        try:
            plain = self._undone(row, stored, rooms)
        except DigestMismatch as error:
            raise _wrong(row, error.why) from error
        return _proven(row, plain)

    def decode_pieces(
        self, row: Chunk, pieces: Iterable[memoryview], room: memoryview
    ) -> memoryview:
        """The same of a chunk that is only sealed, and comes in pieces, done with one by one.

        What is plain lies in `room`, which has the length of one of `Rooms`.
        """
        whole = 0

        def summed() -> Iterator[memoryview]:
            nonlocal whole
            for piece in pieces:
                whole = crc(piece, whole)
                yield piece

        try:
            plain = unsealing(self._keys[row.key], self._context(row), summed(), room)
        except DigestMismatch as error:
            raise _wrong(row, error.why) from error
        if whole != row.stored_crc:
            raise _wrong(row, "What is stored are not the bytes that were written.")
        return _proven(row, plain)

    def _context(self, row: Chunk) -> bytes:
        return chunk_context(self._file_id, row.index, final=row.index == self._chunks - 1)

    def _undone(self, row: Chunk, stored: memoryview, rooms: Rooms) -> memoryview:
        if not self._keys:
            undo = decompress if row.coding is Coding.ZSTD else unframed
            return undo(stored, row.length, rooms.second)
        opened = unseal(self._keys[row.key], self._context(row), stored, rooms.second)
        return decompress(opened, row.length, rooms.first) if row.coding is Coding.ZSTD else opened


def _proven(row: Chunk, plain: memoryview) -> memoryview:
    if len(plain) != row.length or crc(plain) != row.crc:
        raise _wrong(row, "What comes of it are not the bytes of the file.")
    return plain


def _wrong(row: Chunk, why: str) -> DigestMismatch:
    return DigestMismatch(
        f"Chunk {row.index} is damaged, or stands in the wrong place.",
        why=why,
        todo="Nothing of it was kept. Send the file again from a sound copy.",
    )
