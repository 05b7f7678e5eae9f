"""Bytes of a file, block by block.

Rules: one buffer is reused, so a block is valid until the next one; the file object owns the
descriptor, so that it is closed even when nobody does. What is mapped is fetched first, so that a
disk that fails is an error, and not a signal that ends the process.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from io import FileIO

from towpath.errors import StoreLost
from towpath.store.disk import refusal

BLOCK = 1 << 20  # bytes; 256 KiB to 1 MiB are equally fast
_POPULATE_READ = 22  # MADV_POPULATE_READ of Linux 5.14, madvise(2)


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


class MappedReading(FileReading):
    """The same as one block that is not copied: for a few MiB, used up at once.

    Where the kernel cannot fetch what it maps, it is read.
    """

    def __iter__(self) -> Iterator[memoryview]:
        if self._start == self._end:
            return
        skipped = self._start % mmap.ALLOCATIONGRANULARITY
        length = self._end - self._start + skipped
        at = self._start - skipped
        try:
            mapping = mmap.mmap(self._owner.fileno(), length, access=mmap.ACCESS_COPY, offset=at)
        except ValueError as error:
            raise StoreLost("The file has become shorter than it was.") from error
        except OSError as error:
            raise refusal(error, "The bytes cannot be mapped.") from error
        with mapping, memoryview(mapping) as whole, whole[skipped:] as block:
            fetched = _fetch(mapping)
            if fetched:
                yield block
        if not fetched:
            yield from super().__iter__()


def _fetch(mapping: mmap.mmap) -> bool:
    """Have the kernel bring all of it into memory; False if it does not know how to.

    Raises StoreError when the disk fails.
    """
    try:
        mapping.madvise(_POPULATE_READ)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise refusal(error, "The bytes cannot be read.") from error
    return True
