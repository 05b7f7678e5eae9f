"""What the engine reads: a range of a local file, straight into its blocks; or a few bytes.

Rules: read once, and hashed as it is read: with CRC64NVME, which the engine holds against what
the store took, and with the checksum that was asked for. A file that has become shorter ends the
chunk as cut.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from towpath.core.crc import crc
from towpath.core.digest import CRC64NVME, crc_bytes
from towpath.core.ports import Ending
from towpath.uds3.control import Control


class FileSource:
    """A `core.ports.Source`: bytes start <= b < end of an open file."""

    def __init__(
        self, handle: int, start: int, end: int, algorithm: str | None, control: Control
    ) -> None:
        """`algorithm` of the checksum; None: none, and no CRC64NVME either."""
        self.length = end - start
        self.ending: Ending | None = None
        self.checksum: str | None = None
        self._handle = handle
        self._at = start
        self._end = end
        self._control = control
        self._crc = 0
        self._hasher = None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)

    @property
    def trailers(self) -> Mapping[str, str]:
        """The CRC64NVME in hex, once all is read."""
        return {} if self.checksum is None else {CRC64NVME: crc_bytes(self._crc).hex()}

    @property
    def ran_dry(self) -> bool:
        """True when the file ended before the range did."""
        return self.ending is Ending.CUT

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
        self._at += count
        if self._hasher is not None:
            self._hasher.update(view[:count])
            self._crc = crc(view[:count], self._crc)
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


def behind(trailers: Mapping[str, str]) -> Mapping[str, bytes]:
    """The digests in the trailers, as the engine wants them."""
    return {CRC64NVME: bytes.fromhex(trailers[CRC64NVME])} if CRC64NVME in trailers else {}


class BytesSource:
    """A `core.ports.Source`: a few bytes that are at hand."""

    def __init__(self, data: bytes | memoryview) -> None:
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
