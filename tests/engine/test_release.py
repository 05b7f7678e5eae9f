"""Bytes that objects share go with the last of them, whoever comes in between."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.engine.world import ANN, World, content
from towpath.core.command import NewUpload
from towpath.core.digest import SHA256
from towpath.core.state import UploadState
from towpath.engine import segments
from towpath.engine.names import pointed
from towpath.engine.release import forget_object, unlink
from towpath.errors import DigestMismatch, NotFound

pytestmark = pytest.mark.anyio

DATA = content(20_000)
WHOLE = NewUpload(length=None)


@pytest.fixture(autouse=True, params=[segments.AT_ONCE, 0], ids=["at-once", "put-off"])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every whole gets its rows at once, or none does."""
    monkeypatch.setattr(segments, "AT_ONCE", request.param)


NAMED = NewUpload(length=None, name="whole")


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


async def test_a_part_that_is_removed_before_the_whole_stands_is_missed(world: World) -> None:
    """The store seals, and then the part goes: nothing may come of it that has no bytes."""
    parts = [await world.put(DATA), await world.put(DATA)]
    gate = world.gates.shut("seal")
    joining = asyncio.ensure_future(world.engine.concatenate(ANN, NAMED, parts))
    await gate.reached()
    discarding = asyncio.ensure_future(world.shelf.discard(ANN, parts[1]))
    await discarding
    gate.open()
    with pytest.raises(NotFound):
        await joining
    await world.shelf.discard(ANN, parts[0])
    assert world.places.bytes.left() == []
    assert await world.engine.do(pointed, world.ledger, ANN, "whole") is None


async def test_an_upload_takes_its_bytes_after_all_if_what_was_the_same_goes(world: World) -> None:
    digest = hashlib.sha256(DATA).digest()
    known = NewUpload(length=len(DATA), digests={SHA256: digest})
    first = (await world.engine.create(ANN, known)).id
    await world.write(first, 0, DATA)
    gate = world.gates.shut("seal")
    creating = asyncio.ensure_future(world.engine.create(ANN, known))
    await gate.reached()
    await world.shelf.discard(ANN, first)
    gate.open()
    made = await creating
    assert (made.state, made.offset) == (UploadState.OPEN, 0)
    await world.write(made.id, 0, DATA)
    assert await world.read(made.id) == DATA


async def test_a_whole_that_was_announced_with_its_digest_is_held_against_it(world: World) -> None:
    parts = [await world.put(DATA), await world.put(DATA[:7])]
    digest = hashlib.sha256(DATA + DATA[:7]).digest()
    whole = NewUpload(length=None, digests={SHA256: digest})
    made = await world.engine.concatenate(ANN, whole, parts)
    found = await world.made(made.id)
    assert found is not None
    assert found.sha256 == digest
    with pytest.raises(DigestMismatch):
        await world.engine.concatenate(ANN, whole, parts[::-1])
    assert await world.read(made.id) == DATA + DATA[:7]
