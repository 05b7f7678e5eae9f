"""SHA-256 of uploads that many write: each byte is read once for it, and a restart goes on."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.gates import Gate
from tests.engine.world import ANN, KIB, World, content, until
from towpath.core.command import NewUpload
from towpath.core.digest import SHA256
from towpath.core.ports import Ending
from towpath.engine import frontier
from towpath.engine.receive import PATIENCE
from towpath.errors import StoreError, TakenOver
from towpath.ledger.base import Ledger
from towpath.store.base import Reading, Store
from towpath.testing.faults import Fault, FaultyLedger, Kind
from towpath.testing.source import STALL, FakeSource

pytestmark = pytest.mark.anyio

DATA = content(1024 * KIB, seed=9)
HALF = len(DATA) // 2
BEGUN = 64 * KIB


class Counting:
    """A store that counts what is read."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, address: str, start: int, end: int, *, mapped: bool = False) -> Reading:
        self.count += end - start
        return self._inner.read(address, start, end, mapped=mapped)


async def counted(world: World) -> Callable[[], int]:
    """Have the world's store count; what it has counted so far."""
    stores: list[Counting] = []

    def count(store: Store) -> Store:
        stores.append(Counting(store))
        return stores[-1]

    await world.reopen(count)
    return lambda: sum(store.count for store in stores)


async def begin(world: World, length: int | None = len(DATA)) -> str:
    new = NewUpload(length=length, wants=(SHA256,))
    return (await world.engine.create(ANN, new)).id


async def require_sha256(world: World, key: str) -> None:
    made = await world.made(key)
    assert made is not None
    assert made.sha256 == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("seed", range(3))
async def test_eight_writers_in_any_order_have_each_byte_read_once(
    here: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(frontier, "LAG", 64 * KIB)
    reads = await counted(here)
    key = await begin(here)
    size = 32 * KIB
    offsets = list(range(0, len(DATA), size))
    random.Random(seed).shuffle(offsets)

    async def send() -> None:
        while offsets:
            at = offsets.pop()
            await here.write(key, at, DATA[at : at + size], sequential=False)

    async def tick() -> None:
        while True:
            here.clock.advance(0.1)
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(tick())
    await asyncio.gather(*(send() for _ in range(8)))
    ticking.cancel()
    await require_sha256(here, key)
    assert reads() == len(DATA)


async def test_small_chunks_one_after_the_other_are_read_once(here: World) -> None:
    reads = await counted(here)
    key = await begin(here)
    for at in range(0, len(DATA), 100 * KIB):
        await here.write(key, at, DATA[at : at + 100 * KIB])
    await require_sha256(here, key)
    assert reads() == len(DATA)


async def test_a_restart_goes_on_from_what_was_saved(world: World) -> None:
    reads = await counted(world)
    key = await begin(world)
    half = len(DATA) // 2
    await world.write(key, 0, DATA[:half])
    await world.write(key, half, DATA[half : half + 1])  # saves what was hashed by then
    before = reads()
    row = await world.row(key)
    assert row is not None
    saved = int.from_bytes((row.hasher or bytes(8))[:8], "big")
    assert saved <= row.offset
    await world.reopen()
    await world.write(key, half + 1, DATA[half + 1 :])
    await require_sha256(world, key)
    assert before <= half + 1


async def test_a_crash_between_sealing_and_the_commit_does_not_lose_the_digest(
    world: World,
) -> None:
    key = await begin(world)
    await world.write(key, 0, DATA[:-1])

    def fails(ledger: Ledger) -> Ledger:
        # grant, settle, the state of the hasher; then the object
        return FaultyLedger(ledger, [Fault(kind=Kind.ERROR, call=4, method="commit")])

    await world.reopen(ledger=fails)
    with pytest.raises(Exception, match="commit fail"):
        await world.write(key, len(DATA) - 1, DATA[-1:])
    assert await world.made(key) is None
    await world.reopen()
    await world.engine.claim(ANN, key)
    await require_sha256(world, key)


async def test_a_store_that_cannot_be_read_fails_the_chunk_and_not_the_upload(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await begin(here)
    await here.write(key, 0, DATA[:-1])

    def broken(*_: object, **__: object) -> Reading:
        raise StoreError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(here.store, "read", broken)
        with pytest.raises(StoreError):
            await here.write(key, len(DATA) - 1, DATA[-1:])
    await here.engine.claim(ANN, key)
    await require_sha256(here, key)


async def begin_to_hash(world: World) -> tuple[str, Gate]:
    """An upload with something to hash, and the gate in front of it: it does not get on."""
    hashing = world.gates.shut("read")
    key = await begin(world)
    await world.write(key, 0, DATA[:BEGUN])
    await hashing.reached()
    return key, hashing


async def test_who_is_far_ahead_takes_one_block_a_second_until_the_hasher_is_near(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "LAG", BEGUN)
    key, hashing = await begin_to_hash(world)
    blocks: list[int] = []
    world.gates.on_block = blocks.append
    far = asyncio.ensure_future(world.write(key, HALF, DATA[HALF:], sequential=False))
    for seconds in (1, 2):
        await until(lambda: world.clock.asleep > 0)
        assert len(blocks) == seconds - 1
        world.clock.advance(PATIENCE)
        await until(lambda: len(blocks) == seconds)  # noqa: B023  # awaited here
    assert not far.done()
    hashing.open()
    await far
    await world.write(key, BEGUN, DATA[BEGUN:HALF], sequential=False)
    await require_sha256(world, key)


async def test_who_gives_way_ends_at_once_for_a_newcomer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "LAG", BEGUN)
    key, hashing = await begin_to_hash(world)
    first = asyncio.ensure_future(world.write(key, HALF, DATA[HALF:], sequential=False))
    await until(lambda: world.clock.asleep > 0)
    second = asyncio.ensure_future(world.write(key, HALF, DATA[HALF:], sequential=False))
    with pytest.raises(TakenOver):
        await first
    hashing.open()
    world.clock.advance(PATIENCE)
    await second
    await world.write(key, BEGUN, DATA[BEGUN:HALF], sequential=False)
    await require_sha256(world, key)


async def test_who_waits_for_its_client_holds_nobody_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "LAG", BEGUN)
    key = await begin(world)
    little = world.limits.block_largest - 1
    slow = FakeSource([DATA[:little], STALL], length=HALF)
    near = asyncio.ensure_future(world.write(key, 0, slow, length=HALF, sequential=False))
    await slow.stalled()
    await world.write(key, HALF, DATA[HALF:], sequential=False)  # and no time has passed
    slow.feed(DATA[little:HALF])
    slow.end(Ending.WHOLE)
    await near
    await require_sha256(world, key)
