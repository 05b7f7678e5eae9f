"""Endless bytes made from a seed: what stands at any offset is known without a file.

Rules: the period is a prime, so that bytes that land a block, a page or a power of two beside their
place are seen; within a period nothing compresses; a view is never longer than WINDOW.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

PERIOD = 1_048_583  # bytes; a prime
WINDOW = 1024 * 1024  # bytes of the longest view


class Pattern:
    """The bytes of one seed."""

    def __init__(self, seed: str | int = 0) -> None:
        block = random.Random(f"pattern {seed}").randbytes(PERIOD)
        self._bytes = memoryview(block + block[:WINDOW])

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes that start at `offset`: as many as asked for, WINDOW at most."""
        start = offset % PERIOD
        return self._bytes[start : start + min(length, WINDOW)]

    def views(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from `start` to `end`, a view at a time."""
        while start < end:
            view = self.view(start, end - start)
            yield view
            start += len(view)

    def holds(self, offset: int, data: bytes | bytearray | memoryview) -> bool:
        """True when `data` is what stands at `offset`."""
        rest = memoryview(data)
        for view in self.views(offset, offset + len(rest)):
            if rest[: len(view)] != view:
                return False
            rest = rest[len(view) :]
        return True

    def sha256(self, length: int) -> str:
        """The digest of the first `length` bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for view in self.views(0, length):
            digest.update(view)
        return digest.hexdigest()

    def write(self, path: Path, length: int) -> Path:
        """Make a file of the first `length` bytes."""
        with path.open("wb") as file:
            for view in self.views(0, length):
                file.write(view)
        return path
