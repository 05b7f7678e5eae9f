"""What an upload can be made from, besides a path: open files, bytes, iterators, asynchronous ones.

Rules: read in one worker thread, block by block; what the caller opened stays open. Only what says
that it is `rewindable` can be read again, and only that survives a loss of more than the bytes that
the upload keeps until the server has them.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import BinaryIO, Protocol, cast

from towpath.client.control import SLICE
from towpath.errors import Malformed, SourceChanged, TransferError

_LOOK = 0.05  # seconds between two looks at a stream that does not block
_END = object()  # comes after the last piece: what a stranger yields may be anything, None too

Check = Callable[[], None]
Content = bytes | bytearray | memoryview | BinaryIO | Iterable[bytes] | AsyncIterable[bytes]
"""What is uploaded when it is no path."""


class Feed(Protocol):
    """Bytes in order, from the first one on."""

    length: int | None  # bytes in all; None while nobody knows
    rewindable: bool

    def begin(self) -> None:
        """Find out how it can be read; called once, in the worker thread, before all else."""
        ...

    def read_into(self, view: memoryview, check: Check) -> int:
        """Put the next bytes into `view`; 0 at the end. `check` may raise at any wait.

        Raises SourceChanged, and TransferError when it cannot be read.
        """
        ...

    def rewind(self) -> None:
        """Begin again with the first byte. Only where it is rewindable."""
        ...

    def close(self) -> None:
        """Let go of what waits; the caller's own object stays as it is."""
        ...


def feed_of(source: object, loop: asyncio.AbstractEventLoop) -> Feed:
    """What reads `source`; an asynchronous iterator is run on `loop`. Raises Malformed."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return BytesFeed(source)
    if isinstance(source, io.TextIOBase):
        raise Malformed(
            "A file of text cannot be uploaded.",
            field="source",
            why="Which bytes it has depends on its encoding.",
            todo='Open it with "rb".',
        )
    if isinstance(source, AsyncIterable):
        return AsyncFeed(aiter(source), loop)
    if hasattr(source, "read"):
        return FileFeed(cast("BinaryIO", source))
    if isinstance(source, Iterable):
        return IteratorFeed(iter(source))
    raise Malformed(
        f"{type(source).__name__} is nothing that can be uploaded.",
        field="source",
        todo="Give a path, bytes, an open binary file, or an iterator of bytes.",
    )


class BytesFeed:
    """Bytes in memory."""

    rewindable = True

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._view = memoryview(data).cast("B")
        except TypeError as error:
            raise Malformed(
                "This memory cannot be uploaded.", field="source", why=f"{error}."
            ) from error
        self._at = 0
        self.length: int | None = len(self._view)

    def begin(self) -> None:
        """All is known."""

    def read_into(self, view: memoryview, check: Check) -> int:
        taken = min(len(view), len(self._view) - self._at)
        view[:taken] = self._view[self._at : self._at + taken]
        self._at += taken
        return taken

    def rewind(self) -> None:
        self._at = 0

    def close(self) -> None:
        """There is nothing to let go of."""


class FileFeed:
    """An open file, from where it is now to its end.

    One that can seek must not change on the way: a file of the system is looked at before every
    read. Any other (stdin, a pipe, a socket, a response) can only be read on.
    """

    rewindable = False
    length: int | None = None

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._base = 0
        self._left: int | None = None  # bytes to come, where the length is known
        self._state: tuple[int, int] | None = None

    def begin(self) -> None:
        end = 0
        try:
            if not (hasattr(self._file, "seekable") and self._file.seekable()):
                return
            self._base = self._file.tell()
            with suppress(OSError):  # of /proc, say
                end = self._file.seek(0, os.SEEK_END)
                self._file.seek(self._base)
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error
        if end <= self._base:  # or so it says: what comes when it is read counts
            return
        self.rewindable = True
        self.length = self._left = end - self._base
        self._state = self._look()

    def read_into(self, view: memoryview, check: Check) -> int:
        if self._left is None:
            return _read_into(self._file, view, check)
        if self._look() != self._state:
            raise SourceChanged(
                "The file has changed since this upload began.",
                why="Its size or its time is another.",
                todo="Send it again from its beginning.",
            )
        view = view[: self._left]
        if not view:
            return 0
        taken = _read_into(self._file, view, check)
        if not taken:
            raise SourceChanged(
                "The file has become shorter while it was read.",
                why=f"Its last {self._left} bytes are gone.",
                todo="Send it again from its beginning.",
            )
        self._left -= taken
        return taken

    def rewind(self) -> None:
        try:
            self._file.seek(self._base)
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error
        self._left = self.length

    def close(self) -> None:
        """The file is the caller's."""

    def _look(self) -> tuple[int, int] | None:
        """Size and time, where the system keeps them."""
        try:
            stat = os.fstat(self._file.fileno())
        except (OSError, AttributeError, ValueError):
            return None
        return stat.st_size, stat.st_mtime_ns


class _Pieces:
    """Hands out pieces of any size as far as there is room for them."""

    rewindable = False
    length: int | None = None

    def __init__(self) -> None:
        self._rest = memoryview(b"")

    def begin(self) -> None:
        """All is known."""

    def read_into(self, view: memoryview, check: Check) -> int:
        while not self._rest:
            check()
            piece = self._next(check)
            if piece is _END:
                return 0
            try:
                self._rest = memoryview(piece).cast("B")  # type: ignore[arg-type]  # asked of a stranger
            except TypeError as error:
                raise TransferError(
                    "What was to be uploaded could not be read.",
                    why=f"A piece of it is {type(piece).__name__}, not bytes.",
                ) from error
        taken = min(len(view), len(self._rest))
        view[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def rewind(self) -> None:
        raise io.UnsupportedOperation("rewind")

    def _next(self, check: Check) -> object:
        """The next piece; _END behind the last."""
        raise NotImplementedError


class IteratorFeed(_Pieces):
    """An iterator of bytes, run in the worker thread; what it waits for, a pause waits for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

    def close(self) -> None:
        """The iterator is the caller's."""

    def _next(self, check: Check) -> object:
        try:
            return next(self._pieces, _END)
        except BaseException as error:  # a stranger's: SystemExit of it ends no worker
            raise _unreadable(error) from error


class _Exit(Exception):
    """A source wanted to end the process."""

    def __init__(self, what: BaseException) -> None:
        super().__init__(what)
        self.what = what


class AsyncFeed(_Pieces):
    """An asynchronous iterator of bytes. It is run on the event loop that the upload began on."""

    def __init__(self, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._pieces = pieces
        self._loop = loop
        self._coming: Future[object] | None = None  # outlives a pause, so that none is lost

    def close(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None

    def _next(self, check: Check) -> object:
        if self._coming is None:
            self._coming = asyncio.run_coroutine_threadsafe(self._step(), self._loop)
        while True:
            check()
            try:
                piece = self._coming.result(SLICE)
            except TimeoutError as error:
                if not self._coming.done():
                    continue
                raise _unreadable(error) from error
            except _Exit as error:
                raise _unreadable(error.what) from error.what
            except BaseException as error:
                raise _unreadable(error) from error
            self._coming = None
            return piece

    async def _step(self) -> object:
        try:
            return await anext(self._pieces, _END)
        except SystemExit as error:  # as it is, it would end the loop
            raise _Exit(error) from error


def _read_into(file: BinaryIO, view: memoryview, check: Check) -> int:
    """One read; 0 at the end. A stream that does not block is waited for."""
    while True:
        try:
            own: Callable[[memoryview], int | None] | None = getattr(file, "readinto", None)
            data = None if own is not None else file.read(len(view))
            taken = own(view) if own is not None else None if data is None else len(data)
        except BaseException as error:  # a stranger's: none of it may leave half an upload
            raise _unreadable(error) from error
        if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TransferError(
                "What was to be uploaded could not be read.",
                why=f"Its read gave {type(data).__name__}, not bytes.",
            )
        if taken is not None:
            if data is not None:
                view[:taken] = data
            return taken
        check()
        time.sleep(_LOOK)


def _unreadable(error: BaseException) -> TransferError:
    return TransferError(
        "What was to be uploaded could not be read.",
        why=f"{type(error).__name__}: {error}." if str(error) else f"{type(error).__name__}.",
    )
