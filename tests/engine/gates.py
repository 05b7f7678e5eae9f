"""A store whose calls a test can hold up, watch and count."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from towpath.core.model import Row
from towpath.ledger.base import Change, Ledger, Query
from towpath.store.base import Manifest, Reading, Space, Store, Stored
from towpath.testing.faults import Crash

R = TypeVar("R", bound=Row)


class Gate:
    """Calls that come here wait until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._reached = threading.Semaphore(0)

    def open(self) -> None:
        """Let all through, those that wait and those to come."""
        self._open.set()

    async def reached(self, calls: int = 1) -> None:
        """Return once so many more calls have come here."""
        for _ in range(calls):
            await asyncio.to_thread(self._reached.acquire)

    def wait(self) -> None:
        """Come here as a call does."""
        self._reached.release()
        self._open.wait()


class GatedStore:
    """A store around another one. `on_block` gets the end of each block that was taken."""

    def __init__(self, store: Store) -> None:
        self.properties = store.properties
        self.inner = store
        self.calls: list[tuple[str, str]] = []
        self.on_block: Callable[[int], None] | None = None
        self.dead = False  # the process is gone: nothing more reaches the store
        self._gates: dict[tuple[str, str | None], Gate] = {}

    def shut(self, method: str, at: str | None = None) -> Gate:
        """A gate before a method, for one handle or address, or for any."""
        gate = self._gates[method, at] = Gate()
        return gate

    def open_all(self) -> None:
        """Let everybody go."""
        for gate in list(self._gates.values()):
            gate.open()
        self._gates.clear()

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(called == method for called, _ in self.calls)

    def _pass(self, method: str, at: str = "") -> None:
        if self.dead:
            raise Crash
        self.calls.append((method, at))
        gate = self._gates.get((method, at)) or self._gates.get((method, None))
        if gate is not None:
            gate.wait()

    def create(self, key: str, size: int | None) -> str:
        self._pass("create", key)
        return self.inner.create(key, size)

    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        self._pass("write", handle)
        return self.inner.write(handle, fence, offset, self._watch(offset, blocks))

    def _watch(self, at: int, blocks: Iterable[memoryview]) -> Iterator[memoryview]:
        for block in blocks:
            if self.dead:
                raise Crash
            yield block
            at += len(block)
            if self.on_block is not None:
                self.on_block(at)

    def settle(self, handle: str) -> None:
        self._pass("settle", handle)
        self.inner.settle(handle)

    def extent(self, handle: str) -> int | None:
        self._pass("extent", handle)
        return self.inner.extent(handle)

    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        self._pass("seal", handle)
        return self.inner.seal(handle, length, manifest)

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> Reading:
        self._pass("read", address)
        return self.inner.read(address, start, end, mapped=mapped)

    def remove(self, at: str, *, keep: bool = False) -> None:
        self._pass("remove", at)
        self.inner.remove(at, keep=keep)

    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        self._pass("list")
        return self.inner.list(after, limit)

    def space(self) -> Space:
        self._pass("space")
        return self.inner.space()

    def close(self) -> None:
        self.inner.close()


class MortalLedger:
    """A ledger that nothing reaches any more once the process is dead."""

    def __init__(self, ledger: Ledger) -> None:
        self.inner = ledger
        self.dead = False

    def get(self, kind: type[R], *key: str | int) -> R | None:
        return self._alive().get(kind, *key)

    def list(self, kind: type[R], query: Query) -> list[R]:
        return self._alive().list(kind, query)

    def count(self, kind: type[Row], query: Query) -> int:
        return self._alive().count(kind, query)

    def commit(self, changes: Sequence[Change]) -> None:
        self._alive().commit(changes)

    def close(self) -> None:
        self.inner.close()

    def _alive(self) -> Ledger:
        if self.dead:
            raise Crash
        return self.inner
