"""A file cut into chunks of one size: where each lies, and which are missing.

Values only; sizes in bytes. The last chunk is as long as what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice

from towpath.core.ranges import Extent


@dataclass(frozen=True, slots=True)
class Cut:
    """`length` bytes in chunks of `chunk`, counted from 0."""

    length: int
    chunk: int

    @property
    def total(self) -> int:
        """How many chunks there are."""
        return -(-self.length // self.chunk)

    def at(self, index: int) -> tuple[int, int]:
        """Offset and length of a chunk."""
        offset = index * self.chunk
        return offset, min(self.chunk, self.length - offset)

    def missing(self, extent: Extent) -> Missing:
        """The chunks that are not wholly durable."""
        runs: list[range] = []
        behind = 0
        for start, end in extent.missing(self.length):
            first, last = max(start // self.chunk, behind), -(-end // self.chunk)
            if first < last:
                runs.append(range(first, last))
                behind = last
        return Missing(tuple(runs))


@dataclass(frozen=True, slots=True)
class Missing:
    """Indices of chunks, as ascending runs."""

    runs: tuple[range, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(run) for run in self.runs)

    @property
    def first(self) -> int | None:
        """The lowest one."""
        return next((run.start for run in self.runs), None)

    def list(self, most: int) -> list[int]:
        """The lowest ones."""
        return list(islice(chain.from_iterable(self.runs), most))
