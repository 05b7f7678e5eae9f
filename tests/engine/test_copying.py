"""Bytes that are drawn out of an object: to be copied, or to be told of as chunks."""

from __future__ import annotations

import hashlib

import pytest

from tests.engine.world import ANN, World, content
from towpath.codec.cdc import CUTS, chunks, read_map
from towpath.core.command import NewUpload
from towpath.core.digest import SHA256
from towpath.core.ports import Ending
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.copying import CopySource, Drawing, chunk_map, require_proof
from towpath.errors import DigestMismatch, Malformed, StateConflict

pytestmark = pytest.mark.anyio

OLD = content(50_000, 1)
NEW = OLD[:20_000] + b"something else" + OLD[30_000:]
DIGEST = hashlib.sha256(NEW).digest()


async def copy(world: World, key: str, source: CopySource, at: int) -> UploadState:
    write = Write(offset=at, length=source.length, sequential=False, when_filled=True)
    try:
        return (await world.engine.write(ANN, key, write, lambda: source)).state
    finally:
        await world.engine.do(source.close)


async def test_an_upload_is_filled_from_an_object_and_held_against_its_digest(world: World) -> None:
    base = await world.shelf.open(ANN, await world.put(OLD))
    for digest, outcome in ((DIGEST, UploadState.COMPLETE), (bytes(32), UploadState.FAILED)):
        new = NewUpload(length=len(NEW), digests={SHA256: digest})
        key = (await world.engine.create(ANN, new)).id
        assert await copy(world, key, CopySource(base, 0, 20_000), 0) is UploadState.OPEN
        await world.write(key, 20_000, b"something else", sequential=False)
        last = CopySource(base, 30_000, 50_000)
        if outcome is UploadState.COMPLETE:
            assert await copy(world, key, last, 20_014) is outcome
            assert await world.read(key) == NEW
        else:
            with pytest.raises(DigestMismatch):
                await copy(world, key, last, 20_014)
            upload = await world.row(key)
            assert upload is not None
            assert (upload.state, upload.handle) == (outcome, "")


async def test_no_byte_beside_the_object_is_drawn(here: World) -> None:
    opened = await here.shelf.open(ANN, await here.put(OLD))
    for start, end in ((0, 50_001), (50_001, 50_001), (-1, 5), (9, 8)):
        with pytest.raises(Malformed):
            Drawing(opened, start, end)


async def test_a_source_that_is_stopped_gives_nothing_more(here: World) -> None:
    opened = await here.shelf.open(ANN, await here.put(OLD))
    source = CopySource(opened, 100, 40_000)
    view = memoryview(bytearray(1000))
    count = await here.engine.do(source.read_into, view)
    assert bytes(view[:count]) == OLD[100:1100]
    source.stop()
    assert (await here.engine.do(source.read_into, view), source.ending) == (0, Ending.STOPPED)
    await here.engine.do(source.close)


async def test_only_an_upload_that_says_what_it_is_to_be_may_be_copied_into(here: World) -> None:
    upload = await here.row(await here.create(5))
    assert upload is not None
    with pytest.raises(StateConflict):
        require_proof(upload)


async def test_a_map_is_that_of_the_bytes_wherever_they_lie(world: World) -> None:
    halves = content(700_000, 2), content(900_000, 3)
    parts = []
    for half in halves:
        part = (await world.engine.create(ANN, NewUpload(length=len(half), partial=True))).id
        await world.write(part, 0, half)
        parts.append(part)
    made = await world.engine.concatenate(ANN, NewUpload(length=None), parts)
    opened = await world.shelf.open(ANN, made.id)
    assert len(opened.segments) > 1
    cut = CUTS["v1-256k"]
    found = await world.engine.do(lambda: list(read_map(chunk_map(opened, cut))))
    rest = memoryview(b"".join(halves))

    def read_into(view: memoryview) -> int:
        nonlocal rest
        count = min(len(view), len(rest))
        view[:count], rest = rest[:count], rest[count:]
        return count

    assert found == list(chunks(read_into, cut))
    assert len(found) > 2
