"""Creating, asking, listing and giving up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.world import ANN, BOB, EVE, World, content
from towpath.core.caller import EVERYTHING, Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.model import Island, Lease, Object, OnConflict, Outbox
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.errors import (
    Expired,
    Forbidden,
    LimitReached,
    Malformed,
    NotFound,
    StateConflict,
    StoreFull,
    TooLarge,
)
from towpath.ledger.base import Query
from towpath.store.base import Store
from towpath.testing.faults import Fault, FaultyLedger, FaultyStore, Kind

pytestmark = pytest.mark.anyio


async def test_an_upload_becomes_an_object_with_its_bytes(world: World) -> None:
    data = content(100_000)
    key = await world.put(data, "folder/a.bin")
    assert await world.read(key) == data
    assert world.places.bytes.left()[0] == f"objects/{key}"


async def test_a_new_upload_is_in_the_ledger_with_all_that_was_said(world: World) -> None:
    new = NewUpload(
        length=10,
        name="e\u0301.bin",
        on_conflict=OnConflict.REPLACE,
        media_type="text/plain",
        metadata="a b",
        dialect="tus",
        completes=False,
    )
    made = await world.engine.create(ANN, new)
    assert made == await world.row(made.id)
    assert (made.tenant, made.owner, made.name) == ("t1", "ann", "é.bin")
    assert (made.length, made.on_conflict, made.metadata) == (10, OnConflict.REPLACE, "a b")
    assert (made.media_type, made.dialect, made.completes) == ("text/plain", "tus", False)
    assert made.expires_at == world.clock.now() + 24 * 3600 * 1000
    assert await world.engine.inspect(ANN, made.id) == (made, Extent())


async def test_an_upload_of_no_bytes_is_complete_at_once(world: World) -> None:
    made = await world.engine.create(ANN, NewUpload(length=0, name="empty"))
    assert (made.state, made.name) == (UploadState.COMPLETE, "empty")
    assert await world.read(made.id) == b""


async def test_an_upload_of_no_bytes_waits_if_it_is_to_be_told(here: World) -> None:
    key = await here.create(0, completes=False)
    row = await here.row(key)
    assert row is not None
    assert row.state is UploadState.FILLED
    assert (await here.engine.complete(ANN, key)).length == 0


async def test_completing_again_gives_the_same_object(world: World) -> None:
    key = await world.create(3, completes=False)
    await world.write(key, 0, b"abc")
    first = await world.engine.complete(ANN, key)
    assert await world.engine.complete(ANN, key) == first == await world.made(key)


async def test_completing_is_refused_while_bytes_are_missing(here: World) -> None:
    key = await here.create(3, completes=False)
    await here.write(key, 0, b"ab")
    with pytest.raises(StateConflict):
        await here.engine.complete(ANN, key)


@pytest.mark.parametrize("verb", ["write", "inspect", "claim", "complete", "cancel", "read"])
@pytest.mark.parametrize("caller", [BOB, EVE], ids=["owner", "tenant"])
async def test_a_foreign_upload_is_not_found(here: World, verb: str, caller: Caller) -> None:
    key = await here.create(3)
    engine = here.engine
    with pytest.raises(NotFound) as foreign:
        await (
            here.write(key, 0, b"abc", caller=caller)
            if verb == "write"
            else here.read(key, caller)
            if verb == "read"
            else getattr(engine, verb)(caller, key)
        )
    if verb not in {"write", "read"}:
        with pytest.raises(NotFound) as unknown:
            await getattr(engine, verb)(caller, "nosuchkey00")
        assert str(unknown.value) == str(foreign.value)
    assert (await here.extent(key)).offset == 0


async def test_an_admin_carries_on_what_others_of_the_tenant_began(here: World) -> None:
    admin = replace(BOB, scopes=EVERYTHING | {Scope.ADMIN})
    key = await here.create(3)
    await here.write(key, 0, b"abc", caller=admin)
    row = await here.row(key)
    assert row is not None
    assert (row.owner, row.state) == ("ann", UploadState.COMPLETE)


@pytest.mark.parametrize("verb", ["claim", "complete", "cancel"])
async def test_a_caller_without_the_scope_changes_nothing(here: World, verb: str) -> None:
    reader = replace(ANN, scopes=frozenset({Scope.READ}))
    key = await here.create(3)
    before = await here.row(key)
    with pytest.raises(Forbidden):
        await getattr(here.engine, verb)(reader, key)
    with pytest.raises(Forbidden):
        await here.write(key, 0, b"abc", caller=reader)
    with pytest.raises(Forbidden):
        await here.engine.create(reader, NewUpload(length=1))
    assert await here.row(key) == before


async def test_a_name_outside_of_the_prefix_is_refused(here: World) -> None:
    below = replace(ANN, prefix="ann/")
    for name in ("bob/x", "ann", None):
        with pytest.raises(Forbidden):
            await here.create(1, name=name, caller=below)
    await here.create(1, name="ann/x", caller=below)


async def test_what_is_too_large_is_refused_before_anything_is_made(here: World) -> None:
    await here.reopen(length=10, metadata=4, name=8)
    with pytest.raises(TooLarge):
        await here.create(11)
    with pytest.raises(Malformed):
        await here.create(1, name="123456789")
    with pytest.raises(Malformed):
        await here.engine.create(ANN, NewUpload(length=1, metadata="12345"))
    assert here.places.bytes.left() == []


async def test_a_tenant_may_have_so_many_unfinished_uploads(here: World) -> None:
    await here.reopen(open_uploads=2)
    first = await here.create(1)
    await here.create(1)
    with pytest.raises(LimitReached):
        await here.create(1)
    await here.create(1, caller=EVE)
    await here.write(first, 0, b"x")
    await here.create(1)


async def test_nothing_is_left_of_an_upload_that_the_ledger_did_not_take(world: World) -> None:
    fault = [Fault(kind=Kind.ERROR, call=1, method="commit")]
    await world.reopen(ledger=lambda ledger: FaultyLedger(ledger, fault))
    with pytest.raises(Exception, match="made call 1 of commit fail"):
        await world.create(1)
    assert world.places.bytes.left() == []


async def test_no_room_in_the_store_is_told_at_once(here: World) -> None:
    def full(store: Store) -> Store:
        return FaultyStore(store, [Fault(kind=Kind.FULL, call=1, method="create")])

    await here.reopen(full)
    with pytest.raises(StoreFull):
        await here.create(1)
    assert await here.engine.list(ANN) == []


async def test_a_cancelled_upload_leaves_no_bytes_and_no_rows_beside_its_own(
    world: World,
) -> None:
    key = await world.create(10)
    await world.write(key, 4, b"xx", sequential=False)
    await world.engine.cancel(ANN, key, reason="changed my mind")
    row = await world.row(key)
    assert row is not None
    assert (row.state, row.reason, row.handle) == (UploadState.CANCELLED, "changed my mind", "")
    for kind in (Island, Lease, Object, Outbox):
        assert await world.engine.do(world.ledger.count, kind, Query()) == 0
    assert world.places.bytes.left() == []
    await world.engine.cancel(ANN, key)
    for verb in (world.engine.inspect, world.engine.claim, world.engine.complete):
        with pytest.raises(NotFound):
            await verb(ANN, key)
    with pytest.raises(NotFound):
        await world.write(key, 0, b"x")


async def test_a_complete_upload_cannot_be_cancelled(here: World) -> None:
    key = await here.put(b"abc")
    with pytest.raises(StateConflict):
        await here.engine.cancel(ANN, key)
    assert await here.read(key) == b"abc"


async def test_an_upload_whose_time_is_over_is_expired_for_everybody(here: World) -> None:
    key = await here.create(3)
    here.clock.advance(24 * 3600)
    for verb in (here.engine.inspect, here.engine.claim, here.engine.complete):
        with pytest.raises(Expired):
            await verb(ANN, key)
    with pytest.raises(Expired):
        await here.write(key, 0, b"abc")


async def test_every_settled_byte_gives_the_upload_more_time(here: World) -> None:
    key = await here.create(3)
    for offset in range(2):
        here.clock.advance(23 * 3600)
        row = await here.write(key, offset, b"x")
        assert row.expires_at == here.clock.now() + 24 * 3600 * 1000


async def test_a_caller_lists_its_own_uploads_and_an_admin_those_of_the_tenant(
    world: World,
) -> None:
    mine = sorted([await world.create(1), await world.create(1), await world.put(b"x")])
    other = await world.create(1, caller=BOB)
    await world.create(1, caller=EVE)
    engine = world.engine
    assert [upload.id for upload in await engine.list(ANN)] == mine
    page = await engine.list(ANN, limit=1)
    rest = await engine.list(ANN, after=page[0].id)
    assert [upload.id for upload in page + rest] == mine
    admin = replace(ANN, scopes=EVERYTHING | {Scope.ADMIN})
    assert [upload.id for upload in await engine.list(admin)] == sorted([*mine, other])
    done = await engine.list(ANN, states=[UploadState.COMPLETE, UploadState.FAILED])
    assert len(done) == 1
    with pytest.raises(Forbidden):
        await engine.list(replace(ANN, scopes=frozenset({Scope.WRITE})))


async def test_an_upload_of_no_bytes_that_waits_for_a_word_outlives_a_crash(world: World) -> None:
    key = await world.create(0, completes=False)
    await world.reopen(crash=True)
    made = await world.engine.complete(ANN, key)
    assert (made.id, made.length) == (key, 0)
    assert await world.read(key) == b""
