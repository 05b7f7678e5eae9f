"""Time that stands still until a test moves it.

Rules: nothing here waits for real time; `advance` and `jump` may be called from any thread.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from threading import Lock

_START = 1_800_000_000_000  # milliseconds since 1970: 2027-01-15


class FakeClock:
    """A `core.ports.Clock` in the hand of a test."""

    def __init__(self, now: int = _START) -> None:
        """`now`: milliseconds since 1970."""
        self._lock = Lock()
        self._now = now
        self._elapsed = 0  # nanoseconds, so that ten tenths are one
        self._order = count()
        self._asleep: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def asleep(self) -> int:
        """How many are in `sleep`."""
        with self._lock:
            return sum(not future.done() for _, _, future in self._asleep)

    def now(self) -> int:
        """Milliseconds since 1970."""
        with self._lock:
            return self._now + self._elapsed // 1_000_000

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        with self._lock:
            return self._elapsed / 1e9

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by so much; 0 lets others run once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            due = self._elapsed + round(seconds * 1e9)
            heapq.heappush(self._asleep, (due, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Let time pass and wake whose time has come, in the order of their times."""
        if seconds < 0:
            raise ValueError("Monotonic time does not go back; `jump` moves the wall clock.")
        with self._lock:
            self._elapsed += round(seconds * 1e9)
            while self._asleep and self._asleep[0][0] <= self._elapsed:
                _, _, future = heapq.heappop(self._asleep)
                loop = future.get_loop()
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_wake, future)

    def jump(self, milliseconds: int) -> None:
        """Move the wall clock only, as an administrator or a leap does."""
        with self._lock:
            self._now += milliseconds


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():  # else the sleeper was cancelled
        future.set_result(None)
