"""An event loop in a thread of its own, for who has none: what the blocking client runs on.

Rules: a call from that thread itself would wait for ever, so it is refused.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

from towpath.errors import StateConflict

T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own, started with the first call."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="towpath-loop", daemon=True)
        self._started = False

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine there and wait for what it returns. Raises TimeoutError."""
        if self.is_over:
            work.close()
            raise StateConflict("The client is closed.", todo="Make a new one.")
        if threading.current_thread() is self._thread:  # it would wait for itself
            work.close()
            raise StateConflict(
                "A progress callback cannot wait for its own client.",
                todo="Do it in another thread, or use AsyncClient.",
            )
        if not self._started:
            self._started = True
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def each(self, values: AsyncIterator[T]) -> Generator[T, None, None]:
        """What an asynchronous iterator yields, one after the other."""

        async def step() -> tuple[T] | None:
            async for value in values:
                return (value,)
            return None

        try:
            while (found := self.call(step())) is not None:
                yield found[0]
        finally:  # the collector may run anywhere: what runs on a loop cannot wait
            if isinstance(values, AsyncGenerator) and not (_on_a_loop() or self.is_over):
                self.call(values.aclose())

    @property
    def is_over(self) -> bool:
        """True once it has ended."""
        return self._loop.is_closed()

    def end(self) -> None:
        """Stop and close it."""
        if self._started and not self.is_over:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


def _on_a_loop() -> bool:
    """True if this thread runs an event loop now, ours or somebody else's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
