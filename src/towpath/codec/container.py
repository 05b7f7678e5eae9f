"""A file of coded chunks as one object: the chunks, the table behind them, and a footer.

Rules: what says how to read stands at the end, because it is known last; a footer of fixed size
leads to it; the head of the table is open, so that a reader knows which keys it needs, and the
sealed table is bound to it. All of it is a frame that zstd programs pass over.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from towpath.codec.compress import SKIPPED, skippable
from towpath.codec.encrypt import (
    manifest_context,
    open_room,
    seal,
    seal_room,
    sealed_length,
    unseal,
)
from towpath.codec.manifest import LONGEST_TABLE, Table
from towpath.core.crc import crc
from towpath.core.names import check_name
from towpath.errors import DigestMismatch, Malformed, Unreadable

VERSION = 1

FOOTER = struct.Struct(">8sHHIQ")
"""Magic, version, bytes of the head, bytes of the table, CRC64NVME of all that before it."""

_MAGIC = b"towcoded"
_COVERED = FOOTER.size - 8  # bytes of the footer that its CRC covers
_HEAD = struct.Struct(">16sBBH")  # file id, sealed, number of the table's key, bytes of the name
_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What anybody may know of a coded file. `record`: the name of the record with its keys."""

    file_id: bytes
    sealed: bool = False
    key: int = 0  # which of the file keys sealed the table
    record: str = ""

    def render(self) -> bytes:
        """The head as it is stored."""
        name = self.record.encode()
        return _HEAD.pack(self.file_id, self.sealed, self.key, len(name)) + name

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a head. Raises Unreadable."""
        if len(data) < _HEAD.size:
            raise _unreadable("Its head is too short.")
        file_id, sealed, key, length = _HEAD.unpack_from(data)
        name = data[_HEAD.size :]
        if len(name) != length or length > _LONGEST_NAME or sealed > 1:
            raise _unreadable("Its head cannot be.")
        if bool(sealed) != bool(length) or (key and not sealed):
            raise _unreadable("Its head contradicts itself.")
        try:
            record = name.decode()
            if record:
                check_name(record, longest=_LONGEST_NAME)
        except (UnicodeDecodeError, Malformed):
            raise _unreadable("The record of its keys has no name that can be.") from None
        return cls(file_id=file_id, sealed=bool(sealed), key=key, record=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """Where the table of an object is, and how long head and table are. All in bytes."""

    start: int  # where the chunks end
    head: int
    table: int

    @classmethod
    def parse(cls, data: bytes, object_length: int) -> Self:
        """Read the last FOOTER.size bytes of an object. Raises Unreadable."""
        if len(data) != FOOTER.size or object_length < FOOTER.size:
            raise _unreadable("It is too short.")
        magic, version, head, table, _ = FOOTER.unpack(data)
        if magic != _MAGIC:
            raise _unreadable("It does not end as a coded file does.", "Is it whole?")
        if version != VERSION:
            raise _unreadable(f"It has version {version} of the format.", "Use a newer Towpath.")
        start = object_length - FOOTER.size - head - table - SKIPPED
        longest = sealed_length(LONGEST_TABLE)
        if start < 0 or head > _HEAD.size + _LONGEST_NAME or table > longest:
            raise _unreadable("Its table would be longer than it may be.")
        return cls(start=start, head=head, table=table)


def render(head: Head, table: Table, key: bytes | None) -> bytes:
    """What stands behind the chunks: head, table, footer. `key`: the file key numbered head.key."""
    opened, body = head.render(), table.render()
    if len(body) > LONGEST_TABLE:
        raise Unreadable("The file has too many chunks.", todo="Take larger chunks.")
    if key is not None:
        context = manifest_context(head.file_id, opened)
        room = memoryview(bytearray(seal_room(len(body))))
        body = bytes(seal(key, context, memoryview(body), room))
    covered = FOOTER.pack(_MAGIC, VERSION, len(opened), len(body), 0)[:_COVERED]
    check = crc(memoryview(opened + body + covered))
    data = opened + body + covered + check.to_bytes(8, "big")
    return skippable(len(data)) + data


class Tail:
    """What stood behind the chunks of an object, read again."""

    def __init__(self, data: bytes, object_length: int) -> None:
        """`data`: from Footer.start to the end. Raises Unreadable, DigestMismatch."""
        self._footer = Footer.parse(data[-FOOTER.size :], object_length)
        if len(data) != object_length - self._footer.start:
            raise _unreadable("It is not all here.")
        before, data = data[:SKIPPED], data[SKIPPED:]
        if before != skippable(len(data)):
            raise _unreadable("Its table is not where it should be.")
        if crc(memoryview(data)[:-8]) != int.from_bytes(data[-8:], "big"):
            raise DigestMismatch(
                "The table of a coded file is damaged.",
                why="Its CRC64NVME is another.",
                todo="Send the file again from a sound copy.",
            )
        self._opened = data[: self._footer.head]
        self._body = data[self._footer.head : self._footer.head + self._footer.table]
        self.head = Head.parse(self._opened)

    def table(self, keys: Sequence[bytes]) -> Table:
        """The table. `keys`: the file's keys if it is sealed. Raises Unreadable, DigestMismatch."""
        body = self._body
        if self.head.sealed:
            if self.head.key >= len(keys):
                raise _unreadable("Its record has not all of its keys.")
            context = manifest_context(self.head.file_id, self._opened)
            room = memoryview(bytearray(open_room(len(body))))
            try:
                body = bytes(unseal(keys[self.head.key], context, memoryview(body), room))
            except DigestMismatch as error:
                raise DigestMismatch(
                    "The table of a coded file is not the one that was sealed.", why=error.why
                ) from error
        table = Table.parse(body, sealed=self.head.sealed, keys=len(keys))
        if table.stored_length != self._footer.start:
            raise _unreadable("Its chunks do not fill it.")
        return table


def _unreadable(why: str, todo: str = "") -> Unreadable:
    return Unreadable("This cannot be read as a coded file.", why=why, todo=todo)
