"""What is complete is told at least once, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.engine.world import ANN, World, until
from towpath.core.model import Object, Outbox
from towpath.engine.completions import COMPLETED, LOOK_SECONDS, Completions
from towpath.engine.silence import SILENCE
from towpath.ledger.base import Query

pytestmark = pytest.mark.anyio


class Application:
    """Is told; raises as often as it is set to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: dict[str, int] = {}

    async def __call__(self, made: Object) -> None:
        self.told.append(made.id)
        if self.fails.get(made.id, 0) > 0:
            self.fails[made.id] -= 1
            raise RuntimeError("not now")


@asynccontextmanager
async def telling(world: World, application: Application) -> AsyncIterator[Completions]:
    completions = Completions(world.ledger, world.clock, application)
    world.engine.events = completions
    task = asyncio.ensure_future(completions.run())
    try:
        yield completions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.engine.events = SILENCE


async def notes(world: World) -> list[Outbox]:
    return await world.engine.do(world.ledger.list, Outbox, Query(where={"kind": COMPLETED}))


async def until_left(world: World, *tries: int) -> None:
    """Let the loop turn until just these tries stand in the outbox, and no others."""
    while [note.tries for note in await notes(world)] != list(tries):  # noqa: ASYNC110  # as `until`
        await asyncio.sleep(0)


async def test_every_object_is_told_as_soon_as_it_is_complete(world: World) -> None:
    application = Application()
    before = await world.put(b"before anybody listened")
    async with telling(world, application):
        await until(lambda: application.told == [before])
        after = await world.put(b"after")
        await until(lambda: application.told == [before, after])
    assert LOOK_SECONDS > 30  # news woke it, not the clock


async def test_what_was_told_is_not_told_again(world: World) -> None:
    application = Application()
    key = await world.put(b"once")
    async with telling(world, application):
        await until_left(world)
    async with telling(world, application):
        other = await world.put(b"other")
        await until(lambda: other in application.told)
    assert application.told == [key, other]


async def test_what_fails_is_told_again_later_and_holds_up_nobody(world: World) -> None:
    application = Application()
    bad = await world.put(b"bad")
    application.fails[bad] = 2
    async with telling(world, application) as completions:
        await until(lambda: application.told == [bad])
        good = await world.put(b"good")
        await until(lambda: application.told == [bad, good])
        for tries in (1, 2):
            await until_left(world, tries)
            assert application.told.count(bad) == tries
            world.clock.advance(4)
            row = await world.row(good)
            assert row is not None
            completions.tell(COMPLETED, row)
            await until(lambda already=tries: application.told.count(bad) > already)  # type: ignore[misc]
        await until_left(world)
    assert application.told.count(good) == 1


async def test_what_a_crash_left_is_told_by_the_next_process(world: World) -> None:
    key = await world.put(b"untold")
    await world.reopen(crash=True)
    application = Application()
    async with telling(world, application):
        await until(lambda: application.told == [key])


async def test_what_was_removed_meanwhile_is_not_told(world: World) -> None:
    key = await world.put(b"gone")
    await world.shelf.discard(ANN, key)
    application = Application()
    async with telling(world, application):
        await until_left(world)
    assert application.told == []
