"""All kinds of sources of an upload, made from the same bytes."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.client.conftest import sample

DATA = sample(5_000_001)
SMALL = {"chunk_size": 1_000_000}


def generator(data: bytes, piece: int = 70_000) -> Iterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


async def asynchronous(data: bytes) -> AsyncIterator[bytes]:
    for piece in generator(data):
        await asyncio.sleep(0)
        yield piece


class Pipe(io.RawIOBase):
    """What a pipe is: it cannot seek, and gives a little at a time."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(memoryview(buffer)[:65_536])


class OnlyRead:
    """The least that is an open file."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._inner.read(size)


REWINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "file": io.BytesIO,
}
ONCE: dict[str, Callable[[bytes], Any]] = {
    "generator": generator,
    "list": lambda data: list(generator(data)),
    "asynchronous": asynchronous,
    "pipe": Pipe,
    "only read": OnlyRead,
}
SOURCES = REWINDS | ONCE
each_source = pytest.mark.parametrize("kind", SOURCES)
