"""Bytes of a file, block by block.

Rules: one buffer is reused, so a block is valid until the next one; the file object owns the
descriptor, so that it is closed even when nobody does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO

from towpath.errors import StoreLost
from towpath.store.disk import refusal

BLOCK = 1 << 20  # bytes; 256 KiB to 1 MiB are equally fast


class FileReading:
    """The bytes start <= b < end of an open file."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._owner = FileIO(descriptor, "rb")
        self._start = start
        self._end = end
        self.file: tuple[int, int, int] | None = (descriptor, start, end - start)

    def __iter__(self) -> Iterator[memoryview]:
        at = self._start
        buffer = memoryview(bytearray(min(BLOCK, self._end - at)))
        while at < self._end:
            block = buffer[: self._end - at]
            try:
                count = os.preadv(self._owner.fileno(), [block], at)
            except OSError as error:
                raise refusal(error, "The bytes cannot be read.") from error
            if count == 0:
                raise StoreLost("The file has become shorter than it was.")
            yield block[:count]
            at += count

    def close(self) -> None:
        """Let go of the bytes. Idempotent."""
        self.file = None
        self._owner.close()
