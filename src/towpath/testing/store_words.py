"""The words that checks of a store are written in.

Rules: no test framework; bytes look random and are the same every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from towpath.store.base import Manifest, Store, Stored

Make = Callable[[], AbstractContextManager[Store]]
"""Yields an empty store that takes a few MiB, and closes it."""

KEY, OTHER = "checked00001", "checked00002"
RECORD = Manifest(record={"name": "été/1", "size": 2**63, "clean": False, "type": None})

HOSTILE = (
    "", "short", "x" * 65, "../../../etc", "..%2f..%2fetc", "UPPERCASE", "with/slash", "with space",
    "nul\0nul\0nul", "newline000\n", "ünïcödé00", "manifest.draft", "x" * 5000,
)  # fmt: skip


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that look random and are the same every time."""
    return random.Random(seed).randbytes(size)


def blocks(data: bytes, size: int = 4096) -> Iterator[memoryview]:
    """The data in blocks, all of them in one reused buffer, as a server passes them."""
    buffer = bytearray(size)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]
    buffer[:] = bytes(size)


def fetch(store: Store, address: str, start: int, end: int, *, mapped: bool = False) -> bytes:
    """Bytes start <= b < end of an object."""
    reading = store.read(address, start, end, mapped=mapped)
    try:
        return b"".join(bytes(block) for block in reading)
    finally:
        reading.close()


def sealed(store: Store, data: bytes, key: str = KEY) -> str:
    """The address of a new object of this data."""
    handle = store.create(key, len(data))
    store.write(handle, 1, 0, blocks(data))
    return store.seal(handle, len(data), RECORD)


@contextmanager
def raising(*kinds: type[BaseException]) -> Iterator[None]:
    """Assert that the block raises one of these errors."""
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"Nothing was raised; expected {' or '.join(k.__name__ for k in kinds)}.")


def listed(store: Store, limit: int = 1000) -> list[Stored]:
    """All that is in the store, taken page by page."""
    found: list[Stored] = []
    while page := store.list(found[-1].at if found else "", limit):
        assert len(page) <= limit, "a page holds more than its limit"
        found += page
    return found
