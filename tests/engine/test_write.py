"""Chunks: in order, out of order, again, too long, and of unknown length."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from tests.engine.world import ANN, KIB, World, content
from towpath.core.crc import crc
from towpath.core.model import Island
from towpath.core.ports import Ending
from towpath.core.state import UploadState
from towpath.errors import (
    Cut,
    Interrupted,
    LimitReached,
    OffsetConflict,
    StateConflict,
    TooLarge,
    TooSlow,
)
from towpath.ledger.base import Query
from towpath.testing.source import DRY, FakeSource, Piece

pytestmark = pytest.mark.anyio

DATA = content(100_000)


async def test_chunks_follow_one_another(world: World) -> None:
    key = await world.create(len(DATA))
    for start in (0, 30_000, 60_000):
        row = await world.write(key, start, DATA[start : start + 30_000])
        assert row.offset == start + 30_000
    row = await world.write(key, 90_000, DATA[90_000:])
    assert row.state is UploadState.COMPLETE
    assert row.crc == crc(DATA)
    assert await world.read(key) == DATA


async def test_a_sender_may_hesitate_anywhere(here: World) -> None:
    draw = random.Random(1)
    cuts = [0, *sorted(draw.sample(range(len(DATA)), 50)), len(DATA)]
    pieces: list[Piece] = []
    for start, end in pairwise(cuts):
        pieces += [DATA[start:end], DRY]
    key = await here.create(len(DATA))
    await here.write(key, 0, pieces, length=len(DATA))
    assert await here.read(key) == DATA


@pytest.mark.parametrize("offset", [0, 1, 4, 5])
async def test_a_chunk_at_the_wrong_offset_is_told_the_true_one(world: World, offset: int) -> None:
    key = await world.create(10)
    await world.write(key, 0, b"abc")
    source = FakeSource([b"de"])
    with pytest.raises(OffsetConflict) as refused:
        await world.write(key, offset, source, length=2)
    assert refused.value.offset == 3
    assert source.given == 0
    assert (await world.extent(key)).offset == 3


@pytest.mark.parametrize(
    ("end", "error"), [(Ending.CUT, Cut), (Ending.SLOW, TooSlow), (Ending.WHOLE, Cut)]
)
async def test_a_chunk_that_ends_early_keeps_what_came(
    world: World, end: Ending, error: type[Interrupted]
) -> None:
    key = await world.create(len(DATA))
    with pytest.raises(error):
        await world.write(key, 0, [DATA[:50_000]], length=60_000, end=end)
    assert (await world.extent(key)).offset == 50_000
    await world.write(key, 50_000, DATA[50_000:])
    assert await world.read(key) == DATA


@pytest.mark.parametrize("length", [4, None])
@pytest.mark.parametrize("sequential", [True, False])
async def test_bytes_beyond_the_end_leave_nothing(
    world: World, length: int | None, sequential: bool
) -> None:
    key = await world.create(4)
    with pytest.raises(TooLarge):
        await world.write(key, 0, [b"abcdefgh"], length=length, sequential=sequential)
    extent = await world.extent(key)
    assert (extent.offset, extent.islands) == (0, ())
    await world.write(key, 0, b"good")
    assert await world.read(key) == b"good"


async def test_a_sender_that_brings_more_than_it_said_leaves_nothing(world: World) -> None:
    key = await world.create(10)
    with pytest.raises(TooLarge):
        await world.write(key, 0, [b"abcdefgh"], length=4)
    assert (await world.extent(key)).total == 0


async def test_a_chunk_that_says_it_is_too_long_is_refused_unread(here: World) -> None:
    key = await here.create(4)
    source = FakeSource([b"abcde"])
    with pytest.raises(TooLarge):
        await here.write(key, 0, source, length=5)
    assert source.given == 0


async def test_a_length_may_be_learnt_with_the_last_chunk(world: World) -> None:
    key = await world.create(None)
    row = await world.write(key, 0, [b"abc"])
    assert (row.length, row.offset, row.state) == (None, 3, UploadState.OPEN)
    row = await world.write(key, 3, b"def", declares=6)
    assert (row.length, row.state) == (6, UploadState.COMPLETE)
    assert await world.read(key) == b"abcdef"


@pytest.mark.parametrize("length", [0, None])
@pytest.mark.parametrize("size", [0, 3])
async def test_a_length_that_comes_without_bytes_may_fill_the_upload(
    world: World, length: int | None, size: int
) -> None:
    key = await world.create(None)
    if size:
        await world.write(key, 0, [b"abc"])
    row = await world.write(key, size, [], length=length, declares=size)
    assert (row.length, row.state) == (size, UploadState.COMPLETE)
    assert await world.read(key) == b"abc"[:size]


async def test_a_length_that_comes_without_bytes_is_kept(world: World) -> None:
    key = await world.create(None)
    await world.write(key, 0, [], length=0, declares=5)
    with pytest.raises(StateConflict):
        await world.write(key, 0, [], length=0, declares=6)
    with pytest.raises(StateConflict):
        await world.write(key, 0, b"abc", declares=6)
    row = await world.row(key)
    assert row is not None
    assert (row.length, row.offset) == (5, 0)


async def test_an_upload_of_unknown_length_ends_at_the_limit(here: World) -> None:
    await here.reopen(length=5)
    key = await here.create(None)
    with pytest.raises(TooLarge):
        await here.write(key, 0, [b"abcdef"])
    with pytest.raises(TooLarge):
        await here.write(key, 0, b"abc", declares=6)
    assert (await here.extent(key)).offset == 0
    await here.write(key, 0, [b"abcde"])
    assert (await here.extent(key)).offset == 5


async def test_ranges_may_come_in_any_order(world: World) -> None:
    key = await world.create(len(DATA))
    starts = list(range(0, len(DATA), 7_000))
    random.Random(2).shuffle(starts)
    for start in starts:
        await world.write(key, start, DATA[start : start + 7_000], sequential=False)
    assert await world.read(key) == DATA
    assert await world.engine.do(world.ledger.count, Island, Query()) == 0


async def test_islands_are_kept_in_the_ledger_and_folded_when_a_gap_closes(
    world: World,
) -> None:
    key = await world.create(10)

    async def islands() -> list[tuple[int, int, int]]:
        rows = await world.engine.do(world.ledger.list, Island, Query(where={"upload": key}))
        return [(row.start, row.end, row.crc) for row in rows]

    await world.write(key, 6, b"gh", sequential=False)
    await world.write(key, 2, b"cd", sequential=False)
    assert await islands() == [(2, 4, crc(b"cd")), (6, 8, crc(b"gh"))]
    await world.write(key, 4, b"ef", sequential=False)
    assert await islands() == [(2, 8, crc(b"cdefgh"))]
    await world.reopen()
    assert (await world.extent(key)).missing(10) == ((0, 2), (8, 10))
    await world.write(key, 0, b"ab")
    assert await islands() == []
    assert (await world.extent(key)).offset == 8
    await world.write(key, 8, b"ij")
    assert await world.read(key) == b"abcdefghij"


async def test_a_sequential_chunk_fills_gaps_and_compares_islands(world: World) -> None:
    key = await world.create(9)
    await world.write(key, 3, b"def", sequential=False)
    row = await world.write(key, 0, b"abcdefghi")
    assert row.state is UploadState.COMPLETE
    assert await world.read(key) == b"abcdefghi"


async def test_a_repeat_of_durable_bytes_succeeds_and_changes_nothing(world: World) -> None:
    key = await world.create(len(DATA))
    await world.write(key, 10_000, DATA[10_000:60_000], sequential=False)
    before = await world.extent(key)
    writes = world.gates.count("write")
    await world.write(key, 10_000, DATA[10_000:60_000], sequential=False)
    await world.write(key, 20_000, DATA[20_000:30_000], sequential=False)
    assert await world.extent(key) == before
    assert world.gates.count("write") == writes
    await world.write(key, 0, DATA, sequential=False)
    assert await world.read(key) == DATA


async def test_other_bytes_at_the_place_of_durable_ones_are_refused(world: World) -> None:
    key = await world.create(len(DATA))
    await world.write(key, 10_000, DATA[10_000:60_000], sequential=False)
    other = bytearray(DATA)
    other[55_000] ^= 1
    with pytest.raises(StateConflict):
        await world.write(key, 0, bytes(other), sequential=False)
    extent = await world.extent(key)
    assert extent.offset == 60_000
    await world.write(key, 60_000, DATA[60_000:])
    assert await world.read(key) == DATA


async def test_a_repeat_is_compared_after_the_upload_is_filled_too(world: World) -> None:
    key = await world.create(6, completes=False)
    await world.write(key, 0, b"abcdef")
    await world.write(key, 2, b"cd", sequential=False)
    with pytest.raises(StateConflict):
        await world.write(key, 2, b"xx", sequential=False)
    await world.write(key, 6, [])
    with pytest.raises(TooLarge):
        await world.write(key, 6, [b"more"])
    await world.engine.complete(ANN, key)
    assert await world.read(key) == b"abcdef"


async def test_the_last_request_may_be_repeated_after_completion(here: World) -> None:
    key = await here.put(b"abc")
    assert (await here.write(key, 3, b"")).state is UploadState.COMPLETE
    with pytest.raises(StateConflict):
        await here.write(key, 3, b"d")


async def test_one_island_too_many_is_refused_before_a_byte_is_read(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.core.ranges.MOST_ISLANDS", 2)
    monkeypatch.setattr("towpath.core.transfer.MOST_ISLANDS", 2)
    key = await here.create(20)
    for start in (2, 6):
        await here.write(key, start, b"xx", sequential=False)
    source = FakeSource([b"xx"])
    with pytest.raises(LimitReached):
        await here.write(key, 10, source, length=2, sequential=False)
    assert source.given == 0
    await here.write(key, 4, b"xx", sequential=False)
    await here.write(key, 10, b"xx", sequential=False)


async def test_neighbours_write_at_once_without_disturbing_one_another(world: World) -> None:
    key = await world.create(60_000)
    left = await world.stalled(key, 0, DATA[:9_000], length=20_000, sequential=False).begun()
    middle = await world.stalled(
        key, 20_000, DATA[20_000:29_000], length=20_000, sequential=False
    ).begun()
    await world.write(key, 40_000, DATA[40_000:60_000], sequential=False)
    for writer, start in ((left, 9_000), (middle, 29_000), (left, 14_000), (middle, 34_000)):
        writer.source.feed(DATA[start : start + 5_000])
        await writer.source.stalled()
    left.source.feed(DATA[19_000:20_000])
    left.source.end()
    middle.source.feed(DATA[39_000:40_000])
    middle.source.end()
    await left.task
    await middle.task
    assert await world.read(key) == DATA[:60_000]


async def test_many_ranges_at_once_make_one_object(world: World, commit_seed: int) -> None:
    draw = random.Random(commit_seed)
    key = await world.create(len(DATA))
    cuts = [0, *sorted(draw.sample(range(1, len(DATA)), 15)), len(DATA)]
    ranges = list(pairwise(cuts))
    draw.shuffle(ranges)
    await asyncio.gather(
        *(world.write(key, start, DATA[start:end], sequential=False) for start, end in ranges)
    )
    assert await world.read(key) == DATA


async def test_a_new_end_takes_the_place_of_who_would_write_beyond_it(here: World) -> None:
    key = await here.create(None)
    beyond = await here.stalled(key, 6, b"gh", length=10, sequential=False).begun()
    await here.write(key, 0, b"ab", sequential=False, declares=8)
    assert isinstance(await beyond.ended(), Interrupted)
    row = await here.row(key)
    assert row is not None
    assert (row.length, row.offset) == (8, 2)
    assert (await here.extent(key)).missing(8) == ((2, 6),)


async def test_a_block_is_never_larger_than_the_limit(here: World) -> None:
    key = await here.create(len(DATA))
    source = FakeSource([DATA])
    await here.write(key, 0, source, length=len(DATA))
    assert 1 * KIB < source.largest <= 4 * KIB
