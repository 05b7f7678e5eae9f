"""A hasher that follows the prefix: how far it goes, what it saves, who waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine.world import until
from towpath.core.limits import KIB
from towpath.engine import frontier as module
from towpath.engine.frontier import Frontier, Frontiers
from towpath.errors import StoreLost
from towpath.store.base import Reading, Store
from towpath.store.memory import MemoryStore
from towpath.testing.clock import FakeClock

DATA = bytes(range(256)) * 4 * KIB  # 1 MiB
STEP = 64 * KIB


class Watched:
    """A store whose readings are counted, and can be held or fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read_bytes = 0
        self.gate = threading.Event()
        self.gate.set()
        self.failures = 0
        self.order: list[str] = []

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> Reading:
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise StoreLost("a fault")
        self.read_bytes += end - start
        self.order.append(address)
        return self._store.read(address, start, end, mapped=mapped)


@pytest.fixture
def handle_and_store() -> tuple[str, Watched]:
    store = MemoryStore()
    handle = store.create("aaaaaaaa0001", len(DATA))
    store.write(handle, 1, 0, [memoryview(DATA)])
    store.settle(handle)
    return handle, Watched(store)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEP", STEP)
    monkeypatch.setattr(module, "LAG", 2 * STEP)


def made(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor, saved: bytes | None = None
) -> Frontier:
    handle, store = handle_and_store
    return Frontier(store, handle, saved, threads)  # type: ignore[arg-type]  # it only reads


def held(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor, offset: int
) -> tuple[Frontier, Watched, FakeClock]:
    """A hasher that has `offset` bytes to hash and cannot read them yet."""
    store = handle_and_store[1]
    store.gate.clear()
    frontier = made(handle_and_store, threads)
    frontier.lead(offset)
    return frontier, store, FakeClock()


def test_each_byte_is_read_once_however_often_it_is_led(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier = made(handle_and_store, threads)
    for offset in (10, STEP, STEP, 5, len(DATA) // 2):
        frontier.lead(offset)
    assert frontier.finish(len(DATA)) == hashlib.sha256(DATA).digest()
    assert handle_and_store[1].read_bytes == len(DATA)


def test_who_leads_does_not_wait(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, store = made(handle_and_store, threads), handle_and_store[1]
    store.gate.clear()
    frontier.lead(len(DATA))  # returns though nothing can be read
    assert frontier.reached == 0
    store.gate.set()
    assert frontier.finish(len(DATA)) == hashlib.sha256(DATA).digest()


def test_who_is_further_ahead_than_the_lag_gives_way_while_there_is_something_to_hash(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, store = made(handle_and_store, threads), handle_and_store[1]
    assert frontier.lets_on(len(DATA), 0.0)  # nothing to hash
    store.gate.clear()
    frontier.lead(STEP)
    assert frontier.lets_on(2 * STEP, 0.0)
    assert not frontier.lets_on(2 * STEP + 1, 0.0)
    store.gate.set()
    frontier.finish(STEP)
    assert frontier.lets_on(3 * STEP, 0.0)
    assert frontier.lets_on(len(DATA), 0.0)


def test_who_is_further_ahead_gives_way_for_a_moment_to_whole_blocks_that_are_hashed_sooner(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, far = made(handle_and_store, threads), len(DATA)
    frontier.feed(STEP, 10.0)
    assert not frontier.lets_on(far, 10.0 + module.GIVES_WAY)
    assert frontier.lets_on(far, 10.0 + 2 * module.GIVES_WAY)
    frontier.feed(far, 20.0)  # it is not hashed sooner itself
    assert frontier.lets_on(far, 20.0)


@pytest.mark.anyio
async def test_who_gives_way_asks_again_when_the_hasher_has_come_near_or_has_nothing_to_do(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, store, clock = held(handle_and_store, threads, 2 * STEP)
    waiting = [
        asyncio.ensure_future(frontier.may_let_on(position, clock, 1.0))
        for position in (3 * STEP, len(DATA))
    ]
    await until(lambda: clock.asleep == 2)
    assert not any(each.done() for each in waiting)
    store.gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 10)  # no second has passed


@pytest.mark.anyio
@pytest.mark.parametrize(("hashed", "position"), [(STEP, len(DATA)), (2 * STEP, 4 * STEP)])
async def test_who_may_go_on_since_it_has_asked_does_not_wait_for_a_bell(
    handle_and_store: tuple[str, Watched],
    threads: ThreadPoolExecutor,
    hashed: int,
    position: int,
) -> None:
    frontier, store, clock = held(handle_and_store, threads, hashed)
    assert not frontier.lets_on(position, clock.monotonic())
    store.gate.set()
    await asyncio.to_thread(frontier.finish, hashed)  # the bells have rung
    if position == 4 * STEP:  # near, while there is something to hash
        store.gate.clear()
        frontier.lead(len(DATA))
    await asyncio.wait_for(frontier.may_let_on(position, clock, 1.0), 10)  # no time has passed
    assert clock.asleep == 0
    store.gate.set()


@pytest.mark.anyio
async def test_who_gives_way_asks_again_after_a_time_whatever_the_hasher_does(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, store, clock = held(handle_and_store, threads, STEP)
    waiting = asyncio.ensure_future(frontier.may_let_on(len(DATA), clock, 1.0))
    await until(lambda: clock.asleep == 1)
    clock.advance(1.0)
    await asyncio.wait_for(waiting, 10)
    assert frontier.reached == 0
    store.gate.set()


def test_what_it_saves_is_never_beyond_what_is_durable(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier = made(handle_and_store, threads)
    frontier.finish(STEP)
    assert frontier.save(STEP - 1) is None
    saved = frontier.save(STEP)
    again = made(handle_and_store, threads, saved)
    assert again.finish(len(DATA)) == hashlib.sha256(DATA).digest()
    assert handle_and_store[1].read_bytes == len(DATA)


def test_a_failure_is_told_once_and_does_not_spoil_the_value(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    frontier, store = made(handle_and_store, threads), handle_and_store[1]
    store.failures = 1
    with pytest.raises(StoreLost):
        frontier.finish(len(DATA))
    assert frontier.finish(len(DATA)) == hashlib.sha256(DATA).digest()


def test_uploads_that_share_a_thread_take_turns() -> None:
    inner = MemoryStore()
    handles = [inner.create(f"aaaaaaaa000{number}", len(DATA)) for number in range(3)]
    for handle in handles:
        inner.write(handle, 1, 0, [memoryview(DATA)])
        inner.settle(handle)
    store = Watched(inner)
    store.gate.clear()
    with ThreadPoolExecutor(1) as only:
        frontiers = [made((handle, store), only) for handle in handles]
        for frontier in frontiers:
            frontier.lead(len(DATA))
        store.gate.set()
        for frontier in frontiers:
            assert frontier.finish(len(DATA)) == hashlib.sha256(DATA).digest()
    assert store.order == handles * (len(DATA) // STEP)


def test_a_hasher_outlives_the_chunks_of_its_upload(
    handle_and_store: tuple[str, Watched], threads: ThreadPoolExecutor
) -> None:
    handle, store = handle_and_store
    frontiers = Frontiers(store, threads)  # type: ignore[arg-type]
    first = frontiers.of(handle, None, 0)
    first.finish(STEP)
    assert frontiers.of(handle, None, STEP) is first
    fewer = frontiers.of(handle, None, STEP - 1)  # bytes were lost
    assert fewer is not first
    assert fewer.finish(len(DATA)) == hashlib.sha256(DATA).digest()


def test_only_so_many_hashers_are_kept(
    handle_and_store: tuple[str, Watched],
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    handle, store = handle_and_store
    frontiers = Frontiers(store, threads)  # type: ignore[arg-type]
    first = frontiers.of(handle, None, 0)
    for other in ("b", "c"):
        frontiers.of(other, None, 0)
    assert frontiers.of(handle, None, 0) is not first
