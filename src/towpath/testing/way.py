"""One direction of a connection through a wire.

Rules: no more blocks are held than the lane says; a count is of bytes that the receiver's kernel
took; a fault at byte n lets exactly n bytes pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

from towpath.testing.plan import Fault, Lane

BLOCK = 256 * 1024  # bytes taken from a socket at once


class Clock(Protocol):
    """Where time comes from."""

    def time(self) -> float:
        """Seconds; only grows."""

    async def sleep(self, seconds: float) -> None:
        """Return when that time has passed."""


class LoopClock:
    """The running loop's own time."""

    def time(self) -> float:
        """Seconds of the loop's monotonic clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep as asyncio does."""
        await asyncio.sleep(seconds)


class Observer(Protocol):
    """Who is told what happens on a way."""

    def passed(self, way: Way, piece: memoryview) -> None:
        """These bytes have passed."""

    def note(self, what: str) -> None:
        """Something else happened."""


class Over(Exception):
    """The end of a connection, and how its sockets are to be closed: it is no error."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(what)
        self.fault = fault
        self.what = what


class Way:
    """One direction of a connection at work: takes blocks, gives them on when they are due."""

    def __init__(
        self,
        name: str,
        lane: Lane,
        source: socket.socket,
        sink: socket.socket,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.name = name
        self.clock = clock
        self.observer = observer
        self.lane = lane
        self.source = source
        self.sink = sink
        self.passed = 0
        self.released = asyncio.Event()
        self._fault = lane.fault  # None once it has happened
        self.ended = False  # the receiver was told that no more comes
        self._free_at = 0.0  # when the throttle lets the next byte go
        # A block, or b"" for FIN, or None for RST; each with the time at which it arrives.
        self._queue: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(lane.pieces)

    async def take(self) -> None:
        """Put what the sender sends on its way."""
        loop = asyncio.get_running_loop()
        block: bytes | None = b"-"
        while block:
            try:
                block = await loop.sock_recv(self.source, BLOCK)
            except OSError:
                block = None
            await self._queue.put((self.clock.time() + self.lane.latency, block))

    async def give(self) -> None:
        """Give the receiver what is due; raises Over when that ends the connection."""
        clock = self.clock
        await self._strike()
        while True:
            due, block = await self._queue.get()
            if due > clock.time():
                await clock.sleep(due - clock.time())
            if block is None:
                raise Over(Fault.RESET, f"{self.name}: the sender reset")
            if not block:
                self._end()
                self.observer.note(f"{self.name}: fin")
                return
            rest = memoryview(block)
            while rest and not self.ended:
                rest = await self._some(rest)

    async def _some(self, rest: memoryview) -> memoryview:
        """Pass some bytes on and return those that are left."""
        lane = self.lane
        step = min(len(rest), lane.at - self.passed) if self._fault else len(rest)
        if lane.rate is not None:
            step = min(step, max(1, int(lane.rate / 20)))
        taken = await self._send(rest[:step])
        self.passed += taken
        self.observer.passed(self, rest[:taken])
        await self._strike()
        if lane.rate is not None:
            now = self.clock.time()
            self._free_at = max(now, self._free_at) + taken / lane.rate
            await self.clock.sleep(self._free_at - now)
        return rest[taken:]

    async def _strike(self) -> None:
        """Let the fault happen if this is its byte."""
        if self._fault is None or self.passed < self.lane.at:
            return
        fault, self._fault = self._fault, None
        what = f"{self.name}: {fault} at byte {self.passed}"
        if fault is Fault.STALL:
            self.released.clear()
            self.observer.note(what)
            await self.released.wait()
            self.observer.note(f"{self.name}: released")
        elif fault is Fault.HALF_CLOSE:
            self._end()
            self.observer.note(what)
        else:
            raise Over(fault, what)

    def _end(self) -> None:
        """Tell the receiver that no more comes; what comes all the same is thrown away."""
        if not self.ended:
            self.ended = True
            with contextlib.suppress(OSError):  # it went away by itself
                self.sink.shutdown(socket.SHUT_WR)

    async def _send(self, piece: memoryview) -> int:
        """Give the kernel what it takes now: counts stay exact, also when the receiver dies."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self.sink.send(piece)
            except BlockingIOError:
                writable: asyncio.Future[None] = loop.create_future()
                loop.add_writer(self.sink, _wake, writable)
                try:
                    await writable
                finally:
                    loop.remove_writer(self.sink)
            except OSError as error:
                raise Over(Fault.RESET, f"{self.name}: the receiver is gone: {error}") from None


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
