"""Blocks of a local file and their CRC64NVME, through one reused buffer.

Rules: no copy, no buffer beyond the one of BLOCK bytes; the checksum library is loaded when the
first transfer runs, so that importing towpath stays quick.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable

BLOCK = 1024 * 1024  # bytes


def crc64nvme(view: memoryview, before: int = 0) -> int:
    """The CRC64NVME of what had `before`, followed by `view`."""
    from towpath.core.digest import crc  # noqa: PLC0415 - slow to import

    return crc(view, before)


class Blocks:
    """A file read or written block by block at positions that the caller names."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(BLOCK))

    def read(self, offset: int, count: int) -> memoryview:
        """The bytes at `offset`, at most `count` and at most BLOCK; shorter only at the end."""
        self._file.seek(offset)
        view = self._buffer[: min(count, BLOCK)]
        filled = 0
        while filled < len(view) and (taken := self._file.readinto(view[filled:])):
            filled += taken
        return view[:filled]

    def fill(self, source: Callable[[memoryview], int], offset: int) -> memoryview:
        """Take a block from `source`, write it at `offset`, return it; empty at the end."""
        filled = 0
        try:
            while filled < BLOCK and (taken := source(self._buffer[filled:])):
                filled += taken
        finally:  # what came before a cut is worth keeping
            view = self._buffer[:filled]
            self._file.seek(offset)
            while view:
                view = view[self._file.write(view) :]
        return self._buffer[:filled]

    def crc(self, start: int, end: int, before: int, check: Callable[[], None]) -> int:
        """Read start..end again for the CRC64NVME of all that lies before `end`."""
        while start < end:
            check()
            view = self.read(start, end - start)
            if not view:
                break
            before = crc64nvme(view, before)
            start += len(view)
        return before

    def truncate(self, length: int) -> None:
        """Cut it to `length` bytes."""
        self._file.truncate(length)

    @property
    def length(self) -> int:
        """Bytes that the file has now."""
        return os.fstat(self._file.fileno()).st_size

    def sync(self) -> None:
        """Make it last."""
        os.fsync(self._file.fileno())
