"""One chunk there and back: compressed if that is worth it, sealed if there is a key, and proven.

Rules: compress first, then seal; a chunk that is undone is held against its row before a byte of it
is handed out; buffers are reused, so what is returned is valid until the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from towpath.codec.compress import compress, decompress, framed
from towpath.codec.encrypt import Opener, Sealer, chunk_context
from towpath.codec.manifest import Chunk, Coding
from towpath.core.digest import crc
from towpath.errors import DigestMismatch


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
    """Codes the chunks of one file, of at most `longest` plain bytes each.

    `level`: of zstd; 0: they are not compressed. `key`: the file key and its number; None leaves
    the chunks open.
    """

    def __init__(
        self, file_id: bytes, longest: int, *, level: int, key: tuple[int, bytes] | None
    ) -> None:
        self._file_id = file_id
        self._level = level
        self._key = key
        self._sealer = Sealer(longest) if key is not None else None

    def code(self, plain: memoryview, place: Place) -> tuple[Chunk, memoryview]:
        """The row and the coded bytes of a chunk."""
        packed = compress(plain, self._level) if self._level else None
        coding = Coding.RAW if packed is None else Coding.ZSTD
        stored = plain if packed is None else memoryview(packed)
        number = 0
        if self._key is not None and self._sealer is not None:
            number, key = self._key
            context = chunk_context(self._file_id, place.index, final=place.final)
            stored = self._sealer.seal(key, context, stored)
        elif packed is None:
            stored = memoryview(framed(plain))
        row = Chunk(
            index=place.index,
            start=place.start,
            length=len(plain),
            stored_start=place.stored_start,
            stored_length=len(stored),
            coding=coding,
            key=number,
            crc=crc(plain),
            stored_crc=crc(stored),
        )
        return row, stored


class Decoder:
    """Undoes chunks of one file. `keys`: its file keys; without one the chunks are open."""

    def __init__(self, file_id: bytes, keys: Sequence[bytes], *, chunks: int) -> None:
        self._file_id = file_id
        self._keys = keys
        self._chunks = chunks
        self._opener: tuple[int, Opener] | None = None

    def decode(self, row: Chunk, stored: memoryview) -> memoryview:
        """The plain bytes of a chunk. Raises DigestMismatch when they are not those of its row."""
        if len(stored) != row.stored_length or crc(stored) != row.stored_crc:
            raise _wrong(row, "What is stored are not the bytes that were written.")
        try:
            packed = self._open(row, stored) if self._keys else stored
            if row.coding is Coding.ZSTD or not self._keys:
                packed = memoryview(decompress(packed, row.length))
        except DigestMismatch as error:
            raise _wrong(row, error.why) from error
        if len(packed) != row.length or crc(packed) != row.crc:
            raise _wrong(row, "What comes of it are not the bytes of the file.")
        return packed

    def _open(self, row: Chunk, stored: memoryview) -> memoryview:
        if self._opener is None or self._opener[0] < len(stored):
            self._opener = len(stored), Opener(len(stored))
        context = chunk_context(self._file_id, row.index, final=row.index == self._chunks - 1)
        return self._opener[1].open(self._keys[row.key], context, stored)


def _wrong(row: Chunk, why: str) -> DigestMismatch:
    return DigestMismatch(
        f"Chunk {row.index} is damaged, or stands in the wrong place.",
        why=why,
        todo="Nothing of it was kept. Send the file again from a sound copy.",
    )
