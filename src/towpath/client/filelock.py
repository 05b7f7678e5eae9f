"""A lock between processes that dies with its holder, on POSIX and on Windows.

Rules: never waits; says who holds it; the file goes when the holder is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from towpath.errors import StateConflict

_TRIES = 10  # a holder that leaves takes the file with it: open it anew


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock at `path`. Raises StateConflict when another process has it."""
    handle = _acquire(path)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; the next holder takes it over
            path.unlink()
        os.close(handle)


def _acquire(path: Path) -> int:
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try(handle):
            holder = os.read(handle, 32).decode("ascii", "replace") if os.name == "posix" else ""
            os.close(handle)
            ours = holder == str(os.getpid())
            who = "This process" if ours else f"Process {holder or 'unknown'} on this machine"
            raise StateConflict(
                "This transfer is under way already.",
                why=f"{who} carries it.",
                todo="Let it finish, or stop it first.",
            )
        try:
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)
    raise StateConflict("This transfer is under way already.", todo="Try again in a moment.")


def _try(handle: int) -> bool:
    """Lock it now or not at all; each system has its own way."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - only there

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl  # noqa: PLC0415 - only there

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
