"""The way of a chunk's bytes: source -> block -> store, settled behind while blocks go on.

Rules:
- A worker thread reads, writes and meters block by block while bytes come at once; when none
  come it gives block and thread back, and the event loop waits.
- After every half of settle_bytes, and settle_seconds after a byte came, what was written is
  settled by a second thread: store durable, then ledger. At most one settle runs per writer, and
  a writer that gets a further half ahead waits for it: never more than settle_bytes are at risk.
- Where a digest follows the prefix, a chunk that is far ahead of it gives way before each block,
  for PATIENCE at most, so that its client sees it move.
- Bytes that are durable already are compared, not written.
- However it ends, what the store took is settled before `run` returns or raises. Only a chunk
  with a proof is settled whole, once its digests match, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass

from towpath.core.limits import Limits
from towpath.core.ports import Clock, Ending
from towpath.core.ranges import Extent, Span
from towpath.engine.endings import interrupted, too_much
from towpath.engine.frontier import Frontier
from towpath.engine.governor import Governor
from towpath.engine.lease import Lease
from towpath.engine.meter import Meter
from towpath.engine.proof import Proof
from towpath.engine.threads import end_of, result_of
from towpath.errors import StateConflict
from towpath.store.base import Store

PATIENCE = 1.0
"""Seconds that a chunk gives way before it takes one block all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """What all chunks of an engine share: their store, bounds, memory, clock and threads."""

    store: Store
    limits: Limits
    governor: Governor
    clock: Clock
    receiving: Executor
    settling: Executor  # settles that run behind
    urgent: Executor  # settles that somebody waits for


class Receive:
    """One chunk on its way into one upload."""

    def __init__(
        self,
        crew: Crew,
        handle: str,
        lease: Lease,
        extent: Extent,
        bound: int | None,
        settle: Callable[[Sequence[Span]], None],
        proof: Proof | None = None,
        frontier: Frontier | None = None,
    ) -> None:
        self._crew = crew
        self._store = crew.store
        self._limits = crew.limits
        self._clock = crew.clock
        self._handle = handle
        self._lease = lease
        self._source = lease.source
        self._settle = settle
        self._proof = proof
        self._frontier = frontier
        self._patient = True  # until it has given way long enough for one block
        self._proven: list[Span] = []  # written, and to be settled once the proof holds
        self._bound = bound if lease.end is None else lease.end
        self._runs = extent.runs(lease.start, self._bound)
        self._meter = Meter(lease.start)
        self._run_end: int | None = lease.start
        self._durable_run = False
        self._settling: Future[None] | None = None
        self._pending: Span | None = None  # what the settle on its way is for
        self._first_unsettled: float | None = None
        self._block = bytearray()
        self._dry = False  # the source had nothing when it was last asked
        self._overlong = False

    @property
    def position(self) -> int:
        """The offset after the last byte that the store took."""
        return self._meter.position

    async def run(self) -> int:
        """Receive until the source ends; return the offset after the last byte, all settled.

        Raises TooLarge when more came than the bound allows, Interrupted when the source ended
        before the chunk was whole, StateConflict when bytes differ from durable ones, and what
        store and ledger raise.
        """
        try:
            while not self._over():
                await self._give_way()
                await self._wait_for_bytes()
                if self._over():
                    break
                await self._receive_some()
        except BaseException:
            await self._finish(discard=self._proof is not None, quietly=True)
            raise
        if self._proof is not None:
            self._judge()
            await asyncio.get_running_loop().run_in_executor(
                self._crew.urgent, self._proof.hold, self._source.trailers
            )
        await self._finish(discard=self._overlong, quietly=False)
        self._judge()
        return self.position

    def _over(self) -> bool:
        drained = self._dry and self._source.ending is not None
        return drained or self._overlong or self._lease.stopping.is_set()

    # --- on the event loop -------------------------------------------------------------------

    async def _give_way(self) -> None:
        """Let those go first who bring what is hashed sooner."""
        until: float | None = None
        while self._frontier is not None and not self._may_go_on() and not self._over():
            now = self._clock.monotonic()
            until = now + PATIENCE if until is None else until
            due = self._settle_due()
            if now >= until:
                self._patient = False
            elif self._is_late():
                await self._settle_late()
            else:
                most = until - now if not due else min(until - now, due)
                news = self._frontier.may_let_on(self.position, self._clock, most)
                asking = asyncio.ensure_future(news)
                try:
                    await self._lease.or_stopped(asking)
                finally:
                    asking.cancel()

    def _may_go_on(self) -> bool:
        """False if those who bring what is hashed sooner go first. In any thread."""
        if self._frontier is None or not self._patient:
            return True
        return self._frontier.lets_on(self.position, self._clock.monotonic())

    async def _wait_for_bytes(self) -> None:
        """Until there is something to read; settles what waits too long meanwhile."""
        ready = asyncio.ensure_future(self._source.ready())
        timer: asyncio.Future[None] | None = None
        try:
            while not ready.done():
                due = self._settle_due()
                if due is None:
                    await asyncio.wait({ready})
                    break
                timer = asyncio.ensure_future(self._clock.sleep(due))
                await asyncio.wait({ready, timer}, return_when=asyncio.FIRST_COMPLETED)
                if timer.done():
                    await self._settle_late()
                timer.cancel()
            ready.result()
        finally:
            ready.cancel()
            if timer is not None:
                timer.cancel()
        self._dry = False

    def _settle_due(self) -> float | None:
        if self._first_unsettled is None or not self._meter.unsettled or self._proof:
            return None
        waited = self._clock.monotonic() - self._first_unsettled
        return max(self._limits.settle_seconds - waited, 0.0)

    def _is_late(self) -> bool:
        """True if bytes have waited for settle_seconds while no settle is on its way."""
        return self._settle_due() == 0.0 and (self._settling is None or self._settling.done())

    async def _settle_late(self) -> None:
        """Settle what has waited for settle_seconds, if no settle is on its way."""
        if self._settling is not None:
            await self._unless_stopped(self._settling)
        if self._lease.stopping.is_set():
            return
        self._begin_settle()
        if self._settling is not None:
            await self._unless_stopped(self._settling)

    async def _receive_some(self) -> None:
        block = await self._take()
        if block is None:
            return
        self._block = block
        try:
            work = self._crew.receiving.submit(self._work)
            await self._unless_stopped(work)
            if not work.cancelled():
                work.result()
        finally:
            self._crew.governor.give(self._block)
            self._block = bytearray()

    async def _take(self) -> bytearray | None:
        """A block, or None when the lease is stopped while waiting for one."""
        taking = asyncio.ensure_future(self._crew.governor.take())
        taken = False
        try:
            taken = await self._lease.or_stopped(taking)
        finally:
            if not taken and not taking.cancel():
                self._crew.governor.give(taking.result())
        return taking.result() if taken else None

    async def _unless_stopped(self, future: Future[None]) -> None:
        """Wait for work in a thread; if the lease is stopped first, take it from the queue.

        Work that has begun is waited for: its source is stopped, so it ends at once; should it
        wait for a settle that is in the queue, that one is taken from there.
        """
        waiting = asyncio.wrap_future(future)
        try:
            await self._lease.or_stopped(waiting)
        except asyncio.CancelledError:
            self._lease.stop()
            raise
        finally:
            if not waiting.done():
                future.cancel()
                if self._settling is not None:
                    self._settling.cancel()
            await end_of(waiting)

    async def _finish(self, *, discard: bool, quietly: bool) -> None:
        """Settle all that the store took, or forget what is not settled."""
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._crew.urgent, self._settle_rest, discard)
            await result_of(work)
        except Exception:
            if not quietly:
                raise

    def _judge(self) -> None:
        """Raise what the way the source ended says."""
        if self._overlong:
            raise too_much(self._bound)
        ending = self._source.ending
        if ending is Ending.WHOLE:
            if self._lease.end is None or self.position == self._lease.end:
                return
            ending = Ending.CUT
        raise interrupted(ending, self.position)

    # --- in a worker thread ------------------------------------------------------------------

    def _work(self) -> None:
        """Receive while bytes come at once."""
        while not self._dry and not self._overlong and not self._lease.stopping.is_set():
            if self.position == self._run_end:
                self._next_run()
            elif self._durable_run:
                self._compare()
            elif not self._may_go_on():
                break
            else:
                self._write()
                if self._meter.unsettled < self._limits.settle_points and not self._is_late():
                    continue
                if self._proof is None:
                    self._settle_behind()
                if self._crew.governor.waiting:
                    break

    def _next_run(self) -> None:
        """Go to the next stretch of missing or durable bytes; at the bound nothing may come."""
        following = next(self._runs, None)
        if following is None:
            extra = self._source.read_into(memoryview(self._block)[:1])
            self._overlong = bool(extra)
            self._dry = not extra
            return
        if self._meter.unsettled and following[2]:
            if self._proof is None:
                self._settle_behind()
            else:
                self._proven.extend(filter(None, [self._meter.cut()]))
        _, self._run_end, self._durable_run = following

    def _write(self) -> None:
        stop = self.position + self._limits.settle_points
        if self._proof is None:
            stop -= self._meter.unsettled
        if self._run_end is not None:
            stop = min(stop, self._run_end)
        self._store.write(self._handle, self._lease.epoch, self.position, self._blocks(stop))

    def _blocks(self, stop: int) -> Iterator[memoryview]:
        """What the source gives, block by block, until `stop` or until it is dry.

        A block is counted when the store asks for the next: then it has taken it.
        """
        meter = self._meter
        read_into = self._source.read_into
        while meter.position < stop and not self._is_late() and self._may_go_on():
            view = memoryview(self._block)[: stop - meter.position]
            count = read_into(view)
            if not count:
                self._dry = True
                return
            part = view[:count]
            yield part
            if not meter.unsettled:
                self._first_unsettled = self._clock.monotonic()
            meter.feed(part)
            self._patient = True
            if self._proof is not None:
                self._proof.feed(part)
            if self._frontier is not None and count == self._limits.block_largest:
                self._frontier.feed(meter.position, self._clock.monotonic())
            if count == len(self._block):
                self._block = self._crew.governor.grow(self._block)

    def _compare(self) -> None:
        """Hold what comes against the durable bytes at the same place."""
        wanted = len(self._block)
        if self._run_end is not None:
            wanted = min(wanted, self._run_end - self.position)
        view = memoryview(self._block)[:wanted]
        count = self._source.read_into(view)
        if not count:
            self._dry = True
            return
        reading = self._store.read(self._handle, self.position, self.position + count)
        try:
            at = 0
            for durable in reading:
                if view[at : at + len(durable)] != durable:
                    raise StateConflict(
                        "The bytes differ from the durable ones at the same place.",
                        why=f"At {self.position + at} or soon after.",
                        todo="Begin a new upload for other content.",
                    )
                at += len(durable)
        finally:
            reading.close()
        self._meter.skip(count)
        if self._proof is not None:
            self._proof.feed(view[:count])

    # --- settling ----------------------------------------------------------------------------

    def _begin_settle(self) -> None:
        """Settle what is written, in another thread. The settle before it has ended."""
        if self._settling is not None:
            self._settling.result()
        self._pending = self._meter.cut()
        self._first_unsettled = None
        self._settling = (
            None
            if self._pending is None
            else self._crew.settling.submit(self._settle, [self._pending])
        )

    def _settle_behind(self) -> None:
        if self._settling is not None:
            try:
                self._settling.result()
            except CancelledError:  # the lease was stopped: what is left is settled at the end
                return
        self._begin_settle()

    def _settle_rest(self, discard: bool) -> None:
        """Settle what has not been; a settle that still waits for its thread is done here."""
        spans: list[Span] = []
        if self._settling is not None:
            if self._settling.cancel() or self._settling.cancelled():
                spans.extend(filter(None, [self._pending]))
            else:
                self._settling.result()
            self._settling = None
        last = self._meter.cut()
        if not discard:
            spans.extend([*self._proven, *filter(None, [last])])
        if spans:
            self._settle(spans)
