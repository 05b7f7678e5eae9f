"""What is known of the bytes that were just written: how many, and their CRC64NVME.

Rules: counts only blocks that the store took; each settle takes the span since the last one.
"""

from __future__ import annotations

from towpath.core.crc import crc
from towpath.core.ranges import Span


class Meter:
    """Counts the blocks of one writer, from `offset` on. Used by one thread at a time."""

    def __init__(self, offset: int) -> None:
        self.position = offset  # offset after the last byte that the store took
        self._start = offset
        self._crc = 0

    def feed(self, block: memoryview) -> None:
        """Count a block that the store has taken."""
        self._crc = crc(block, self._crc)
        self.position += len(block)

    @property
    def unsettled(self) -> int:
        """Bytes counted since the last cut."""
        return self.position - self._start

    def cut(self) -> Span | None:
        """The span since the last cut, or None if it is empty."""
        if not self.unsettled:
            return None
        span = Span(self._start, self.position, self._crc)
        self._start, self._crc = self.position, 0
        return span

    def skip(self, count: int) -> None:
        """Move over durable bytes, which are not counted again. Nothing may be unsettled."""
        self.position += count
        self._start = self.position
