"""A whole of many parts is the same before and after its rows are written."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.world import ANN, World, content
from towpath.core.command import NewUpload
from towpath.core.model import Object, Outbox, Segment
from towpath.engine.scrub import Scrub
from towpath.engine.segments import AT_ONCE, PIECES, segments, spread
from towpath.engine.sweep import Sweep
from towpath.errors import NotFound
from towpath.ledger.base import Change, Query
from towpath.testing.faults import Fault, FaultyLedger, Kind

pytestmark = pytest.mark.anyio

WHOLE = NewUpload(length=None)
MANY = AT_ONCE + 1


async def parts_of(world: World) -> tuple[list[str], bytes]:
    """As many parts as make a whole that is put off, of three uploads; and their bytes."""
    three = [content(50 + each, each) for each in range(3)]
    keys = [await world.put(data) for data in three]
    return [keys[at % 3] for at in range(MANY)], b"".join(three[at % 3] for at in range(MANY))


async def put_off(world: World) -> list[Outbox]:
    """The notes of wholes whose rows are not written yet."""
    query = Query(where={"kind": PIECES})
    return await world.engine.do(world.ledger.list, Outbox, query)


async def rows_of(world: World, key: str) -> list[Segment]:
    """The rows there are."""
    return await world.engine.do(world.ledger.list, Segment, Query(where={"object": key}))


async def test_many_rows_are_put_off_until_somebody_reads(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    assert (made.offset, made.length) == (len(data), len(data))
    assert [note.subject for note in await put_off(world)] == [made.id]
    assert len(await rows_of(world, made.id)) == 1
    assert await world.read(made.id) == data
    assert await put_off(world) == []
    assert len(await rows_of(world, made.id)) == MANY + 1
    assert await world.read(made.id) == data


async def test_few_rows_are_written_at_once(world: World) -> None:
    keys, _ = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys[:AT_ONCE])
    assert await put_off(world) == []
    assert len(await rows_of(world, made.id)) == AT_ONCE + 1


async def test_what_was_put_off_outlives_the_process(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    await world.reopen(crash=True)
    assert await world.read(made.id) == data


async def test_a_sweep_writes_what_was_put_off(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    await Sweep(world.engine).run()
    assert await put_off(world) == []
    assert await world.read(made.id) == data


async def test_a_scrub_reads_what_was_put_off(world: World) -> None:
    keys, _ = await parts_of(world)
    await world.engine.concatenate(ANN, WHOLE, keys)
    task = asyncio.ensure_future(Scrub(world.engine, every=0).run())
    while not task.done():
        world.clock.advance(1.0)
        await asyncio.sleep(0)
    assert task.result() == []


async def test_parts_can_go_before_the_rows_are_written(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    for key in set(keys):
        await world.shelf.discard(ANN, key)
    assert await world.read(made.id) == data
    await world.shelf.discard(ANN, made.id)
    assert world.places.bytes.left() == []


async def test_a_whole_that_goes_before_its_rows_are_written_leaves_nothing(world: World) -> None:
    keys, _ = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    await world.shelf.discard(ANN, made.id)
    assert await put_off(world) == []
    for key in set(keys):
        await world.shelf.discard(ANN, key)
    assert world.places.bytes.left() == []
    assert await world.engine.do(world.ledger.count, Segment, Query()) == 0


async def test_a_whole_may_be_a_part_before_its_rows_are_written(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    twice = await world.engine.concatenate(ANN, WHOLE, [made.id, made.id])
    assert await world.read(twice.id) == data + data


async def test_two_who_write_the_rows_at_once_write_them_once(world: World) -> None:
    """The second has read the note before the first has committed."""
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    ledger = world.ledger
    commit = ledger.commit

    def overtaken(changes: list[Change]) -> None:
        ledger.commit = commit  # type: ignore[method-assign]
        spread(ledger)
        commit(changes)

    ledger.commit = overtaken  # type: ignore[assignment, method-assign]
    found = await world.made(made.id)
    assert isinstance(found, Object)
    assert len(await world.engine.do(segments, ledger, found)) == MANY + 1
    assert await world.read(made.id) == data


async def test_rows_that_could_not_be_written_are_written_the_next_time(world: World) -> None:
    keys, data = await parts_of(world)
    made = await world.engine.concatenate(ANN, WHOLE, keys)
    fault = Fault(kind=Kind.ERROR, call=1, method="commit")
    await world.reopen(ledger=lambda ledger: FaultyLedger(ledger, [fault]))
    await Sweep(world.engine).run()
    assert len(await put_off(world)) == 1
    assert await world.read(made.id) == data
    assert await put_off(world) == []


async def test_a_remembered_part_that_is_gone_is_missed(world: World) -> None:
    new = NewUpload(length=3, partial=True)
    part = (await world.engine.create(ANN, new)).id
    await world.write(part, 0, b"abc")
    assert await world.read((await world.engine.concatenate(ANN, WHOLE, [part])).id) == b"abc"
    await world.shelf.discard(ANN, part)
    with pytest.raises(NotFound):
        await world.engine.concatenate(ANN, WHOLE, [part])
    with pytest.raises(NotFound):  # and again, now that it is looked up
        await world.engine.concatenate(ANN, WHOLE, [part])
