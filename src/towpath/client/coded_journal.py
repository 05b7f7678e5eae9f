"""What a client remembers of a coded upload: the rows of the chunks that it sent.

Rules: a row is written before its chunk leaves, so that what the server has is known here; a row of
a chunk that did not arrive is overwritten; each has its CRC64NVME behind it, since a power cut may
leave anything, and rows from a torn one on are not read. No key is in it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from towpath.codec.manifest import ROW, Chunk, Table, row_of
from towpath.core.crc import crc

_HEAD = struct.Struct(">8s16sIBBH")  # magic, file id, chunk size, sealed, 0, bytes of the name
_CRC = 8
_MAGIC = b"towrows2"
_UNPROVEN = b"towrows1"  # of earlier versions: its rows have no CRC
_ANY_KEY = 256  # how many file keys there are is not known here


class Journal:
    """The rows of one upload in one file. `record`: the name of its keys' record, or empty."""

    def __init__(self, path: Path, file_id: bytes, chunk: int, record: str) -> None:
        self._path = path
        self.file_id = file_id
        self.chunk = chunk
        self.record = record
        self.table = Table(sealed=bool(record))
        self._rows_at, self._check = 0, _CRC

    @classmethod
    def begin(cls, path: Path, file_id: bytes, chunk: int, record: str) -> Journal:
        """A new one, in place of any that there was."""
        journal = cls(path, file_id, chunk, record)
        name = record.encode()
        head = _HEAD.pack(_MAGIC, file_id, chunk, bool(record), 0, len(name)) + name
        head += crc(memoryview(head)).to_bytes(_CRC, "big")
        journal._rows_at = len(head)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("wb") as file:
            path.chmod(0o600)
            file.write(head)
            file.flush()
            os.fsync(file.fileno())
        return journal

    @classmethod
    def load(cls, path: Path) -> Journal | None:
        """The one that is there; None if there is none that can be used."""
        try:
            data = path.read_bytes()
            magic, file_id, chunk, _, _, length = _HEAD.unpack_from(data)
        except (FileNotFoundError, struct.error):
            return None
        rows_at = _HEAD.size + length + _CRC
        head, check = data[: rows_at - _CRC], data[rows_at - _CRC : rows_at]
        if magic not in (_MAGIC, _UNPROVEN) or crc(memoryview(head)).to_bytes(_CRC, "big") != check:
            return None
        journal = cls(path, file_id, chunk, head[_HEAD.size :].decode())
        journal._rows_at, journal._check = rows_at, _CRC if magic == _MAGIC else 0
        journal.table = Table(sealed=bool(journal.record), rows=journal._whole(data))
        journal.table.cut(journal.table.sound(_ANY_KEY))
        return journal

    def _whole(self, data: bytes) -> bytes:
        """The rows before the first one that is torn."""
        rows, size = bytearray(), ROW.size + self._check
        for at in range(self._rows_at, len(data) - size + 1, size):
            row, check = data[at : at + ROW.size], data[at + ROW.size : at + size]
            if check and check != _checked(row):
                break
            rows += row
        return bytes(rows)

    def put(self, row: Chunk) -> None:
        """Remember a chunk before it is sent; one that was there is written over."""
        new = row.index == len(self.table)
        if new:
            self.table.append(row)
        else:
            self.table.put(row)
        at, said = self._rows_at + row.index * (ROW.size + self._check), row_of(row)
        with self._path.open("r+b") as file:
            if new:
                file.truncate(at)  # of rows that were cut
            file.seek(at)
            file.write(said + _checked(said) if self._check else said)


def sent(path: Path) -> int:
    """Plain bytes of the chunks that left, at most, as the journal's size tells; 0 without one."""
    try:
        with path.open("rb") as file:
            magic, _, chunk, _, _, length = _HEAD.unpack(file.read(_HEAD.size))
            rows = os.fstat(file.fileno()).st_size - _HEAD.size - length - _CRC
    except (FileNotFoundError, struct.error):
        return 0
    size = ROW.size + (_CRC if magic == _MAGIC else 0)
    return int(max(rows, 0) // size * chunk)


def _checked(row: bytes) -> bytes:
    return crc(memoryview(row)).to_bytes(_CRC, "big")
