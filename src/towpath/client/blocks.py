"""Blocks of a local file and their CRC64NVME, through one reused buffer.

Rules: no copy, no buffer beyond the one that is given; several threads may each have a Blocks of
the same open file; the checksum library is loaded when the first transfer runs, so that importing
towpath stays quick.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from functools import cache

BLOCK = 1024 * 1024  # bytes
_seeking = threading.Lock()  # for systems where only the place where a file stands can be read


@cache
def _crc() -> Callable[[memoryview, int], int]:
    from towpath.core.crc import crc  # noqa: PLC0415 - slow to import

    return crc


def crc64nvme(view: memoryview, before: int = 0) -> int:
    """The CRC64NVME of what had `before`, followed by `view`."""
    return _crc()(view, before)


class Blocks:
    """A file read or written block by block at positions that the caller names.

    `buffer`: from the budget of memory; without one it has BLOCK bytes of its own.
    """

    def __init__(self, file: io.FileIO, buffer: memoryview | None = None) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(BLOCK)) if buffer is None else buffer

    def read(self, offset: int, count: int) -> memoryview:
        """The bytes at `offset`, at most `count` and one buffer; shorter only at the end."""
        view = self._buffer[: min(count, len(self._buffer))]
        filled = 0
        while filled < len(view) and (taken := _read(self._file, view[filled:], offset + filled)):
            filled += taken
        return view[:filled]

    def fill(self, source: Callable[[memoryview], int], offset: int, most: int = -1) -> memoryview:
        """Take a block from `source`, write it at `offset`, return it; empty at the end.

        `most`: bytes at most, where a whole buffer would be too many.
        """
        filled, room = 0, len(self._buffer) if most < 0 else min(most, len(self._buffer))
        try:
            while filled < room and (taken := source(self._buffer[filled:room])):
                filled += taken
        finally:  # what came before a cut is worth keeping
            put(self._file, self._buffer[:filled], offset)
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


def put(file: io.FileIO, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset`."""
    while view:
        written = _write(file, view, offset)
        offset, view = offset + written, view[written:]


def _read(file: io.FileIO, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), [view], offset)
    with _seeking:
        file.seek(offset)
        return file.readinto(view) or 0


def _write(file: io.FileIO, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file.fileno(), view, offset)
    with _seeking:
        file.seek(offset)
        return file.write(view) or 0
