"""Who says whether a filled upload is complete: the chunk that comes last."""

from __future__ import annotations

import pytest

from tests.engine.world import ANN, World, content
from towpath.core.ports import Ending
from towpath.core.state import UploadState
from towpath.errors import Interrupted

pytestmark = pytest.mark.anyio

DATA = content(10_000)
FILLED, COMPLETE = UploadState.FILLED, UploadState.COMPLETE


async def test_a_chunk_that_waits_fills_and_does_not_complete(world: World) -> None:
    key = await world.create(len(DATA))
    assert (await world.write(key, 0, DATA, completes=False)).state is FILLED
    assert (await world.engine.claim(ANN, key)).state is FILLED
    await world.reopen()
    assert (await world.engine.claim(ANN, key)).state is FILLED
    await world.engine.complete(ANN, key)
    assert await world.read(key) == DATA


@pytest.mark.parametrize("last", [True, False])
async def test_a_chunk_that_brings_all_bytes_and_is_cut_completes_nothing(
    world: World, last: bool
) -> None:
    key = await world.create(len(DATA))
    with pytest.raises(Interrupted):
        await world.write(key, 0, [DATA], completes=last, end=Ending.CUT)
    assert (await world.engine.claim(ANN, key)).state is FILLED
    await world.reopen(crash=True)
    assert (await world.engine.claim(ANN, key)).state is FILLED
    assert (await world.write(key, len(DATA), b"", completes=True)).state is COMPLETE


async def test_a_chunk_that_fills_completes_what_waited_before_it(world: World) -> None:
    key = await world.create(len(DATA), completes=False)
    await world.write(key, 0, DATA[:4000], completes=False)
    assert (await world.write(key, 4000, DATA[4000:], when_filled=True)).state is COMPLETE


async def test_a_chunk_of_nothing_completes_what_waits(world: World) -> None:
    key = await world.create(len(DATA), completes=False)
    assert (await world.write(key, 0, DATA)).state is FILLED
    assert (await world.write(key, len(DATA), b"", completes=False)).state is FILLED
    assert (await world.write(key, len(DATA), b"", when_filled=True)).state is COMPLETE
    assert await world.read(key) == DATA
