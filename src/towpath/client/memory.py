"""The memory that bytes of transfers pass through: blocks, from one budget for the process.

Rules: every block that bytes of a file pass through comes from here and goes back; who holds one
waits for no other; a block is BLOCK bytes, and is used again and again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towpath.client.blocks import BLOCK
from towpath.client.control import SLICE

BUDGET = 32 * BLOCK


class Memory:
    """At most `budget` bytes of blocks, and at least one block."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._spare: list[bytearray] = []
        self._unmade = max(1, budget // BLOCK)
        self._freed = threading.Condition()

    @contextmanager
    def block(self, check: Callable[[], None]) -> Iterator[memoryview]:
        """A block for the time of a `with`; waits for one, and `check` may raise meanwhile."""
        block = self._take(check)
        try:
            yield memoryview(block)
        finally:
            with self._freed:
                self._spare.append(block)
                self._freed.notify()

    def _take(self, check: Callable[[], None]) -> bytearray:
        with self._freed:
            while not self._spare and not self._unmade:
                check()
                self._freed.wait(SLICE)
            if self._spare:
                return self._spare.pop()
            self._unmade -= 1
        return bytearray(BLOCK)


SHARED = Memory()
"""What all clients of this process use that have no memory of their own."""
