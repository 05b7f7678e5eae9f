"""Every call of store and ledger fails in turn; then the upload still completes, or expires whole.

A scene sends a file in pieces, in and out of order, and asks now and then. The n-th call of it
fails; what the scene was told must hold after the parts were opened anew without faults.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.places import Places
from tests.engine.world import ANN, World, content
from towpath.core.model import Island, Lease, Object, Outbox, Segment, Upload
from towpath.core.state import UploadState
from towpath.engine.sweep import Sweep
from towpath.errors import TowpathError
from towpath.ledger.base import Ledger, Query
from towpath.store.base import Store
from towpath.testing.faults import Crash, Fault, FaultyLedger, FaultyStore, Kind
from towpath.testing.source import DRY

pytestmark = pytest.mark.anyio

DATA = content(60_000)
DAY = 24 * 3600
MOST_CALLS = 200

STORE_FAULTS = [
    (Kind.ERROR, False),
    (Kind.ERROR, True),
    (Kind.SHORT, False),
    (Kind.FULL, False),
    (Kind.FULL, True),
    (Kind.CRASH, False),
    (Kind.CRASH, True),
]
LEDGER_FAULTS = [
    (Kind.ERROR, False),
    (Kind.ERROR, True),
    (Kind.CRASH, False),
    (Kind.CRASH, True),
]


@dataclass(slots=True)
class Told:
    """What a client knows: its upload, and the highest offset that it was promised."""

    key: str = ""
    offset: int = 0
    complete: bool = False

    def heard(self, upload: Upload) -> None:
        self.offset = max(self.offset, upload.offset)
        self.complete = self.complete or upload.state is UploadState.COMPLETE


async def sends(world: World, told: Told) -> None:
    """A client's way through all the verbs."""
    told.key = await world.create(len(DATA), name="a")
    told.heard(await world.write(told.key, 0, [DATA[:20_000], DRY, DATA[20_000:30_000]]))
    told.heard(await world.write(told.key, 40_000, DATA[40_000:50_000], sequential=False))
    told.heard((await world.engine.inspect(ANN, told.key))[0])
    told.heard(await world.write(told.key, 25_000, DATA[25_000:45_000], sequential=False))
    told.heard(await world.engine.claim(ANN, told.key))
    told.heard(await world.write(told.key, 50_000, DATA[50_000:]))
    await world.read(told.key)


async def gives_up(world: World, told: Told) -> None:
    """A client that gives up, and one that forgets an object."""
    told.key = await world.create(len(DATA), name="b")
    await world.write(told.key, 40_000, DATA[40_000:50_000], sequential=False)
    await world.engine.cancel(ANN, told.key)
    await world.put(DATA, "a")
    await world.shelf.forget(ANN, "a")


async def crashes_at(world: World, method: str) -> None:
    """Begin a process that will not live through a call of this method of the store."""
    crash = Fault(kind=Kind.CRASH, call=1, method=method)
    await world.reopen(lambda store: FaultyStore(store, [crash]))


async def left_for_a_sweep(world: World) -> str:
    """One upload to complete, one to expire, one given up by a crash, an orphan, a note."""
    await world.create(10)
    await world.put(b"forgotten", "f")
    filled, given_up = await world.create(len(DATA), name="a"), await world.create(3)
    await crashes_at(world, "seal")
    with pytest.raises(Crash):
        await world.write(filled, 0, DATA)
    await crashes_at(world, "remove")
    with pytest.raises(Crash):
        await world.engine.cancel(ANN, given_up)
    await crashes_at(world, "remove")
    with pytest.raises(Crash):
        await world.shelf.forget(ANN, "f")
    await world.reopen()
    await world.engine.do(world.store.create, "orphan00001", 3)
    world.clock.advance(2 * DAY)
    return filled


async def sweeps(world: World, told: Told) -> None:
    """Nobody but the sweep."""
    await Sweep(world.engine).run()


async def played(
    places: Places, fault: Fault, *, in_store: bool, play: Callable[[World, Told], Awaitable[None]]
) -> tuple[World, Told, bool]:
    """The scene with one fault, and the parts opened anew after it."""
    faulty: list[FaultyStore | FaultyLedger] = []

    def store(inner: Store) -> Store:
        faulty.append(FaultyStore(inner, [fault]))
        return faulty[-1]  # type: ignore[return-value]

    def ledger(inner: Ledger) -> Ledger:
        faulty.append(FaultyLedger(inner, [fault]))
        return faulty[-1]  # type: ignore[return-value]

    world = World(places)
    await (world.open(store) if in_store else world.open(ledger=ledger))
    told = Told()
    with suppress(TowpathError, Crash):
        await play(world, told)
    fired = bool(faulty[0].fired)
    await world.reopen(crash=fault.kind is Kind.CRASH)
    return world, told, fired


async def carried_on(world: World, told: Told) -> None:
    """The client comes back, finds what it was promised, and ends what it began."""
    if not told.key:
        return
    upload = await world.engine.claim(ANN, told.key)
    assert upload.offset >= told.offset
    if upload.state is not UploadState.COMPLETE:
        assert not told.complete
        upload = await world.write(told.key, upload.offset, DATA[upload.offset :])
    assert upload.state is UploadState.COMPLETE
    assert await world.read(told.key) == DATA
    assert (await world.shelf.stat(ANN, "a"))[0].object == told.key


async def nothing_is_left(world: World) -> None:
    """All that was begun expires, and then there is no row and no file."""
    for name, _ in await world.shelf.list(ANN):
        await world.shelf.forget(ANN, name.path)
    for wait in (DAY, 8 * DAY, 100 * DAY):
        world.clock.advance(wait)
        await world.put(b"later", "later")  # so that the ledger is not older than the store
        await world.shelf.forget(ANN, "later")
        await Sweep(world.engine).run()
    assert world.places.bytes.left() == []
    for kind in (Upload, Island, Lease, Object, Segment):
        assert await world.engine.do(world.ledger.list, kind, Query()) == []
    notes = await world.engine.do(world.ledger.list, Outbox, Query(where={"kind": "remove"}))
    assert notes == []


def _named(fault: tuple[Kind, bool]) -> str:
    return f"{fault[0].value}-{'after' if fault[1] else 'before'}"


ALL = [
    *(pytest.param(True, *fault, id=f"store-{_named(fault)}") for fault in STORE_FAULTS),
    *(pytest.param(False, *fault, id=f"ledger-{_named(fault)}") for fault in LEDGER_FAULTS),
]
"""every fault that there is"""


@dataclass(frozen=True, slots=True)
class Turns:
    """Places for each turn, and which calls fail: all, or a sample that the commit draws."""

    kinds: str
    root: Path
    fresh: Path
    first: int
    step: int

    def __iter__(self) -> Iterator[tuple[int, Places]]:
        for call in range(self.first, MOST_CALLS, self.step):
            root = self.root / str(call)
            root.mkdir()
            yield call, Places(self.kinds, root, self.fresh)
        raise AssertionError("There is no end to the calls.")


@pytest.fixture(
    params=["memory", "files-sample", pytest.param("files", marks=pytest.mark.slow)],
)
def turns(request: pytest.FixtureRequest, tmp_path: Path, fresh: Path, commit_seed: int) -> Turns:
    """In memory every call; in files a sample, or every call in the slow tier."""
    if request.param == "memory":
        return Turns("memory-memory", tmp_path, fresh, 1, 1)
    if request.param == "files":
        return Turns("local-sqlite", tmp_path, fresh, 1, 1)
    return Turns("local-sqlite", tmp_path, fresh, 1 + commit_seed % 11, 11)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("in_store", "kind", "after"), ALL)
async def test_an_upload_completes_whatever_call_failed(
    turns: Turns, in_store: bool, kind: Kind, after: bool
) -> None:
    for call, places in turns:
        fault = Fault(kind=kind, call=call, after=after)
        world, told, fired = await played(places, fault, in_store=in_store, play=sends)
        await carried_on(world, told)
        await world.end()
        if not fired:
            break


@pytest.mark.timeout(120)
@pytest.mark.parametrize("play", ["sends", "gives_up"])
@pytest.mark.parametrize(("in_store", "kind", "after"), ALL)
async def test_nothing_is_left_of_what_expired_whatever_call_failed(
    turns: Turns, in_store: bool, kind: Kind, after: bool, play: str
) -> None:
    for call, places in turns:
        fault = Fault(kind=kind, call=call, after=after)
        playing = sends if play == "sends" else gives_up
        world, _, fired = await played(places, fault, in_store=in_store, play=playing)
        await Sweep(world.engine).run()
        await nothing_is_left(world)
        await world.end()
        if not fired:
            break


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("in_store", "kind", "after"), ALL)
async def test_a_sweep_is_made_good_by_the_next_whatever_call_failed(
    turns: Turns, in_store: bool, kind: Kind, after: bool
) -> None:
    for call, places in turns:
        world = await World(places).open()
        key = await left_for_a_sweep(world)
        await world.end()
        fault = Fault(kind=kind, call=call, after=after)
        world, _, fired = await played(places, fault, in_store=in_store, play=sweeps)
        await Sweep(world.engine).run()
        assert await world.read(key) == DATA
        await nothing_is_left(world)
        await world.end()
        if not fired:
            break
