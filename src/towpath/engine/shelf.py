"""The verbs on objects and names: read stat list move forget. The caller comes first.

Rules: a foreign object is answered like one that does not exist; what a scrub found damaged is
not served; verbs run on the event loop, store and ledger are asked in worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from towpath.core.caller import Caller, Scope
from towpath.core.model import Name, Object, OnConflict, Outbox, Segment
from towpath.core.ports import Clock
from towpath.engine.names import Entries, list_names, move_name, no_such_name, pointed
from towpath.engine.release import forget_companion, forget_name, forget_object, unlink
from towpath.engine.segments import segments
from towpath.errors import NameConflict, NotFound, StoreLost
from towpath.ledger.base import Change, Ledger, Query, Remove
from towpath.store.base import Reading, Store

T = TypeVar("T")
Notes = list[Outbox]
Changes = list[Change]

_MOST_SAME = 100  # objects with the same bytes that are looked at
_MOST_NAMES = 10_000


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

    async def forget(self, caller: Caller, path: str, *, only: str | None = None) -> None:
        """Take a name away; the object's bytes go with its last one.

        `only`: the object that it must point to. Raises NotFound, NameConflict, Stale.
        """
        caller.require(Scope.REMOVE)
        await self._do(lambda: self._forget(caller, path, only))

    async def move(
        self, caller: Caller, path: str, to: str, rule: OnConflict = OnConflict.FAIL
    ) -> Name:
        """Call what a name points to `to` instead; the name as it is then.

        `rule`: what to do when `to` is taken. Raises NotFound, Forbidden, Malformed, NameConflict.
        """
        caller.require(Scope.WRITE)
        caller.require(Scope.REMOVE)
        return await self._do(lambda: self._move(caller, path, to, rule))

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
        names = _names(self._ledger, made)
        return Opened(
            made, segments(self._ledger, made), names[0].path if names else None, self._store
        )

    def _own(self, caller: Caller, key: str) -> Object:
        made = self._ledger.get(Object, key)
        if made is None or made.tenant != caller.tenant or not _may_see(self._ledger, caller, made):
            raise _no_such_object()
        return made

    def _find(self, caller: Caller, path: str) -> tuple[Name, Object]:
        found = pointed(self._ledger, caller, path)
        if found is None:
            raise no_such_name()
        return found

    def _list(self, caller: Caller, prefix: str, after: str | None, limit: int) -> Entries:
        return list_names(self._ledger, caller, prefix, after, limit)

    def _forget(self, caller: Caller, path: str, only: str | None) -> None:
        name, _ = self._find(caller, path)
        if only is not None and name.object != only:
            raise NameConflict(
                "The name is not what it was.",
                why="It points to another object now.",
                todo="Look at what it points to, and decide again.",
            )
        now = self._clock.now()
        changes, notes = forget_name(self._store, self._ledger, name, now=now)
        self._let_go([Remove(Name, name.key, name.version), *changes], notes)

    def _move(self, caller: Caller, path: str, to: str, rule: OnConflict) -> Name:
        now = self._clock.now()
        name, notes = move_name(self._store, self._ledger, caller, path, to, rule, now=now)
        for note in notes:
            unlink(self._store, self._ledger, note)
        return name

    def _discard(self, caller: Caller, key: str) -> None:
        made = self._own(caller, key)
        now, found = self._clock.now(), _names(self._ledger, made)
        changes, notes = forget_object(self._ledger, key, now=now)
        for name in found:
            more, others = forget_companion(self._store, self._ledger, name, now=now)
            if more:  # there is one record, whichever name it stands beside
                changes, notes = [*changes, *more], [*notes, *others]
                break
        names = [Remove(Name, name.key, name.version) for name in found]
        self._let_go([*names, *changes], notes)

    def _let_go(self, changes: Changes, notes: Notes) -> None:
        self._ledger.commit(changes)
        for note in notes:
            unlink(self._store, self._ledger, note)


def find(ledger: Ledger, caller: Caller, sha256: bytes) -> Object | None:
    """A sound object of the caller's tenant with this SHA-256 that it may read, or None. Blocks.

    Asks the same of the ledger whatever others hold, so that no time tells of it.
    """
    where: dict[str, str | bytes | bool] = {
        "tenant": caller.tenant,
        "sha256": sha256,
        "damaged": False,
    }
    found = ledger.list(Object, Query(where=where, limit=_MOST_SAME))
    if caller.prefix:
        ids = tuple(made.id for made in found)
        below = Query(
            where={"tenant": caller.tenant, "object": ids},
            prefix=("path", caller.prefix),
            limit=_MOST_NAMES,
        )
        named = {name.object for name in ledger.list(Name, below)}
        found = [m for m in found if m.id in named or caller.owns(m.tenant, m.owner)]
    return found[0] if found else None


def held(ledger: Ledger, caller: Caller, digests: Iterable[bytes]) -> list[tuple[bytes, Object]]:
    """Those SHA-256 of which `find` finds an object, with it. Blocks. Raises Forbidden."""
    caller.require(Scope.READ)
    found = ((digest, find(ledger, caller, digest)) for digest in digests)
    return [(digest, made) for digest, made in found if made is not None]


def _may_see(ledger: Ledger, caller: Caller, made: Object) -> bool:
    """Without a prefix a caller sees its tenant's objects; with one, those named below it."""
    if not caller.prefix or caller.owns(made.tenant, made.owner):
        return True
    return any(caller.reaches(name.path) for name in _names(ledger, made))


def _names(ledger: Ledger, made: Object) -> list[Name]:
    where = {"tenant": made.tenant, "object": made.id}
    return ledger.list(Name, Query(where=where, limit=_MOST_NAMES))


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
