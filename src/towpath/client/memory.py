"""The memory that bytes of transfers pass through: one budget for the process.

Rules: all that bytes of a file pass through comes from here and goes back; whoever comes first is
served first; who holds some waits for no more, and who is alone gets what it needs, so that
somebody always goes on. A stream, which may stand still for as long as its other side likes, waits
for nothing, and all streams together leave half of the budget to the others.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towpath.client.blocks import BLOCK
from towpath.client.control import SLICE

BUDGET = 32 * BLOCK

Check = Callable[[], None]


class Piece:
    """Memory of a budget, all of `view`. What was in it before is still there."""

    def __init__(self, memory: mmap.mmap, give: Callable[[mmap.mmap], None]) -> None:
        self._memory: mmap.mmap | None = memory
        self._give = give
        self.view = memoryview(memory)

    def has(self, view: memoryview) -> bool:
        """True if `view` lies here."""
        return view.obj is self.view.obj

    def give_back(self) -> None:
        """Nobody here uses it any more. Again is no error."""
        memory, self._memory = self._memory, None
        if memory is not None:
            self._give(memory)


class Memory:
    """At most `budget` bytes, at least BLOCK, and more only for who is alone."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._most = max(BLOCK, budget)
        self._lent = 0  # bytes, to those who give them back by themselves
        self._windows = 0  # bytes, to streams
        self._spare: list[mmap.mmap] = []  # pieces to be used again, the oldest first
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def holds(self, length: int) -> int:
        """How many pieces of `length` bytes there can be at once, at least one."""
        return max(1, self._most // max(1, length))

    @contextmanager
    def block(self, check: Check) -> Iterator[memoryview]:
        """BLOCK bytes for the time of a `with`; waits for them, and `check` may raise meanwhile."""
        with self.pieces(1, BLOCK, check) as (piece,):
            yield piece.view

    @contextmanager
    def pieces(self, count: int, length: int, check: Check) -> Iterator[list[Piece]]:
        """The same, `count` pieces of `length` bytes, any of which may be given back before."""
        self._take(count * length, check)
        pieces: list[Piece] = []
        try:
            pieces.extend(Piece(self._made(length), self._give) for _ in range(count))
            yield pieces
        finally:
            for piece in pieces:
                piece.give_back()
            self._untake((count - len(pieces)) * length)

    @contextmanager
    def counted(self, length: int, check: Check) -> Iterator[None]:
        """The same for who brings `length` bytes itself: it only counts."""
        self._take(length, check)
        try:
            yield
        finally:
            self._untake(length)

    @contextmanager
    def window(self, length: int, *, least: int = 1) -> Iterator[memoryview]:
        """Up to `length` bytes for a stream, at once: as many as can be spared.

        `least` there are in any case, and BLOCK if so many are wanted.
        """
        with self._changed:
            free = min(self._most // 2, self._most - self._lent) - self._windows
            count = max(1, least, min(length, max(free, BLOCK)))
            self._windows += count
            self._trim()
        try:
            yield memoryview(mmap.mmap(-1, count))
        finally:
            with self._changed:
                self._windows -= count
                self._changed.notify_all()

    def _take(self, length: int, check: Check) -> None:
        """Wait for a turn and for room."""
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or not self._has(length):
                    check()
                    self._changed.wait(SLICE)
                self._lent += length
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()

    def _untake(self, length: int) -> None:
        with self._changed:
            self._lent -= length
            self._trim()
            self._changed.notify_all()

    def _has(self, length: int) -> bool:
        return not self._lent or self._lent + self._windows + length <= self._most

    def _made(self, length: int) -> mmap.mmap:
        """What was used before, or a new one in place of those that do not fit."""
        with self._changed:
            for at, spare in enumerate(self._spare):
                if len(spare) == length:
                    return self._spare.pop(at)
            self._trim()
        return mmap.mmap(-1, length)  # goes back to the system as soon as nobody has it

    def _give(self, memory: mmap.mmap) -> None:
        with self._changed:
            self._spare.append(memory)
        self._untake(len(memory))

    def _trim(self) -> None:
        """Let spare pieces go for which there is no room any more."""
        room = self._most - self._lent - self._windows
        while self._spare and sum(map(len, self._spare)) > room:
            del self._spare[0]


SHARED = Memory()
"""What all clients of this process use that have no memory of their own."""
