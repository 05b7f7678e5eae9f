"""A store and a ledger that fail at a chosen call, so that a test can fail every call in turn.

    for n in itertools.count(1):
        store = FaultyStore(MemoryStore(), [Fault(kind=Kind.CRASH, call=n)])
        ...  # use it, survive it, assert what must hold
        if not store.fired:
            break  # there is no n-th call

Rules: deterministic; a fault fires once; what is not at fault goes through unchanged; `close` is
never at fault, so that a test can always tidy up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import NoReturn, TypeVar

from towpath.core.model import Row
from towpath.errors import LedgerError, StoreError, StoreFull
from towpath.ledger.base import Change, Ledger, Query
from towpath.store.base import Manifest, Reading, Space, Store, Stored

R = TypeVar("R", bound=Row)


class Crash(BaseException):
    """The process is gone: nothing may catch it but the test, as nothing survives a kill."""


class Kind(Enum):
    """How a call fails."""

    ERROR = "error"  # StoreError or LedgerError
    SHORT = "short"  # write and read only: half of the first block, then StoreError
    FULL = "full"  # store only: StoreFull; a write has written half of its first block
    CRASH = "crash"  # Crash, now and for every later call; a write has written half a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure to come."""

    kind: Kind
    call: int  # the n-th call, from 1
    method: str | None = None  # of this method; None: of any
    after: bool = False  # it is done first, only the answer is lost
    error: Exception | None = None  # raised instead of the usual one


class _Plan:
    """Counts calls and says which of them fails. Thread-safe."""

    def __init__(self, faults: Sequence[Fault], usual: type[StoreError | LedgerError]) -> None:
        self._lock = Lock()
        self._seen = [0] * len(faults)
        self._faults = tuple(faults)
        self._usual = usual
        self.fired: list[Fault] = []
        self.calls = 0
        self.crashed = False

    def due(self, method: str) -> Fault | None:
        """The fault of this call, if it has one. Raises Crash when the process is gone."""
        with self._lock:
            if self.crashed:
                raise Crash
            self.calls += 1
            due: Fault | None = None
            for number, fault in enumerate(self._faults):
                if _concerns(fault, method):
                    self._seen[number] += 1
                    if self._seen[number] == fault.call:
                        self.fired.append(fault)
                        due = fault
            return due

    def fail(self, fault: Fault, method: str, written: int | None = None) -> NoReturn:
        """Raise what the fault says."""
        if fault.kind is Kind.CRASH:
            self.crashed = True
            raise Crash
        if fault.error is not None:
            raise fault.error
        what = f"A test made call {fault.call} of {method} fail."
        if fault.kind is Kind.FULL:
            raise StoreFull(what, written=written)
        if issubclass(self._usual, StoreError):
            raise self._usual(what, written=written)
        raise self._usual(what)


def _concerns(fault: Fault, method: str) -> bool:
    if fault.kind is Kind.SHORT and method not in ("write", "read"):
        return False
    return fault.method in (None, method)


class FaultyStore:
    """A store around another one."""

    def __init__(self, store: Store, plan: Sequence[Fault] = ()) -> None:
        self.properties = store.properties
        self._store = store
        self._plan = _Plan(plan, StoreError)

    @property
    def calls(self) -> int:
        """How many calls were made, of any method but `close`."""
        return self._plan.calls

    @property
    def fired(self) -> list[Fault]:
        """The faults that fired so far."""
        return self._plan.fired

    def reopen(self) -> None:
        """The process runs again after a Crash. What the disk lost is the inner store's matter."""
        self._plan.crashed = False

    def create(self, key: str, size: int | None) -> str:
        """As the inner store, or a fault."""
        fault = self._before("create")
        handle = self._store.create(key, size)
        self._after(fault, "create")
        return handle

    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        """As the inner store, or a fault; every fault but ERROR has written half a block."""
        fault = self._plan.due("write")
        if fault is not None and not fault.after:
            end = offset
            if fault.kind is not Kind.ERROR:
                end = self._store.write(handle, fence, offset, _half_a_block(blocks))
            self._plan.fail(fault, "write", end)
        end = self._store.write(handle, fence, offset, blocks)
        if fault is not None:
            self._plan.fail(fault, "write", end)
        return end

    def settle(self, handle: str) -> None:
        """As the inner store, or a fault."""
        fault = self._before("settle")
        self._store.settle(handle)
        self._after(fault, "settle")

    def extent(self, handle: str) -> int | None:
        """As the inner store, or a fault."""
        fault = self._before("extent")
        extent = self._store.extent(handle)
        self._after(fault, "extent")
        return extent

    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        """As the inner store, or a fault."""
        fault = self._before("seal")
        address = self._store.seal(handle, length, manifest)
        self._after(fault, "seal")
        return address

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> Reading:
        """As the inner store, or a fault; SHORT fails while the bytes are iterated."""
        fault = self._plan.due("read")
        if fault is not None and fault.kind is Kind.SHORT:
            return _ShortReading(
                self._store.read(address, start, end, mapped=mapped), self._plan, fault
            )
        if fault is not None:
            self._plan.fail(fault, "read")
        return self._store.read(address, start, end, mapped=mapped)

    def remove(self, at: str, *, keep: bool = False) -> None:
        """As the inner store, or a fault."""
        fault = self._before("remove")
        self._store.remove(at, keep=keep)
        self._after(fault, "remove")

    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        """As the inner store, or a fault."""
        fault = self._before("list")
        found = self._store.list(after, limit)
        self._after(fault, "list")
        return found

    def space(self) -> Space:
        """As the inner store, or a fault."""
        fault = self._before("space")
        space = self._store.space()
        self._after(fault, "space")
        return space

    def close(self) -> None:
        """As the inner store; never a fault."""
        self._store.close()

    def _before(self, method: str) -> Fault | None:
        fault = self._plan.due(method)
        if fault is not None and not fault.after:
            self._plan.fail(fault, method)
        return fault

    def _after(self, fault: Fault | None, method: str) -> None:
        if fault is not None:
            self._plan.fail(fault, method)


class FaultyLedger:
    """A ledger around another one."""

    def __init__(self, ledger: Ledger, plan: Sequence[Fault] = ()) -> None:
        """Raises ValueError for a kind that only a store can have."""
        if any(fault.kind in (Kind.SHORT, Kind.FULL) for fault in plan):
            raise ValueError("A ledger fails with ERROR or CRASH.")
        self._ledger = ledger
        self._plan = _Plan(plan, LedgerError)

    @property
    def calls(self) -> int:
        """How many calls were made, of any method but `close`."""
        return self._plan.calls

    @property
    def fired(self) -> Sequence[Fault]:
        """The faults that fired so far."""
        return self._plan.fired

    def reopen(self) -> None:
        """The process runs again after a Crash."""
        self._plan.crashed = False

    def get(self, kind: type[R], *key: str | int) -> R | None:
        """As the inner ledger, or a fault."""
        self._read("get")
        return self._ledger.get(kind, *key)

    def list(self, kind: type[R], query: Query) -> list[R]:
        """As the inner ledger, or a fault."""
        self._read("list")
        return self._ledger.list(kind, query)

    def count(self, kind: type[Row], query: Query) -> int:
        """As the inner ledger, or a fault."""
        self._read("count")
        return self._ledger.count(kind, query)

    def commit(self, changes: Sequence[Change]) -> None:
        """As the inner ledger, or a fault; with `after` the changes are made all the same."""
        fault = self._plan.due("commit")
        if fault is None or fault.after:
            self._ledger.commit(changes)
        if fault is not None:
            self._plan.fail(fault, "commit")

    def close(self) -> None:
        """As the inner ledger; never a fault."""
        self._ledger.close()

    def _read(self, method: str) -> None:
        """A read changes nothing, so before and after are one."""
        fault = self._plan.due(method)
        if fault is not None:
            self._plan.fail(fault, method)


class _ShortReading:
    """Half of the first block, then the fault."""

    def __init__(self, reading: Reading, plan: _Plan, fault: Fault) -> None:
        self.file: tuple[int, int, int] | None = None
        self._reading = reading
        self._plan = plan
        self._fault = fault

    def __iter__(self) -> Iterator[memoryview]:
        yield from _half_a_block(self._reading)
        self._plan.fail(self._fault, "read")

    def close(self) -> None:
        """Let go of the bytes. Idempotent."""
        self._reading.close()


def _half_a_block(blocks: Iterable[memoryview]) -> Iterator[memoryview]:
    for block in blocks:
        yield block[: len(block) // 2]
        return
