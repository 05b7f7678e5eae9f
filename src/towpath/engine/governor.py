"""The memory budget: every block that holds bytes in flight is taken here and given back.

Rules: the sum of all blocks out never exceeds the budget, and their number never that of the
threads that receive, so a block is a thread, too; who finds none waits in line, and does not read
its socket meanwhile; a writer's block grows only when there is room at once, so growing never
waits; blocks are reused, because a fresh large buffer costs a page fault for every page.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

KEEP_BYTES = 8 << 20
"""Blocks kept for reuse while nobody needs them."""


class Governor:
    """Blocks out of one budget. All methods but `take` may be called from any thread."""

    def __init__(self, budget: int, *, smallest: int, largest: int, blocks: int) -> None:
        """`blocks`: how many may be out at once. Raises ValueError for a budget below one block."""
        if budget < smallest:
            raise ValueError(f"{budget} bytes have no room for one block of {smallest}.")
        self.budget = budget
        self.smallest = smallest
        self.largest = largest
        self.blocks = blocks
        self.reserved = 0  # bytes out now
        self.peak = 0
        self._out = 0  # blocks out now
        self._guard = threading.Lock()
        self._idle: dict[int, list[bytearray]] = {}
        self._idle_bytes = 0
        self._line: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[bytearray]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a block."""
        return len(self._line)

    @property
    def short(self) -> bool:
        """True if those who wait, if any, wait for memory and not for a thread."""
        return self._out < self.blocks

    async def take(self) -> bytearray:
        """A block of the smallest size, as soon as the budget has one; first come, first served."""
        loop = asyncio.get_running_loop()
        with self._guard:
            block = None if self._line else self._smallest()
            if block is not None:
                return block
            turn: asyncio.Future[bytearray] = loop.create_future()
            self._line.append((loop, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            with self._guard:
                self._line = deque(entry for entry in self._line if entry[1] is not turn)
            if turn.done() and not turn.cancelled():
                self.give(turn.result())
            raise

    def grow(self, block: bytearray) -> bytearray:
        """A block four times as large, up to the largest, for `block`; or `block` itself.

        What `block` holds is not carried over.
        """
        old = len(block)
        size = min(old * 4, self.largest)
        with self._guard:
            too_much = self.reserved - old + size > self.budget
            if size <= old or too_much or (self._line and self.short):
                return block
            self._keep(block)
            return self._lend(size)

    def give(self, block: bytearray) -> None:
        """Hand a block back; it must not be used any more."""
        with self._guard:
            self._out -= 1
            self._keep(block)
            while self._line and (freed := self._smallest()) is not None:
                loop, turn = self._line.popleft()
                loop.call_soon_threadsafe(self._hand, turn, freed)

    def _hand(self, turn: asyncio.Future[bytearray], block: bytearray) -> None:
        if turn.done():  # who waited was cancelled
            self.give(block)
        else:
            turn.set_result(block)

    def _smallest(self) -> bytearray | None:
        if self._out >= self.blocks or self.reserved + self.smallest > self.budget:
            return None
        self._out += 1
        return self._lend(self.smallest)

    def _lend(self, size: int) -> bytearray:
        self.reserved += size
        self.peak = max(self.peak, self.reserved)
        idle = self._idle.get(size)
        if idle:
            self._idle_bytes -= size
            return idle.pop()
        return bytearray(size)

    def _keep(self, block: bytearray) -> None:
        size = len(block)
        self.reserved -= size
        if self._idle_bytes + size <= KEEP_BYTES:
            self._idle.setdefault(size, []).append(block)
            self._idle_bytes += size
