"""Bytes that objects share go with the last of them, whoever comes in between."""

from __future__ import annotations

import pytest

from tests.engine.world import ANN, World, content
from towpath.core.command import NewUpload
from towpath.engine.release import forget_object, unlink

pytestmark = pytest.mark.anyio

DATA = content(20_000)
WHOLE = NewUpload(length=None)


async def test_who_came_to_share_the_bytes_while_they_were_let_go_keeps_them(world: World) -> None:
    part = await world.put(DATA)
    do, ledger = world.engine.do, world.ledger
    changes, notes = await do(forget_object, ledger, part, now=world.clock.now())
    final = await world.engine.concatenate(ANN, WHOLE, [part, part])
    await do(ledger.commit, changes)
    for note in notes:
        await do(unlink, world.store, ledger, note)
    assert await world.read(final.id) == DATA + DATA


async def test_the_last_to_share_the_bytes_takes_them_along(world: World) -> None:
    part = await world.put(DATA)
    final = await world.engine.concatenate(ANN, WHOLE, [part])
    await world.shelf.discard(ANN, part)
    assert await world.read(final.id) == DATA
    await world.shelf.discard(ANN, final.id)
    assert world.places.bytes.left() == []
