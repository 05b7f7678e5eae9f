"""Small uploads whose bytes come together with their creation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from tests.engine.places import Places
from tests.engine.test_faults import ALL, Told, played
from tests.engine.world import ANN, BOB, World, content, until
from towpath.core.caller import Caller, Scope
from towpath.core.command import Create, NewUpload
from towpath.core.model import Object, OnConflict, Outbox, Upload
from towpath.core.ports import Ending, Source
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.sweep import Sweep
from towpath.engine.whole import SOON, at_once
from towpath.errors import (
    Cut,
    DigestMismatch,
    Forbidden,
    NameConflict,
    StateConflict,
    StoreFull,
    Vetoed,
)
from towpath.ledger.base import Change, Query
from towpath.testing.faults import Crash, Fault, FaultyStore, Kind
from towpath.testing.source import DRY, STALL, FakeSource, Piece

pytestmark = pytest.mark.anyio

DATA = content(900)  # the worlds' blocks have 1 KiB


def creation(
    data: bytes = DATA,
    name: str | None = "a",
    *,
    on_conflict: OnConflict = OnConflict.KEEP_BOTH,
    digest: bytes | None = None,
    mark: str = "",
) -> Create:
    """What a sender asks for that sends all at once."""
    digests = {"sha-256": sha256(data).digest() if digest is None else digest}
    new = NewUpload(
        length=len(data), name=name, on_conflict=on_conflict, metadata=mark, once=bool(mark)
    )
    return Create(new=new, write=Write(offset=0, length=len(data), digests=digests))


async def send(
    world: World,
    create: Create,
    pieces: Sequence[Piece] = (DATA,),
    *,
    caller: Caller = ANN,
    end: Ending = Ending.WHOLE,
) -> tuple[Upload | None, Source]:
    """Send it; the upload if it was made at once, and what its bytes come from."""
    source = FakeSource(pieces, end=end)
    made, sourcing = await at_once(world.engine, caller, create, lambda: source)
    return made, sourcing()


def left(world: World) -> list[str]:
    """What is in the store, without manifests."""
    return [at for at in world.places.bytes.left() if not at.endswith(".manifest")]


async def test_it_is_complete_with_its_bytes_its_name_and_its_digest(world: World) -> None:
    made, _ = await send(world, creation())
    assert made is not None
    assert (made.state, made.name, made.offset, made.handle) == (
        UploadState.COMPLETE,
        "a",
        len(DATA),
        "",
    )
    assert made == await world.row(made.id)
    assert await world.read(made.id) == DATA
    assert left(world) == [f"objects/{made.id}"]
    notes = await world.engine.do(world.ledger.list, Outbox, Query())
    assert [note.id for note in notes] == [f"completed:{made.id}"]


async def test_it_is_as_if_it_had_come_the_long_way(world: World) -> None:
    made, _ = await send(world, creation(name="one"))
    assert made is not None
    other = await world.put(DATA, "two")
    rows = await asyncio.gather(world.made(made.id), world.made(other))
    assert len({(row.length, row.crc, row.digests, row.owner) for row in rows if row}) == 1
    both = await asyncio.gather(world.row(made.id), world.row(other))
    assert len({(row.state, row.length, row.crc, row.expires_at) for row in both if row}) == 1


async def test_it_takes_one_commit(here: World) -> None:
    commits: list[Sequence[Change]] = []
    usual = here.ledger.commit

    def commit(changes: Sequence[Change]) -> None:
        commits.append(changes)
        usual(changes)

    here.ledger.commit = commit  # type: ignore[method-assign]
    await send(here, creation())
    await send(here, creation(b"", "empty"), ())
    assert len(commits) == 2


async def test_no_bytes_are_enough(world: World) -> None:
    create = Create(new=NewUpload(length=0, name="empty"))
    made, _ = await send(world, create, ())
    assert made is not None
    assert await world.read(made.id) == b""


async def test_pieces_that_come_soon_after_one_another_are_one(world: World) -> None:
    made, _ = await send(world, creation(), [DATA[:1], DRY, DATA[1:500], DRY, DRY, DATA[500:]])
    assert made is not None
    assert await world.read(made.id) == DATA


async def test_bytes_that_do_not_come_soon_go_the_long_way_and_none_is_lost(here: World) -> None:
    source = FakeSource([DATA[:300], STALL])
    sending = asyncio.ensure_future(at_once(here.engine, ANN, creation(), lambda: source))
    await source.stalled()
    assert here.engine.governor.reserved == 1024
    here.clock.advance(SOON)
    made, sourcing = await sending
    assert (made, here.engine.governor.reserved, here.places.bytes.left()) == (None, 0, [])
    key = await here.create(len(DATA), name="a")
    write = Write(offset=0, length=len(DATA))
    writing = asyncio.ensure_future(here.engine.write(ANN, key, write, sourcing))
    await source.stalled()
    source.feed(DATA[300:])
    source.end()
    assert (await writing).state is UploadState.COMPLETE
    assert await here.read(key) == DATA


async def test_who_waits_for_its_first_byte_holds_no_memory(here: World) -> None:
    source = FakeSource([STALL])
    sending = asyncio.ensure_future(at_once(here.engine, ANN, creation(), lambda: source))
    await source.stalled()
    assert here.engine.governor.reserved == 0
    source.feed(DATA)
    source.end()
    assert (await sending)[0] is not None


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.SLOW, Ending.STOPPED])
async def test_a_cut_goes_the_long_way_which_keeps_what_came(here: World, ending: Ending) -> None:
    made, source = await send(here, creation(), [DATA[:300]], end=ending)
    view = memoryview(bytearray(1024))
    assert (made, source.ending, source.read_into(view)) == (None, None, 300)
    assert (bytes(view[:300]), source.ending) == (DATA[:300], ending)


async def test_a_wrong_digest_goes_the_long_way_which_says_so(here: World) -> None:
    create = creation(digest=bytes(32))
    made, source = await send(here, create)
    assert made is None
    assert create.write is not None
    key = await here.create(len(DATA))
    with pytest.raises(DigestMismatch):
        await here.engine.write(ANN, key, create.write, lambda: source)
    assert (await here.extent(key)).offset == 0


async def test_more_than_was_announced_goes_the_long_way(here: World) -> None:
    made, source = await send(here, creation(), [DATA + b"x"])
    view = memoryview(bytearray(1024))
    assert (made, source.read_into(view)) == (None, len(DATA) + 1)


async def test_bytes_that_were_read_are_gone_when_their_source_is_stopped(here: World) -> None:
    _, source = await send(here, creation(), [DATA[:300]], end=Ending.CUT)
    source.stop()
    await source.ready()
    assert source.read_into(memoryview(bytearray(1))) == 0
    assert source.ending is Ending.CUT


@pytest.mark.parametrize(
    "create",
    [
        creation(content(1025)),
        Create(new=NewUpload(length=None), write=Write(offset=0, length=3)),
        Create(new=NewUpload(length=9), write=Write(offset=0, length=3)),
        Create(new=NewUpload(length=9)),
        Create(new=NewUpload(length=3, partial=True), write=Write(offset=0, length=3)),
        Create(new=NewUpload(length=3, completes=False), write=Write(offset=0, length=3)),
        Create(new=NewUpload(length=3, wants=("sha-256",)), write=Write(offset=0, length=3)),
        Create(new=NewUpload(length=3), write=Write(offset=0, length=3, completes=True)),
        Create(
            new=NewUpload(length=3), write=Write(offset=0, length=3, trailing=frozenset({"md5"}))
        ),
    ],
)
async def test_what_is_not_small_or_not_all_of_it_is_not_even_read(
    here: World, create: Create
) -> None:
    source = FakeSource([b"abc"])
    made, sourcing = await at_once(here.engine, ANN, create, lambda: source)
    assert (made, sourcing(), source.given) == (None, source, 0)


async def test_who_may_not_is_refused_before_a_byte_is_read(here: World) -> None:
    source = FakeSource([DATA])
    reader = Caller(tenant="t1", subject="ann", scopes=frozenset({Scope.READ}))
    boxed = Caller(tenant="t1", subject="ann", scopes=ANN.scopes, prefix="mine/")
    for caller in (reader, boxed):
        with pytest.raises(Forbidden):
            await at_once(here.engine, caller, creation(), lambda: source)
    assert source.given == 0


async def test_where_no_more_chunks_are_taken_the_long_way_says_so(here: World) -> None:
    source = FakeSource([DATA])
    await here.engine.drain()
    made, sourcing = await at_once(here.engine, ANN, creation(), lambda: source)
    assert (made, sourcing(), source.given) == (None, source, 0)


async def test_a_taken_name_is_treated_as_was_said(world: World) -> None:
    first = await world.put(b"older", "a.x")
    made, _ = await send(world, creation(name="a.x"))
    assert made is not None
    assert made.name == "a (2).x"
    with pytest.raises(NameConflict):
        await send(world, creation(name="a.x", on_conflict=OnConflict.FAIL))
    last, _ = await send(world, creation(name="a.x", on_conflict=OnConflict.REPLACE))
    assert last is not None
    assert (last.name, await world.made(first)) == ("a.x", None)
    assert left(world) == sorted(f"objects/{key}" for key in (made.id, last.id))


async def test_the_same_creation_once_more_is_the_same_upload(world: World) -> None:
    await world.put(b"older", "a")
    first, _ = await send(world, creation(mark="k 1"))
    again, source = await send(world, creation(mark="k 1"))
    assert (first, source.ending) == (again, Ending.WHOLE)
    other, _ = await send(world, creation(mark="k 2"))
    theirs, _ = await send(world, creation(mark="k 1"), caller=BOB)
    names = [each.name for each in (first, other, theirs) if each]
    assert names == ["a (2)", "a (3)", "a (4)"]


@pytest.mark.parametrize("rule", [OnConflict.FAIL, OnConflict.REPLACE])
async def test_a_repeat_finds_what_it_made_whatever_the_rule(here: World, rule: OnConflict) -> None:
    first, _ = await send(here, creation(mark="k 1", on_conflict=rule))
    again, _ = await send(here, creation(mark="k 1", on_conflict=rule))
    assert first == again


@pytest.mark.parametrize("rule", [*OnConflict])
@pytest.mark.parametrize("other", [content(900, 1), DATA[:-1], b""], ids=["other", "shorter", "no"])
async def test_other_bytes_under_the_same_mark_are_refused(
    here: World, rule: OnConflict, other: bytes
) -> None:
    first, _ = await send(here, creation(mark="k 1", on_conflict=rule))
    assert first is not None
    with pytest.raises(StateConflict, match="a mark of its own"):
        await send(here, creation(other, mark="k 1", on_conflict=rule), [other])
    assert left(here) == [f"objects/{first.id}"]
    assert await here.read(first.id) == DATA
    assert [name.path for name, _ in await here.shelf.list(ANN)] == ["a"]
    second, _ = await send(here, creation(other, mark="k 2"), [other])
    assert (second and second.name) == "a (2)"


async def slowly(
    world: World, create: Create, rest: bytes, end: Ending = Ending.WHOLE
) -> Upload | None:
    """Send 300 bytes, and then these, too late for one step."""
    source = FakeSource([DATA[:300], STALL])
    sending = asyncio.ensure_future(at_once(world.engine, ANN, create, lambda: source))
    await source.stalled()
    world.clock.advance(SOON)
    await until(lambda: not world.engine.governor.reserved)  # it waits for as long as it takes
    source.feed(rest)
    source.end(end)
    return (await sending)[0]


async def test_what_comes_slowly_once_more_is_the_same_upload(here: World) -> None:
    first, _ = await send(here, creation(mark="k 1"))
    assert await slowly(here, creation(mark="k 1"), DATA[300:]) == first


async def test_what_comes_slowly_is_compared_too(here: World) -> None:
    await send(here, creation(mark="k 1"))
    other = DATA[:300] + content(600, 1)
    with pytest.raises(StateConflict):
        await slowly(here, creation(other, mark="k 1"), other[300:])
    with pytest.raises(DigestMismatch):  # it was changed on the way: the same may be sent again
        await slowly(here, creation(mark="k 1"), other[300:])
    with pytest.raises(Cut):
        await slowly(here, creation(mark="k 1"), DATA[300:400], Ending.CUT)
    assert here.engine.governor.reserved == 0
    assert [name.path for name, _ in await here.shelf.list(ANN)] == ["a"]


async def test_without_a_mark_the_same_once_more_is_another(here: World) -> None:
    first, _ = await send(here, creation())
    again, _ = await send(here, creation())
    assert first is not None
    assert again is not None
    assert (first.name, again.name) == ("a", "a (2)")


async def test_who_decides_is_asked_before_anything_is_stored(here: World) -> None:
    asked: list[str] = []

    class Never:
        watches = False

        async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
            asked.append("create")
            return new

        async def while_receiving(self, upload: Upload) -> None: ...

        async def before_complete(self, upload: Upload) -> None:
            asked.append(f"complete {upload.offset}")
            raise Vetoed("No.")

    here.engine.hooks = Never()
    with pytest.raises(Vetoed):
        await send(here, creation())
    assert asked == ["create", "complete 900"]
    assert here.places.bytes.left() == []


async def test_a_store_that_fails_leaves_nothing(here: World, places: Places) -> None:
    full = Fault(kind=Kind.FULL, call=1, method="write")
    await here.reopen(lambda store: FaultyStore(store, [full]))
    with pytest.raises(StoreFull):
        await send(here, creation())
    assert here.places.bytes.left() == []
    assert await here.engine.do(here.ledger.list, Upload, Query()) == []


async def sends_at_once(world: World, told: Told) -> None:
    """A client that sends all in one request."""
    made, _ = await send(world, creation(mark="k 1"))
    assert made is not None
    told.key, told.complete = made.id, True


@pytest.mark.parametrize(("in_store", "kind", "after"), ALL)
async def test_whatever_call_fails_it_is_there_once_or_not_at_all(
    in_store: bool, kind: Kind, after: bool, tmp_path: Path, fresh: Path
) -> None:
    for call in count(1):
        fault = Fault(kind=kind, call=call, after=after)
        world, told, fired = await played(Places(), fault, in_store=in_store, play=sends_at_once)
        try:
            if told.complete:
                assert await world.read(told.key) == DATA
            again, _ = await send(world, creation(mark="k 1"))
            assert again is not None
            assert not told.complete or again.id == told.key
            assert await world.read(again.id) == DATA
            assert [name.path for name, _ in await world.shelf.list(ANN)] == ["a"]
            objects = await world.engine.do(world.ledger.list, Object, Query())
            assert [made.id for made in objects] == [again.id]
        finally:
            await world.end()
        if not fired:
            break
    assert call > 1


async def test_what_a_crash_left_in_the_store_alone_is_moved_away(here: World) -> None:
    crash = Fault(kind=Kind.CRASH, call=1, method="seal", after=True)
    await here.reopen(lambda store: FaultyStore(store, [crash]))
    with pytest.raises(Crash):
        await send(here, creation())
    await here.reopen(crash=True)
    (orphan,) = left(here)
    here.clock.advance(24 * 3600)
    kept = await here.put(b"later", "b")
    here.clock.advance(24 * 3600)
    swept = await Sweep(here.engine).run()
    assert (swept.orphans, left(here)) == (1, [f"objects/{kept}"])
    assert any(orphan.partition("/")[2] in lost for lost in here.places.bytes.lost())
