"""The record of an encrypted object's keys goes wherever the object's name goes, in one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.engine.world import ANN, World
from towpath.codec import SEALED
from towpath.codec.beside import record_name
from towpath.codec.container import Head, render
from towpath.codec.encrypt import new_file_key
from towpath.codec.keys import KeyFile
from towpath.codec.manifest import Table
from towpath.codec.record import KeyRecord
from towpath.core.command import NewUpload
from towpath.core.model import Name, Object, OnConflict
from towpath.errors import NameConflict
from towpath.ledger.base import Add, Change, Ledger, Update

pytestmark = pytest.mark.anyio

KEEP, REPLACE = OnConflict.KEEP_BOTH, OnConflict.REPLACE


def file_id(number: int) -> bytes:
    return bytes([number]) * 16


def record_of(number: int) -> bytes:
    return KeyRecord(file_id=file_id(number)).added(new_file_key(), [KeyFile.new()]).render()


async def put(
    world: World, data: bytes, name: str, kind: str | None = None, rule: OnConflict = KEEP
) -> str:
    """Store an object: its id."""
    new = NewUpload(length=len(data), name=name, media_type=kind, on_conflict=rule)
    key = (await world.engine.create(ANN, new)).id
    await world.write(key, 0, data)
    return key


async def encrypted(world: World, name: str, number: int = 1, rule: OnConflict = KEEP) -> str:
    """Store an encrypted object and the record of its keys, as a client does: its id."""
    record = record_name(name, file_id(number))
    await put(world, record_of(number), record)
    head = Head(file_id=file_id(number), sealed=True, record=record)
    return await put(world, render(head, Table(sealed=True), new_file_key()), name, SEALED, rule)


async def names(world: World) -> list[str]:
    return [name.path for name, _ in await world.shelf.list(ANN)]


def keys(name: str, number: int = 1) -> str:
    return record_name(name, file_id(number))


async def test_the_record_goes_with_the_last_name(world: World) -> None:
    await encrypted(world, "a/x")
    await world.shelf.forget(ANN, "a/x")
    assert (await names(world), world.places.bytes.left()) == ([], [])


async def test_the_record_goes_with_the_object(world: World) -> None:
    key = await encrypted(world, "a/x")
    await world.shelf.discard(ANN, key)
    assert (await names(world), world.places.bytes.left()) == ([], [])


async def test_the_record_goes_when_something_else_takes_the_name(world: World) -> None:
    await encrypted(world, "x", 1)
    await encrypted(world, "x", 2, REPLACE)
    assert await names(world) == ["x", keys("x", 2)]
    await put(world, b"plain", "x", None, REPLACE)
    assert await names(world) == ["x"]
    await encrypted(world, "x", 3, REPLACE)
    assert await names(world) == ["x", keys("x", 3)]
    await world.shelf.forget(ANN, "x")
    assert world.places.bytes.left() == []


async def test_the_record_moves_with_the_name(world: World) -> None:
    key = await encrypted(world, "a/x.bin")
    ((_, record),) = [
        each for each in await world.shelf.list(ANN) if each[0].path.endswith(".keys")
    ]
    await world.shelf.move(ANN, "a/x.bin", "b/c/y.bin")
    assert await names(world) == ["b/c/y.bin", keys("b/c/y.bin")]
    assert (await world.shelf.stat(ANN, "b/c/y.bin"))[1].id == key
    assert (await world.shelf.stat(ANN, keys("b/c/y.bin")))[1] == record  # nothing was copied
    await world.shelf.forget(ANN, "b/c/y.bin")
    assert (await names(world), world.places.bytes.left()) == ([], [])


async def test_what_a_moved_name_replaces_goes_with_its_record(here: World) -> None:
    await encrypted(here, "a", 1)
    await encrypted(here, "b", 2)
    await here.shelf.move(ANN, "a", "b", REPLACE)
    assert await names(here) == ["b", keys("b", 1)]


async def test_a_copy_with_the_same_record_may_be_replaced_by_its_original(here: World) -> None:
    await encrypted(here, "a", 1)
    await encrypted(here, "b", 1)
    await here.shelf.move(ANN, "a", "b", REPLACE)
    assert await names(here) == ["b", keys("b", 1)]


async def test_the_record_stands_beside_the_name_that_was_free(here: World) -> None:
    await put(here, b"first", "x.bin")
    await encrypted(here, "x.bin")
    assert await names(here) == ["x (2).bin", keys("x (2).bin"), "x.bin"]
    await here.shelf.move(ANN, "x (2).bin", "y", KEEP)
    assert await names(here) == ["x.bin", "y", keys("y")]


async def test_a_name_does_not_move_where_its_record_would_replace_something(here: World) -> None:
    await encrypted(here, "a")
    await put(here, b"somebody's", keys("b"))
    with pytest.raises(NameConflict, match=r"b\.01010101\.keys"):
        await here.shelf.move(ANN, "a", "b", REPLACE)
    assert await names(here) == ["a", keys("a"), keys("b")]


async def test_a_name_does_not_take_the_place_of_its_own_record(here: World) -> None:
    await encrypted(here, "a")
    with pytest.raises(NameConflict):
        await here.shelf.move(ANN, "a", keys("a"), REPLACE)
    assert await names(here) == ["a", keys("a")]


@pytest.mark.parametrize(
    "other", [record_of(2), b"{}", b"", b"x" * 300_000], ids=["another's", "no", "empty", "long"]
)
async def test_what_only_has_the_name_of_a_record_is_left_alone(here: World, other: bytes) -> None:
    await encrypted(here, "a")
    await put(here, other, keys("a"), None, REPLACE)
    await here.shelf.move(ANN, "a", "b")
    assert await names(here) == [keys("a"), "b"]
    await here.shelf.forget(ANN, "b")
    assert await names(here) == [keys("a")]


@pytest.mark.parametrize("kind", [SEALED, None])
async def test_an_object_that_is_not_what_it_says_has_no_record(
    here: World, kind: str | None
) -> None:
    for data in (b"", b"too short", b"x" * 10_000):
        await put(here, data, "a", kind)
        await put(here, record_of(1), keys("a"), None, REPLACE)
        await here.shelf.forget(ANN, "a")
        assert await names(here) == [keys("a")]


async def test_a_record_in_another_folder_is_nobodys(here: World) -> None:
    """Whatever the object itself says: who may write here need not be who may remove there."""
    await put(here, record_of(1), "theirs/x.01010101.keys")
    head = Head(file_id=file_id(1), sealed=True, record="theirs/x.01010101.keys")
    await put(here, render(head, Table(sealed=True), new_file_key()), "mine/x", SEALED)
    await here.shelf.forget(ANN, "mine/x")
    assert await names(here) == ["theirs/x.01010101.keys"]


async def test_an_object_whose_bytes_are_lost_can_be_removed(here: World) -> None:
    key = await encrypted(here, "a")
    here.store.remove(f"objects/{key}")
    await here.shelf.forget(ANN, "a")
    assert await names(here) == [keys("a")]


class Watched:
    """A ledger that keeps what is committed, and lets somebody be quicker once."""

    def __init__(self, ledger: Ledger, meddle: Callable[[Ledger], None] | None = None) -> None:
        self._ledger = ledger
        self._meddle = meddle
        self.commits: list[Sequence[Change]] = []
        self.get = ledger.get
        self.list = ledger.list
        self.count = ledger.count
        self.close = ledger.close

    def commit(self, changes: Sequence[Change]) -> None:
        if self._meddle is not None and any(map(of_name, changes)):
            meddle, self._meddle = self._meddle, None
            meddle(self._ledger)
        self.commits.append(changes)
        self._ledger.commit(changes)


def of_name(change: Change) -> bool:
    row = change.row if isinstance(change, (Add, Update)) else None
    return isinstance(row, Name) or (row is None and getattr(change, "kind", None) is Name)


@pytest.mark.parametrize("verb", ["forget", "move", "replace", "keep both"])
async def test_both_change_in_one_commit(here: World, verb: str) -> None:
    await encrypted(here, "a", 1)
    if verb == "keep both":
        await put(here, record_of(2), keys("a", 2))
    seen: list[Watched] = []

    def watched(ledger: Ledger) -> Ledger:
        seen.append(Watched(ledger))
        return seen[0]

    await here.reopen(ledger=watched)
    if verb == "forget":
        await here.shelf.forget(ANN, "a")
    elif verb == "move":
        await here.shelf.move(ANN, "a", "b")
    elif verb == "replace":
        await put(here, b"plain", "a", None, REPLACE)
    else:
        head = Head(file_id=file_id(2), sealed=True, record=keys("a", 2))
        await put(here, render(head, Table(sealed=True), new_file_key()), "a", SEALED)
        assert await names(here) == ["a", "a (2)", keys("a (2)", 2), keys("a")]
    naming = [commit for commit in seen[0].commits if any(map(of_name, commit))]
    assert len(naming) == 1
    assert len([change for change in naming[0] if of_name(change)]) >= 2


async def test_a_record_that_is_renewed_meanwhile_moves_as_it_is_now(here: World) -> None:
    await encrypted(here, "a")
    newer = await put(here, record_of(1), "newer")

    def renew(ledger: Ledger) -> None:
        row = ledger.get(Name, "t1", keys("a"))
        assert row is not None
        ledger.commit([Update(replace(row, object=newer))])

    await here.reopen(ledger=lambda ledger: Watched(ledger, renew))
    await here.shelf.move(ANN, "a", "b")
    assert (await here.shelf.stat(ANN, keys("b")))[0].object == newer
    assert await here.engine.do(here.ledger.get, Object, newer) is not None
