"""A sender in the hand of a test: what it sends, where it hesitates and how it ends.

    FakeSource([b"all at once"])
    FakeSource([b"first", DRY, b"second"], end=Ending.CUT)
    FakeSource([b"first", STALL])  # nothing more until somebody feeds, ends or stops it

Rules: nothing here waits for real time; `feed`, `end` and `stop` may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from threading import Lock

from towpath.core.ports import Ending


class Pause(Enum):
    """What a sender does between two pieces."""

    DRY = "dry"  # nothing is at hand once; then it goes on
    STALL = "stall"  # nothing comes until `feed`, `end` or `stop`


DRY, STALL = Pause.DRY, Pause.STALL
Piece = bytes | Pause


class FakeSource:
    """A `core.ports.Source` that follows a script."""

    def __init__(
        self,
        pieces: Iterable[Piece] = (),
        *,
        end: Ending = Ending.WHOLE,
        length: int | None = None,
    ) -> None:
        """`end`: how it ends after the last piece, unless that one is STALL."""
        self._lock = Lock()
        self._script: deque[Piece] = deque(pieces)
        self._end = end
        self._length = length
        self._ending: Ending | None = None
        self._waiting: asyncio.Future[None] | None = None  # whoever is in `ready`
        self._watching: list[asyncio.Future[None]] = []  # whoever is in `stalled`
        self.given = 0  # bytes that were read
        self.largest = 0  # bytes of the largest view that was offered
        self._look()

    @property
    def length(self) -> int | None:
        """Bytes that are to come in all, as the sender said."""
        return self._length

    @property
    def trailers(self) -> Mapping[str, str]:
        """None are scripted."""
        return {}

    @property
    def ending(self) -> Ending | None:
        """None while more may come."""
        return self._ending

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes of the script into `view`; 0 at a pause and at the end."""
        with self._lock:
            self.largest = max(self.largest, len(view))
            piece = self._script[0] if self._script else None
            if self._ending is not None or piece is None or piece is STALL:
                return 0
            self._script.popleft()
            count = 0
            if isinstance(piece, bytes):
                count = min(len(piece), len(view))
                view[:count] = piece[:count]
                if count < len(piece):
                    self._script.appendleft(piece[count:])
            self.given += count
            self._look()
            return count

    async def ready(self) -> None:
        """Return when the script goes on or has ended."""
        while True:
            with self._lock:
                if self._ending is not None or not self._is_stalled():
                    return
                self._waiting = asyncio.get_running_loop().create_future()
                watching, self._watching = self._watching, []
            for watcher in watching:
                _wake(watcher)
            await self._waiting

    async def stalled(self) -> None:
        """Return once somebody waits for this source and nothing comes."""
        with self._lock:
            if self._waiting is not None and not self._waiting.done():
                return
            watcher = asyncio.get_running_loop().create_future()
            self._watching.append(watcher)
        await watcher

    def feed(self, *pieces: Piece) -> None:
        """Go on after a STALL with these pieces, and stall again."""
        with self._lock:
            self._script = deque([*self._unstalled(), *pieces, STALL])
            waiting = self._waiting
        _wake(waiting)

    def end(self, ending: Ending = Ending.WHOLE) -> None:
        """Go on after a STALL to the end."""
        with self._lock:
            self._script = deque(self._unstalled())
            self._end = ending
            self._look()
            waiting = self._waiting
        _wake(waiting)

    def stop(self) -> None:
        """End it now."""
        with self._lock:
            self._ending = self._ending or Ending.STOPPED
            waiting = self._waiting
        _wake(waiting)

    def _is_stalled(self) -> bool:
        return bool(self._script) and self._script[0] is STALL

    def _unstalled(self) -> list[Piece]:
        return [piece for piece in self._script if piece is not STALL]

    def _look(self) -> None:
        while self._script and self._script[0] == b"":
            self._script.popleft()
        if not self._script and self._ending is None:
            self._ending = self._end


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is None:
        return
    with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits there any more
        future.get_loop().call_soon_threadsafe(_finish, future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
