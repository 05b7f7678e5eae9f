"""Little memory, many writers: all finish, and the budget holds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from tests.engine.places import Places
from tests.engine.world import ANN, KIB, SMALL, World, content
from towpath.testing.source import DRY, Piece

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("memory", [1, 2, 7, 40])
async def test_many_writers_finish_within_any_budget(memory: int, commit_seed: int) -> None:
    draw = random.Random(commit_seed)
    limits = replace(SMALL, memory=memory * KIB, workers=3)
    world = await World(Places(), limits).open()
    datas = [content(draw.randrange(1, 60 * KIB), seed) for seed in range(40)]
    keys = [await world.create(len(data)) for data in datas]

    async def send(key: str, data: bytes) -> None:
        pieces: list[Piece] = []
        for start in range(0, len(data), 5_000):
            pieces += [data[start : start + 5_000], DRY]
        await world.write(key, 0, pieces, length=len(data))

    await asyncio.gather(*(send(key, data) for key, data in zip(keys, datas, strict=True)))
    governor = world.engine.governor
    assert governor.peak <= governor.budget == memory * KIB
    assert (governor.reserved, governor.waiting) == (0, 0)
    for key, data in zip(keys, datas, strict=True):
        assert await world.read(key) == data
    await world.close()


async def test_who_sends_nothing_holds_no_memory(here: World) -> None:
    keys = [await here.create(10) for _ in range(30)]
    writers = [await here.stalled(key, 0, b"abc", length=10).begun() for key in keys]
    assert here.engine.governor.reserved == 0
    assert here.engine.writing == 30
    for key, writer in zip(keys, writers, strict=True):
        await here.engine.claim(ANN, key)
        await writer.ended()


async def test_memory_stays_below_the_formula(here: World) -> None:
    keys = [await here.create(40_000) for _ in range(20)]
    await asyncio.gather(*(here.write(key, 0, content(40_000)) for key in keys))
    assert here.engine.governor.peak <= here.limits.memory_bound(20) == 16 * KIB
