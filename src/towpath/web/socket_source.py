"""The fast way in: a worker thread reads the connection's socket straight into the engine's block.

A body of known length and no coding needs no parser, so no event loop either: while bytes flow
they stay in one thread; while they do not, nobody holds one. Never reads a byte beyond the body.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

from towpath.core.ports import Ending
from towpath.web.pace import Pace
from towpath.web.wire import Wire

FIRST_BYTE_SECONDS = 0.020


class SocketSource:
    """A `Source` over the `Wire` of one connection, for a body with Content-Length (RFC 9112 6.2).

    `early` are bytes of the body that came with the head. `on_end` is called on the loop, once,
    when `ending` has been set, before what the reading thread's caller learns of it.
    """

    def __init__(
        self, wire: Wire, *, length: int, early: bytes, pace: Pace, on_end: Callable[[], None]
    ) -> None:
        self._wire = wire
        self._length = length
        self._left = length
        self._early = memoryview(early)
        self._pace = pace
        self._on_end = on_end
        self._ending: Ending | None = None
        self._lock = threading.Lock()
        self.reset = False  # the sender tore the connection down: an answer cannot reach it

    @property
    def length(self) -> int:
        """Bytes that are to come in all: the Content-Length."""
        return self._length

    @property
    def left(self) -> int:
        """Bytes that nobody has read yet."""
        return self._left

    @property
    def ending(self) -> Ending | None:
        """None while more may come."""
        return self._ending

    def read_into(self, view: memoryview) -> int:
        """Put what is at hand into `view`; wait at most 20 ms, and only for a fast sender."""
        if self._ending is not None or not self._wire.hold():
            return 0
        ending = None
        try:
            count = self._take_early(view)
            if count < len(view) and count < self._left:
                more, ending = self._receive(view[count : self._left], wait=count == 0)
                count += more
        finally:
            self._wire.release()
        self._left -= count
        self._pace.came(count) if count else None
        if self._left == 0:
            ending = Ending.WHOLE
        if ending is not None:
            self._end(ending)
        return count

    def _take_early(self, view: memoryview) -> int:
        count = min(len(self._early), len(view))
        if count:
            view[:count] = self._early[:count]
            self._early = self._early[count:] or memoryview(b"")  # an empty slice would hold it all
        return count

    def _receive(self, view: memoryview, *, wait: bool) -> tuple[int, Ending | None]:
        """Fill `view` from the socket as far as bytes are at hand."""
        filled = 0
        while filled < len(view):
            try:
                count = self._wire.socket.recv_into(view[filled:])
            except BlockingIOError:
                if filled or not wait or not self._wait():
                    return filled, None
                wait = False
                continue
            except OSError:  # RST, or the network gave up: RFC 9293 3.10.7
                self.reset = True
                return filled, Ending.CUT
            if count == 0:
                return filled, Ending.CUT
            filled += count
        return filled, None

    def _wait(self) -> bool:
        if not self._pace.flood:
            return False
        began = time.monotonic()
        came = self._wire.poll(select.POLLIN, FIRST_BYTE_SECONDS)
        self._pace.waited(time.monotonic() - began)
        return came

    async def ready(self) -> None:
        """Return when there is something to read; lets the bytes of a slow sender gather first."""
        if self._pace.too_slow():
            self._end(Ending.SLOW)
        if self._ending is not None or self._early:
            return
        began = time.monotonic()
        came = await self._wire.readable(self._pace.silence_left)
        if came and (pause := self._pace.pause()):
            await self._wire.rest(pause)
        self._pace.waited(time.monotonic() - began)
        if not came:
            self._end(Ending.SLOW)  # unless it was stopped, which has set the ending

    def stop(self) -> None:
        """End it now. Any thread."""
        self._end(Ending.STOPPED)

    def close(self) -> None:
        """Give the descriptor back; ends the source if it has not. On the loop."""
        self.stop()
        self._wire.close()

    def _end(self, ending: Ending) -> None:
        with self._lock:
            if self._ending is not None:
                return
            self._ending = ending
        self._wire.ring()
        self._wire.tell(self._on_end)
