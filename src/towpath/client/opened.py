"""A file of this machine, opened to be uploaded.

Rules: only what has a length is taken. Of a pipe or a device the system says that it has no bytes,
and an empty object would be made of it.
"""

from __future__ import annotations

import io
import os
import stat

from towpath.errors import Malformed, NotFound, TransferError

_STREAM = "Send what can be read there as a stream: towpath put - NAME, or an open file."


def open_source(path: str) -> io.FileIO:
    """The file, unbuffered. Raises NotFound, TransferError, and Malformed for what is no file."""
    try:
        insist_on_file(path)
        file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - the caller closes it
        try:
            _insist_on_length(file, path)
        except BaseException:
            file.close()
            raise
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", todo="Check the path.") from error
    except OSError as error:
        raise TransferError(f"{path} cannot be read.", why=f"{error.strerror}.") from error
    return file


def insist_on_file(path: str) -> None:
    """Raise Malformed for what is there and is no regular file, OSError if it cannot be seen."""
    mode = os.stat(path).st_mode  # noqa: PTH116 - a path as it comes
    if stat.S_ISDIR(mode):
        raise Malformed(f"{path} is a folder.", field="path", todo="Name a file.")
    if not stat.S_ISREG(mode):
        raise Malformed(
            f"{path} is no regular file.",
            field="path",
            why="Of a pipe or a device nobody knows how many bytes it has.",
            todo=_STREAM,
        )


def _insist_on_length(file: io.FileIO, path: str) -> None:
    """Raise Malformed for what has bytes and no length, OSError if it cannot be read."""
    if not os.fstat(file.fileno()).st_size and file.read(1):  # as files of /proc are
        raise Malformed(
            f"{path} has bytes, though its length is 0.",
            field="path",
            why="The system makes them as they are read.",
            todo=_STREAM,
        )
