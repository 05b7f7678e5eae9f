"""Creating, and what becomes of an upload without bytes."""

from __future__ import annotations

import pytest

from tests.engine.world import World, content

pytestmark = pytest.mark.anyio


async def test_an_upload_becomes_an_object_with_its_bytes(world: World) -> None:
    data = content(100_000)
    key = await world.put(data, "folder/a.bin")
    assert await world.read(key) == data
    assert world.places.bytes.left()[0] == f"objects/{key}"
