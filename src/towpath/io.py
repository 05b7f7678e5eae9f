"""Streams that are hashed and counted while they are read.

Rules: imports nothing of Towpath, so that anybody may use it alone; holds no bytes of its own; what
was not read is not hashed. Any thread may read and ask: a lock keeps bytes, count and digest in
step, and a read waits for the one before it. Bytes are hashed in the order in which they come.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1024 * 1024  # bytes of one read, when all is asked for


class Readable(Protocol):
    """What can be wrapped: an open binary file, a response, a socket's file."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end; None when a non-blocking stream has none yet."""
        ...


class StreamingHashWrapper(io.BufferedIOBase):
    """A readable stream over `stream` that knows the SHA-256 and the count of what was read.

    As with io's own classes, closing it closes what it wraps; `detach` lets go of that instead. It
    cannot seek: a digest has one order. Raises ValueError when it is closed, UnsupportedOperation
    when it is detached, BlockingIOError when a non-blocking stream has nothing yet, and what the
    stream itself raises; nothing of a read that raised is counted.
    """

    def __init__(self, stream: Readable) -> None:
        super().__init__()
        self._stream: Readable | None = stream
        self._lock = threading.RLock()
        self._hasher = hashlib.sha256()
        self._count = 0

    @property
    def count(self) -> int:
        """Bytes read so far."""
        with self._lock:
            return self._count

    @property
    def name(self) -> object:
        """What the stream is called. Raises AttributeError if it has no name."""
        return self._open().name  # type: ignore[attr-defined]  # as BufferedReader does

    def digest(self) -> bytes:
        """The SHA-256 of what was read so far, 32 bytes (FIPS 180-4)."""
        with self._lock:
            return self._hasher.digest()

    def hexdigest(self) -> str:
        """The same as 64 hexadecimal digits."""
        return self.digest().hex()

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.count

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes, fewer only at the end; all that is left without a size."""
        if size is not None and size >= 0:
            return self._gathered(size)
        parts = []
        while part := self._gathered(BLOCK):
            parts.append(part)
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """What one read of the stream gives: at most `size` bytes, none at the end."""
        with self._lock:
            stream = self._open()
            data = getattr(stream, "read1", stream.read)(BLOCK if size < 0 else size)
            return b"" if size == 0 else self._counted(data)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`, less only at the end; return how many bytes it has now."""
        with self._lock, memoryview(buffer).cast("B") as view:
            filled = 0
            while filled < len(view):
                taken = self._into(view[filled:], "readinto", again=filled > 0)
                if not taken:
                    break
                filled += taken
            return filled

    def readinto1(self, buffer: WriteableBuffer, /) -> int:
        """Put into `buffer` what one read of the stream gives; 0 at the end."""
        with self._lock, memoryview(buffer).cast("B") as view:
            return self._into(view, "readinto1", again=False) if len(view) else 0

    def detach(self) -> Readable:  # type: ignore[override]  # whatever was wrapped, not a RawIOBase
        """Let go of the stream, which stays open, and return it; count and digest stay."""
        with self._lock:
            stream = self._open()
            self._stream = None
            return stream

    def close(self) -> None:
        """Close what it wraps, if that can be closed."""
        with self._lock:
            if self.closed:
                return
            super().close()
            stop: Callable[[], object] | None = getattr(self._stream, "close", None)
            if stop is not None:
                stop()

    def _open(self) -> Readable:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._stream is None:
            raise io.UnsupportedOperation("The stream was detached.")
        return self._stream

    def _gathered(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        with self._lock:
            stream = self._open()
            first = self._counted(stream.read(size)) if size else b""
            if not first or len(first) == size:
                return first
            parts, missing = [first], size - len(first)
            while missing:  # a raw stream gives what it has; the rest needs further reads
                data = stream.read(missing)
                if not data:
                    break
                parts.append(self._counted(data))
                missing -= len(data)
            return b"".join(parts)

    def _into(self, view: memoryview, way: str, *, again: bool) -> int:
        """One read into `view`, by the stream's own way if it has one."""
        stream = self._open()
        own = getattr(stream, way, None) or getattr(stream, "readinto", None)
        if own is None:
            data = stream.read(len(view))
            taken = None if data is None else len(data)
            view[: taken or 0] = data or b""
        else:
            taken = own(view)
        if taken is None:
            if again:  # there were bytes before: they are handed out first
                return 0
            raise BlockingIOError("The stream has nothing yet.")
        self._hasher.update(view[:taken])
        self._count += taken
        return int(taken)

    def _counted(self, data: bytes | None) -> bytes:
        if data is None:
            raise BlockingIOError("The stream has nothing yet.")
        self._hasher.update(data)
        self._count += len(data)
        return data
