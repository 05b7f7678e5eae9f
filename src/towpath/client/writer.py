"""An upload as a file that is open for writing: closing it completes the upload.

Rules: what is written is handed to the worker thread as it is, and `write` returns when that has
taken it; so memory is the window of one stream upload. Writes of several threads or tasks take
turns, each is whole. An error inside `with`, and a file that is forgotten, give the upload up: half
a file never gets a name.
"""

from __future__ import annotations

import asyncio
import io
import threading
import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from towpath.client.control import SLICE
from towpath.client.results import UploadResult
from towpath.client.sources import Check
from towpath.client.transfer import Transfer, in_thread
from towpath.errors import TransferError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


BUFFER = 128 * 1024  # bytes of small writes that are handed over together


class Handoff:
    """A feed that somebody else's writes fill, one at a time."""

    rewindable = False
    length: int | None = None

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._view = memoryview(b"")
        self._ended = self._abandoned = False

    def put(self, data: memoryview, is_over: Callable[[], bool]) -> None:
        """Hand `data` over; return when it was taken, or when nobody takes any more."""
        with self._changed:
            self._view = data
            self._changed.notify_all()
            while self._view and not is_over():
                self._changed.wait(SLICE)
            self._view = memoryview(b"")

    def end(self) -> None:
        """No more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """No more comes, and what came is not to be kept."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def begin(self) -> None:
        """All is known."""

    def read_into(self, view: memoryview, check: Check) -> int:
        with self._changed:
            while not self._view:
                check()
                if self._abandoned:
                    raise TransferError("The file was given up before it was closed.")
                if self._ended:
                    return 0
                self._changed.wait(SLICE)
            taken = min(len(view), len(self._view))
            view[:taken] = self._view[:taken]
            self._view = self._view[taken:]
            self._changed.notify_all()
            return taken

    def rewind(self) -> None:
        raise io.UnsupportedOperation("rewind")

    def close(self) -> None:
        """Nothing waits for the writer."""


class Carried(Protocol):
    """The transfer behind a writer, as the blocking client has it."""

    @property
    def done(self) -> bool:
        """True when `result` returns at once."""
        ...

    def result(self, timeout: float | None = None) -> UploadResult:
        """Wait for the result."""
        ...

    def cancel(self, *, cleanup: bool = True) -> None:
        """End it for good."""
        ...


class ObjectWriter(io.BufferedIOBase):
    """A new object, open for writing. `close` completes it, and raises when that fails.

    `with` closes it at its end; after an error it cancels instead, and nothing stays. What wraps
    this file and closes it completes it, too: let `with` of this file stand outside. Raises
    TowpathError when the upload has failed, from `write` as soon as that is known.
    """

    mode = "wb"

    def __init__(self, handoff: Handoff, transfer: Carried, name: str) -> None:
        super().__init__()
        self._handoff = handoff
        self._transfer = transfer
        self._turn = threading.RLock()  # of one write: what it has is handed over whole
        self._pending = bytearray()  # small writes, together
        self._written = 0
        self.name = name
        self.result: UploadResult | None = None  # once it is closed

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of `data`; return how many bytes it has."""
        with self._turn, memoryview(data).cast("B") as view:
            if self.closed:
                raise ValueError("I/O operation on closed file.")
            count = len(view)
            if len(self._pending) + count < BUFFER:
                self._pending += view
            else:
                self.flush()
                self._hand_over(view)
            self._written += count
            return count

    def flush(self) -> None:
        """Hand over what small writes have left; it is durable when the file is closed."""
        with self._turn:
            if self._pending:
                pending, self._pending = self._pending, bytearray()
                self._hand_over(memoryview(pending))

    def tell(self) -> int:
        return self._written

    def close(self) -> None:
        """No more comes: wait until the object is complete and verified."""
        with self._turn:
            if self.closed:
                return
            try:
                self.flush()
                self._handoff.end()
                self.result = self._transfer.result()
            finally:
                self._pending = bytearray()
                super().close()

    def cancel(self) -> None:
        """Give it up: nothing of it stays. Nothing happens if it is closed."""
        if self.closed:
            return
        try:
            if not self._transfer.done:
                self._transfer.cancel()  # first: it ends the write that has the turn
        finally:
            with self._turn:
                self._pending = bytearray()
                super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.cancel()

    def _hand_over(self, view: memoryview) -> None:
        self._handoff.put(view, lambda: self._transfer.done)
        if self._transfer.done:
            self._transfer.result()  # raises what ended it
            raise TransferError("The upload ended before its file was closed.")

    def __del__(self) -> None:
        if not self.closed:
            self._handoff.abandon()  # and ask no thread to wait: this may be anywhere
            self._pending = bytearray()
            io.BufferedIOBase.close(self)
            warnings.warn(
                f"{self.name} was not closed, so it was not uploaded.",
                ResourceWarning,
                stacklevel=2,
            )


class AsyncWriter:
    """The same for asyncio. `aclose` completes it; leaving `async with` by an error cancels."""

    def __init__(self, handoff: Handoff, transfer: Transfer[UploadResult], name: str) -> None:
        self.handoff = handoff
        self.transfer = transfer
        self.name = name
        self.result: UploadResult | None = None  # once it is closed
        self._turn = asyncio.Lock()  # of one write
        self._closed = self._cancelled = False
        self._written = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.aclose()
        else:
            await self.cancel()

    async def write(self, data: ReadableBuffer) -> int:
        """Hand all of `data` over; return how many bytes it has. Tasks take turns.

        A write that is cancelled is taken nevertheless once its turn has come: cancel the file if
        that must not be.
        """
        if self._closed:
            raise ValueError("I/O operation on closed file.")
        view = memoryview(data).cast("B")
        await self._turn.acquire()
        put = partial(self.handoff.put, view, lambda: self.transfer.done)
        taking = asyncio.ensure_future(in_thread(put))
        taking.add_done_callback(lambda _: self._turn.release())  # also when nobody waits any more
        await asyncio.shield(taking)
        if self.transfer.done:
            await self.transfer  # raises what ended it
            raise TransferError("The upload ended before its file was closed.")
        self._written += len(view)
        return len(view)

    async def tell(self) -> int:
        """Bytes written so far."""
        return self._written

    async def aclose(self) -> None:
        """No more comes: wait until the object is complete and verified.

        Who no longer waits changes nothing: it goes on, and another `aclose` waits for it.
        """
        if self._cancelled:
            return
        self._closed = True
        async with self._turn:  # behind the writes that were before
            self.handoff.end()
        self.result = await self.transfer

    async def cancel(self) -> None:
        """Give it up: nothing of it stays. Nothing happens if it is complete."""
        if not self._cancelled:
            self._closed = self._cancelled = True
            if not self.transfer.done:
                await self.transfer.cancel()
