"""The table of a file's chunks: where each lies, plain and stored, and how it is coded.

Rules: a row has a fixed size, so that a table of millions is one run of bytes; rows follow one
another without a gap; whatever a stranger's table says is checked whole before any row is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from towpath.codec.compress import framed_length
from towpath.codec.encrypt import sealed_length
from towpath.core.crc import combine
from towpath.core.limits import MIB
from towpath.errors import Unreadable

LONGEST_CHUNK = 64 * MIB
"""Plain bytes of one chunk, at most: a reader holds one in memory."""

LONGEST_TABLE = 64 * MIB
"""Bytes of a table, at most: 1.8 million chunks."""

ROW = struct.Struct(">QQBBHQQ")
"""Plain end, stored end, coding, number of the file key, 0, CRC64NVME plain and stored."""

_WHOLE = struct.Struct(">QQQQI")  # plain and stored length, plain and stored CRC64NVME, rows


class Coding(IntEnum):
    """How a chunk is coded before it is sealed."""

    RAW = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One row. Offsets and lengths are bytes; CRCs are CRC64NVME."""

    index: int
    start: int  # of its plain bytes in the file
    length: int
    stored_start: int  # of its coded bytes in the object
    stored_length: int
    coding: Coding
    key: int  # which of the file keys sealed it; 0 if none did
    crc: int
    stored_crc: int

    @property
    def end(self) -> int:
        """Where its plain bytes end."""
        return self.start + self.length

    @property
    def stored_end(self) -> int:
        """Where its coded bytes end."""
        return self.stored_start + self.stored_length


class Table:
    """The rows of one file. `sealed`: its chunks are encrypted."""

    def __init__(self, *, sealed: bool, rows: bytes = b"") -> None:
        self.sealed = sealed
        self._rows = bytearray(rows)

    def __len__(self) -> int:
        return len(self._rows) // ROW.size

    def __getitem__(self, index: int) -> Chunk:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, stored_start = self._ends(index - 1)
        end, stored_end, coding, key, _, crc, stored_crc = ROW.unpack_from(
            self._rows, index * ROW.size
        )
        return Chunk(
            index=index,
            start=start,
            length=end - start,
            stored_start=stored_start,
            stored_length=stored_end - stored_start,
            coding=Coding(coding),
            key=key,
            crc=crc,
            stored_crc=stored_crc,
        )

    @property
    def length(self) -> int:
        """Plain bytes of all chunks."""
        return self._ends(len(self) - 1)[0]

    @property
    def stored_length(self) -> int:
        """Coded bytes of all chunks."""
        return self._ends(len(self) - 1)[1]

    @property
    def longest(self) -> int:
        """Plain bytes of its longest chunk; 0 if it has none."""
        longest = before = 0
        for end, *_ in ROW.iter_unpack(self._rows):
            longest, before = max(longest, end - before), end
        return longest

    @property
    def compressed(self) -> bool:
        """Whether any of its chunks is."""
        return any(coding != Coding.RAW for _, _, coding, *_ in ROW.iter_unpack(self._rows))

    def _ends(self, index: int) -> tuple[int, int]:
        if index < 0:
            return 0, 0
        end, stored_end, *_ = ROW.unpack_from(self._rows, index * ROW.size)
        return end, stored_end

    def append(self, chunk: Chunk) -> None:
        """Add the next row."""
        self._rows += row_of(chunk)

    def put(self, chunk: Chunk) -> None:
        """Write the row of a chunk anew, which is as long as it was."""
        at = chunk.index * ROW.size
        self._rows[at : at + ROW.size] = row_of(chunk)

    def cut(self, count: int) -> None:
        """Forget the rows behind the first `count`."""
        del self._rows[count * ROW.size :]

    def at(self, offset: int) -> Chunk:
        """The chunk that has the plain byte `offset`. Raises IndexError behind the end."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._ends(middle)[0] <= offset:
                low = middle + 1
            else:
                high = middle
        return self[low]

    def rows_of_stored(self, stored: int) -> int | None:
        """How many whole chunks are the first `stored` bytes; None if they end inside one."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._ends(middle)[1] < stored:
                low = middle + 1
            else:
                high = middle
        count = 0 if stored == 0 else low + 1
        return count if count <= len(self) and self._ends(count - 1)[1] == stored else None

    def crcs(self) -> tuple[int, int]:
        """CRC64NVME of all plain and of all coded bytes."""
        whole, stored = 0, 0
        before, stored_before = 0, 0
        for end, stored_end, _, _, _, crc, stored_crc in ROW.iter_unpack(self._rows):
            whole = combine(whole, crc, end - before)
            stored = combine(stored, stored_crc, stored_end - stored_before)
            before, stored_before = end, stored_end
        return whole, stored

    def render(self) -> bytes:
        """The table as it is stored: what is true of the whole, then the rows."""
        whole, stored = self.crcs()
        head = _WHOLE.pack(self.length, self.stored_length, whole, stored, len(self))
        return head + self._rows

    @classmethod
    def parse(cls, data: bytes, *, sealed: bool, keys: int) -> Self:
        """Read a table. `keys`: how many file keys there are. Raises Unreadable."""
        if not _WHOLE.size <= len(data) <= LONGEST_TABLE:
            raise _unreadable("It is too short or too long.")
        length, stored_length, whole, stored, count = _WHOLE.unpack_from(data)
        if len(data) != _WHOLE.size + count * ROW.size:
            raise _unreadable(f"It says {count} chunks, and has another number.")
        table = cls(sealed=sealed, rows=data[_WHOLE.size :])
        table.check(keys)
        if (table.length, table.stored_length) != (length, stored_length):
            raise _unreadable("Its chunks are not as long as the whole.")
        if table.crcs() != (whole, stored):
            raise _unreadable("Its chunks' checksums are not that of the whole.")
        return table

    def check(self, keys: int) -> None:
        """Raises Unreadable unless every row follows the one before and is within the limits."""
        if (sound := self.sound(keys)) < len(self):
            raise _unreadable(f"The row of chunk {sound} cannot be.")

    def sound(self, keys: int) -> int:
        """How many of the first rows can be."""
        end = stored_end = 0
        for index, row in enumerate(ROW.iter_unpack(self._rows)):
            length, stored_length = row[0] - end, row[1] - stored_end
            end, stored_end = row[0], row[1]
            raw = sealed_length(length) if self.sealed else framed_length(length)
            good = (
                0 < length <= LONGEST_CHUNK
                and row[2] in (Coding.RAW, Coding.ZSTD)
                and (row[3] < keys if self.sealed else row[3] == 0)
                and row[4] == 0
                and (stored_length == raw if row[2] == Coding.RAW else 0 < stored_length < raw)
            )
            if not good:
                return index
        return len(self)


def row_of(chunk: Chunk) -> bytes:
    """A row as it is stored."""
    return ROW.pack(
        chunk.end, chunk.stored_end, chunk.coding, chunk.key, 0, chunk.crc, chunk.stored_crc
    )


def _unreadable(why: str) -> Unreadable:
    return Unreadable("The table of chunks cannot be read.", why=why)
