"""A name becomes another in one commit; nobody sees the object under both, or under none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.engine.world import ANN, BOB, EVE, World
from towpath.core.caller import Scope
from towpath.core.model import Name, Object, OnConflict, Outbox
from towpath.errors import Forbidden, Malformed, NameConflict, NotFound
from towpath.ledger.base import Add, Change, Ledger, Query, Remove, Update

pytestmark = pytest.mark.anyio


class Quicker:
    """A ledger in which somebody else is quicker, once, than the commit that moves a name."""

    def __init__(self, ledger: Ledger, meddle: Callable[[Ledger], None]) -> None:
        self._ledger = ledger
        self._meddle: Callable[[Ledger], None] | None = meddle
        self.commits: list[Sequence[Change]] = []
        self.get = ledger.get
        self.list = ledger.list
        self.count = ledger.count
        self.close = ledger.close

    def commit(self, changes: Sequence[Change]) -> None:
        if isinstance(changes[0], Remove) and changes[0].kind is Name and self._meddle is not None:
            meddle, self._meddle = self._meddle, None
            meddle(self._ledger)
        self.commits.append(changes)
        self._ledger.commit(changes)


async def names(world: World) -> dict[str, str]:
    return {name.path: name.object for name, _ in await world.shelf.list(ANN)}


async def test_a_moved_name_points_to_the_same_object(world: World) -> None:
    key = await world.put(b"abc", "a/b.bin")
    moved = await world.shelf.move(ANN, "a/b.bin", "c/d.bin")
    assert (moved.path, moved.object, moved.version) == ("c/d.bin", key, 1)
    assert (await world.shelf.stat(ANN, "c/d.bin"))[0] == moved
    assert await names(world) == {"c/d.bin": key}
    assert await world.read(key) == b"abc"
    with pytest.raises(NotFound):
        await world.shelf.move(ANN, "a/b.bin", "e")


async def test_a_name_that_is_taken_is_left_alone_unless_it_was_said(world: World) -> None:
    first, second = await world.put(b"1", "a"), await world.put(b"2", "b")
    with pytest.raises(NameConflict):
        await world.shelf.move(ANN, "a", "b")
    assert await names(world) == {"a": first, "b": second}


async def test_what_is_replaced_goes_with_its_bytes(world: World) -> None:
    first, second = await world.put(b"1", "a"), await world.put(b"2", "b")
    moved = await world.shelf.move(ANN, "a", "b", OnConflict.REPLACE)
    assert (moved.object, moved.version) == (first, 2)
    assert (await world.shelf.stat(ANN, "b"))[0] == moved
    assert await names(world) == {"b": first}
    assert await world.made(second) is None
    assert not any(second in at for at in world.places.bytes.left())
    assert await world.engine.do(world.ledger.count, Outbox, Query(where={"kind": "remove"})) == 0


async def test_both_are_kept_when_that_is_said(world: World) -> None:
    first, second = await world.put(b"1", "a"), await world.put(b"2", "b.x")
    moved = await world.shelf.move(ANN, "a", "b.x", OnConflict.KEEP_BOTH)
    assert moved.path == "b (2).x"
    assert await names(world) == {"b (2).x": first, "b.x": second}


async def test_a_name_that_moves_to_itself_stays(world: World) -> None:
    key = await world.put(b"1", "a")
    for rule in OnConflict:
        assert (await world.shelf.move(ANN, "a", "a", rule)).version == 1
    assert await world.read(key) == b"1"


async def test_one_of_two_names_may_take_the_place_of_the_other(here: World) -> None:
    key = await here.put(b"1", "a")
    here.ledger.commit([Add(Name(tenant="t1", owner="ann", path="b", object=key, updated_at=0))])
    await here.shelf.move(ANN, "a", "b", OnConflict.REPLACE)
    assert await names(here) == {"b": key}
    assert await here.read(key) == b"1"


@pytest.mark.parametrize("missing", [Scope.WRITE, Scope.REMOVE])
async def test_moving_needs_the_scopes_to_write_and_to_remove(here: World, missing: Scope) -> None:
    await here.put(b"1", "a")
    with pytest.raises(Forbidden):
        await here.shelf.move(replace(ANN, scopes=ANN.scopes - {missing}), "a", "b")
    with pytest.raises(NotFound):
        await here.shelf.move(EVE, "a", "b")
    assert list(await names(here)) == ["a"]


async def test_who_has_a_prefix_moves_within_it_only(here: World) -> None:
    for path in ("in/a", "out"):
        await here.put(b"1", path)
    below = replace(BOB, prefix="in/")
    with pytest.raises(Forbidden):
        await here.shelf.move(below, "in/a", "b")
    with pytest.raises(NotFound):
        await here.shelf.move(below, "out", "in/out")
    assert (await here.shelf.move(below, "in/a", "in/b")).path == "in/b"


@pytest.mark.parametrize("to", ["", "/a", "a/", "a/../b", "a\\b", "a" * 256])
async def test_a_name_moves_to_what_can_be_one(here: World, to: str) -> None:
    await here.put(b"1", "a")
    with pytest.raises(Malformed):
        await here.shelf.move(ANN, "a", to)


def take(path: str) -> Callable[[Ledger], None]:
    def meddle(ledger: Ledger) -> None:
        row = Name(tenant="t1", owner="bob", path=path, object="theirs", updated_at=0)
        ledger.commit([Add(row)])

    return meddle


@pytest.mark.parametrize(
    ("rule", "path"), [(OnConflict.KEEP_BOTH, "b (2)"), (OnConflict.REPLACE, "b")]
)
async def test_who_is_overtaken_at_the_new_name_follows_the_rule(
    here: World, rule: OnConflict, path: str
) -> None:
    key = await here.put(b"1", "a")
    await here.reopen(ledger=lambda ledger: Quicker(ledger, take("b")))
    assert (await here.shelf.move(ANN, "a", "b", rule)).path == path
    assert (await here.shelf.stat(ANN, path))[1].id == key


async def test_who_is_overtaken_and_wants_to_fail_fails_and_keeps_the_name(here: World) -> None:
    key = await here.put(b"1", "a")
    await here.reopen(ledger=lambda ledger: Quicker(ledger, take("b")))
    with pytest.raises(NameConflict):
        await here.shelf.move(ANN, "a", "b")
    assert (await here.shelf.stat(ANN, "a"))[1].id == key


async def test_a_name_that_was_removed_meanwhile_does_not_come_back(here: World) -> None:
    key = await here.put(b"1", "a")

    def remove(ledger: Ledger) -> None:
        ledger.commit([Remove(Name, ("t1", "a")), Remove(Object, (key,))])

    await here.reopen(ledger=lambda ledger: Quicker(ledger, remove))
    with pytest.raises(NotFound):
        await here.shelf.move(ANN, "a", "b")
    assert await names(here) == {}


async def test_a_name_that_got_another_object_meanwhile_takes_that_along(here: World) -> None:
    await here.put(b"1", "a")
    other = await here.put(b"2", "c")

    def replace_it(ledger: Ledger) -> None:
        row = ledger.get(Name, "t1", "a")
        assert row is not None
        ledger.commit([Update(replace(row, object=other))])

    await here.reopen(ledger=lambda ledger: Quicker(ledger, replace_it))
    assert (await here.shelf.move(ANN, "a", "b")).object == other


async def test_the_old_name_goes_and_the_new_one_comes_in_the_same_commit(here: World) -> None:
    await here.put(b"1", "a")
    await here.put(b"2", "b")
    seen: list[Quicker] = []

    def watched(ledger: Ledger) -> Ledger:
        seen.append(Quicker(ledger, lambda _: None))
        return seen[0]

    await here.reopen(ledger=watched)
    await here.shelf.move(ANN, "a", "b", OnConflict.REPLACE)
    moving = [each for each in seen[0].commits if any(_is_name(change) for change in each)]
    assert len(moving) == 1


def _is_name(change: Change) -> bool:
    if isinstance(change, (Add, Update)):
        return isinstance(change.row, Name)
    return change.kind is Name
