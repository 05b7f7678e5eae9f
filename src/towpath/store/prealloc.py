"""Disk blocks reserved ahead of a writer, so that the file system lays large files out in one go.

Rules: only fallocate(2) itself, never glibc's posix_fallocate, which writes zeros where the file
system cannot; the size of the file never changes by it; it only helps: what goes wrong here is
never an error, the write that follows says what is true.
"""

from __future__ import annotations

import ctypes
import errno
import sys

WINDOW = 16 << 20  # bytes; smaller gains less, larger gains nothing and ties up the disk

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINTR)


class Preallocation:
    """Reserves windows of a file. Thread-safe."""

    def __init__(self, window: int = WINDOW) -> None:
        """`window`: bytes, from which windows are counted off; 0: reserve nothing."""
        self._window = window
        self._works = bool(window) and _fallocate is not None

    def window_of(self, offset: int) -> tuple[int, int]:
        """Start and end of the window that `offset` lies in."""
        if not self._window:
            return offset, 1 << 63
        start = offset - offset % self._window
        return start, start + self._window

    def reserve(self, descriptor: int, start: int, end: int) -> None:
        """Ask for disk blocks for start <= byte < end."""
        if not self._works or _fallocate is None or start >= end:
            return
        if _fallocate(descriptor, _KEEP_SIZE, start, end - start) != 0:
            # A full disk may have room again; a file system that cannot will never learn it.
            self._works = ctypes.get_errno() in _NO_ROOM


def _find_fallocate() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    # With glibc the plain name takes 32-bit offsets on 32-bit machines; musl has the plain one.
    found = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return found


_fallocate = _find_fallocate()
