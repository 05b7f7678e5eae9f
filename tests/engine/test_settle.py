"""When bytes become durable, and how many may not be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.engine.gates import MortalLedger
from tests.engine.places import LocalBytes, Places
from tests.engine.world import ANN, KIB, World, content, until
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.engine import live
from towpath.engine.group_commit import GroupCommit
from towpath.errors import LedgerError, StoreError, StoreFull, StoreReadOnly
from towpath.ledger.base import Change, Update
from towpath.store.base import Store
from towpath.store.local import LocalStore
from towpath.testing.faults import Fault, FaultyLedger, FaultyStore, Kind
from towpath.testing.source import DRY, FakeSource

pytestmark = pytest.mark.anyio

DATA = content(200 * KIB)


async def test_never_more_than_settle_bytes_are_at_risk(world: World) -> None:
    key = await world.create(len(DATA))
    at_risk = [0]

    def look(end: int) -> None:
        row = world.ledger.get(Upload, key)
        at_risk.append(end - (row.offset if row else 0))

    world.gates.on_block = look
    await world.write(key, 0, DATA)
    assert world.limits.settle_points <= max(at_risk) <= world.limits.settle_bytes
    assert world.gates.count("settle") >= len(DATA) // world.limits.settle_points


async def test_a_slow_settle_holds_the_writer_up_before_too_much_is_at_risk(here: World) -> None:
    key = await here.create(len(DATA))
    taken = [0]
    here.gates.on_block = taken.append
    gate = here.gates.shut("settle")
    source = FakeSource([DATA])
    task = asyncio.ensure_future(here.write(key, 0, source, length=len(DATA)))
    await gate.reached()
    await until(lambda: taken[-1] == here.limits.settle_bytes)
    assert (await here.extent(key)).offset == 0
    assert source.given == here.limits.settle_bytes
    gate.open()
    await task
    assert await here.read(key) == DATA


async def test_writers_of_one_upload_who_settle_at_one_time_share_one_settle(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[GroupCommit[object]] = []

    def group() -> GroupCommit[object]:
        groups.append(GroupCommit())
        return groups[-1]

    monkeypatch.setattr(live, "GroupCommit", group)
    key, part = await here.create(len(DATA)), len(DATA) // 4
    gate = here.gates.shut("settle")
    first = asyncio.ensure_future(here.write(key, 0, DATA[:KIB], sequential=False))
    await gate.reached()
    others = [
        asyncio.ensure_future(here.write(key, at, DATA[at : at + KIB], sequential=False))
        for at in (part, 2 * part, 3 * part)
    ]
    await until(lambda: sum(each.waiting for each in groups) == len(others))
    gate.open()
    await asyncio.gather(first, *others)
    assert here.gates.count("settle") == 2
    assert [span.start for span in (await here.extent(key)).spans()] == [
        0,
        part,
        2 * part,
        3 * part,
    ]


async def test_bytes_wait_no_longer_than_settle_seconds_for_more(world: World) -> None:
    key = await world.create(10)
    writer = await world.stalled(key, 0, b"abc", length=10).begun()
    await until(lambda: world.clock.asleep > 0)
    world.clock.advance(0.49)
    assert (await world.extent(key)).offset == 0
    world.clock.advance(0.01)
    await until(lambda: world.gates.count("settle") == 1)
    gate = asyncio.ensure_future(_offset_is(world, key, 3))
    await gate
    writer.source.feed(b"de")
    await writer.source.stalled()
    await until(lambda: world.clock.asleep > 0)
    world.clock.advance(0.5)
    await _offset_is(world, key, 5)
    await world.engine.cancel(ANN, key)
    await writer.ended()


async def _offset_is(world: World, key: str, offset: int) -> None:
    while (await world.extent(key)).offset != offset:  # noqa: ASYNC110  # no time
        await asyncio.sleep(0)


async def test_a_trickle_that_never_pauses_is_settled_in_time_too(here: World) -> None:
    settled: list[int] = []
    told = threading.Event()

    class Telling(MortalLedger):
        def commit(self, changes: Sequence[Change]) -> None:
            super().commit(changes)
            rows = [each.row for each in changes if isinstance(each, Update)]
            settled.extend(row.offset for row in rows if isinstance(row, Upload) and row.offset)
            if settled:
                told.set()

    await here.reopen(ledger=Telling)
    key = await here.create(100)
    in_time: list[bool] = []

    def a_tenth_of_a_second_a_block(end: int) -> None:
        here.clock.advance(0.1)
        if end == 20:  # a settle runs in another thread, while more is to come
            in_time.append(told.wait(10))

    here.gates.on_block = a_tenth_of_a_second_a_block
    await here.write(key, 0, [b"x"] * 100, length=100)
    assert (in_time, settled[0]) == ([True], 6)
    assert here.gates.count("settle") > 1


async def test_who_sends_nothing_settles_nothing(here: World) -> None:
    key = await here.create(10)
    writer = await here.stalled(key, 0, length=10).begun()
    assert here.clock.asleep == 0
    await here.engine.claim(ANN, key)
    await writer.ended()
    assert here.gates.count("settle") == 0


@pytest.mark.parametrize(("durability", "synced"), [("strict", True), ("relaxed", False)])
async def test_strict_waits_for_the_disk_and_relaxed_does_not(
    durability: Literal["strict", "relaxed"],
    synced: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("towpath.store.local.sync_bytes", calls.append)
    places = Places("local-memory", tmp_path)

    class Chosen(LocalBytes):
        def open(self) -> Store:
            return LocalStore(tmp_path / "chosen", durability=durability, clock=places.clock)

    places.bytes = Chosen(places.clock, tmp_path / "chosen")
    world = await World(places).open()
    key = await world.create(6)
    await world.write(key, 0, b"abc")
    assert bool(calls) == synced
    await world.close()
    await asyncio.to_thread(world.gates.close)


async def test_the_answer_comes_after_the_store_and_then_the_ledger(here: World) -> None:
    key = await here.create(6)
    gate = here.gates.shut("settle")
    task = asyncio.ensure_future(here.write(key, 0, b"abc"))
    await gate.reached()
    row = await here.row(key)
    assert row is not None
    assert (row.offset, task.done()) == (0, False)
    gate.open()
    assert (await task).offset == 3


async def test_a_store_that_is_full_keeps_what_is_durable() -> None:
    places = Places("memory-memory", capacity=100_000)
    world = await World(places).open()
    key = await world.create(None)
    with pytest.raises(StoreFull):
        await world.write(key, 0, [DATA])
    offset = (await world.extent(key)).offset
    assert 90_000 < offset <= 100_000
    row = await world.row(key)
    assert row is not None
    assert row.state is UploadState.OPEN
    with pytest.raises(StoreFull):
        await world.write(key, offset, [DATA[offset:]])
    assert (await world.extent(key)).offset >= offset
    await world.engine.cancel(ANN, key)
    again = await world.create(100_000)
    await world.write(again, 0, DATA[:100_000])
    assert await world.read(again) == DATA[:100_000]
    await world.close()


async def test_a_failed_settle_counts_nothing_and_the_store_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places("local-memory", tmp_path)

    class Strict(LocalBytes):
        def open(self) -> Store:
            self._store = LocalStore(tmp_path / "strict", clock=places.clock)
            return self._store

    places.bytes = Strict(places.clock, tmp_path / "strict")
    world = await World(places).open()
    key = await world.create(9)
    await world.write(key, 0, b"abc")

    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("towpath.store.local.sync_bytes", refuse)
    with pytest.raises(StoreReadOnly):
        await world.write(key, 3, b"def")
    monkeypatch.undo()
    assert (await world.extent(key)).offset == 3
    for attempt in (world.write(key, 3, b"def"), world.create(1)):
        with pytest.raises(StoreReadOnly):
            await attempt
    space = await world.engine.do(world.store.space)
    assert space.read_only
    await asyncio.to_thread(places.bytes.close)
    await world.reopen()
    await world.write(key, 3, b"defghi")
    assert await world.read(key) == b"abcdefghi"
    await world.close()
    await asyncio.to_thread(places.bytes.close)


@pytest.mark.parametrize("method", ["write", "settle"])
@pytest.mark.parametrize("call", [1, 3])
async def test_a_store_that_fails_once_loses_nothing_that_was_told(
    world: World, method: str, call: int
) -> None:
    fault = Fault(kind=Kind.ERROR, call=call, method=method)
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    key = await world.create(len(DATA))
    with pytest.raises(StoreError):
        await world.write(key, 0, [DATA[:50_000], DRY, DATA[50_000:]], length=len(DATA))
    offset = (await world.extent(key)).offset
    await world.write(key, offset, DATA[offset:])
    assert await world.read(key) == DATA


@pytest.mark.parametrize("after", [False, True])
async def test_a_ledger_that_fails_once_loses_nothing_that_was_told(
    world: World, after: bool
) -> None:
    fault = Fault(kind=Kind.ERROR, call=4, method="commit", after=after)
    await world.reopen(ledger=lambda ledger: FaultyLedger(ledger, [fault]))
    key = await world.create(len(DATA))
    with pytest.raises(LedgerError):
        await world.write(key, 0, DATA)
    offset = (await world.extent(key)).offset
    await world.write(key, offset, DATA[offset:])
    assert await world.read(key) == DATA
