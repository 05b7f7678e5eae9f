"""What engine tests are made of: places that outlive an engine, and the engine on them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.engine.gates import GatedStore
from tests.engine.places import Places
from towpath.core.caller import EVERYTHING, Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.limits import Limits
from towpath.core.model import Object, OnConflict, Upload
from towpath.core.ports import Ending
from towpath.core.ranges import Extent
from towpath.core.transfer import Write
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.ledger.base import Ledger
from towpath.store.base import Reading, Store
from towpath.testing.source import STALL, FakeSource, Piece

KIB = 1 << 10
SMALL = Limits(
    memory=64 * KIB,
    block_smallest=1 * KIB,
    block_largest=4 * KIB,
    workers=4,
    settle_bytes=32 * KIB,
)
ANN = Caller(tenant="t1", subject="ann", scopes=EVERYTHING)
BOB = Caller(tenant="t1", subject="bob", scopes=EVERYTHING)
EVE = Caller(tenant="t2", subject="ann", scopes=EVERYTHING | {Scope.ADMIN})


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that look random and are the same every time."""
    return random.Random(seed).randbytes(size)


async def until(happened: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened in a thread or a task."""
    while not happened():  # noqa: ASYNC110  # a few turns of the loop, no time
        await asyncio.sleep(0)


class World:
    """An engine and a shelf on places, with short words for what tests do all the time."""

    def __init__(self, places: Places, limits: Limits = SMALL) -> None:
        self.places = places
        self.clock = places.clock
        self.limits = limits
        self.gates: GatedStore  # what the engine takes for the store
        self.store: Store
        self.ledger: Ledger
        self.engine: Engine
        self.shelf: Shelf

    async def open(
        self,
        store: Callable[[Store], Store] = lambda store: store,
        ledger: Callable[[Ledger], Ledger] = lambda ledger: ledger,
    ) -> World:
        """Begin a process on the places; `store` and `ledger` may put something around them."""
        self.gates = GatedStore(await asyncio.to_thread(self.places.bytes.open))
        self.store = store(self.gates)
        self.ledger = ledger(await asyncio.to_thread(self.places.facts.open))
        self.engine = Engine(
            store=self.store,
            ledger=self.ledger,
            clock=self.clock,
            limits=self.limits,
            holder="test",
        )
        self.shelf = Shelf(
            store=self.store, ledger=self.ledger, clock=self.clock, threads=self.engine.threads
        )
        return self

    async def close(self) -> None:
        """End the process."""
        self.gates.open_all()
        await self.engine.close()

    async def end(self) -> None:
        """End the process and let go of the places' files."""
        await self.close()
        await asyncio.to_thread(self.places.close)

    async def reopen(
        self,
        store: Callable[[Store], Store] = lambda store: store,
        ledger: Callable[[Ledger], Ledger] = lambda ledger: ledger,
        *,
        crash: bool = False,
        **limits: float | None,
    ) -> None:
        """End the process and begin another one, with other limits if they are named."""
        await self.close()
        if crash:
            self.places.bytes.crash()
        self.limits = replace(self.limits, **limits)  # type: ignore[arg-type]
        await self.open(store, ledger)

    async def create(
        self,
        length: int | None,
        *,
        name: str | None = None,
        caller: Caller = ANN,
        completes: bool = True,
        on_conflict: OnConflict = OnConflict.KEEP_BOTH,
    ) -> str:
        """A new upload's id."""
        new = NewUpload(length=length, name=name, completes=completes, on_conflict=on_conflict)
        return (await self.engine.create(caller, new)).id

    async def write(
        self,
        key: str,
        offset: int,
        body: bytes | Iterable[Piece] | FakeSource,
        **how: object,
    ) -> Upload:
        """Write a chunk of known length, or what `how` says of core.transfer.Write."""
        caller = how.pop("caller", ANN)
        assert isinstance(caller, Caller)
        end = how.pop("end", Ending.WHOLE)
        assert isinstance(end, Ending)
        if isinstance(body, bytes):
            how.setdefault("length", len(body))
        how.setdefault("length", None)
        pieces = [body] if isinstance(body, bytes) else body
        source = pieces if isinstance(pieces, FakeSource) else FakeSource(pieces, end=end)
        write = Write(offset=offset, **how)  # type: ignore[arg-type]
        return await self.engine.write(caller, key, write, lambda: source)

    async def put(
        self,
        data: bytes,
        name: str | None = None,
        *,
        caller: Caller = ANN,
        on_conflict: OnConflict = OnConflict.KEEP_BOTH,
    ) -> str:
        """A complete object's id."""
        key = await self.create(len(data), name=name, caller=caller, on_conflict=on_conflict)
        if data:
            await self.write(key, 0, data, caller=caller)
        return key

    async def extent(self, key: str) -> Extent:
        """What is durable."""
        return (await self.engine.inspect(ANN, key))[1]

    async def read(self, key: str, caller: Caller = ANN) -> bytes:
        """All bytes of an object."""
        opened = await self.shelf.open(caller, key)
        return await self.engine.do(_all_of, opened.read(0, opened.object.length))

    async def made(self, key: str) -> Object | None:
        """The object's row."""
        return await self.engine.do(self.ledger.get, Object, key)

    async def row(self, key: str) -> Upload | None:
        """The upload's row, as the ledger has it."""
        return await self.engine.do(self.ledger.get, Upload, key)

    def stalled(self, key: str, offset: int = 0, *pieces: Piece, **how: Any) -> Stalled:
        """A writer that brings the pieces and then nothing more."""
        return Stalled(self, key, offset, pieces, how)


class Stalled:
    """A chunk whose sender has stopped sending, and the task that receives it."""

    def __init__(
        self, world: World, key: str, offset: int, pieces: Iterable[Piece], how: dict[str, object]
    ) -> None:
        self.key = key
        self.source = FakeSource([*pieces, STALL])
        self.task = asyncio.ensure_future(world.write(key, offset, self.source, **how))

    async def begun(self) -> Stalled:
        """Return once the engine waits for more."""
        waiting = asyncio.ensure_future(self.source.stalled())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            self.task.result()
        return self

    async def ended(self) -> BaseException | Upload:
        """What became of it."""
        (outcome,) = await asyncio.gather(self.task, return_exceptions=True)
        return outcome


def _all_of(reading: Reading) -> bytes:
    try:
        return b"".join(bytes(block) for block in reading)
    finally:
        reading.close()
