"""A store in memory, for tests and for trying things out.

Rules: it passes the same suite as every other store; one lock guards everything and is never held
while blocks are asked for; `crash` loses exactly what a disk might lose: all that is not settled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Lock

from towpath.core.ports import Clock
from towpath.errors import NotFound, StoreError, StoreFull, StoreLost, TakenOver
from towpath.store.base import Manifest, Properties, Space, Stored
from towpath.store.keys import OBJECTS, UPLOADS, behind, check_key, key_of, split

BLOCK = 256 * 1024  # bytes that a Reading yields at once


class _Upload:
    """What is known of one upload; `unsettled` are the ranges a crash would lose."""

    def __init__(self, now: int) -> None:
        self.content = bytearray()
        self.fence = 0
        self.changed_at = now
        self.entered = False  # settled at least once
        self.settled = 0  # size at the last settle
        self.unsettled: list[tuple[int, int]] = []

    def put(self, offset: int, block: memoryview) -> None:
        """Write the block, with zeros in a gap before it."""
        end = offset + len(block)
        if len(self.content) < offset:
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset:end] = block
        self.unsettled.append((offset, end))

    def survivor(self) -> _Upload:
        """What a crash leaves of it."""
        left = _Upload(self.changed_at)
        left.content = self.content[: self.settled]
        for start, end in self.unsettled:
            stop = min(end, self.settled)
            if start < stop:
                left.content[start:stop] = bytes(stop - start)
        left.entered, left.settled = True, self.settled
        return left


class _Object:
    """Bytes that never change again, and what stands beside them."""

    def __init__(self, content: bytes, manifest: Manifest, now: int) -> None:
        self.content = content
        self.manifest = manifest
        self.changed_at = now


class _Reading:
    """Bytes, a block at a time."""

    def __init__(self, view: memoryview) -> None:
        self.file: tuple[int, int, int] | None = None
        self._view = view

    def __iter__(self) -> Iterator[memoryview]:
        for at in range(0, len(self._view), BLOCK):
            yield self._view[at : at + BLOCK]

    def close(self) -> None:
        """Let go of the bytes. Idempotent."""
        self._view = memoryview(b"")


class MemoryStore:
    """A place for bytes that ends with the process."""

    def __init__(self, capacity: int | None = None, *, clock: Clock | None = None) -> None:
        """`capacity`: bytes of all uploads and objects together; None: no bound."""
        self.properties = Properties(positional=True, durable="none")
        self.lost_and_found: dict[str, bytes] = {}  # what `remove` kept, by handle or address
        self._capacity = capacity
        self._clock = clock
        self._lock = Lock()
        self._uploads: dict[str, _Upload] = {}
        self._objects: dict[str, _Object] = {}
        self._closed = False

    def crash(self) -> None:
        """Return to the settled state: what was not settled is gone, writers are cut off."""
        with self._lock:
            for upload in self._uploads.values():
                upload.fence = _NOBODY
            self._uploads = {
                key: upload.survivor() for key, upload in self._uploads.items() if upload.entered
            }
            self._closed = False

    def create(self, key: str, size: int | None) -> str:
        """Make room for an upload and return its handle. Raises Malformed, StoreFull."""
        check_key(key)
        with self._lock:
            self._check_open()
            if key not in self._uploads and key not in self._objects:
                room = self._room()
                if size is not None and room is not None and size > room:
                    raise StoreFull("The store has no room for this upload.")
                self._uploads[key] = _Upload(self._now())
        return f"{UPLOADS}/{key}"

    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        """Write the blocks from `offset` on. Raises TakenOver, NotFound, StoreFull."""
        with self._lock:
            upload = self._upload(handle)
            if fence < upload.fence:
                raise TakenOver("A newer writer has this upload.")
            upload.fence = fence
        at = offset
        for block in blocks:
            with self._lock:
                if fence < upload.fence:
                    raise TakenOver("A newer writer has this upload.")
                written = self._put(upload, at, block)
            at += written
            if written < len(block):
                raise StoreFull("The store is full.", written=at)
        return at

    def settle(self, handle: str) -> None:
        """Keep what was written so far through a `crash`. Raises NotFound."""
        with self._lock:
            upload = self._upload(handle)
            upload.entered = True
            upload.settled = len(upload.content)
            upload.unsettled.clear()

    def extent(self, handle: str) -> int | None:
        """The offset after the last byte. Raises NotFound."""
        with self._lock:
            return len(self._upload(handle).content)

    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        """Make an object of the first `length` bytes. Raises StoreLost, NotFound."""
        key = key_of(UPLOADS, handle)
        with self._lock:
            self._check_open()
            if key not in self._objects:
                upload = self._upload(handle)
                if len(upload.content) < length:
                    raise StoreLost("The upload is shorter in the store than it should be.")
                upload.fence = _NOBODY
                content = bytes(memoryview(upload.content)[:length])
                self._objects[key] = _Object(content, manifest, self._now())
                del self._uploads[key]
        return f"{OBJECTS}/{key}"

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> _Reading:
        """Bytes start <= b < end of an object, or of an upload by its handle.

        `mapped` changes nothing here: they are in memory. Raises NotFound, StoreLost.
        """
        kind, key = split(address)
        with self._lock:
            self._check_open()
            found: _Upload | _Object | None
            found = self._uploads.get(key) if kind == UPLOADS else self._objects.get(key)
            if found is None:
                raise NotFound("The store holds nothing by that name.")
            if not 0 <= start <= end <= len(found.content):
                raise StoreLost("The store does not hold all of these bytes.")
            # A copy of an upload's: its bytearray could not grow under a view.
            whole = memoryview(found.content)[start:end]
            return _Reading(whole if kind == OBJECTS else memoryview(bytes(whole)))

    def remove(self, at: str, *, keep: bool = False) -> None:
        """Remove an upload or an object; with `keep` its bytes go to `lost_and_found`."""
        kind, key = split(at)
        gone: _Upload | _Object | None
        with self._lock:
            self._check_open()
            if kind == UPLOADS:
                gone = upload = self._uploads.pop(key, None)
                if upload is not None:
                    upload.fence = _NOBODY
            else:
                gone = self._objects.pop(key, None)
            if gone is not None and keep:
                self.lost_and_found[at] = bytes(gone.content)

    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        """What is in the store, ordered by `at`, from behind `after` on."""
        found: list[Stored] = []
        with self._lock:
            self._check_open()
            for kind, things in ((OBJECTS, self._objects), (UPLOADS, self._uploads)):
                start = behind(kind, after)
                if start is not None:
                    keys = sorted(key for key in things if key > start)
                    found += [_stored(kind, key, things[key]) for key in keys]
        return found[: max(limit, 0)]

    def space(self) -> Space:
        """How much room there is; without a capacity it cannot be known."""
        with self._lock:
            return Space(free=self._room(), total=self._capacity)

    def close(self) -> None:
        """Take no more calls. Idempotent; `crash` opens the store again."""
        with self._lock:
            self._closed = True

    def _put(self, upload: _Upload, at: int, block: memoryview) -> int:
        """Write as much of the block as there is room for; return how much."""
        room = self._room()
        if room is not None:
            most = max(0, len(upload.content) + room - at)
            block = block[:most]
        if len(block):
            upload.put(at, block)
            upload.changed_at = self._now()
        return len(block)

    def _room(self) -> int | None:
        if self._capacity is None:
            return None
        used = sum(len(upload.content) for upload in self._uploads.values())
        used += sum(len(made.content) for made in self._objects.values())
        return max(0, self._capacity - used)

    def _upload(self, handle: str) -> _Upload:
        self._check_open()
        upload = self._uploads.get(key_of(UPLOADS, handle))
        if upload is None:
            raise NotFound("The store holds no such upload.")
        return upload

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")

    def _now(self) -> int:
        return self._clock.now() if self._clock else time.time_ns() // 1_000_000


_NOBODY = 1 << 63  # a fence above all others: no writer has the upload any more


def _stored(kind: str, key: str, thing: _Upload | _Object) -> Stored:
    return Stored(
        at=f"{kind}/{key}",
        kind="upload" if kind == UPLOADS else "object",
        size=len(thing.content),
        changed_at=thing.changed_at,
        manifest=thing.manifest if isinstance(thing, _Object) else None,
    )
