"""Faults come at the call they were planned for, once, and as they were planned."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from towpath.errors import LedgerError, Stale, StoreError, StoreFull
from towpath.ledger.base import Change, Ledger
from towpath.store.memory import MemoryStore
from towpath.testing.faults import Crash, Fault, FaultyLedger, FaultyStore, Kind
from towpath.testing.store_words import KEY, RECORD, blocks, fetch, sealed


def _use(store: FaultyStore) -> None:
    """Eight calls, one of each method."""
    handle = store.create(KEY, 5)
    store.write(handle, 1, 0, blocks(b"bytes"))
    store.settle(handle)
    store.extent(handle)
    address = store.seal(handle, 5, RECORD)
    fetch(store, address, 0, 5)
    store.list()
    store.remove(address)


@pytest.mark.parametrize(
    ("kind", "error", "calls"),
    [
        (Kind.ERROR, StoreError, 8),
        (Kind.FULL, StoreFull, 8),
        (Kind.SHORT, StoreError, 2),
        (Kind.CRASH, Crash, 8),
    ],
)
def test_a_loop_over_n_fails_every_call_and_then_none(
    kind: Kind, error: type[BaseException], calls: int
) -> None:
    for n in itertools.count(1):
        store = FaultyStore(MemoryStore(), [Fault(kind=kind, call=n)])
        try:
            _use(store)
        except error:
            assert len(store.fired) == 1
        if not store.fired:
            assert store.calls == 8
            assert n == calls + 1
            return


def test_a_fault_of_a_method_counts_the_calls_of_that_method() -> None:
    store = FaultyStore(MemoryStore(), [Fault(kind=Kind.ERROR, call=2, method="write")])
    handle = store.create(KEY, None)
    store.write(handle, 1, 0, blocks(b"one"))
    store.settle(handle)
    with pytest.raises(StoreError) as caught:
        store.write(handle, 1, 3, blocks(b"two"))
    assert caught.value.written == 3
    assert store.write(handle, 1, 3, blocks(b"two")) == 6


@pytest.mark.parametrize("kind", [Kind.SHORT, Kind.FULL, Kind.CRASH])
def test_a_write_at_fault_has_written_half_a_block(kind: Kind) -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, [Fault(kind=kind, call=1, method="write")])
    handle = store.create(KEY, None)
    with pytest.raises((StoreError, Crash)) as caught:
        store.write(handle, 1, 0, blocks(b"12345678", 4))
    assert inner.extent(handle) == 2
    assert getattr(caught.value, "written", 2) == 2


def test_a_lost_answer_comes_after_the_deed() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, [Fault(kind=Kind.ERROR, call=1, method="seal", after=True)])
    with pytest.raises(StoreError):
        sealed_at = _seal(store)
    assert [found.kind for found in inner.list()] == ["object"]
    sealed_at = _seal(store)
    assert fetch(store, sealed_at, 0, 0) == b""


def _seal(store: FaultyStore) -> str:
    return store.seal(store.create(KEY, 0), 0, RECORD)


def test_a_short_read_gives_some_bytes_before_it_fails() -> None:
    store = FaultyStore(MemoryStore(), [Fault(kind=Kind.SHORT, call=1, method="read")])
    reading = store.read(sealed(store, b"abcdef"), 0, 6)
    blocks_read = iter(reading)
    assert bytes(next(blocks_read)) == b"abc"
    with pytest.raises(StoreError):
        next(blocks_read)
    reading.close()


def test_after_a_crash_nothing_answers_until_it_is_opened_again() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, [Fault(kind=Kind.CRASH, call=2)])
    handle = store.create(KEY, 5)
    for _ in range(3):
        with pytest.raises(Crash):
            store.settle(handle)
    inner.crash()
    store.reopen()
    assert store.create(KEY, 5) == handle


def test_a_crash_is_caught_by_nothing_that_catches_errors() -> None:
    assert not issubclass(Crash, Exception)


def test_a_fault_can_raise_what_the_test_wants() -> None:
    error = OSError("odd")
    store = FaultyStore(MemoryStore(), [Fault(kind=Kind.ERROR, call=1, error=error)])
    with pytest.raises(OSError, match="odd"):
        store.space()


class _Rows:
    """A ledger that only counts."""

    def __init__(self) -> None:
        self.commits = 0

    def get(self, kind: type[Any], *key: str | int) -> Any:
        return None

    def list(self, kind: type[Any], query: object) -> list[Any]:
        return []

    def count(self, kind: type[Any], query: object) -> int:
        return 0

    def commit(self, changes: Sequence[Change]) -> None:
        self.commits += 1

    def close(self) -> None:
        self.commits = -1


@pytest.mark.parametrize(("after", "commits"), [(False, 0), (True, 1)])
@pytest.mark.parametrize(("kind", "error"), [(Kind.ERROR, LedgerError), (Kind.CRASH, Crash)])
def test_a_commit_fails_before_or_after_it_was_made(
    kind: Kind, error: type[BaseException], after: bool, commits: int
) -> None:
    rows = _Rows()
    fault = Fault(kind=kind, call=2, method="commit", after=after)
    ledger: Ledger = FaultyLedger(rows, [fault])
    ledger.commit([])
    with pytest.raises(error):
        ledger.commit([])
    assert rows.commits == 1 + commits
    ledger.close()


def test_a_crashed_ledger_answers_nothing_until_it_is_opened_again() -> None:
    ledger = FaultyLedger(_Rows(), [Fault(kind=Kind.CRASH, call=1)])
    for _ in range(2):
        with pytest.raises(Crash):
            ledger.commit([])
    ledger.reopen()
    ledger.commit([])
    assert len(ledger.fired) == 1


def test_a_ledger_can_be_stale_on_demand() -> None:
    ledger = FaultyLedger(_Rows(), [Fault(kind=Kind.ERROR, call=1, error=Stale("moved"))])
    with pytest.raises(Stale):
        ledger.commit([])


def test_a_ledger_is_never_short_of_space() -> None:
    with pytest.raises(ValueError, match="ERROR or CRASH"):
        FaultyLedger(_Rows(), [Fault(kind=Kind.FULL, call=1)])
