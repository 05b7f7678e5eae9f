"""Scrubbing, rebuilding a ledger, and counting anew when the store lost bytes."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.places import Facts
from tests.engine.world import ANN, World, content
from towpath.core.crc import crc
from towpath.core.model import Island, Name, Object, Outbox, Upload
from towpath.core.state import UploadState
from towpath.engine.rebuild import rebuild
from towpath.engine.scrub import Scrub
from towpath.engine.sweep import Sweep
from towpath.errors import NotFound, StoreError, StoreLost
from towpath.ledger.base import Add, Query
from towpath.testing.faults import Crash, Fault, FaultyStore, Kind

pytestmark = pytest.mark.anyio

DATA = content(100_000)
MONTH = 30 * 86_400


# --- scrub -----------------------------------------------------------------------------------


async def scrubbed(world: World) -> list[str]:
    task = asyncio.ensure_future(Scrub(world.engine).run())
    while not task.done():
        world.clock.advance(1.0)
        await asyncio.sleep(0)
    return task.result()


async def test_a_scrub_finds_a_flipped_bit_and_the_object_is_not_served(world: World) -> None:
    sound, damaged = await world.put(DATA, "a"), await world.put(DATA, "b")
    await asyncio.to_thread(world.places.bytes.damage, f"objects/{damaged}", 77_777)
    world.clock.advance(MONTH)
    assert await scrubbed(world) == [damaged]
    with pytest.raises(StoreLost):
        await world.read(damaged)
    assert await world.read(sound) == DATA
    assert await scrubbed(world) == []
    await world.shelf.forget(ANN, "b")
    assert await world.made(damaged) is None


async def test_only_what_was_not_looked_at_for_long_is_read(here: World) -> None:
    await here.put(DATA)
    here.clock.advance(MONTH - 10)
    reads = here.gates.count("read")
    await scrubbed(here)
    assert here.gates.count("read") == reads
    here.clock.advance(MONTH)
    await scrubbed(here)
    assert here.gates.count("read") == reads + 1
    await scrubbed(here)
    assert here.gates.count("read") == reads + 1


async def test_a_scrub_reads_no_faster_than_its_rate(here: World) -> None:
    await here.put(DATA)
    here.clock.advance(MONTH)
    task = asyncio.ensure_future(Scrub(here.engine, rate=len(DATA)).run())
    while not here.clock.asleep:  # noqa: ASYNC110  # no time
        await asyncio.sleep(0)
    here.clock.advance(0.9)
    await asyncio.sleep(0)
    assert here.clock.asleep
    here.clock.advance(0.2)
    await task


async def test_an_object_whose_bytes_are_gone_or_unreadable_is_damaged(here: World) -> None:
    gone, unreadable = sorted([await here.put(DATA), await here.put(DATA)])
    await here.engine.do(here.store.remove, f"objects/{gone}")
    here.clock.advance(MONTH)
    fault = Fault(kind=Kind.ERROR, call=2, method="read")
    await here.reopen(lambda store: FaultyStore(store, [fault]))
    assert await scrubbed(here) == [gone, unreadable]


async def test_an_object_that_is_removed_while_it_is_scrubbed_is_no_damage(here: World) -> None:
    await here.put(DATA, "a")
    here.clock.advance(MONTH)
    gate = here.gates.shut("read")
    scrub = asyncio.ensure_future(scrubbed(here))
    await gate.reached()
    await here.shelf.forget(ANN, "a")
    gate.open()
    assert await scrub == []


# --- rebuild ---------------------------------------------------------------------------------


async def loses_its_ledger(world: World) -> None:
    world.places.facts = Facts()
    await world.reopen()


async def test_a_ledger_is_rebuilt_from_what_stands_beside_the_objects(world: World) -> None:
    keys = [await world.put(DATA, "a/b.bin"), await world.put(b"abc"), await world.put(b"", "e")]
    objects = [await world.made(key) for key in keys]
    names = [(name.path, made.id) for name, made in await world.shelf.list(ANN)]
    await world.create(10)
    await loses_its_ledger(world)
    done = await world.engine.do(rebuild, world.store, world.ledger)
    assert (done.added, done.known, done.unreadable) == (3, 0, [])
    assert [await world.made(key) for key in keys] == objects
    assert [(name.path, made.id) for name, made in await world.shelf.list(ANN)] == names
    assert [await world.read(key) for key in keys] == [DATA, b"abc", b""]
    upload, extent = await world.engine.inspect(ANN, keys[0])
    assert (upload.state, extent.offset, extent.crc) == (
        UploadState.COMPLETE, len(DATA), crc(DATA)
    )  # fmt: skip


async def test_rebuilding_again_adds_nothing(world: World) -> None:
    await world.put(b"abc", "a")
    done = await world.engine.do(rebuild, world.store, world.ledger)
    assert (done.added, done.known) == (0, 1)


async def test_objects_of_one_name_all_get_one_back(here: World) -> None:
    keys = {await here.put(bytes([n]), "a.bin") for n in range(3)}
    await loses_its_ledger(here)
    await here.engine.do(rebuild, here.store, here.ledger)
    found = await here.shelf.list(ANN)
    assert {made.id for _, made in found} == keys
    assert {name.path for name, _ in found} == {"a.bin", "a (2).bin", "a (3).bin"}


async def test_what_was_forgotten_before_a_crash_is_not_rebuilt(world: World) -> None:
    key = await world.put(b"abc", "a")
    fault = Fault(kind=Kind.CRASH, call=1, method="remove")
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    with pytest.raises(Crash):
        await world.shelf.forget(ANN, "a")
    await world.reopen()
    assert (await world.engine.do(rebuild, world.store, world.ledger)).added == 0
    await Sweep(world.engine).run()
    assert await world.made(key) is None
    assert world.places.bytes.left() == []


async def test_what_was_sealed_before_a_crash_is_left_to_the_sweep(world: World) -> None:
    key = await world.create(3, name="a")
    fault = Fault(kind=Kind.CRASH, call=1, method="seal", after=True)
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    with pytest.raises(Crash):
        await world.write(key, 0, b"abc")
    await world.reopen()
    assert (await world.engine.do(rebuild, world.store, world.ledger)).added == 0
    assert (await Sweep(world.engine).run()).completed == 1
    row = await world.row(key)
    assert row is not None
    assert row.state is UploadState.COMPLETE
    assert await world.engine.do(world.ledger.get, Outbox, f"completed:{key}") is not None


async def test_an_object_that_an_older_ledger_holds_for_open_is_rebuilt(here: World) -> None:
    key = await here.create(6, name="a")
    await here.write(key, 4, b"ef", sequential=False)
    older = here.ledger
    kept = {kind: older.list(kind, Query()) for kind in (Upload, Island)}  # a backup of that moment
    await here.write(key, 0, b"abcd")
    await loses_its_ledger(here)
    here.ledger.commit([Add(row) for rows in kept.values() for row in rows])
    assert (await here.engine.do(rebuild, here.store, here.ledger)).added == 1
    assert await here.read(key) == b"abcdef"
    assert here.ledger.count(Island, Query()) == 0
    assert here.ledger.count(Name, Query()) == 1
    upload, _ = await here.engine.inspect(ANN, key)
    assert (upload.state, upload.offset) == (UploadState.COMPLETE, 6)


# --- recount ---------------------------------------------------------------------------------


async def test_bytes_that_the_store_lost_are_counted_no_longer(world: World) -> None:
    key = await world.create(len(DATA))
    await world.write(key, 0, DATA[:60_000])
    await world.write(key, 70_000, DATA[70_000:80_000], sequential=False)
    await asyncio.to_thread(world.places.bytes.shorten, f"uploads/{key}", 50_000)
    await world.reopen()
    upload, extent = await world.engine.inspect(ANN, key)
    assert (upload.offset, extent.crc, extent.islands) == (50_000, crc(DATA[:50_000]), ())
    await world.write(key, 50_000, DATA[50_000:])
    assert await world.read(key) == DATA


async def test_a_filled_upload_that_lost_bytes_is_open_again(world: World) -> None:
    key = await world.create(6, completes=False)
    await world.write(key, 0, b"abcdef")
    await asyncio.to_thread(world.places.bytes.shorten, f"uploads/{key}", 2)
    await world.reopen()
    upload, _ = await world.engine.inspect(ANN, key)
    assert (upload.state, upload.offset) == (UploadState.OPEN, 2)
    await world.write(key, 2, b"cdef")
    assert (await world.engine.complete(ANN, key)).crc == crc(b"abcdef")


async def test_an_island_that_was_lost_may_come_back_with_other_bytes(world: World) -> None:
    key = await world.create(6)
    await world.write(key, 2, b"old", sequential=False)
    await asyncio.to_thread(world.places.bytes.shorten, f"uploads/{key}", 1)
    await world.reopen()
    assert (await world.extent(key)).total == 0
    await world.write(key, 2, b"new", sequential=False)
    await world.reopen()
    assert (await world.extent(key)).islands[0].crc == crc(b"new")
    await world.write(key, 0, b"> new!")
    made = await world.made(key)
    assert isinstance(made, Object)
    assert made.crc == crc(b"> new!")


async def test_an_upload_that_the_store_lost_as_a_whole_begins_anew(world: World) -> None:
    key = await world.create(6)
    await world.write(key, 0, b"abc")
    await world.engine.do(world.store.remove, f"uploads/{key}")
    await world.reopen()
    assert (await world.extent(key)).offset == 0
    await world.write(key, 0, b"abcdef")
    assert await world.read(key) == b"abcdef"


async def test_an_upload_that_a_crash_took_before_its_first_settle_begins_anew(
    here: World,
) -> None:
    key = await here.create(6)
    await here.reopen(crash=True)
    assert here.places.bytes.left() == []
    await here.write(key, 0, b"abcdef")
    assert await here.read(key) == b"abcdef"


async def test_a_filled_upload_whose_bytes_are_gone_is_never_an_object(world: World) -> None:
    key = await world.create(6, completes=False)
    await world.write(key, 0, b"abcdef")
    await world.engine.do(world.store.remove, f"uploads/{key}")
    await world.reopen()
    with pytest.raises((NotFound, StoreError)):
        await world.engine.complete(ANN, key)
    assert await world.made(key) is None
