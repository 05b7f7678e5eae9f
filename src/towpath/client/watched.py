"""A local file that several connections read at once, and that must not change meanwhile.

Rules: each block is read, then the file is looked at, then the block is given out, so that bytes of
two states of a file never become one upload; blocks come from the budget of memory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator

from towpath.client.blocks import Blocks
from towpath.client.memory import Memory
from towpath.client.resume import Source
from towpath.core.ranges import Extent, Span
from towpath.errors import SourceChanged

Check = Callable[[], None]


class Watched:
    """`file` is open, and `source` is its state as it was opened; `check` may end any reading."""

    def __init__(self, file: io.FileIO, path: str, source: Source, memory: Memory) -> None:
        self._file = file
        self._path = path
        self._source = source
        self._memory = memory

    def blocks(
        self, start: int, end: int, buffer: memoryview, check: Check
    ) -> Iterator[memoryview]:
        """The bytes of a range as they travel, block by block. Raises SourceChanged."""
        blocks = Blocks(self._file, buffer)
        while start < end:
            check()
            view = blocks.read(start, end - start)
            self._insist()
            if not view:
                raise SourceChanged(f"{self._path} has become shorter while it was read.")
            yield view
            start += len(view)

    def crc(self, start: int, end: int, check: Check) -> int:
        """The CRC64NVME of a range that is at the server. Raises SourceChanged."""
        with self._memory.block(check) as buffer:
            crc = Blocks(self._file, buffer).crc(start, end, 0, check)
        self._insist()
        return crc

    def whole_crc(self, known: Extent, check: Check) -> int:
        """The CRC64NVME of the file; what is not `known` is read again. Raises SourceChanged."""
        for start, end in known.missing(self._source.size):
            known = known.add(Span(start, end, self.crc(start, end, check)))
        return known.crc

    def _insist(self) -> None:
        self._source.insist(Source.of(os.fstat(self._file.fileno())), self._path)
