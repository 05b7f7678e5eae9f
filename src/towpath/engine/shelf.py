"""The verbs on objects and names: read stat list forget. The caller comes first.

Rules: a foreign object is answered like one that does not exist; what a scrub found damaged is
not served; verbs run on the event loop, store and ledger are asked in worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from towpath.core.caller import Caller, Scope
from towpath.core.model import Name, Object, Outbox, Segment
from towpath.core.ports import Clock
from towpath.engine.release import forget_name, forget_object, unlink
from towpath.errors import NotFound, StoreLost
from towpath.ledger.base import Change, Ledger, Query, Remove
from towpath.store.base import Reading, Store

T = TypeVar("T")
Entries = list[tuple[Name, Object]]
Names = list[Name]
Notes = list[Outbox]
Changes = list[Change]


@dataclass(frozen=True, slots=True)
class Opened:
    """An object that may be read: its facts and its segments in order."""

    object: Object
    segments: tuple[Segment, ...]
    name: str | None  # one of its names, for people
    store: Store

    def read(self, start: int, end: int) -> Reading:
        """Bytes start <= b < end. Blocks. Raises StoreError: StoreLost if they are gone."""
        first = self.segments[0] if self.segments else None
        if first is not None and len(self.segments) == 1:
            try:
                return self.store.read(first.address, first.start + start, first.start + end)
            except NotFound as error:
                raise StoreLost(
                    "The object's bytes are gone.",
                    why="The ledger knows the object, the store does not hold it.",
                    todo="Restore it from a copy, or remove it and upload it again.",
                ) from error
        return _Chained(self.store, list(_pieces(self.segments, start, end)))


class Shelf:
    """Complete objects, by id and by name."""

    def __init__(self, *, store: Store, ledger: Ledger, clock: Clock, threads: Executor) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._threads = threads

    async def open(self, caller: Caller, key: str) -> Opened:
        """The object of that id. Raises NotFound, Forbidden, StoreLost if it is damaged."""
        caller.require(Scope.READ)
        return await self._do(lambda: self._open(caller, key))

    async def stat(self, caller: Caller, path: str) -> tuple[Name, Object]:
        """What a name points to. Raises NotFound, Forbidden."""
        caller.require(Scope.LIST)
        return await self._do(lambda: self._find(caller, path))

    async def list(
        self, caller: Caller, *, prefix: str = "", after: str | None = None, limit: int = 100
    ) -> Entries:
        """Names that begin with `prefix`, in order, from behind `after` on."""
        caller.require(Scope.LIST)
        return await self._do(lambda: self._list(caller, prefix, after, limit))

    async def forget(self, caller: Caller, path: str) -> None:
        """Take a name away; the object's bytes go with its last one. Raises NotFound."""
        caller.require(Scope.REMOVE)
        await self._do(lambda: self._forget(caller, path))

    async def discard(self, caller: Caller, key: str) -> None:
        """Take an object and all its names away. Raises NotFound."""
        caller.require(Scope.REMOVE)
        await self._do(lambda: self._discard(caller, key))

    # --- in worker threads -------------------------------------------------------------------

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _open(self, caller: Caller, key: str) -> Opened:
        made = self._own(caller, key)
        if made.damaged:
            raise StoreLost(
                "The object is damaged and is not served.",
                why="A scrub found bytes that do not match its digest.",
                todo="Restore it from a copy, or remove it and upload it again.",
            )
        segments = self._ledger.list(Segment, Query(where={"object": key}, limit=10_000))
        names = self._names(made)
        return Opened(made, tuple(segments), names[0].path if names else None, self._store)

    def _own(self, caller: Caller, key: str) -> Object:
        made = self._ledger.get(Object, key)
        if made is None or made.tenant != caller.tenant or not self._may_see(caller, made):
            raise _no_such_object()
        return made

    def _may_see(self, caller: Caller, made: Object) -> bool:
        """Without a prefix a caller sees its tenant's objects; with one, those named below it."""
        if not caller.prefix or caller.owns(made.tenant, made.owner):
            return True
        return any(caller.reaches(name.path) for name in self._names(made))

    def _names(self, made: Object) -> Names:
        where = {"tenant": made.tenant, "object": made.id}
        return self._ledger.list(Name, Query(where=where, limit=10_000))

    def _find(self, caller: Caller, path: str) -> tuple[Name, Object]:
        name = self._ledger.get(Name, caller.tenant, path) if caller.reaches(path) else None
        made = None if name is None else self._ledger.get(Object, name.object)
        if name is None or made is None:
            raise NotFound(
                "There is no object of that name.",
                why="It never was, it was removed, or you may not see it.",
                todo="List the names to see what there is.",
            )
        return name, made

    def _list(self, caller: Caller, prefix: str, after: str | None, limit: int) -> Entries:
        if not prefix.startswith(caller.prefix):
            if not caller.prefix.startswith(prefix):
                return []
            prefix = caller.prefix
        query = Query(
            where={"tenant": caller.tenant},
            prefix=("path", prefix) if prefix else None,
            after=None if after is None else (caller.tenant, after),
            limit=limit,
        )
        names = self._ledger.list(Name, query)
        ids = tuple({name.object for name in names})
        found = self._ledger.list(Object, Query(where={"id": ids}, limit=len(ids))) if ids else []
        objects = {made.id: made for made in found}
        return [(name, objects[name.object]) for name in names if name.object in objects]

    def _forget(self, caller: Caller, path: str) -> None:
        name, _ = self._find(caller, path)
        changes, notes = forget_name(self._ledger, name, now=self._clock.now())
        self._let_go([Remove(Name, name.key, name.version), *changes], notes)

    def _discard(self, caller: Caller, key: str) -> None:
        made = self._own(caller, key)
        changes, notes = forget_object(self._ledger, key, now=self._clock.now())
        names = [Remove(Name, name.key, name.version) for name in self._names(made)]
        self._let_go([*names, *changes], notes)

    def _let_go(self, changes: Changes, notes: Notes) -> None:
        self._ledger.commit(changes)
        for note in notes:
            unlink(self._store, self._ledger, note)


class _Chained:
    """Reads of several segments, one after the other."""

    file: tuple[int, int, int] | None = None

    def __init__(self, store: Store, pieces: list[tuple[str, int, int]]) -> None:
        self._store = store
        self._pieces = pieces
        self._reading: Reading | None = None

    def __iter__(self) -> Iterator[memoryview]:
        for address, start, end in self._pieces:
            self._reading = self._store.read(address, start, end)
            yield from self._reading
            self._reading.close()

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()


def _pieces(segments: tuple[Segment, ...], start: int, end: int) -> Iterator[tuple[str, int, int]]:
    at = 0
    for segment in segments:
        size = segment.end - segment.start
        first, last = max(start - at, 0), min(end - at, size)
        if first < last:
            yield segment.address, segment.start + first, segment.start + last
        at += size


def _no_such_object() -> NotFound:
    return NotFound(
        "There is no such object.",
        why="It never was, it was removed, or it is not yours.",
        todo="List the names to see what there is.",
    )
