"""Which bytes are durable: a contiguous prefix and islands beyond it.

Rules: a range is start <= byte < end, never empty; ranges of one extent never overlap; two that
touch are one; each carries the CRC64NVME of its bytes, so that the whole's is known without
reading anything again. Values only: adding gives a new extent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from towpath.core.crc import combine
from towpath.errors import LimitReached

MOST_ISLANDS = 10_000
"""Islands one upload may have; beyond, a writer must fill gaps first."""


class Span(NamedTuple):
    """Bytes start <= b < end with their CRC64NVME."""

    start: int
    end: int
    crc: int

    def join(self, right: Span) -> Span:
        """Make one of this span and the one that begins where it ends."""
        return Span(self.start, right.end, combine(self.crc, right.crc, right.end - right.start))


class Extent(NamedTuple):
    """The durable bytes of an upload. `offset` ends the prefix, whose CRC is `crc`."""

    offset: int = 0
    crc: int = 0
    islands: tuple[Span, ...] = ()

    def add(self, span: Span) -> Extent:
        """The extent with `span`, which must not overlap it.

        Raises ValueError if it does, LimitReached if there would be more than MOST_ISLANDS islands.
        """
        if span.start >= span.end:
            msg = f"empty span {span.start}-{span.end}"
            raise ValueError(msg)
        if self.overlaps(span.start, span.end):
            msg = f"{span.start}-{span.end} overlaps what is durable"
            raise ValueError(msg)
        islands = list(self.islands)
        at = bisect_left(islands, span)
        if at < len(islands) and islands[at].start == span.end:
            span = span.join(islands.pop(at))
        if at and islands[at - 1].end == span.start:
            at -= 1
            span = islands.pop(at).join(span)
        if span.start == self.offset:
            prefix = Span(0, self.offset, self.crc).join(span)
            return Extent(prefix.end, prefix.crc, tuple(islands))
        if len(islands) >= MOST_ISLANDS:
            raise too_many_islands()
        islands.insert(at, span)
        return Extent(self.offset, self.crc, tuple(islands))

    def overlaps(self, start: int, end: int) -> bool:
        """True if any of start <= b < end is durable."""
        if start >= end:
            return False
        if start < self.offset:
            return True
        at = bisect_left(self.islands, start, key=lambda island: island.end)
        if at < len(self.islands) and self.islands[at].end == start:
            at += 1
        return at < len(self.islands) and self.islands[at].start < end

    def reaches(self, offset: int) -> bool:
        """True if a byte at `offset` is durable or would follow one that is."""
        at = bisect_left(self.islands, offset, key=lambda island: island.end)
        inside = at < len(self.islands) and self.islands[at].start <= offset
        return offset <= self.offset or inside

    def runs(self, start: int, end: int | None) -> Iterator[tuple[int, int | None, bool]]:
        """Cut start <= b < end (None: no end) into (start, end, durable) runs, in order."""
        position = start
        for first, last in ((0, self.offset), *((i.start, i.end) for i in self.islands)):
            if last <= position:
                continue
            if end is not None and first >= end:
                break
            if first > position:
                yield position, first, False
                position = first
            stop = last if end is None else min(last, end)
            yield position, stop, True
            position = stop
        if end is None or position < end:
            yield position, end, False

    def missing(self, length: int) -> tuple[tuple[int, int], ...]:
        """The ranges of a file of `length` bytes that are not durable yet."""
        return tuple(
            (start, stop)
            for start, stop, durable in self.runs(0, length)
            if not durable and stop is not None
        )

    def absent(self, start: int, end: int) -> int:
        """How many of start <= b < end are not durable."""
        runs = self.runs(start, end)
        return sum((stop or end) - first for first, stop, durable in runs if not durable)

    def cut(self, size: int) -> Extent:
        """What of the extent lies wholly below `size`; a span that crosses it is forgotten.

        The prefix cannot be cut in the middle, since its CRC would not be known: ValueError.
        """
        if size < self.offset:
            msg = f"{size} is inside the prefix of {self.offset}"
            raise ValueError(msg)
        return Extent(self.offset, self.crc, tuple(i for i in self.islands if i.end <= size))

    def spans(self) -> tuple[Span, ...]:
        """The prefix, if it has any bytes, and the islands, in order."""
        prefix = (Span(0, self.offset, self.crc),) if self.offset else ()
        return prefix + self.islands

    @property
    def total(self) -> int:
        """How many bytes are durable in all."""
        return self.offset + sum(island.end - island.start for island in self.islands)


def too_many_islands() -> LimitReached:
    """What a writer is told that would begin one island too many."""
    return LimitReached(
        "Too many ranges lie beyond the first missing byte.",
        why=f"At most {MOST_ISLANDS} are kept apart.",
        todo="Send what is missing between them first.",
    )
