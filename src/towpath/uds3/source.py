"""A range of a local file as the engine reads it: straight into its blocks.

Rules: read once, hashed as it is read; a file that has become shorter ends the chunk as cut.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from towpath.core.ports import Ending
from towpath.uds3.control import Control

CHECKSUM = "checksum"
"""The trailer that holds the checksum of what was read, in hex."""


class FileSource:
    """A `core.ports.Source`: bytes start <= b < end of an open file."""

    def __init__(
        self, handle: int, start: int, end: int, algorithm: str | None, control: Control
    ) -> None:
        self.length = end - start
        self.ending: Ending | None = None
        self.checksum: str | None = None
        self._handle = handle
        self._at = start
        self._end = end
        self._control = control
        self._hasher = None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)

    @property
    def trailers(self) -> Mapping[str, str]:
        """The checksum, once all is read."""
        return {} if self.checksum is None else {CHECKSUM: self.checksum}

    def read_into(self, view: memoryview) -> int:
        """The next bytes of the file."""
        if self.ending is None and self._control.wish is not None:
            self.ending = Ending.STOPPED
        if self.ending is not None:
            return 0
        count = os.preadv(self._handle, [view[: self._end - self._at]], self._at)
        if not count:
            self.ending = Ending.CUT
            return 0
        if self._hasher is not None:
            self._hasher.update(view[:count])
        self._at += count
        if self._at == self._end:
            if self._hasher is not None:
                self.checksum = self._hasher.hexdigest()
            self.ending = Ending.WHOLE
        return count

    async def ready(self) -> None:
        """A file is always ready."""

    def stop(self) -> None:
        """End it now, unless it has ended."""
        self.ending = self.ending or Ending.STOPPED

    @property
    def ran_dry(self) -> bool:
        """True when the file ended before the range did."""
        return self.ending is Ending.CUT


class BytesSource:
    """A `core.ports.Source`: a few bytes that are at hand."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self.ending: Ending | None = None
        self.trailers: Mapping[str, str] = {}
        self._left = memoryview(data)

    def read_into(self, view: memoryview) -> int:
        """The next of them."""
        if self.ending is not None:
            return 0
        count = min(len(view), len(self._left))
        view[:count], self._left = self._left[:count], self._left[count:]
        if not self._left:
            self.ending = Ending.WHOLE
        return count

    async def ready(self) -> None:
        """They are always ready."""

    def stop(self) -> None:
        """End it now, unless it has ended."""
        self.ending = self.ending or Ending.STOPPED
