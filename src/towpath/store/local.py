"""A store in a local directory: what settled bytes survive a power cut.

Rules:
- Bytes go to their place at once (pwrite); nothing is ever merged, copied or renamed but whole.
- strict: `settle` and `seal` return after fdatasync, and after fsync of the folders involved; the
  disk begins before, so that they wait for less;
  relaxed: they do not wait for the disk, so a killed process loses nothing and a power cut may.
- After a failed fdatasync the kernel may have forgotten the bytes and the error with them, so
  none is tried again: the store takes no more writes until it is opened anew.
- One process holds the directory, so fences in its memory are enough.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from towpath.core.ports import Clock
from towpath.errors import NotFound, StoreError, StoreFull, StoreLost, StoreReadOnly, TakenOver
from towpath.store import manifest as texts
from towpath.store.base import Manifest, Properties, Space, Stored
from towpath.store.datadir import DataDir
from towpath.store.disk import begin_sync, refusal, sync_bytes
from towpath.store.held import NOBODY, Held, HeldUploads
from towpath.store.keys import OBJECTS, UPLOADS, behind, check_key, key_of, split
from towpath.store.prealloc import WINDOW, Preallocation
from towpath.store.reading import FileReading, MappedReading

_STRETCH = 4 << 20  # bytes that are written before the disk begins with them


class LocalStore:
    """A place for bytes in a directory of this machine."""

    def __init__(
        self,
        root: Path,
        *,
        durability: Literal["strict", "relaxed"] = "strict",
        min_free: int = 0,
        clock: Clock | None = None,
        window: int = WINDOW,
        idle_files: int = 256,
    ) -> None:
        """Take the directory; it is made if need be.

        `min_free`: bytes of the disk that uploads may not use. `window`: bytes reserved ahead of
        a writer; 0: none. `idle_files`: descriptors that stay open between writes. Raises
        StoreBusy when another process holds the directory, StoreError.
        """
        self._strict = durability == "strict"
        self.properties = Properties(
            positional=True, durable="power-cut" if self._strict else "kill"
        )
        self._min_free = min_free
        self._ahead = Preallocation(window)
        self._read_only = ""
        self._closed = False
        now = clock.now() if clock else time.time_ns() // 1_000_000
        with _said(f"The data directory {root} cannot be used."):
            self._dir = DataDir(root, now=now, durable=self._strict)
        self._held = HeldUploads(idle_files, self._open_upload, self._settle)

    def create(self, key: str, size: int | None) -> str:
        """Make room for an upload and return its handle.

        Raises Malformed, StoreFull when less than `size` and `min_free` is free, StoreReadOnly.
        """
        check_key(key)
        self._check_writable()
        with _said("The upload cannot be created."):
            # A key that became an object stays one: nothing is made that could replace it.
            if self._dir.stat(OBJECTS, key) is None:
                if self._dir.stat(UPLOADS, key) is None:
                    if (free := self._free()) < (1 if size is None else size):
                        raise StoreFull(
                            "The disk has no room for this upload.",
                            why=f"{max(free, 0)} bytes of it are free for uploads.",
                            todo="Send a smaller file, or ask who runs the server to make room.",
                        )
                    os.close(self._dir.open(UPLOADS, key, os.O_RDWR | os.O_CREAT))
                    self._held.get(key).fresh = True
                self._held.get(key).size = size
        return f"{UPLOADS}/{key}"

    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        """Write the blocks from `offset` on and return the offset after the last written byte.

        Raises TakenOver, NotFound, and StoreFull, StoreReadOnly, StoreError with `written`.
        """
        self._check_writable(written=offset)
        with self._using(handle, written=offset) as (held, descriptor):
            if not self._held.claim(held, fence):
                raise TakenOver("A newer writer has this upload.")
            at = reserved = begun = offset
            try:
                for block in blocks:
                    if held.fence > fence:
                        raise TakenOver("A newer writer has this upload.")
                    end = at + len(block)
                    if end > reserved:
                        reserved = self._reserve(held, descriptor, at, end)
                    try:
                        at += os.pwrite(descriptor, block, at)
                        while at < end:  # the kernel took a part: the next call says why, if so
                            at += os.pwrite(descriptor, block[at - end :], at)
                        if self._strict and at - begun >= _STRETCH:
                            begin_sync(descriptor, begun, at)
                            begun = at
                    except OSError as error:
                        raise refusal(error, "A block was not written.", written=at) from error
            finally:
                held.unsettled = self._strict
        return at

    def settle(self, handle: str) -> None:
        """Return when all that was written before the call survives what `properties` says.

        Raises NotFound, StoreReadOnly.
        """
        self._check_writable()
        with self._using(handle) as (held, descriptor):
            self._settle(held, descriptor)

    def extent(self, handle: str) -> int | None:
        """The offset after the last byte that the store may hold. Raises NotFound."""
        key = key_of(UPLOADS, handle)
        with _said("The upload cannot be looked at."):
            found = self._dir.stat(UPLOADS, key)
        if found is None:
            raise NotFound("The store holds no such upload.")
        return found.st_size

    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        """Make an object of the first `length` bytes and return its address.

        Whoever still writes to it is cut off. Raises StoreLost, NotFound, StoreFull, StoreReadOnly.
        """
        key = key_of(UPLOADS, handle)
        text = texts.encode(manifest)
        held = self._held.get(key)
        with held.lock, _said("The object cannot be made."):
            self._check_writable()
            if self._dir.stat(OBJECTS, key) is None:
                self._make_object(held, length, text)
            else:  # a crash hid the answer of an earlier call, or came before its end
                if self._dir.read_manifest(key, 0) is None:
                    self._dir.write_manifest(key, text)
                self._dir.discard(UPLOADS, key, keep=False)
            self._sync_entries(OBJECTS, key)
            if (
                held.entered or not held.fresh
            ):  # of another entry, one that stayed is found by a sweep
                self._sync_entries(UPLOADS, key)
            self._held.drop(held)
        return f"{OBJECTS}/{key}"

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> FileReading:
        """Bytes start <= b < end of an object, or of an upload by its handle.

        With `mapped` they may come as one block that lies in the page cache: for a few MiB that are
        used up at once. Raises NotFound, StoreLost, StoreError.
        """
        kind, key = split(address)
        with _said("The bytes cannot be opened."):
            try:
                descriptor = self._dir.open(kind, key, os.O_RDONLY)
            except FileNotFoundError as error:
                raise NotFound("The store holds nothing by that name.") from error
            reading = (MappedReading if mapped else FileReading)(descriptor, start, end)
            try:
                if not 0 <= start <= end <= os.fstat(descriptor).st_size:
                    raise StoreLost("The store does not hold all of these bytes.")
            except BaseException:
                reading.close()
                raise
        return reading

    def remove(self, at: str, *, keep: bool = False) -> None:
        """Remove an upload or an object with its manifest; what is not there is fine.

        With `keep` it is moved to lost+found. Raises NotFound for what can be nothing of this
        store, StoreReadOnly.
        """
        kind, key = split(at)
        held = self._held.get(key)
        with held.lock, _said("The bytes cannot be removed."):
            self._check_writable()
            # The manifest goes first: an object without one is still seen, a lone one is not.
            if kind == OBJECTS or self._dir.stat(OBJECTS, key) is None:
                self._dir.discard_manifest(key, keep=keep)
            self._dir.discard(kind, key, keep=keep)
            self._sync_entries(kind, key)
            if self._dir.stat(UPLOADS, key) is None:
                self._held.drop(held)

    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        """What is in the store, ordered by `at`, from behind `after` on.

        An object whose manifest is missing or damaged is listed without one.
        """
        found: list[Stored] = []
        with _said("The data directory cannot be listed."):
            for kind in (OBJECTS, UPLOADS):
                start = behind(kind, after)
                if start is None:
                    continue
                for key in self._dir.keys(kind, start):
                    if len(found) >= limit:
                        return found
                    facts = self._dir.stat(kind, key)
                    if facts is not None:  # else it went since its folder was read
                        found.append(self._stored(kind, key, facts))
        return found

    def space(self) -> Space:
        """How much room there is beyond `min_free`, and why there are no writes, if so."""
        with _said("The file system says nothing about its space."):
            room = self._dir.room()
        why = self._read_only
        if not why and room.f_flag & os.ST_RDONLY:
            why = "The disk is mounted read-only."
        return Space(
            free=self._free(),
            total=room.f_blocks * room.f_frsize,
            read_only=why,
            files=room.f_favail if room.f_files else None,
        )

    def close(self) -> None:
        """Let the directory go; whoever still writes is cut off. Idempotent."""
        self._closed = True
        with _said("Not every file could be closed."), ExitStack() as stack:
            stack.callback(self._dir.close)
            stack.callback(self._held.close)

    def _make_object(self, held: Held, length: int, text: bytes) -> None:
        """Cut, sync, describe, rename: after each of them a crash leaves what `seal` can end."""
        fence = held.fence
        try:
            descriptor = self._open_upload(held.key)
        except FileNotFoundError as error:
            self._held.drop(held)
            raise NotFound("The store holds no such upload.") from error
        try:
            if os.fstat(descriptor).st_size < length:
                raise StoreLost("The upload is shorter in the store than it should be.")
            self._held.claim(held, NOBODY)
            os.ftruncate(descriptor, length)  # this frees what was reserved ahead, too
            self._sync(descriptor)
            self._dir.write_manifest(held.key, text)
            self._dir.promote(held.key)
        except BaseException:
            held.fence = fence  # it is an upload still
            raise
        finally:
            os.close(descriptor)

    def _settle(self, held: Held, descriptor: int) -> None:
        """Settle one upload. By turns, since the kernel tells of a failed write-back once."""
        if not self._strict:
            return
        with held.lock:
            self._check_writable()
            held.unsettled = False
            self._sync(descriptor)
            if not held.entered:
                self._sync_entries(UPLOADS, held.key)
                held.entered = True

    def _sync(self, descriptor: int) -> None:
        if self._strict:
            try:
                sync_bytes(descriptor)
            except OSError as error:
                raise self._refused(error) from error

    def _sync_entries(self, kind: str, key: str) -> None:
        try:
            self._dir.sync(kind, key)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> StoreReadOnly:
        """Take no more writes: the disk did not make durable what it was given."""
        self._read_only = f"The disk refused to make bytes durable: {error.strerror}."
        return self._told()

    def _told(self, written: int | None = None) -> StoreReadOnly:
        return StoreReadOnly(
            "The store takes no more writes.",
            written=written,
            why=self._read_only,
            todo="Look at the disk and its log, then restart.",
        )

    def _check_writable(self, written: int | None = None) -> None:
        if self._read_only:
            raise self._told(written)
        if self._closed:
            raise StoreError("The store is closed.", written=written)

    def _reserve(self, held: Held, descriptor: int, at: int, end: int) -> int:
        """Reserve the window that the block at <= b < end ends in; return where that one ends.

        Raises StoreFull when the disk has less than `min_free`.
        """
        start, stop = self._ahead.window_of(end - 1)
        if start != held.window:
            held.window = start
            if self._min_free and self._free() < end - at:
                raise StoreFull(
                    "The disk is as full as it may be.",
                    written=at,
                    why="What is left of it is kept free.",
                    todo="Go on when who runs the server has made room.",
                )
            last = stop if held.size is None else min(stop, held.size)
            if last > end:
                self._ahead.reserve(descriptor, start, last)
        return stop

    def _free(self) -> int:
        room = self._dir.room()
        return max(0, room.f_bavail * room.f_frsize - self._min_free)

    def _open_upload(self, key: str) -> int:
        return self._dir.open(UPLOADS, key, os.O_RDWR)

    @contextmanager
    def _using(self, handle: str, *, written: int | None = None) -> Iterator[tuple[Held, int]]:
        """The upload and its open descriptor. Raises NotFound, StoreError."""
        held = self._held.get(key_of(UPLOADS, handle))
        try:
            descriptor = self._held.acquire(held)
        except FileNotFoundError as error:
            self._held.drop(held)
            raise NotFound("The store holds no such upload.") from error
        except OSError as error:
            raise refusal(error, "The upload cannot be opened.", written=written) from error
        try:
            yield held, descriptor
        finally:
            with _said("The upload's file could not be closed."):
                self._held.release(held)

    def _stored(self, kind: str, key: str, facts: os.stat_result) -> Stored:
        manifest = None
        if kind == OBJECTS:
            text = self._dir.read_manifest(key, texts.LARGEST + 1)
            manifest = texts.decode(text) if text else None
        return Stored(
            at=f"{kind}/{key}",
            kind="upload" if kind == UPLOADS else "object",
            size=facts.st_size,
            changed_at=facts.st_mtime_ns // 1_000_000,
            manifest=manifest,
        )


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Put the kernel's refusals into words."""
    try:
        yield
    except OSError as error:
        raise refusal(error, what) from error
