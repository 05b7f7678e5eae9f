"""Have you got this: only what the caller may read, with the same work whatever others hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.world import ANN, BOB, EVE, World
from towpath.core.caller import Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.digest import SHA256
from towpath.core.model import Row
from towpath.core.state import UploadState
from towpath.engine.shelf import find, held
from towpath.errors import Forbidden
from towpath.ledger.base import Change, Ledger, Query

pytestmark = pytest.mark.anyio

DATA = b"what somebody holds"
DIGEST = hashlib.sha256(DATA).digest()
TEAM = replace(BOB, prefix="team/")
BLIND = replace(ANN, scopes=frozenset({Scope.WRITE}))


class Overheard:
    """A ledger that keeps what it was asked, without values."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner
        self.asked: list[tuple[object, ...]] = []

    def get(self, kind: type[Row], *key: str | int) -> Any:
        self.asked.append(("get", kind))
        return self._inner.get(kind, *key)

    def list(self, kind: type[Row], query: Query) -> Any:
        self.asked.append(("list", kind, tuple(query.where), query.limit))
        return self._inner.list(kind, query)

    def count(self, kind: type[Row], query: Query) -> int:
        self.asked.append(("count", kind, tuple(query.where)))
        return self._inner.count(kind, query)

    def commit(self, changes: Sequence[Change]) -> None:
        self.asked.append(("commit", tuple(type(change) for change in changes)))
        self._inner.commit(changes)

    def close(self) -> None:
        self._inner.close()


async def hold(world: World, caller: Caller, name: str) -> str:
    """An object with a known SHA-256."""
    new = NewUpload(length=len(DATA), name=name, wants=(SHA256,))
    key = (await world.engine.create(caller, new)).id
    await world.write(key, 0, DATA, caller=caller)
    return key


async def shared(world: World, caller: Caller, **more: Any) -> bool:
    """Whether an upload with that digest is complete at once."""
    new = NewUpload(length=len(DATA), name="team/new", digests={SHA256: DIGEST}, **more)
    upload = await world.engine.create(caller, new)
    return upload.state is UploadState.COMPLETE


async def test_who_may_read_an_object_of_its_tenant_has_it_at_once(here: World) -> None:
    key = await hold(here, ANN, "team/a")
    for caller in (ANN, BOB, TEAM):
        assert await shared(here, caller)
        found = await here.engine.do(held, here.ledger, caller, [DIGEST, bytes(32)])
        assert [digest for digest, _ in found] == [DIGEST]
    assert await here.read(key) == DATA


async def test_a_shared_object_is_found_when_the_first_one_is_gone(here: World) -> None:
    key = await hold(here, ANN, "a")
    assert await shared(here, ANN)
    await here.shelf.discard(ANN, key)
    found = await here.engine.do(find, here.ledger, ANN, DIGEST)
    assert found is not None
    assert (found.id == key, found.sha256) == (False, DIGEST)
    assert await here.read(found.id) == DATA
    assert await shared(here, ANN)


async def test_nobody_has_what_it_may_not_read(here: World) -> None:
    await hold(here, ANN, "elsewhere/a")
    for caller in (EVE, TEAM, BLIND):
        assert not await shared(here, caller)
    for caller in (EVE, TEAM):
        assert await here.engine.do(held, here.ledger, caller, [DIGEST]) == []
    with pytest.raises(Forbidden):
        await here.engine.do(held, here.ledger, BLIND, [DIGEST])


async def test_an_object_of_another_length_or_one_that_is_damaged_is_not_used(here: World) -> None:
    key = await hold(here, ANN, "a")
    new = NewUpload(length=len(DATA) + 1, digests={SHA256: DIGEST})
    assert (await here.engine.create(ANN, new)).state is UploadState.OPEN
    for more in ({"partial": True}, {"shares": False}):
        assert not await shared(here, ANN, **more)
    made = await here.made(key)
    assert made is not None
    from towpath.ledger.base import Update  # noqa: PLC0415

    await here.engine.do(here.ledger.commit, [Update(replace(made, damaged=True))])
    assert not await shared(here, ANN)


@pytest.mark.parametrize("holder", [EVE, ANN], ids=["another tenant", "another folder"])
async def test_the_ledger_is_asked_the_same_whatever_others_hold(
    here: World, holder: Caller
) -> None:
    overheard: list[Overheard] = []

    def listen(ledger: Ledger) -> Ledger:
        overheard.append(Overheard(ledger))
        return overheard[-1]

    await here.reopen(ledger=listen)
    asked = []
    for name in (None, "elsewhere/a"):
        if name is not None:
            await hold(here, holder, name)
        overheard[-1].asked.clear()
        assert await here.engine.do(held, here.ledger, TEAM, [DIGEST]) == []
        assert not await shared(here, TEAM)
        asked.append(list(overheard[-1].asked))
    assert asked[0] == asked[1]
    assert asked[0]
