"""A Unix socket to listen on.

Rules: the file of a server that still listens, or that is no socket, is never taken away; one that
a dead server left is; nobody can connect before the file has its permissions.
"""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

from towpath.errors import SettingsError

BACKLOG = 2048


class LocalSocket:
    """A listening socket and its file."""

    def __init__(self, path: Path, mode: int) -> None:
        """`mode`: of the file; who may write to it may connect. Raises SettingsError."""
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _make_room(path)
            self.socket.bind(str(path))
            path.chmod(mode)
            self.socket.listen(BACKLOG)
            self._identity = _identity(path)
        except OSError as error:
            self.socket.close()
            raise _cannot_be_used(path, f"{error}.") from error
        except SettingsError:
            self.socket.close()
            raise

    def close(self) -> None:
        """Listen no more, and remove the file if it is still ours."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            if _identity(self.path) == self._identity:
                self.path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _make_room(path: Path) -> None:
    """Remove the file of a server that is no more. Raises SettingsError, OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise _cannot_be_used(path, "There is a file, and it is no socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise _cannot_be_used(path, "Another server listens there.")


def _cannot_be_used(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The server cannot listen on {path}.", why=why, todo="Name another path in unix_socket."
    )
