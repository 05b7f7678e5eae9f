"""Chunks on their way in: who gets a lease, and what goes on while its bytes come.

Rules: what is refused changes nothing; a newcomer ends whoever writes there; a chunk's digests of
the whole are followed beside its settles; hooks are asked from time to time whether to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from towpath.core.limits import Limits
from towpath.core.model import Upload
from towpath.core.ports import Clock, EventSink, Hooks, Source
from towpath.core.ranges import Extent, Span
from towpath.core.state import UploadState
from towpath.core.transfer import (
    Write,
    admit,
    declare,
    filled,
    hear,
    refuse_beyond,
    require_live,
)
from towpath.engine.admission import gives_way
from towpath.engine.frontier import Frontiers
from towpath.engine.governor import Governor
from towpath.engine.lease import Lease, end_all
from towpath.engine.live import Live, Said, Settle
from towpath.engine.proof import Behind, Proof
from towpath.engine.receive import Crew, Receive
from towpath.errors import LimitReached, TakenOver, TowpathError
from towpath.ledger.base import Ledger
from towpath.store.base import Store

_UNSEALED = frozenset({UploadState.OPEN, UploadState.FILLED})

WATCH_SECONDS = 1.0
"""How often hooks are asked whether an upload may go on."""


def expiry(limits: Limits, now: int) -> int:
    """When an upload ends that nobody goes on with from `now` on. Milliseconds."""
    return now + int(limits.lifetime * 1000)


class Writing:
    """All chunks that an engine receives."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        limits: Limits,
        holder: str,
        events: EventSink,
        hooks: Hooks,
        do: Callable[..., Awaitable[None]],
    ) -> None:
        self.draining = False
        self.governor = Governor(
            limits.memory,
            smallest=limits.block_smallest,
            largest=limits.block_largest,
            blocks=limits.workers,
        )
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._holder = holder
        self._events = events
        self._hooks = hooks
        self._do = do
        self._chunks = 0  # admitted, or about to be
        self._leases: set[Lease] = set()
        self._moving: dict[Lease, tuple[Live, Receive]] = {}
        self._hashing = ThreadPoolExecutor(4, "towpath-hash")
        self.frontiers = Frontiers(store, self._hashing)
        self._crew = Crew(
            store=store,
            limits=limits,
            governor=self.governor,
            clock=clock,
            receiving=ThreadPoolExecutor(limits.workers, "towpath-receive"),
            settling=ThreadPoolExecutor(8, "towpath-settle"),
            urgent=ThreadPoolExecutor(8, "towpath-urgent"),
        )

    @property
    def count(self) -> int:
        """How many chunks are being received now."""
        return len(self._leases)

    def moving(self) -> Iterator[tuple[Upload, Extent, int]]:
        """Each upload that receives now: its facts, and how many of its bytes have come.

        Bytes that have come and are not durable yet count, too.
        """
        chunks: dict[Live, list[tuple[int, int]]] = {}
        for lease, (live, chunk) in self._moving.items():
            chunks.setdefault(live, []).append((lease.start, chunk.position))
        for live, ranges in chunks.items():
            upload, extent = live.facts
            fresh = sum(extent.absent(start, end) for start, end in ranges)
            yield upload, extent, extent.total + fresh

    async def drain(self) -> None:
        """Take no more chunks, and end those on their way with all they brought settled."""
        self.draining = True
        await end_all(list(self._leases))

    async def close(self) -> None:
        """Let the threads go."""
        crew = self._crew
        for pool in (crew.receiving, crew.settling, crew.urgent, self._hashing):
            await asyncio.to_thread(pool.shutdown)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for chunks, counted from its first step on. Raises LimitReached."""
        if self.draining or self._chunks >= self._limits.uploads:
            raise LimitReached(
                "The server takes no more chunks now.",
                why="It is stopping." if self.draining else "Too many are on their way.",
                todo="Try again soon.",
            )
        self._chunks += 1
        try:
            yield
        finally:
            self._chunks -= 1

    async def grant(
        self, live: Live, write: Write, source: Callable[[], Source]
    ) -> tuple[Lease | None, int | None]:
        """A lease for the write, and where it must end; no lease when there is nothing to come."""
        now = self._clock.now()
        require_live(live.upload, now=now)
        if write.length:
            refuse_beyond(live.upload, write)
        await end_all([lease for lease in live.leases if gives_way(lease, write)])
        upload = hear(live.upload, write)
        if write.declares is not None:
            upload = declare(upload, write.declares, extent=live.extent, most=self._limits.length)
            upload = filled(upload, now=now)
        bound = admit(upload, live.extent, write, most=self._limits.length)
        said = Said(length=upload.length, completes=upload.completes)
        if write.length == 0 or upload.state not in _UNSEALED:
            if said != Said(length=live.upload.length, completes=live.upload.completes):
                await self._do(live.learn, self._ledger, said, now=now)
            return None, bound
        lease = Lease(upload.fence + 1, write.offset, write.end, source())
        await self._do(live.grant, self._ledger, lease, said, holder=self._holder, now=now)
        live.leases.append(lease)
        self._leases.add(lease)
        if self.draining:
            lease.stop()
        return lease, bound

    async def receive(
        self, live: Live, lease: Lease, bound: int | None, proof: Proof | None
    ) -> None:
        """Receive the chunk and give the lease back. Raises what `Receive.run` and hooks raise."""

        def settle(spans: Sequence[Span]) -> None:
            live.settles.do(Settle(spans, lease.fence), lambda settles: self._settle(live, settles))

        watching = asyncio.ensure_future(self._watch(live, lease)) if self._hooks.watches else None
        try:
            handle = live.upload.handle
            chunk = Receive(
                self._crew, handle, lease, live.extent, bound, settle, proof, live.frontier
            )
            self._moving[lease] = live, chunk
            await chunk.run()
        except TakenOver:
            if watching is not None and watching.done() and not watching.cancelled():
                watching.result()  # a hook stopped it, and says why
            raise
        finally:
            if watching is not None:
                watching.cancel()
            self._moving.pop(lease, None)
            self._leases.discard(lease)
            live.leases.remove(lease)
            lease.ended.set()

    def _settle(self, live: Live, settles: Sequence[Settle]) -> None:
        """Make durable what writers of one upload have written, then commit that it is. Blocks."""
        self._store.settle(live.upload.handle)
        now = self._clock.now()
        live.settle(
            self._ledger,
            [span for settle in settles for span in settle.spans],
            [settle.fence for settle in settles],
            now=now,
            expires_at=expiry(self._limits, now),
        )
        self._events.tell("progress", *live.facts)
        if live.frontier is not None:
            live.frontier.lead(live.extent.offset)

    async def _watch(self, live: Live, lease: Lease) -> None:
        """Ask the hooks from time to time whether to go on."""
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            try:
                await self._hooks.while_receiving(live.upload)
            except TowpathError:
                lease.stop()
                raise


def proof_of(write: Write, behind: Behind | None) -> Proof | None:
    """What holds a chunk against its digests; None if it has none."""
    if write.digests or write.trailing:
        return Proof(write.digests, write.trailing, behind)
    return None
