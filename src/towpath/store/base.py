"""What a place for bytes must do. Written for those who implement one.

Rules:
- Methods block; they are called in worker threads, any number at once, also for one handle.
- Bytes may be written at any offset, in any order; no byte that is settled is written again.
- `write` may return before bytes are durable; `settle` makes durable what was written before it.
- `create`, `seal` and `remove` are idempotent: a crash may have hidden the first call's answer.
- A fence lower than one the handle has seen is refused with `TakenOver`: a woken writer harms
  nothing.
- Errors are of the tree in `towpath.errors`; nothing here knows HTTP.
- Names of strangers never reach a store: keys are made by the engine from [0-9a-z].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What a store can do, as facts."""

    positional: bool  # any offset, any order
    durable: str  # "power-cut", "kill" or "none": what settled bytes survive
    largest: int | None = None  # bytes of one object; None: as much as there is space
    knows_extent: bool = True  # `extent` can answer
    seals_quickly: bool = True  # `seal` takes milliseconds, whatever the size


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands beside an object so that the ledger can be rebuilt from the store alone.

    `record` is a flat mapping of JSON values that the engine writes and `ledger rebuild` reads.
    """

    record: dict[str, str | int | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One thing found in the store: an upload's handle or an object's address."""

    at: str
    kind: str  # "upload" or "object"
    size: int
    changed_at: int  # milliseconds since 1970
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Room in the store, in bytes. None: it cannot be known."""

    free: int | None
    total: int | None
    read_only: str = ""  # why it takes no writes; empty: it does
    files: int | None = None  # that can still be made; None: it cannot be known, or has no bound


class Reading(Protocol):
    """Bytes of an object, block by block. Iterating reads; blocks are valid until the next one."""

    file: tuple[int, int, int] | None
    """(descriptor, offset, count) when the bytes lie in a local file, so that the kernel can
    send them; valid until `close`."""

    def __iter__(self) -> Iterator[memoryview]: ...

    def close(self) -> None:
        """Let go of the bytes. Idempotent."""
        ...


class Store(Protocol):
    """A place for bytes."""

    properties: Properties

    def create(self, key: str, size: int | None) -> str:
        """Make room for an upload and return its handle. The same key gives the same handle.

        Until the first `settle` a crash may take the upload as a whole: create it again. A key
        that is sealed stays sealed: nothing new is made. Raises StoreFull when `size` surely does
        not fit, StoreReadOnly, Malformed when the key is none.
        """
        ...

    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        """Write the blocks from `offset` on and return the offset after the last written byte.

        Each block is used up before the next is asked for. When `blocks` ends early or raises,
        what was written stays. Raises TakenOver, NotFound, and StoreFull, StoreReadOnly,
        StoreError with `written`: the offset after the last byte that was written.
        """
        ...

    def settle(self, handle: str) -> None:
        """Return when all that was written before the call is as durable as `properties` says.

        Raises StoreReadOnly when the disk refused: then nothing since the last settle counts,
        and it is never tried again. Raises NotFound.
        """
        ...

    def extent(self, handle: str) -> int | None:
        """The offset after the last byte that the store may hold; None: it cannot know.

        Raises NotFound.
        """
        ...

    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        """Make an object of the first `length` bytes and return its address.

        After a return the object and its manifest are durable and the handle is gone; who still
        writes to it is cut off with TakenOver. Calling it again returns the same address. Raises
        StoreLost when bytes are missing (the upload stays as it is), NotFound, StoreFull,
        StoreReadOnly.
        """
        ...

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> Reading:
        """Bytes start <= b < end of an object, or of an upload by its handle.

        With `mapped` they may come as one block that lies in the page cache: for a few MiB that are
        used up at once. Raises NotFound, StoreLost when they are not all there, StoreError.
        """
        ...

    def remove(self, at: str, *, keep: bool = False) -> None:
        """Remove an upload or an object with its manifest; what is not there is fine.

        With `keep` it is moved to lost+found instead, for somebody to look at. Raises NotFound
        for what can be nothing of this store, StoreReadOnly.
        """
        ...

    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        """What is in the store, ordered by `at`, from behind `after` on.

        An object whose manifest is missing or damaged is listed without one.
        """
        ...

    def space(self) -> Space:
        """How much room there is, and whether the store takes writes."""
        ...

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        ...
