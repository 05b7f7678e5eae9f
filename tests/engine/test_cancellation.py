"""Tasks that are cancelled from outside: nothing of theirs goes on behind anybody's back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.world import ANN, KIB, World, content, until
from towpath.core.command import NewUpload
from towpath.engine.threads import result_of
from towpath.testing.source import STALL, FakeSource

pytestmark = pytest.mark.anyio

DATA = content(20 * KIB)


async def cancelled(task: asyncio.Future[Any]) -> bool:
    await asyncio.wait({task})
    return task.cancelled()


async def carries_on(world: World, key: str) -> None:
    """Another writer begins where the cancelled one stopped, and nothing is held."""
    offset = (await world.engine.claim(ANN, key)).offset
    await world.write(key, offset, DATA[offset:])
    assert await world.read(key) == DATA
    assert (world.engine.governor.reserved, world.engine.writing) == (0, 0)


async def test_a_writer_cancelled_while_it_waits_keeps_what_came(world: World) -> None:
    key = await world.create(len(DATA))
    writer = await world.stalled(key, 0, DATA[:5_000], length=len(DATA)).begun()
    writer.task.cancel()
    assert await cancelled(writer.task)
    assert (await world.extent(key)).offset == 5_000
    await carries_on(world, key)


async def test_a_writer_cancelled_while_a_thread_writes_ends_with_the_thread(here: World) -> None:
    key = await here.create(len(DATA))
    gate = here.gates.shut("write")
    source = FakeSource([DATA[:5_000], STALL])
    task = asyncio.ensure_future(here.write(key, 0, source, length=len(DATA)))
    await gate.reached()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    assert here.engine.governor.reserved > 0
    gate.open()
    assert await cancelled(task)
    await carries_on(here, key)


async def test_a_writer_cancelled_while_it_waits_for_memory_takes_none(here: World) -> None:
    blocks = [await here.engine.governor.take() for _ in range(here.limits.workers)]
    key = await here.create(len(DATA))
    task = asyncio.ensure_future(here.write(key, 0, DATA))
    await until(lambda: here.engine.governor.waiting == 1)
    task.cancel()
    assert await cancelled(task)
    for block in blocks:
        here.engine.governor.give(block)
    await carries_on(here, key)


async def test_a_writer_cancelled_while_its_last_settle_runs_is_settled(here: World) -> None:
    key = await here.create(len(DATA))
    gate = here.gates.shut("settle")
    task = asyncio.ensure_future(here.write(key, 0, DATA[:5_000]))
    await gate.reached()
    task.cancel()
    await asyncio.sleep(0)
    claim = asyncio.ensure_future(here.engine.claim(ANN, key))
    await asyncio.sleep(0)
    gate.open()
    assert await cancelled(task)
    assert (await claim).offset == 5_000
    await carries_on(here, key)


async def test_a_newcomer_cancelled_while_it_gets_its_lease_leaves_none(here: World) -> None:
    key = await here.create(len(DATA))
    waiting = asyncio.ensure_future(here.engine.inspect(ANN, key))
    task = asyncio.ensure_future(here.write(key, 0, DATA))
    claims = [asyncio.ensure_future(here.engine.claim(ANN, key)) for _ in range(2)]
    await until(lambda: any(not thread.done() for thread in claims))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await waiting
    for claim in claims:
        await claim
    await carries_on(here, key)


async def test_a_create_that_is_cancelled_leaves_at_most_an_empty_upload(here: World) -> None:
    gate = here.gates.shut("create")
    task = asyncio.ensure_future(here.engine.create(ANN, NewUpload(length=3)))
    await gate.reached()
    task.cancel()
    await asyncio.sleep(0)
    gate.open()
    assert await cancelled(task)
    assert len(here.places.bytes.left()) <= 1


async def test_work_in_a_thread_that_fails_after_a_cancellation_stays_a_cancellation() -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(result_of(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    work.set_exception(ValueError())
    assert await cancelled(task)


async def test_closing_waits_for_the_verbs_under_way(here: World) -> None:
    key = await here.create(3, completes=False)
    await here.write(key, 0, b"abc")
    gate = here.gates.shut("seal")
    task = asyncio.ensure_future(here.engine.complete(ANN, key))
    await gate.reached()
    closing = asyncio.ensure_future(here.engine.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.open()
    await closing
    assert task.done()
