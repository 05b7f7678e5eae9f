"""A TCP proxy that delays, throttles, cuts, resets, half-closes and stalls, and counts each byte.

Rules: what happens to a connection is decided by its plan, and a plan by the connection's number
alone, so that a seed repeats a run; a count is of bytes that the receiver's kernel took; a fault
at byte n lets exactly n bytes of its direction pass; each direction holds a few blocks;
everything happens on one event loop, and the public methods may be called from any thread.

    async with Wire(host, port, plan=plans) as wire: ...     # within a loop
    with threaded(Wire(host, port)) as wire: ...             # anywhere else; a loop in a thread

TLS passes through untouched, and is counted as it is on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from towpath.testing.plan import Fault, Plan, PlanOf
from towpath.testing.way import BLOCK, Clock, LoopClock, Over, Way

EVENTS = 10_000  # the newest ones are kept
GRACE = 2.0  # seconds that a peer has to answer a FIN before its socket is closed
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a connection, and what had passed by then."""

    at: float
    connection: int
    what: str
    up: int
    down: int


Tap = Callable[["Connection", str, memoryview], None]


class Wire:
    """The proxy: listens on `port`, carries each connection to the target."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        plan: PlanOf = lambda _: Plan(),
        clock: Clock | None = None,
        tap: Tap | None = None,
        socket_bytes: int | None = None,
    ) -> None:
        """`tap` sees each piece that has passed; `socket_bytes` bounds what our sockets hold."""
        self.target = (host, port)
        self.plan = plan
        self.clock: Clock = clock or LoopClock()
        self.tap = tap
        self.socket_bytes = socket_bytes
        self.up = 0  # bytes that reached the target
        self.down = 0  # bytes that reached who connected
        self.opened = 0  # connections so far
        self.live: dict[int, Connection] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.port = 0
        self._watchers: list[tuple[Callable[[], bool], Future[None]]] = []
        self._closing = False

    async def __aenter__(self) -> Self:
        """Listen."""
        self.loop = asyncio.get_running_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._size(self._listener)
        self.port = self._listener.getsockname()[1]
        self._tasks = await asyncio.TaskGroup().__aenter__()
        # Not sock_accept: if it is cancelled as somebody connects, their socket is lost.
        self.loop.add_reader(self._listener, self._accept)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything; the connections that live are reset."""
        self._closing = True
        self.loop.remove_reader(self._listener)
        for connection in list(self.live.values()):
            connection.sever(Fault.RESET)
        try:
            # The group would wrap an error of the body; its own way of failing is a cancellation.
            cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            await self._tasks.__aexit__(*((kind, error, trace) if cancelled else (None,) * 3))
        finally:
            self._listener.close()
            for _, future in self._watchers:
                future.cancel()

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        return ("127.0.0.1", self.port)

    def when(self, condition: Callable[[], bool]) -> Future[None]:
        """A future that is done as soon as the condition holds; it is looked at on each change.

        A callback added to the future runs on the wire's loop at that very byte.
        """
        future: Future[None] = Future()
        self.loop.call_soon_threadsafe(self._watch, condition, future)
        return future

    def hold(self) -> None:
        """Carry no new connection to the target until `let_go`; whoever connects just waits."""
        self.loop.call_soon_threadsafe(self._open.clear)

    def let_go(self) -> None:
        """Carry the connections that were held, and new ones."""
        self.loop.call_soon_threadsafe(self._open.set)

    def release(self) -> None:
        """End the stalls that are now."""
        self.loop.call_soon_threadsafe(self._each, Connection.release)

    def sever(self, fault: Fault = Fault.RESET) -> None:
        """Cut or reset every connection that lives."""
        self.loop.call_soon_threadsafe(self._each, lambda each: each.sever(fault))

    def _each(self, action: Callable[[Connection], None]) -> None:
        for connection in list(self.live.values()):
            action(connection)

    def _watch(self, condition: Callable[[], bool], future: Future[None]) -> None:
        self._watchers.append((condition, future))
        self.changed()

    def quiet(self) -> bool:
        """True when nothing more goes up on any connection to the target."""
        return all(each.up.ended for each in list(self.live.values()) if each.dialed)

    def changed(self) -> None:
        """Look at the conditions that somebody waits for."""
        for watcher in list(self._watchers):
            condition, future = watcher
            if future.cancelled():
                self._watchers.remove(watcher)
            elif condition():
                self._watchers.remove(watcher)
                future.set_result(None)

    def _size(self, sock: socket.socket) -> None:
        if self.socket_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.socket_bytes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.socket_bytes)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # whoever it was has gone
            return
        self._tasks.create_task(self._carry(near, self.opened))
        self.opened += 1

    async def _carry(self, near: socket.socket, number: int) -> None:
        with near, socket.socket(socket.AF_INET) as far:
            for each in (near, far):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._size(far)
            connection = self.live[number] = Connection(self, number, near, far)
            if self._closing:
                connection.sever(Fault.RESET)
            try:
                await connection.run(self._open)
            finally:
                del self.live[number]
                self.changed()


class Connection:
    """One connection through the wire."""

    def __init__(self, wire: Wire, number: int, near: socket.socket, far: socket.socket) -> None:
        self.wire = wire
        self.number = number
        self.near = near
        self.far = far
        plan = wire.plan(number)
        self.up = Way("up", plan.up, near, far, wire.clock, self)
        self.down = Way("down", plan.down, far, near, wire.clock, self)
        self.dialed = False  # the target has been reached
        self._severed: asyncio.Future[Over | None] = wire.loop.create_future()

    def passed(self, way: Way, piece: memoryview) -> None:
        """Count bytes that have passed and show them to the tap."""
        if way is self.up:
            self.wire.up += len(piece)
        else:
            self.wire.down += len(piece)
        if self.wire.tap is not None:
            self.wire.tap(self, way.name, piece)
        self.wire.changed()

    def note(self, what: str) -> None:
        """Record an event."""
        event = Event(self.wire.clock.time(), self.number, what, self.up.passed, self.down.passed)
        self.wire.events.append(event)
        self.wire.changed()

    def release(self) -> None:
        """End its stalls; called on the wire's loop."""
        for way in (self.up, self.down):
            way.released.set()

    def sever(self, fault: Fault) -> None:
        """End it so; called on the wire's loop."""
        if not self._severed.done():
            self._severed.set_result(Over(fault, f"severed: {fault}"))

    async def run(self, may_dial: asyncio.Event) -> None:
        """Carry bytes both ways until the connection is over."""
        self.note("opened")
        carrying = asyncio.ensure_future(self._both(may_dial))
        try:
            await asyncio.wait({carrying, self._severed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            carrying.cancel()  # a done one stays as it is
        await asyncio.wait({carrying})
        over = self._severed.result() if carrying.cancelled() else carrying.result()
        self.note("ended" if over is None else over.what)
        if over is not None and over.fault is Fault.CUT:
            await asyncio.gather(_hang_up(self.near), _hang_up(self.far))
        elif over is not None:
            for sock in (self.near, self.far):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    async def _both(self, may_dial: asyncio.Event) -> Over | None:
        await may_dial.wait()
        try:
            await self.wire.loop.sock_connect(self.far, self.wire.target)
        except OSError as error:
            return Over(Fault.RESET, f"refused: {error}")
        self.dialed = True
        over: list[Over] = []
        try:
            async with asyncio.TaskGroup() as group:
                for way in (self.up, self.down):
                    group.create_task(way.take())
                    group.create_task(way.give())
        except* Over as endings:
            over = [each for each in endings.exceptions if isinstance(each, Over)]
        return over[0] if over else None


async def _hang_up(sock: socket.socket) -> None:
    """Close with a FIN: unread bytes would turn it into a RST, so read them first, for a while."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):  # the peer may do as it likes by now
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(GRACE):
            while await loop.sock_recv(sock, BLOCK):
                pass


@contextlib.contextmanager
def threaded(wire: Wire) -> Iterator[Wire]:
    """Run the wire on a loop of its own, in a thread, for tests that are not async."""
    started: Future[asyncio.Event] = Future()
    ended: Future[None] = Future()

    async def host() -> None:
        stop = asyncio.Event()
        async with wire:
            started.set_result(stop)
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(host())
        except BaseException as error:  # noqa: BLE001 - it is raised where the wire was asked for
            ended.set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=main, name="wire", daemon=True)
    thread.start()
    stop = started.result(10)
    try:
        yield wire
    finally:
        wire.loop.call_soon_threadsafe(stop.set)
        thread.join()
    ended.result()
