"""The record of an encrypted upload's keys ends with the upload, if no object comes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from tests.engine.test_companion import encrypted, file_id, keys, names, put, record_of
from tests.engine.world import ANN, BOB, World
from towpath.codec import PACKED, SEALED
from towpath.codec.beside import FILE
from towpath.core.command import NewUpload
from towpath.core.model import Name, Upload
from towpath.core.state import UploadState
from towpath.engine.sweep import Sweep
from towpath.errors import Expired
from towpath.ledger.base import Change, Remove, Update
from towpath.testing.faults import Crash, Fault, FaultyLedger, FaultyStore, Kind

pytestmark = pytest.mark.anyio

DAY = 24 * 3600


def in_pairs(number: int) -> str:
    """How tus says the id of a file."""
    return f"name eA==,{FILE} {base64.b64encode(file_id(number).hex().encode()).decode()}"


def in_json(number: int) -> str:
    """How other dialects do."""
    return json.dumps({FILE: file_id(number).hex()})


async def begun(
    world: World,
    name: str = "a/x",
    number: int = 1,
    *,
    kind: str | None = SEALED,
    said: Callable[[int], str] = in_pairs,
) -> str:
    """Begin an encrypted upload, as a client does: its record first. The upload's id."""
    if keys(name, number) not in await names(world):
        await put(world, record_of(number), keys(name, number))
    new = NewUpload(length=100, name=name, media_type=kind, metadata=said(number))
    key = (await world.engine.create(ANN, new)).id
    await world.write(key, 0, b"chunk")
    return key


async def cancelled(world: World, key: str) -> None:
    await world.engine.cancel(ANN, key)


async def failed(world: World, key: str) -> None:
    await world.engine.fail(ANN, key, "it was wrong")


async def expired(world: World, _: str) -> None:
    world.clock.advance(DAY)
    assert (await Sweep(world.engine).run()).expired == 1


Ends = Callable[[World, str], Awaitable[None]]


@pytest.mark.parametrize("end", [cancelled, failed, expired])
async def test_the_record_goes_in_the_commit_that_ends_the_upload(world: World, end: Ends) -> None:
    key, commits = await begun(world), []
    usual = world.ledger.commit

    def commit(changes: Sequence[Change]) -> None:
        commits.append(changes)
        usual(changes)

    world.ledger.commit = commit  # type: ignore[method-assign]
    await end(world, key)
    (ending,) = [
        changes
        for changes in commits
        if any(isinstance(c, Remove) and c.key == ("t1", keys("a/x")) for c in changes)
    ]
    states = [c.row.state for c in ending if isinstance(c, Update) and isinstance(c.row, Upload)]
    assert states == [UploadState(end.__name__)]
    assert (await names(world), world.places.bytes.left()) == ([], [])


@pytest.mark.parametrize("said", [in_pairs, in_json])
async def test_every_dialect_can_say_which_record_it_is(
    here: World, said: Callable[[int], str]
) -> None:
    await cancelled(here, await begun(here, said=said))
    assert (await names(here), here.places.bytes.left()) == ([], [])


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_leaves_both_or_neither(world: World, after: bool) -> None:
    key = await begun(world)
    fault = Fault(kind=Kind.CRASH, call=1, method="commit", after=after)
    await world.reopen(ledger=lambda ledger: FaultyLedger(ledger, [fault]))
    with pytest.raises(Crash):
        await cancelled(world, key)
    await world.reopen(crash=True)
    row = await world.row(key)
    assert row is not None
    assert (row.state is UploadState.CANCELLED, await names(world)) == (
        (True, []) if after else (False, [keys("a/x")])
    )
    world.clock.advance(DAY)
    await Sweep(world.engine).run()
    assert (await names(world), world.places.bytes.left()) == ([], [])


async def test_a_store_that_does_not_remove_the_record_is_asked_again(world: World) -> None:
    key = await begun(world)
    fault = Fault(kind=Kind.ERROR, call=1, method="remove")
    await world.reopen(lambda store: FaultyStore(store, [fault]))
    await cancelled(world, key)
    assert await names(world) == []
    assert len(world.places.bytes.left()) >= 1
    await Sweep(world.engine).run()
    assert world.places.bytes.left() == []


async def test_a_latecomer_is_told_that_it_has_expired(here: World) -> None:
    key = await begun(here)
    await expired(here, key)
    with pytest.raises(Expired):
        await here.engine.inspect(ANN, key)


async def test_the_record_of_a_file_that_became_whole_stays(here: World) -> None:
    await encrypted(here, "a/x")
    await cancelled(here, await begun(here, number=2))
    here.clock.advance(3 * DAY)
    await Sweep(here.engine).run()
    assert await names(here) == ["a/x", keys("a/x")]


async def test_no_upload_takes_the_record_of_an_object_away(here: World) -> None:
    await encrypted(here, "a/x")
    await cancelled(here, await begun(here))  # which says that it is of the same file
    assert await names(here) == ["a/x", keys("a/x")]


async def test_no_upload_takes_away_what_is_somebody_else_s(here: World) -> None:
    new = NewUpload(length=len(record_of(1)), name=keys("a/x"))
    theirs = (await here.engine.create(BOB, new)).id
    await here.write(theirs, 0, record_of(1), caller=BOB)
    await cancelled(here, await begun(here))
    assert await names(here) == [keys("a/x")]


@pytest.mark.parametrize("other", [record_of(2), b"{}", b""], ids=["another's", "no", "empty"])
async def test_what_only_has_the_name_of_a_record_stays(here: World, other: bytes) -> None:
    await put(here, other, keys("a/x"))
    await cancelled(here, await begun(here))
    assert await names(here) == [keys("a/x")]


@pytest.mark.parametrize(
    ("kind", "said"), [(PACKED, in_pairs), (None, in_pairs), (SEALED, lambda _: "name eA==")]
)
async def test_an_upload_that_does_not_say_that_it_has_one_has_none(
    here: World, kind: str | None, said: Callable[[int], str]
) -> None:
    await cancelled(here, await begun(here, kind=kind, said=said))
    assert await names(here) == [keys("a/x")]


async def test_a_record_that_is_written_anew_at_that_very_moment_goes_too(here: World) -> None:
    key, meanwhile = await begun(here), 0
    usual = here.ledger.commit

    def commit(changes: Sequence[Change]) -> None:
        nonlocal meanwhile
        record = here.ledger.get(Name, "t1", keys("a/x"))
        if record is not None and not meanwhile:
            meanwhile += 1
            usual([Update(replace(record, updated_at=record.updated_at + 1))])
        usual(changes)

    here.ledger.commit = commit  # type: ignore[method-assign]
    await cancelled(here, key)
    assert (await names(here), here.places.bytes.left(), meanwhile) == ([], [], 1)
