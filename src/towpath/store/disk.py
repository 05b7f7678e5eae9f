"""What the kernel says about files, in the words of `towpath.errors`.

Rules: no state; no path in a message, since messages may reach strangers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from contextlib import suppress

from towpath.errors import StoreError, StoreFull, StoreReadOnly

_FULL = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The quota of the disk is used up.",
    errno.EFBIG: "The file may not grow any more.",
}


def refusal(error: OSError, what: str, *, written: int | None = None) -> StoreError:
    """The error to raise for `error`, which happened while doing `what`."""
    why = f"({errno.errorcode.get(error.errno or 0, 'unknown')}: {error.strerror})"
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

    Linux begins to write what nobody needs in memory, and keeps it there until that is done.
    It only helps: what goes wrong is said by `sync_bytes`.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)


def sync_entries(descriptor: int) -> None:
    """Return when the entries of the folder are durable."""
    os.fsync(descriptor)
