"""What only the store in memory does: a bound, and crashes on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from towpath.errors import NotFound, StoreFull, TakenOver
from towpath.store.memory import MemoryStore
from towpath.testing.clock import FakeClock
from towpath.testing.store_words import KEY, OTHER, RECORD, blocks, content, fetch, sealed


def test_a_bounded_store_keeps_every_byte_it_took_and_says_how_many() -> None:
    store = MemoryStore(capacity=1000)
    data = content(2000)
    handle = store.create(KEY, None)
    with pytest.raises(StoreFull) as caught:
        store.write(handle, 1, 0, blocks(data, 300))
    assert caught.value.written == store.extent(handle) == 1000
    assert store.space().free == 0
    assert fetch(store, store.seal(handle, 1000, RECORD), 0, 1000) == data[:1000]


def test_a_bounded_store_takes_more_after_something_was_removed() -> None:
    store = MemoryStore(capacity=10)
    address = sealed(store, b"0123456789")
    with pytest.raises(StoreFull):
        store.create(OTHER, 5)
    store.remove(address)
    assert store.write(store.create(OTHER, 5), 1, 0, blocks(b"again")) == 5


def test_a_crash_loses_what_was_not_settled_and_nothing_else() -> None:
    store = MemoryStore()
    handle = store.create(KEY, None)
    store.write(handle, 1, 0, blocks(b"settled "))
    store.write(handle, 1, 10, blocks(b"settled too"))
    store.settle(handle)
    store.write(handle, 1, 8, blocks(b"no"))
    store.write(handle, 1, 21, blocks(b"tail"))
    store.crash()
    assert store.extent(handle) == 21
    assert fetch(store, store.seal(handle, 21, RECORD), 0, 21) == b"settled \0\0settled too"


def test_a_crash_takes_an_upload_that_was_never_settled() -> None:
    store = MemoryStore()
    handle = store.create(KEY, 5)
    store.write(handle, 1, 0, blocks(b"bytes"))
    store.crash()
    with pytest.raises(NotFound):
        store.extent(handle)


def test_a_crash_leaves_objects_alone_and_cuts_writers_off() -> None:
    store = MemoryStore()
    address, handle = sealed(store, b"object", OTHER), store.create(KEY, 5)
    store.settle(handle)

    def late() -> Iterator[memoryview]:
        store.crash()
        yield memoryview(b"late!")

    with pytest.raises(TakenOver):
        store.write(handle, 1, 0, late())
    assert store.extent(handle) == 0
    assert fetch(store, address, 0, 6) == b"object"


def test_a_listing_says_when_things_changed() -> None:
    clock = FakeClock(now=1000)
    store = MemoryStore(clock=clock)
    handle = store.create(KEY, None)
    clock.advance(2)
    store.write(handle, 1, 0, blocks(b"x"))
    assert [found.changed_at for found in store.list()] == [3000]


def test_what_was_kept_can_be_looked_at() -> None:
    store = MemoryStore()
    handle = store.create(KEY, None)
    store.write(handle, 1, 0, blocks(b"odd"))
    store.remove(handle, keep=True)
    assert store.lost_and_found == {handle: b"odd"}


def test_interfaces_and_the_memory_store_need_no_posix() -> None:
    program = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import towpath.store.base, towpath.store.memory, towpath.testing.store\n"
        "import towpath.testing.faults, towpath.testing.clock"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
