"""Digests of the whole, computed while it arrives: a hasher that follows the prefix.

Rules:
- Bytes are hashed once, in order, when they are durable and the prefix has them, while the kernel
  still has them at hand.
- The digest is what the whole upload waits for at its end, so a writer that is further ahead than
  LAG gives way: while there is something to hash, and to who brings what is hashed sooner as fast
  as it is taken. Else the processors carry what cannot be hashed yet, and idle at the end.
- Its state is saved with the extent, so that a restart goes on where it was; a hasher outlives the
  chunks of its upload, so that what is not saved yet is not hashed again by the next one.
- Where many connections write one upload, it goes on whenever the first gap closes.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

from towpath.core.digest import SHA256
from towpath.core.ports import Clock
from towpath.engine.sha256 import sha256
from towpath.store.base import Store

FOLLOWED = (SHA256,)
"""Algorithms that can be followed."""

LAG = 64 << 20
"""Bytes that a writer may be ahead of the hasher before it gives way."""

GIVES_WAY = 0.02
"""Seconds that it gives way after each whole block that came within LAG."""

MOST_KEPT = 256
"""Hashers that are kept between chunks; beyond, the one that was used longest ago is forgotten."""

_STEP = 8 << 20  # bytes hashed at once, from one saved state to the next


class Frontier:
    """Follows the prefix of one upload with SHA-256. Methods are called in any thread."""

    def __init__(self, store: Store, handle: str, saved: bytes | None, threads: Executor) -> None:
        self._store = store
        self._handle = handle
        self._threads = threads
        self._news = threading.Condition()
        self._running = False
        self._fed = float("-inf")  # when a whole block came within LAG
        self._bells: dict[object, tuple[int, Callable[[], object]]] = {}
        self._failed: Exception | None = None
        self._offset = int.from_bytes(saved[:8], "big") if saved else 0
        self._hasher = sha256(saved[8:] if saved else None)
        self._target = self._offset
        self._saved = self._offset, self._hasher.state()

    @property
    def reached(self) -> int:
        """Bytes that are hashed."""
        with self._news:
            return self._offset

    def lead(self, offset: int) -> None:
        """The prefix is durable up to `offset`: follow it. Returns at once."""
        with self._news:
            self._target = max(self._target, offset)
            if self._running or self._offset == self._target:
                return
            self._failed = None  # it is tried again
            self._threads.submit(self._follow)
            self._running = True

    def feed(self, position: int, now: float) -> None:
        """A writer has taken a whole block up to `position`: not its client is what it waits for.

        `now`: seconds of a monotonic clock, as in `lets_on`.
        """
        if position - self._offset <= LAG:
            self._fed = now

    def lets_on(self, position: int, now: float) -> bool:
        """True if a writer at `position` may go on, False if it gives way."""
        if position - self._offset <= LAG:
            return True
        return not self._running and now - self._fed > GIVES_WAY

    async def may_let_on(self, position: int, clock: Clock, most: float) -> None:
        """Return when it is time to ask again, after `most` seconds at the latest. On the loop."""
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        with self._news:
            if self.lets_on(position, clock.monotonic()):  # since it was asked: no bell would ring
                return
            running = self._running
            self._bells[rung] = position, lambda: loop.call_soon_threadsafe(rung.set)
        ringing = asyncio.ensure_future(rung.wait())
        timer = asyncio.ensure_future(clock.sleep(most if running else min(most, GIVES_WAY)))
        try:
            await asyncio.wait({ringing, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._news:
                del self._bells[rung]
            ringing.cancel()
            timer.cancel()

    def finish(self, length: int) -> bytes:
        """SHA-256 of the `length` bytes, which are all of them. Blocks. Raises StoreError."""
        self.lead(length)
        with self._news:
            self._news.wait_for(lambda: not self._running)
            failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        return self._hasher.digest()

    def save(self, most: int) -> bytes | None:
        """The state to go on from after a restart; None if it is beyond `most`."""
        with self._news:
            offset, state = self._saved
        return None if offset > most else offset.to_bytes(8, "big") + state

    def _follow(self) -> None:
        """Hash a step, then stand behind the others who wait for a thread."""
        try:
            end = self._next()
            if end is None:
                return
            reading = self._store.read(self._handle, self._offset, end, mapped=True)
            try:
                for block in reading:
                    self._hasher.update(block)
            finally:
                reading.close()
            with self._news:
                self._offset = end
                self._saved = end, self._hasher.state()
                self._ring(end + LAG)
            self._threads.submit(self._follow)
        except Exception as error:  # noqa: BLE001  # whoever waits for it is told
            self._fail(error)

    def _next(self) -> int | None:
        """Where the next step ends; None, and nobody is running, if there is none."""
        with self._news:
            if self._offset < self._target:
                return min(self._target, self._offset + _STEP)
            self._stop()
            return None

    def _fail(self, error: Exception) -> None:
        """Go back to what was saved, so that whoever asks again begins where it is sound."""
        with self._news:
            self._offset, state = self._saved
            self._hasher = sha256(state)
            self._failed = error
            self._stop()

    def _stop(self) -> None:
        self._running = False
        self._news.notify_all()
        self._ring(math.inf)

    def _ring(self, most: float) -> None:
        """Wake who gives way at `most` or before."""
        for position, ring in self._bells.values():
            if position <= most:
                ring()


class Frontiers:
    """The hashers of unfinished uploads, by handle. Used in any thread."""

    def __init__(self, store: Store, threads: Executor) -> None:
        self._store = store
        self._threads = threads
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, Frontier] = OrderedDict()

    def of(self, handle: str, saved: bytes | None, offset: int) -> Frontier:
        """The upload's hasher, which follows what is durable up to `offset`.

        One that has gone further, before bytes were lost, is not used again.
        """
        with self._guard:
            frontier = self._kept.pop(handle, None)
            if frontier is None or frontier.reached > offset:
                frontier = Frontier(self._store, handle, saved, self._threads)
            self._kept[handle] = frontier
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        frontier.lead(offset)
        return frontier
