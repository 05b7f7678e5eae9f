"""Objects and names: conflicts, lists, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.engine.world import ANN, BOB, EVE, World, content
from towpath.core.caller import Caller, Scope
from towpath.core.model import Name, Object, OnConflict, Outbox, Segment, Upload
from towpath.core.state import UploadState
from towpath.errors import Forbidden, NameConflict, NotFound, Stale, StoreError
from towpath.ledger.base import Add, Change, Ledger, Query, Update
from towpath.store.base import Store
from towpath.testing.faults import Fault, FaultyStore, Kind

pytestmark = pytest.mark.anyio


class Meddling:
    """A ledger in which somebody else is quicker, once, with the commit that a test waits for."""

    def __init__(
        self,
        ledger: Ledger,
        when: Callable[[Sequence[Change]], bool],
        meddle: Callable[[Ledger], None],
    ) -> None:
        self._ledger = ledger
        self._when = when
        self._meddle = meddle
        self.meddled = False
        self.get = ledger.get
        self.list = ledger.list
        self.count = ledger.count
        self.close = ledger.close

    def commit(self, changes: Sequence[Change]) -> None:
        if not self.meddled and self._when(changes):
            self.meddled = True
            self._meddle(self._ledger)
        self._ledger.commit(changes)


def makes_an_object(changes: Sequence[Change]) -> bool:
    return any(isinstance(change, Add) and isinstance(change.row, Object) for change in changes)


async def names(world: World, caller: Caller = ANN, **how: object) -> list[str]:
    found = await world.shelf.list(caller, **how)  # type: ignore[arg-type]
    return [name.path for name, _ in found]


async def test_a_name_points_to_its_object(world: World) -> None:
    key = await world.put(b"abc", "a/b.bin")
    name, made = await world.shelf.stat(ANN, "a/b.bin")
    assert (name.object, made.id, made.length) == (key, key, 3)
    opened = await world.shelf.open(ANN, key)
    assert (opened.name, opened.object) == ("a/b.bin", made)
    assert [segment.address for segment in opened.segments] == [f"objects/{key}"]


async def test_any_range_of_an_object_can_be_read(world: World) -> None:
    data = content(10_000)
    opened = await world.shelf.open(ANN, await world.put(data))

    def read(start: int, end: int) -> bytes:
        reading = opened.read(start, end)
        whole = b"".join(bytes(block) for block in reading)
        reading.close()
        return whole

    for start, end in ((0, 10_000), (0, 0), (1, 2), (9_999, 10_000), (5_000, 10_000)):
        assert await world.engine.do(read, start, end) == data[start:end]


async def test_an_object_of_several_segments_is_read_across_them(here: World) -> None:
    first, second = await here.put(b"abcdef"), await here.put(b"ghijkl")
    segments = (
        Segment(tenant="t1", owner="ann", object=first, position=0, start=1, end=6,
                address=f"objects/{first}"),
        Segment(tenant="t1", owner="ann", object=first, position=1, start=0, end=4,
                address=f"objects/{second}"),
    )  # fmt: skip
    opened = replace(await here.shelf.open(ANN, first), segments=segments)
    for start in range(9):
        for end in range(start, 10):
            reading = opened.read(start, end)
            assert b"".join(bytes(b) for b in reading) == b"bcdefghij"[start:end]
            reading.close()


async def test_names_are_listed_in_order_and_by_pages(world: World) -> None:
    for path in ("b", "a/2", "a/1", "ab"):
        await world.put(b"x", path)
    await world.put(b"x", "a/0", caller=EVE)
    assert await names(world) == ["a/1", "a/2", "ab", "b"]
    assert await names(world, prefix="a/") == ["a/1", "a/2"]
    assert await names(world, limit=2) == ["a/1", "a/2"]
    assert await names(world, after="a/2", limit=1) == ["ab"]
    assert await names(world, EVE) == ["a/0"]


async def test_a_caller_with_a_prefix_sees_only_what_lies_below_it(world: World) -> None:
    for path in ("a/1", "a/2/x", "b/1"):
        await world.put(b"x", path)
    below = replace(BOB, prefix="a/")
    assert await names(world, below) == ["a/1", "a/2/x"]
    assert await names(world, below, prefix="a/2") == ["a/2/x"]
    assert await names(world, below, prefix="a") == ["a/1", "a/2/x"]
    assert await names(world, below, prefix="b") == []
    with pytest.raises(NotFound):
        await world.shelf.stat(below, "b/1")
    with pytest.raises(NotFound):
        await world.shelf.forget(below, "b/1")
    seen, _ = await world.shelf.stat(ANN, "a/1")
    unseen, _ = await world.shelf.stat(ANN, "b/1")
    await world.shelf.open(below, seen.object)
    with pytest.raises(NotFound):
        await world.shelf.open(below, unseen.object)


@pytest.mark.parametrize("verb", ["open", "stat", "list", "forget", "discard"])
async def test_a_verb_needs_its_scope_and_the_tenant(here: World, verb: str) -> None:
    key = await here.put(b"x", "a")
    what = () if verb == "list" else (key,) if verb in {"open", "discard"} else ("a",)
    with pytest.raises(Forbidden):
        await getattr(here.shelf, verb)(replace(ANN, scopes=frozenset({Scope.WRITE})), *what)
    if verb == "list":
        assert await here.shelf.list(EVE) == []
    else:
        with pytest.raises(NotFound):
            await getattr(here.shelf, verb)(EVE, *what)
    assert await here.read(key) == b"x"


async def test_keep_both_gives_the_newcomer_a_name_beside_it(world: World) -> None:
    keys = [await world.put(bytes([number]), "a/x.tar.gz") for number in range(3)]
    assert await names(world) == ["a/x (2).tar.gz", "a/x (3).tar.gz", "a/x.tar.gz"]
    for number, path in enumerate(("a/x.tar.gz", "a/x (2).tar.gz", "a/x (3).tar.gz")):
        name, _ = await world.shelf.stat(ANN, path)
        assert name.object == keys[number]
        assert await world.read(name.object) == bytes([number])
    row = await world.row(keys[2])
    assert row is not None
    assert row.name == "a/x (3).tar.gz"


async def test_replace_gives_the_name_to_the_newcomer_and_removes_the_old_bytes(
    world: World,
) -> None:
    old = await world.put(b"old", "a")
    new = await world.put(b"new", "a", on_conflict=OnConflict.REPLACE)
    name, _ = await world.shelf.stat(ANN, "a")
    assert name.object == new
    assert await world.made(old) is None
    assert await world.row(old) is None
    assert not any(old in at for at in world.places.bytes.left())
    assert await world.engine.do(world.ledger.count, Outbox, Query(where={"kind": "remove"})) == 0


async def test_replace_keeps_bytes_that_have_another_name(here: World) -> None:
    old = await here.put(b"old", "a")
    other = Name(tenant="t1", owner="ann", path="b", object=old, updated_at=0)
    here.ledger.commit([Add(other)])
    await here.put(b"new", "a", on_conflict=OnConflict.REPLACE)
    assert await here.read(old) == b"old"


async def test_fail_leaves_the_upload_filled_and_without_a_name(world: World) -> None:
    await world.put(b"old", "a")
    with pytest.raises(NameConflict):
        await world.put(b"new", "a", on_conflict=OnConflict.FAIL)
    (upload,) = await world.engine.list(ANN, states=[UploadState.FILLED])
    with pytest.raises(NameConflict):
        await world.engine.complete(ANN, upload.id)
    await world.shelf.forget(ANN, "a")
    made = await world.engine.complete(ANN, upload.id)
    assert (await world.shelf.stat(ANN, "a"))[1] == made


async def test_many_at_once_all_get_names_of_their_own(world: World) -> None:
    keys = await asyncio.gather(*(world.put(bytes([n]), "a.bin") for n in range(8)))
    found = await world.shelf.list(ANN)
    assert sorted(made.id for _, made in found) == sorted(keys)
    assert {name.path for name, _ in found} == {"a.bin", *(f"a ({n}).bin" for n in range(2, 9))}


@pytest.mark.parametrize(
    ("rule", "path"), [(OnConflict.KEEP_BOTH, "a (2)"), (OnConflict.REPLACE, "a")]
)
async def test_who_is_overtaken_at_the_name_follows_its_rule(
    here: World, rule: OnConflict, path: str
) -> None:
    taken = Name(tenant="t1", owner="bob", path="a", object="theirs", updated_at=0)

    def meddling(ledger: Ledger) -> Ledger:
        return Meddling(ledger, makes_an_object, lambda inner: inner.commit([Add(taken)]))

    await here.reopen(ledger=meddling)
    key = await here.put(b"new", "a", on_conflict=rule)
    assert (await here.shelf.stat(ANN, path))[0].object == key


async def test_who_is_overtaken_at_the_name_and_wants_to_fail_fails(here: World) -> None:
    taken = Name(tenant="t1", owner="bob", path="a", object="theirs", updated_at=0)

    def meddling(ledger: Ledger) -> Ledger:
        return Meddling(ledger, makes_an_object, lambda inner: inner.commit([Add(taken)]))

    await here.reopen(ledger=meddling)
    with pytest.raises(NameConflict):
        await here.put(b"new", "a", on_conflict=OnConflict.FAIL)
    name = await here.engine.do(here.ledger.get, Name, "t1", "a")
    assert name is not None
    assert name.object == "theirs"


async def test_an_object_that_is_scrubbed_while_it_is_replaced_is_replaced(here: World) -> None:
    old = await here.put(b"old", "a")

    def scrub(inner: Ledger) -> None:
        made = inner.get(Object, old)
        assert made is not None
        inner.commit([Update(replace(made, scrubbed_at=1))])

    await here.reopen(ledger=lambda ledger: Meddling(ledger, makes_an_object, scrub))
    new = await here.put(b"new", "a", on_conflict=OnConflict.REPLACE)
    assert (await here.shelf.stat(ANN, "a"))[0].object == new
    assert await here.made(old) is None


async def test_an_upload_that_moved_meanwhile_is_not_tried_for_ever(here: World) -> None:
    key = await here.create(3, name="a", completes=False)
    await here.write(key, 0, b"abc")

    def move(inner: Ledger) -> None:
        row = inner.get(Upload, key)
        assert row is not None
        inner.commit([Update(row)])

    await here.reopen(ledger=lambda ledger: Meddling(ledger, makes_an_object, move))
    with pytest.raises(Stale):
        await here.engine.complete(ANN, key)
    assert (await here.engine.complete(ANN, key)).length == 3


async def test_forgetting_the_last_name_removes_the_bytes(world: World) -> None:
    key = await world.put(b"abc", "a")
    await world.shelf.forget(ANN, "a")
    assert world.places.bytes.left() == []
    for attempt in (world.shelf.stat(ANN, "a"), world.shelf.open(ANN, key)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(NotFound):
        await world.shelf.forget(ANN, "a")
    assert await world.engine.do(world.ledger.count, Segment, Query()) == 0


async def test_forgetting_one_of_two_names_keeps_the_bytes(here: World) -> None:
    key = await here.put(b"abc", "a")
    here.ledger.commit([Add(Name(tenant="t1", owner="ann", path="b", object=key, updated_at=0))])
    await here.shelf.forget(ANN, "a")
    assert await here.read(key) == b"abc"
    await here.shelf.forget(ANN, "b")
    assert here.places.bytes.left() == []


async def test_discarding_an_object_takes_all_its_names_and_bytes(world: World) -> None:
    key = await world.put(b"abc", "a")
    again = Name(tenant="t1", owner="ann", path="b", object=key, updated_at=0)
    await world.engine.do(world.ledger.commit, [Add(again)])
    await world.shelf.discard(ANN, key)
    assert await names(world) == []
    assert world.places.bytes.left() == []


async def test_what_could_not_be_removed_is_noted_with_the_forgetting(here: World) -> None:
    def refusing(store: Store) -> Store:
        return FaultyStore(store, [Fault(kind=Kind.ERROR, call=1, method="remove")])

    key = await here.put(b"abc", "a")
    await here.reopen(refusing)
    with pytest.raises(StoreError):
        await here.shelf.forget(ANN, "a")
    assert await names(here) == []
    (note,) = await here.engine.do(here.ledger.list, Outbox, Query(where={"kind": "remove"}))
    assert note.subject == f"objects/{key}"
