"""A newcomer never waits for a timer: here the clock stands still.

Whatever the old writer waits for, a claim ends it at once and tells the true offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.engine.gates import Gate
from tests.engine.places import Places
from tests.engine.world import ANN, KIB, SMALL, Stalled, World, content, until
from towpath.core.caller import Scope
from towpath.core.model import Lease, Upload
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import Interrupted, LimitReached, OffsetConflict, TakenOver, TooLarge
from towpath.ledger.base import Query
from towpath.testing.source import STALL, FakeSource

pytestmark = pytest.mark.anyio

DATA = content(200 * KIB)


@pytest.fixture
async def narrow() -> AsyncIterator[World]:
    """One thread that receives and memory for one block."""
    limits = replace(SMALL, workers=1, memory=4 * KIB, block_smallest=4 * KIB)
    there = await World(Places(), limits).open()
    yield there
    await there.close()


async def taken_over(writer: Stalled) -> None:
    assert isinstance(await writer.ended(), TakenOver)


async def test_a_stalled_writer_is_ended_by_a_claim_with_all_it_brought(world: World) -> None:
    key = await world.create(len(DATA))
    writer = await world.stalled(key, 0, DATA[:70_001], length=len(DATA)).begun()
    claimed = await world.engine.claim(ANN, key)
    assert claimed.offset == 70_001
    assert writer.source.ending is not None
    await taken_over(writer)
    await world.write(key, 70_001, DATA[70_001:])
    assert await world.read(key) == DATA


async def test_a_stalled_writer_is_ended_by_the_next_chunk(world: World) -> None:
    key = await world.create(len(DATA))
    writer = await world.stalled(key, 0, DATA[:70_000], length=len(DATA)).begun()
    with pytest.raises(OffsetConflict) as refused:
        await world.write(key, 0, DATA)
    assert refused.value.offset == 70_000
    await taken_over(writer)
    await world.write(key, 70_000, DATA[70_000:])
    assert await world.read(key) == DATA


async def test_a_chunk_that_can_never_fit_disturbs_nobody(here: World) -> None:
    key = await here.create(10)
    writer = await here.stalled(key, 0, b"abc", length=10).begun()
    with pytest.raises(TooLarge):
        await here.write(key, 3, b"too long")
    writer.source.feed(b"defghij")
    writer.source.end()
    assert (await writer.task).state is UploadState.COMPLETE


async def test_asking_disturbs_nobody(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    reader = replace(ANN, scopes=frozenset({Scope.READ}))
    for caller in (ANN, reader):
        upload, extent = await world.engine.inspect(caller, key)
        assert upload.offset == extent.offset
    assert world.engine.writing == 1
    assert writer.source.ending is None
    writer.source.feed(b"defghij")
    writer.source.end()
    await writer.task
    assert await world.read(key) == b"abcdefghij"


async def busy_thread(world: World) -> tuple[Gate, asyncio.Task[Upload]]:
    """A writer of another upload that holds the thread and the block."""
    other = await world.create(4)
    gate = world.gates.shut("write", f"uploads/{other}")
    task = asyncio.ensure_future(world.write(other, 0, b"else"))
    await gate.reached()
    return gate, task


async def test_a_writer_that_waits_for_a_block_is_ended_at_once(narrow: World) -> None:
    key = await narrow.create(10)
    writer = await narrow.stalled(key, 0, b"abc", length=10).begun()
    gate, busy = await busy_thread(narrow)
    writer.source.feed(b"def")
    await until(lambda: narrow.engine.governor.waiting == 1)
    assert (await narrow.engine.claim(ANN, key)).offset == 3
    await taken_over(writer)
    assert narrow.engine.governor.waiting == 0
    gate.open()
    await busy
    await until(lambda: narrow.engine.governor.reserved == 0)


async def test_a_writer_that_waits_for_a_thread_is_ended_at_once(narrow: World) -> None:
    await narrow.reopen(memory=64 * KIB)  # one thread is all that is missing
    key = await narrow.create(10)
    writer = await narrow.stalled(key, 0, b"abc", length=10).begun()
    gate, busy = await busy_thread(narrow)
    writer.source.feed(b"def")
    await until(lambda: narrow.engine.governor.waiting == 1)
    assert not narrow.engine.governor.short
    assert (await narrow.engine.claim(ANN, key)).offset == 3
    await taken_over(writer)
    gate.open()
    await busy
    await until(lambda: narrow.engine.governor.reserved == 0)


async def settlers(world: World, count: int = 8) -> tuple[list[Gate], list[Stalled]]:
    """Writers of other uploads whose settles take all threads that there are for it."""
    gates, writers = [], []
    for _ in range(count):
        other = await world.create(10)
        gates.append(world.gates.shut("settle", f"uploads/{other}"))
        writers.append(await world.stalled(other, 0, b"abc", length=10).begun())
    await until(lambda: world.clock.asleep == count)
    world.clock.advance(world.limits.settle_seconds)
    for gate in gates:
        await gate.reached()
    return gates, writers


async def let_go(world: World, gates: list[Gate], writers: list[Stalled]) -> None:
    for gate in gates:
        gate.open()
    for writer in writers:
        writer.source.stop()
        await writer.ended()


async def test_a_writer_whose_settle_waits_in_the_queue_is_ended_at_once(here: World) -> None:
    gates, writers = await settlers(here)
    key = await here.create(10)
    writer = await here.stalled(key, 0, b"abc", length=10).begun()
    await until(lambda: here.clock.asleep == 1)
    here.clock.advance(here.limits.settle_seconds)
    await until(lambda: here.clock.asleep == 0)
    assert (await here.engine.claim(ANN, key)).offset == 3
    await taken_over(writer)
    await let_go(here, gates, writers)


async def test_a_thread_that_waits_for_a_settle_in_the_queue_is_ended_at_once(
    here: World,
) -> None:
    gates, writers = await settlers(here)
    key = await here.create(len(DATA))
    end = [0]
    here.gates.on_block = end.append
    source = FakeSource([DATA])
    writer = asyncio.ensure_future(here.write(key, 0, source, length=len(DATA)))
    await until(lambda: end[-1] == here.limits.settle_bytes)
    assert (await here.engine.claim(ANN, key)).offset == here.limits.settle_bytes
    with pytest.raises(TakenOver):
        await writer
    await let_go(here, gates, writers)


async def test_a_settle_that_runs_is_waited_for_so_that_the_offset_is_true(here: World) -> None:
    key = await here.create(10)
    writer = await here.stalled(key, 0, b"abc", length=10).begun()
    gate = here.gates.shut("settle")
    claim = asyncio.ensure_future(here.engine.claim(ANN, key))
    await gate.reached()
    assert not claim.done()
    gate.open()
    assert (await claim).offset == 3
    await taken_over(writer)


async def test_two_claims_at_once_tell_the_same_offset(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    claims = await asyncio.gather(*(world.engine.claim(ANN, key) for _ in range(5)))
    assert {claim.offset for claim in claims} == {3}
    await taken_over(writer)


async def test_of_two_newcomers_one_carries_on(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    outcomes = await asyncio.gather(
        *(world.write(key, 3, b"defghij") for _ in range(4)), return_exceptions=True
    )
    await taken_over(writer)
    assert all(
        isinstance(outcome, Upload | OffsetConflict | Interrupted) or "complete" in str(outcome)
        for outcome in outcomes
    )
    assert any(isinstance(outcome, Upload) for outcome in outcomes)
    assert await world.read(key) == b"abcdefghij"


async def test_a_cancel_ends_the_writer_and_removes_what_it_brought(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    await world.engine.cancel(ANN, key)
    await taken_over(writer)
    assert world.places.bytes.left() == []


async def test_fences_only_grow_and_rows_of_ended_leases_go(world: World) -> None:
    key = await world.create(10)
    fences = []
    for offset in range(5):
        await world.write(key, offset, b"x")
        rows = await world.engine.do(world.ledger.list, Lease, Query(where={"upload": key}))
        row = await world.row(key)
        assert row is not None
        assert [lease.fence for lease in rows] == [row.fence]
        fences.append(row.fence)
        if offset == 2:
            await world.reopen(crash=True)
    assert fences == sorted(set(fences))


async def test_a_writer_of_a_forgotten_process_cannot_write_or_settle(here: World) -> None:
    key = await here.create(len(DATA))
    old = await here.stalled(key, 0, DATA[:10_000], length=len(DATA)).begun()
    other = World(here.places)
    await other.open()
    await other.write(key, 0, DATA[:50_000])
    old.source.feed(DATA[10_000:20_000])
    old.source.end()
    assert not isinstance(await old.ended(), Upload)
    assert (await other.engine.claim(ANN, key)).offset == 50_000
    await other.write(key, 50_000, DATA[50_000:])
    assert await other.read(key) == DATA
    await other.close()


async def test_a_drain_ends_all_writers_with_what_they_brought(world: World) -> None:
    keys = [await world.create(10) for _ in range(3)]
    writers = [await world.stalled(key, 0, b"abc", length=10).begun() for key in keys]
    await world.engine.drain()
    for key, writer in zip(keys, writers, strict=True):
        await taken_over(writer)
        assert (await world.extent(key)).offset == 3
    with pytest.raises(LimitReached):
        await world.write(keys[0], 3, b"defghij")


async def test_a_writer_that_gets_its_lease_during_a_drain_is_ended_too(here: World) -> None:
    key = await here.create(10)
    granted = asyncio.Event()
    source = FakeSource([b"abc", STALL])

    def begins() -> FakeSource:
        granted.set()
        return source

    task = asyncio.ensure_future(here.engine.write(ANN, key, Write(offset=0, length=10), begins))
    await granted.wait()
    await here.engine.drain()
    await here.engine.close()
    with pytest.raises(TakenOver):
        await task


async def test_no_more_chunks_than_the_limit_are_taken_at_once(here: World) -> None:
    await here.reopen(uploads=2)
    keys = [await here.create(10) for _ in range(5)]
    sources = [FakeSource([b"abc", STALL]) for _ in keys]
    tasks = [
        asyncio.ensure_future(here.write(key, 0, source, length=10))
        for key, source in zip(keys, sources, strict=True)
    ]
    refused = [task for task in tasks if isinstance(await _soon(task), LimitReached)]
    assert len(refused) == 3
    await here.engine.drain()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _soon(task: asyncio.Task[Upload]) -> BaseException | None:
    for _ in range(3):
        await asyncio.sleep(0)
    return task.exception() if task.done() else None
