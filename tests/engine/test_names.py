"""Folders are pages of what names say; a name moves only from where it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import ANN, World, content
from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Object, OnConflict
from towpath.core.state import UploadState
from towpath.engine import names as module
from towpath.engine.names import list_folder
from towpath.errors import NameConflict
from towpath.ledger.base import Add
from towpath.ledger.memory import MemoryLedger
from towpath.testing.rows import name

PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "a!", "a0", "ä"]), min_size=1, max_size=4).map("/".join),
    unique=True,
    max_size=30,
)
MADE = Object(tenant="t1", owner="ann", id="o1", length=0, crc=0, created_at=0)


def pages(
    ledger: MemoryLedger, caller: Caller, folder: str, limit: int
) -> tuple[list[str], list[int]]:
    """All labels of a folder, and how many each page had."""
    labels: list[str] = []
    sizes: list[int] = []
    after: str | None = None
    while True:
        found = list_folder(ledger, caller, folder, after, limit)
        labels += [entry.label for entry in found.entries]
        sizes.append(len(found.entries))
        if found.next is None:
            return labels, sizes
        after = found.next


@given(PATHS, st.sampled_from(["", "a/", "a/b/", "ä/"]), st.integers(1, 4), st.integers(1, 3))
def test_every_entry_of_a_folder_is_on_one_page(
    paths: Sequence[str], folder: str, limit: int, read_at_once: int
) -> None:
    ledger = MemoryLedger()
    ledger.commit([Add(MADE), *(Add(name(path)) for path in paths)])
    ledger.commit([Add(name("zz", tenant="t2"))])
    inside = sorted(path.removeprefix(folder) for path in paths if path.startswith(folder))
    wanted = list(dict.fromkeys(p.partition("/")[0] + ("/" if "/" in p else "") for p in inside))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAGE", read_at_once)
        found, sizes = pages(ledger, ANN, folder, limit)
    assert found == wanted
    assert max(sizes) <= limit


def test_a_large_folder_within_is_skipped_and_not_read() -> None:
    ledger = MemoryLedger()
    many = [f"a/{number:05}" for number in range(5 * module._PAGE)]
    ledger.commit([Add(MADE), *(Add(name(path)) for path in [*many, "b"])])
    asked: list[int] = []
    plain = ledger.list

    def listed(kind: type, query: object) -> list[object]:
        found: list[object] = plain(kind, query)  # type: ignore[arg-type]
        asked.append(len(found))
        return found

    ledger.list = listed  # type: ignore[method-assign,assignment]
    assert pages(ledger, ANN, "", 10) == (["a/", "b"], [2])
    assert sum(asked) < 2 * module._PAGE


def test_a_caller_with_a_prefix_sees_the_way_there_alone() -> None:
    ledger = MemoryLedger()
    ledger.commit([Add(MADE), *(Add(name(path)) for path in ("a/b/x", "a/c", "d"))])
    below = replace(ANN, prefix="a/b/")
    assert pages(ledger, below, "", 9)[0] == ["a/"]
    assert pages(ledger, below, "a/", 9)[0] == ["b/"]
    assert pages(ledger, below, "a/b/", 9)[0] == ["x"]
    assert pages(ledger, below, "d/", 9)[0] == []


@pytest.mark.anyio
async def test_a_name_is_taken_only_from_the_object_that_was_to_be_replaced(world: World) -> None:
    old = await world.put(b"old", "a")

    async def begin(replaces: str) -> str:
        new = NewUpload(length=3, name="a", on_conflict=OnConflict.REPLACE, replaces=replaces)
        return (await world.engine.create(ANN, new)).id

    first, second = await begin(old), await begin(old)
    await world.write(first, 0, b"one")
    with pytest.raises(NameConflict):
        await world.write(second, 0, b"two")
    row = await world.row(second)
    assert row is not None
    assert row.state is UploadState.FILLED  # its bytes are kept
    third = await begin(first)
    await world.write(third, 0, b"two")
    assert await world.read(third) == b"two"
    await world.shelf.forget(ANN, "a", only=third)
    with pytest.raises(NameConflict):
        await world.write(await begin(third), 0, b"new")


@pytest.mark.anyio
async def test_a_name_that_has_moved_is_not_forgotten(here: World) -> None:
    old = await here.put(b"old", "a")
    await here.put(b"new", "a", on_conflict=OnConflict.REPLACE)
    with pytest.raises(NameConflict):
        await here.shelf.forget(ANN, "a", only=old)
    assert (await here.shelf.stat(ANN, "a"))[1].length == 3


@pytest.mark.anyio
async def test_an_empty_upload_that_may_not_have_its_name_is_not_left(here: World) -> None:
    await here.put(content(5), "a")
    with pytest.raises(NameConflict):
        await here.create(0, name="a", on_conflict=OnConflict.FAIL)
    left = await here.engine.list(ANN, states=[UploadState.OPEN, UploadState.FILLED])
    assert left == []
