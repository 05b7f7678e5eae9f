"""What sweeping removes, what it finishes, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.world import ANN, World, content
from towpath.core.model import Island, Lease, OnConflict, Outbox, Row, Upload
from towpath.core.state import UploadState
from towpath.engine.sweep import Sweep, Swept
from towpath.errors import Expired, NotFound, TowpathError
from towpath.ledger.base import Add, Query, Update
from towpath.testing.faults import Crash, Fault, FaultyLedger, FaultyStore, Kind
from towpath.testing.rows import upload

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
HOUR = 3600


async def swept(world: World) -> Swept:
    return await Sweep(world.engine).run()


async def rows(world: World, kind: type[Row], /, **where: str) -> int:
    return await world.engine.do(world.ledger.count, kind, Query(where=where))


async def test_a_sweep_of_nothing_does_nothing(world: World) -> None:
    assert await swept(world) == Swept()
    await world.put(b"abc", "a")
    await world.create(3)
    assert await swept(world) == Swept()


async def test_an_upload_whose_time_is_over_goes_with_its_bytes(world: World) -> None:
    key = await world.create(10)
    await world.write(key, 4, b"abc", sequential=False)
    world.clock.advance(DAY - 1)
    assert (await swept(world)).expired == 0
    world.clock.advance(1)
    assert (await swept(world)).expired == 1
    assert world.places.bytes.left() == []
    assert (await rows(world, Island), await rows(world, Lease)) == (0, 0)
    with pytest.raises(Expired):
        await world.engine.inspect(ANN, key)


async def test_an_upload_with_a_writer_does_not_expire(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    world.clock.advance(2 * DAY)
    assert (await swept(world)).expired == 0
    writer.source.feed(b"defghij")
    writer.source.end()
    assert (await writer.task).state is UploadState.COMPLETE


async def test_a_latecomer_is_told_for_a_week_and_then_nothing_is_known(world: World) -> None:
    expired, cancelled = await world.create(10), await world.create(10)
    await world.engine.cancel(ANN, cancelled)
    world.clock.advance(DAY)
    await swept(world)
    world.clock.advance(6 * DAY)
    assert (await swept(world)).forgotten == 0
    with pytest.raises(Expired):
        await world.engine.inspect(ANN, expired)
    world.clock.advance(DAY + 1)
    assert (await swept(world)).forgotten == 2
    for key in (expired, cancelled):
        with pytest.raises(NotFound):
            await world.engine.inspect(ANN, key)
    assert await rows(world, Upload) == 0


async def test_objects_do_not_expire(world: World) -> None:
    key = await world.put(b"abc", "a")
    world.clock.advance(1000 * DAY)
    await swept(world)
    assert await world.read(key) == b"abc"


@pytest.mark.parametrize("crash", ["seal", "commit"])
@pytest.mark.parametrize("after", [False, True])
async def test_what_a_crash_left_filled_is_completed_even_late(
    world: World, crash: str, after: bool
) -> None:
    key = await world.create(3, name="a")
    call = 3 if crash == "commit" else 1
    fault = Fault(kind=Kind.CRASH, call=call, method=crash, after=after)
    if crash == "seal":
        await world.reopen(lambda store: FaultyStore(store, [fault]))
    else:
        await world.reopen(ledger=lambda ledger: FaultyLedger(ledger, [fault]))
    with pytest.raises(Crash):
        await world.write(key, 0, b"abc")
    await world.reopen(crash=True)
    world.clock.advance(2 * DAY)
    done = await swept(world)
    assert (done.completed, done.expired) == (0 if crash == "commit" and after else 1, 0)
    assert await world.read(key) == b"abc"
    assert (await world.shelf.stat(ANN, "a"))[0].object == key


async def test_an_upload_that_waits_to_be_told_is_not_completed_by_a_sweep(here: World) -> None:
    key = await here.create(3, completes=False)
    await here.write(key, 0, b"abc")
    assert await swept(here) == Swept()
    here.clock.advance(DAY)
    assert (await swept(here)).expired == 1
    assert await here.made(key) is None


async def test_a_filled_upload_whose_name_is_taken_expires(here: World) -> None:
    await here.put(b"old", "a")
    with pytest.raises(TowpathError):
        await here.put(b"new", "a", on_conflict=OnConflict.FAIL)
    assert await swept(here) == Swept()
    here.clock.advance(DAY)
    assert (await swept(here)).expired == 1


async def test_bytes_of_a_cancelled_upload_that_a_crash_left_are_removed(world: World) -> None:
    key = await world.create(3)
    fault = Fault(kind=Kind.CRASH, call=1, method="remove")
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    with pytest.raises(Crash):
        await world.engine.cancel(ANN, key)
    await world.reopen()
    assert world.places.bytes.left() == [f"uploads/{key}"]
    await swept(world)
    assert world.places.bytes.left() == []
    row = await world.row(key)
    assert row is not None
    assert (row.state, row.handle) == (UploadState.CANCELLED, "")


@pytest.mark.parametrize("after", [False, True])
async def test_bytes_of_a_forgotten_object_that_a_crash_left_are_removed(
    world: World, after: bool
) -> None:
    await world.put(b"abc", "a")
    fault = Fault(kind=Kind.CRASH, call=1, method="remove", after=after)
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    with pytest.raises(Crash):
        await world.shelf.forget(ANN, "a")
    await world.reopen()
    assert bool(world.places.bytes.left()) != after
    assert (await swept(world)).unlinked == 1
    assert world.places.bytes.left() == []
    assert await rows(world, Outbox, kind="remove") == 0


async def test_an_orphan_is_moved_to_lost_and_found_after_the_grace(world: World) -> None:
    await world.put(b"abc", "a")
    world.clock.jump(HOUR * 1000)
    await world.engine.do(world.store.create, "orphan00001", 3)
    before = world.places.bytes.left()
    assert (await swept(world)).orphans == 0
    world.clock.jump(100 * DAY * 1000)
    await world.create(1)
    done = await swept(world)
    assert (done.orphans, world.places.bytes.lost() != []) == (1, True)
    left = world.places.bytes.left()
    assert "uploads/orphan00001" in before
    assert "uploads/orphan00001" not in left
    assert (await world.shelf.stat(ANN, "a"))[1].length == 3


async def test_nothing_is_moved_while_the_store_is_newer_than_the_ledger(world: World) -> None:
    key = await world.put(b"abc", "a")
    world.places.facts = type(world.places.facts)()  # the ledger is gone
    await world.reopen()
    world.clock.jump(100 * DAY * 1000)
    assert (await swept(world)).orphans == 0
    assert world.places.bytes.lost() == []
    assert f"objects/{key}" in world.places.bytes.left()


async def test_an_orphan_that_cannot_be_moved_does_not_keep_others(here: World) -> None:
    await here.reopen(
        lambda store: FaultyStore(store, [Fault(kind=Kind.ERROR, call=1, method="remove")])
    )
    for number in range(3):
        await here.engine.do(here.store.create, f"orphan0000{number}", 3)
    here.clock.advance(2 * HOUR)
    assert (await swept(here)).orphans == 2
    assert (await swept(here)).orphans == 1


async def test_one_thing_that_fails_does_not_stop_the_sweep(here: World) -> None:
    keys = sorted([await here.create(3) for _ in range(3)])
    for key in keys:
        await here.write(key, 0, content(2))
    here.clock.advance(DAY)
    await here.reopen(
        lambda store: FaultyStore(store, [Fault(kind=Kind.ERROR, call=1, method="remove")])
    )
    assert (await swept(here)).expired == 2
    assert here.places.bytes.left() == []


async def test_sweeping_goes_through_all_pages(here: World) -> None:
    many = [
        upload(f"u{n:05}", state=UploadState.EXPIRED, handle="", updated_at=0) for n in range(2_100)
    ]
    here.ledger.commit([Add(row) for row in many])
    assert (await swept(here)).forgotten == 2_100


async def test_a_writer_that_comes_while_the_sweep_looks_is_not_expired(here: World) -> None:
    key = await here.create(10)
    here.clock.advance(DAY)
    row = await here.row(key)
    assert row is not None
    longer = replace(row, expires_at=here.clock.now() + 1000)
    here.ledger.commit([Update(longer)])
    assert not await here.engine.expire(key)
