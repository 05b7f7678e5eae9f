"""Bytes of an object, drawn out for whoever makes something of them: a copy, or a map of chunks.

Rules: never a byte beyond the object, which may share its place in the store with others; one block
of the store is held; functions and methods block but for `ready`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from itertools import islice

from towpath.codec.cdc import Cut, chunks, write_map
from towpath.core.model import Upload
from towpath.core.ports import Ending
from towpath.engine.shelf import Opened
from towpath.errors import Malformed, StateConflict, StoreLost
from towpath.store.base import Reading

_TOGETHER = 32  # chunks of a map that are made at once


class Drawing:
    """The bytes start <= b < end of an object, put where the reader wants them."""

    def __init__(self, opened: Opened, start: int, end: int) -> None:
        """Raises Malformed if the object has no such bytes."""
        if not 0 <= start <= end <= opened.object.length:
            raise Malformed(
                "There are no such bytes to copy.",
                field="ranges",
                why=f"The object has {opened.object.length} bytes; {start} to {end} were named.",
                todo="Name bytes that it has.",
            )
        self._opened = opened
        self._start = start
        self._end = end
        self._left = end - start
        self._reading: Reading | None = None
        self._blocks: Iterator[memoryview] = iter(())
        self._rest = memoryview(b"")

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`; return how many, 0 at the end. Raises StoreError."""
        if not self._left:
            return 0
        if self._reading is None:
            self._reading = self._opened.read(self._start, self._end)
            self._blocks = iter(self._reading)
        if not self._rest:
            self._rest = next(self._blocks, memoryview(b""))[: self._left]
        count = min(len(view), len(self._rest))
        if not count:
            raise StoreLost(
                "The object's bytes ended early.",
                why=f"{self._left} of them are missing.",
                todo="Run a scrub; restore the object from a copy.",
            )
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._left -= count
        return count

    def close(self) -> None:
        """Let go of the bytes. Idempotent."""
        self._left, self._rest = 0, memoryview(b"")
        if self._reading is not None:
            self._reading.close()


class CopySource:
    """A `core.ports.Source` whose bytes an object has."""

    def __init__(self, opened: Opened, start: int, end: int) -> None:
        """Raises Malformed if the object has no such bytes."""
        self.length = end - start
        self._drawing = Drawing(opened, start, end)
        self._given = 0
        self._lock = threading.Lock()
        self.ending: Ending | None = None

    @property
    def trailers(self) -> Mapping[str, str]:
        """Nothing comes behind the bytes."""
        return {}

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`. Raises StoreError."""
        if self.ending is not None:
            return 0
        count = self._drawing.read_into(view)
        self._given += count
        if self._given == self.length:
            self._end(Ending.WHOLE)
        return count

    async def ready(self) -> None:
        """The bytes are here."""

    def stop(self) -> None:
        """End it now."""
        self._end(Ending.STOPPED)

    def close(self) -> None:
        """Let go of the bytes. Idempotent; after it nobody reads."""
        self._drawing.close()

    def _end(self, how: Ending) -> None:
        with self._lock:
            self.ending = self.ending or how


def require_proof(upload: Upload) -> None:
    """Raises StateConflict unless the upload says what its bytes must be.

    A copy is no better than what it is made from: bytes that have rotted there must not become
    an object that counts as sound.
    """
    if not upload.expects:
        raise StateConflict(
            "Nothing says what the upload is to be.",
            why="It was begun without a digest that copied bytes could be held against.",
            todo="Begin an upload with digests, and copy into that.",
        )


def chunk_map(opened: Opened, cut: Cut) -> Generator[bytes]:
    """The chunks of an object as they travel, some at a time. Blocks. Raises StoreError."""
    drawing = Drawing(opened, 0, opened.object.length)
    try:
        found = chunks(drawing.read_into, cut)
        while some := write_map(islice(found, _TOGETHER)):
            yield some
    finally:
        drawing.close()
