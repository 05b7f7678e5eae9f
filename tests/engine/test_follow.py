"""Reading an upload while it arrives: only what is durable, until the end or the end of hope."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.engine.world import ANN, BOB, EVE, World, content, until
from towpath.core.caller import Caller, Scope
from towpath.engine import follow as module
from towpath.engine.follow import Follow
from towpath.errors import Forbidden, LimitReached, NotFound, StateConflict, TooSlow
from towpath.store.base import Reading

pytestmark = pytest.mark.anyio

DATA = content(100_000)


def following(world: World, key: str, caller: Caller = ANN, patience: float = 0) -> Follow:
    return Follow(world.engine, world.shelf, caller, key, patience=patience)


def all_of(reading: Reading) -> bytes:
    try:
        return b"".join(bytes(block) for block in reading)
    finally:
        reading.close()


async def follow(world: World, key: str, start: int = 0, end: int | None = None) -> bytes:
    """Everything that a reader gets, piece by piece; never more than is durable."""
    reader, got, at = following(world, key), b"", start
    await reader.begin()
    while end is None or at < end:
        there = await reader.until_there(at, end)
        if there <= at:
            break
        extent = await world.extent(key) if await world.row(key) else None
        assert extent is None or there <= max(extent.offset, len(DATA))
        got += all_of(await reader.read(at, there))
        at = there
    return got


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pieces so small that there are many."""
    monkeypatch.setattr(module, "STEP", 7_000)
    return iter(())


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("length", [len(DATA), None])
async def test_a_reader_gets_all_bytes_as_they_come(world: World, length: int | None) -> None:
    key = await world.create(length)
    reading = asyncio.ensure_future(follow(world, key, 0, length))
    for at in range(0, len(DATA), 20_000):
        last = at + 20_000 >= len(DATA)
        more = {"declares": len(DATA)} if last and length is None else {}
        await world.write(key, at, DATA[at : at + 20_000], **more)
    assert await reading == DATA


async def test_a_reader_waits_for_bytes_that_are_not_durable(world: World) -> None:
    key = await world.create(len(DATA))
    await world.write(key, 0, DATA[:10])
    reader = following(world, key)
    assert await reader.until_there(0, None) == 10
    waiting = asyncio.ensure_future(reader.until_there(10, None))
    await world.write(key, 50, DATA[50:60], sequential=False)  # beyond a gap
    assert not waiting.done()
    await world.write(key, 10, DATA[10:50], sequential=False)
    assert await waiting in {50, 60}


async def test_a_reader_is_told_when_there_will_be_no_more(world: World) -> None:
    key = await world.create(len(DATA))
    waiting = asyncio.ensure_future(following(world, key).until_there(0, None))
    await asyncio.sleep(0)
    await world.engine.cancel(ANN, key)
    with pytest.raises(StateConflict):
        await waiting
    with pytest.raises(NotFound):
        await following(world, key).begin()
    failed = await world.create(5)
    await world.engine.fail(ANN, failed, "on purpose")
    with pytest.raises(StateConflict, match="on purpose"):
        await following(world, failed).begin()


async def test_a_reader_waits_no_longer_than_it_has_patience(here: World) -> None:
    key = await here.create(5)
    here_it_is = following(here, key, patience=30)
    waiting = asyncio.ensure_future(here_it_is.until_there(0, None))
    await asyncio.sleep(0)
    here.clock.advance(31)
    async with here.engine.hold(key) as live:
        await here.engine.do(live.change, here.ledger, lambda upload: upload)  # news, no bytes
    with pytest.raises(TooSlow):
        await waiting


async def test_a_server_that_stops_lets_its_readers_go(here: World) -> None:
    key = await here.create(5)
    waiting = asyncio.ensure_future(following(here, key).until_there(0, None))
    await until(lambda: here.engine._lives._users > 0)
    await here.engine.drain()
    with pytest.raises(LimitReached):
        await waiting


async def test_only_who_may_read_its_own_follows(here: World) -> None:
    key = await here.create(5)
    for stranger in (BOB, EVE):
        with pytest.raises(NotFound):
            await following(here, key, stranger).begin()
    blind = Caller(tenant="t1", subject="ann", scopes=frozenset({Scope.WRITE}))
    with pytest.raises(Forbidden):
        await following(here, key, blind).begin()
    await following(here, key).begin()
