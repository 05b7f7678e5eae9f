"""An object as a file that is open for reading: it seeks, and asks for what is read.

Rules: the object is the one that was opened (see `reading`); closing a file hangs up.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from towpath.client.control import Stopped
from towpath.client.reading import Reading
from towpath.client.transfer import in_thread

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 128 * 1024  # bytes that a reader holds

T = TypeVar("T")


class ObjectFile(io.RawIOBase):
    """An object on the server. Wrap it in a BufferedReader, as `open_reader` does.

    Errors of the server are TowpathError, as in all of the client.
    """

    mode = "rb"

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        reading.find()
        self._reading = reading

    @property
    def name(self) -> str:
        """What it is called on the server."""
        return self._reading.name

    @property
    def length(self) -> int:
        """Bytes."""
        return self._reading.length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._insist_open()
        try:
            with memoryview(buffer).cast("B") as view:
                return self._reading.read_into(view)
        except Stopped:
            raise ValueError("The file was closed while it was read.") from None

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._insist_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._reading.position, os.SEEK_END: self.length}
        if whence not in base:
            raise ValueError(f"{whence} is no place to seek from.")
        if base[whence] + offset < 0:
            raise ValueError(f"There is nothing before the first byte: {offset}.")
        self._reading.position = base[whence] + offset
        return self._reading.position

    def tell(self) -> int:
        self._insist_open()
        return self._reading.position

    def close(self) -> None:
        if not self.closed:
            super().close()
            if hasattr(self, "_reading"):  # not if the object was not found
                self._reading.close()

    def _insist_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")


def open_reader(reading: Reading) -> io.BufferedReader:
    """The object as the file that Python's own libraries want. Raises NotFound."""
    return io.BufferedReader(ObjectFile(reading), BUFFER)


class AsyncReader:
    """An object that is open for reading, for asyncio.

    It is looked up by `async with`, or by the first call. A read that is cancelled has moved
    nothing: the next one begins where it began. One task at a time; the others wait.
    """

    def __init__(self, make: Callable[[], Reading]) -> None:
        self._make = make
        self._file: io.BufferedReader | None = None
        self._position = 0
        self._turn = asyncio.Lock()
        self._busy = threading.Lock()  # a read that nobody waits for may still run
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._do(lambda _: None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end; all that is left without a size."""
        return await self._do(lambda file: file.read(size))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, in bytes from the start, from here or from the end."""
        return await self._do(lambda file: file.seek(offset, whence))

    async def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    async def length(self) -> int:
        """Bytes of the object."""
        return await self._do(_length)

    async def aclose(self) -> None:
        """Hang up."""
        self._closed = True
        if self._file is not None:
            await in_thread(self._file.raw.close)

    def blocking(self) -> io.BufferedReader:
        """The same object as a file for code without asyncio; for the blocking client."""
        return open_reader(self._make())

    async def _do(self, work: Callable[[io.BufferedReader], T]) -> T:
        def run() -> tuple[T, int]:
            with self._busy:
                if self._closed:
                    raise ValueError("I/O operation on closed file.")
                if self._file is None:
                    self._file = open_reader(self._make())
                self._file.seek(self._position)
                return work(self._file), self._file.tell()

        async with self._turn:
            done, self._position = await in_thread(run)
            return done


def _length(file: io.BufferedReader) -> int:
    before = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(before)
    return length
