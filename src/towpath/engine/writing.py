"""Chunks on their way in: who gets a lease, and what goes on while its bytes come.

Rules: what is refused changes nothing; a newcomer ends whoever writes there; a chunk's digests of
the whole are followed beside its settles; hooks are asked from time to time whether to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

from towpath.core.limits import Limits
from towpath.core.model import Upload, UploadState
from towpath.core.ports import Clock, EventSink, Hooks, Source
from towpath.core.ranges import Extent, Span
from towpath.core.transfer import Write, admit, declare, move, require_live
from towpath.engine.governor import Governor
from towpath.engine.lease import Lease, end_all
from towpath.engine.live import Live
from towpath.engine.proof import Behind, Proof
from towpath.engine.receive import Crew, Receive
from towpath.errors import LimitReached, TakenOver, TowpathError
from towpath.ledger.base import Ledger
from towpath.store.base import Store

P = ParamSpec("P")
T = TypeVar("T")

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
        threads: Executor,
    ) -> None:
        self.draining = False
        self.governor = Governor(
            limits.memory, smallest=limits.block_smallest, largest=limits.block_largest
        )
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._holder = holder
        self._events = events
        self._hooks = hooks
        self._threads = threads
        self._leases: set[Lease] = set()
        self._hashing = ThreadPoolExecutor(4, "towpath-hash")
        receiving = ThreadPoolExecutor(limits.workers, "towpath-receive")
        self._crew = Crew(
            store=store,
            limits=limits,
            governor=self.governor,
            clock=clock,
            receiving=receiving,
            settling=ThreadPoolExecutor(8, "towpath-settle"),
            urgent=ThreadPoolExecutor(8, "towpath-urgent"),
            queued=receiving._work_queue.qsize,  # noqa: SLF001  # the pool has no public count
        )

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    @property
    def count(self) -> int:
        """How many chunks are being received now."""
        return len(self._leases)

    async def drain(self) -> None:
        """Take no more chunks, and end those on their way with all they brought settled."""
        self.draining = True
        await end_all(list(self._leases))

    async def close(self) -> None:
        """Let the threads go."""
        crew = self._crew
        for pool in (crew.receiving, crew.settling, crew.urgent, self._hashing):
            await asyncio.to_thread(pool.shutdown)

    async def grant(
        self, live: Live, write: Write, source: Callable[[], Source]
    ) -> tuple[Lease | None, int | None]:
        """A lease for the write, and where it must end; no lease when there is nothing to come."""
        now = self._clock.now()
        require_live(live.upload, now=now)
        if self.draining or len(self._leases) >= self._limits.uploads:
            raise LimitReached(
                "The server takes no more chunks now.",
                why="It is stopping." if self.draining else "Too many are on their way.",
                todo="Try again soon.",
            )
        if write.length:
            _refuse_beyond(live.upload, write)
        whole = write.sequential
        start, end = (0, None) if whole else (write.offset, write.end)
        await end_all([lease for lease in live.leases if whole or lease.overlaps(start, end)])
        upload = live.upload
        if write.declares is not None:
            upload = declare(upload, write.declares, extent=live.extent, most=self._limits.length)
        bound = admit(upload, live.extent, write, most=self._limits.length)
        nothing = write.length == 0 or write.offset == bound
        if nothing or upload.state is not UploadState.OPEN:
            if upload is not live.upload:
                await self._do(live.change, self._ledger, self._declared(upload.length))
            return None, bound
        lease = Lease(upload.fence + 1, write.offset, write.end, source())
        await self._do(
            live.grant, self._ledger, lease, length=upload.length, holder=self._holder, now=now
        )
        self._leases.add(lease)
        return lease, bound

    def _declared(self, length: int | None) -> Callable[[Upload], Upload]:
        """Learn a length that came without bytes; it may be that nothing is missing then."""

        def change(upload: Upload) -> Upload:
            upload = replace(upload, length=length)
            filled = upload.state is UploadState.OPEN and length == upload.offset
            now = self._clock.now()
            return move(upload, UploadState.FILLED, now=now) if filled else upload

        return change

    async def receive(
        self, live: Live, lease: Lease, bound: int | None, proof: Proof | None
    ) -> None:
        """Receive the chunk and give the lease back. Raises what `Receive.run` and hooks raise."""

        def settle(spans: Sequence[Span]) -> None:
            following: Future[None] | None = None
            if live.frontier is not None:
                prefix = live.prefix_with(spans)
                following = self._hashing.submit(live.frontier.follow, prefix)
            self._store.settle(live.upload.handle)
            if following is not None:
                following.result()
            now = self._clock.now()
            live.settle(
                self._ledger, spans, lease.fence, now=now, expires_at=expiry(self._limits, now)
            )
            self._events.tell("progress", live.upload)

        watching = asyncio.ensure_future(self._watch(live, lease))
        try:
            handle = live.upload.handle
            await Receive(self._crew, handle, lease, live.extent, bound, settle, proof).run()
        except TakenOver:
            if watching.done() and not watching.cancelled():
                watching.result()  # a hook stopped it, and says why
            raise
        finally:
            watching.cancel()
            self._leases.discard(lease)
            live.leases.remove(lease)
            lease.ended.set()

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


def _refuse_beyond(upload: Upload, write: Write) -> None:
    """Refuse a chunk that can never fit before anybody is disturbed for it."""
    length = upload.length if upload.length is not None else write.declares
    if length is not None and write.end is not None and write.end > length:
        admit(replace(upload, length=length), Extent(write.offset, 0, ()), write, most=None)
