"""What a file has besides its bytes, as metadata of its object: time, permissions, a link's target.

Rules: only what a stranger may decide is taken over: no set-id bits, no owner, and a link leads
only to what lies in the folder that is filled.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import PurePosixPath

MTIME = "mtime-ns"  # nanoseconds since 1970
MODE = "mode"  # permissions, in octal
LINK = "symlink"  # where it leads
_MILLISECONDS = "mtime"  # what every upload of a file tells
_MOST = 1 << 63


def attributes(found: os.stat_result) -> dict[str, str]:
    """Time and permissions of a file, to send with it."""
    return {
        MTIME: str(found.st_mtime_ns),
        MODE: f"{stat.S_IMODE(found.st_mode) & 0o777:04o}",
    }


def attributes_of(path: str) -> dict[str, str]:
    """The same of the file at `path`; nothing if it cannot be seen: its upload says why."""
    try:
        return attributes(os.stat(path))  # noqa: PTH116 - a path as it comes
    except OSError:
        return {}


def mtime_ms(found: os.stat_result) -> str:
    """The time of a file as every upload tells it."""
    return str(found.st_mtime_ns // 1_000_000)


def is_as_new(metadata: Mapping[str, str], found: os.stat_result) -> bool:
    """True when the object was made from a file of the same time, as far as it tells one."""
    return metadata.get(_MILLISECONDS) == mtime_ms(found)


def apply(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> None:
    """Give a file the time and the permissions that its object tells. Raises OSError."""
    mode, mtime = _number(metadata.get(MODE), 8), _number(metadata.get(MTIME), 10)
    if mtime is None and (milliseconds := _number(metadata.get(_MILLISECONDS), 10)) is not None:
        mtime = milliseconds * 1_000_000
    if mode is not None:
        os.chmod(path, mode & 0o777)  # noqa: PTH101 - a path as it comes
    if mtime is not None and mtime < _MOST:
        os.utime(path, ns=(mtime, mtime))


def leads_inside(target: str, name: str) -> bool:
    """True when a link called `name`, with `/` between its parts, stays within its folder.

    `name` is relative to the folder that is filled; nothing outside of that may be reached.
    """
    if not target or target.startswith("/") or "\\" in target or "\0" in target or ":" in target:
        return False
    depth, named = len(PurePosixPath(name).parts) - 1, False
    for part in PurePosixPath(target).parts:
        if part == "..":
            depth -= 1
            if named or depth < 0:  # behind a name that may be a link, ".." could be anywhere
                return False
        named = named or part != ".."
    return True


def _number(text: str | None, base: int) -> int | None:
    """A whole number that is not negative; None for anything else."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 20:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None
