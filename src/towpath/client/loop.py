"""An event loop in a thread of its own, for who has none: what the blocking client runs on.

Rules: a call from that thread itself would wait for ever, so it is refused. The thread lives until
`end`, whatever is raised on the loop, and nobody waits longer than it lives.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from towpath.errors import StateConflict

_log = logging.getLogger(__name__)
_LEAVE = 5.0  # seconds that cancelled work may take to end

T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own, started with the first call."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="towpath-loop", daemon=True)
        self._guard = threading.Lock()  # of the two below: after `end` no call begins
        self._started = self._ended = False

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._ended:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):  # of a task: who waits for that hears it, too
                _log.exception("The event loop of the client goes on after an error.")
        if left := asyncio.all_tasks(self._loop):
            for task in left:
                task.cancel()
            with suppress(RuntimeError):  # stopped once more
                self._loop.run_until_complete(asyncio.wait(left, timeout=_LEAVE))
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine there and wait for what it returns. Raises TimeoutError."""
        if threading.current_thread() is self._thread:  # it would wait for itself
            work.close()
            raise StateConflict(
                "A progress callback cannot wait for its own client.",
                todo="Do it in another thread, or use AsyncClient.",
            )
        with self._guard:
            if self._ended:
                work.close()
                raise _closed()
            if not self._started:
                self._started = True
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except CancelledError:
            if self._ended:
                raise _closed() from None
            raise
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
        return self._ended

    def end(self) -> None:
        """Stop and close it; who still waits hears so. Does nothing in its own thread."""
        if threading.current_thread() is self._thread:  # its call was refused, so nothing has ended
            return
        with self._guard:
            ended, self._ended = self._ended, True
            if not self._started:
                self._loop.close()
            elif not ended:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if self._started:
            self._thread.join()


def _closed() -> StateConflict:
    return StateConflict("The client is closed.", todo="Make a new one.")


def _on_a_loop() -> bool:
    """True if this thread runs an event loop now, ours or somebody else's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
