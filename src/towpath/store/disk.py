"""What the kernel says about files, in the words of `towpath.errors`.

Rules: no state; no path in a message, since messages may reach strangers.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys

from towpath.errors import StoreError, StoreFull, StoreReadOnly

_BEGIN = 2  # SYNC_FILE_RANGE_WRITE
_FULL = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The quota of the disk is used up.",
    errno.EFBIG: "The file may not grow any more.",
}


def refusal(error: OSError, what: str, *, written: int | None = None) -> StoreError:
    """The error to raise for `error`, which happened while doing `what`."""
    why = f"{error.strerror} ({errno.errorcode.get(error.errno or 0, 'unknown')})."
    if error.errno in _FULL:
        return StoreFull(_FULL[error.errno], why=f"{what} {why}", written=written)
    if error.errno == errno.EROFS:
        return StoreReadOnly("The disk is mounted read-only.", why=f"{what} {why}", written=written)
    return StoreError(what, why=why, written=written)


def sync_bytes(descriptor: int) -> None:
    """Return when the file's bytes, and what is needed to read them, are durable."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # there fsync leaves bytes in the drive
    else:
        os.fdatasync(descriptor)


def begin_sync(descriptor: int, start: int, end: int) -> None:
    """Let the disk begin with start <= byte < end, where the system can; nobody waits for it.

    It makes nothing durable and says nothing of errors: that is for `sync_bytes`.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, start, end - start, _BEGIN)


def _find_sync_file_range() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


_sync_file_range = _find_sync_file_range()
