"""A second descriptor of a connected socket, for a worker thread, beside the loop's own.

The event loop's transport keeps its descriptor; ours is a duplicate of it, so that neither side
can close the number under the other's hands. Rules: one thread or the loop uses it at a time;
`close` is called on the loop and takes effect when the thread has let go; what `ring` woke stays
awake.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import socket
import sys
import termios
import threading
from collections.abc import Callable


def _bell() -> tuple[int, int]:
    """Two ends of something that makes poll return: (to poll, to write eight bytes to)."""
    eventfd = getattr(os, "eventfd", None)  # Linux has it
    if eventfd is None:
        return os.pipe()
    bell = eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    return bell, bell


def unacknowledged(descriptor: int) -> int:
    """Bytes that the kernel took from us and the peer has not acknowledged.

    They shrink long before a full socket becomes writable again: so a slow reader is told from one
    that has stopped.
    """
    answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


class Wire:
    """The duplicate of a plain stream socket, non-blocking, with a bell that ends every wait."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=os.dup(descriptor))
        self.socket.setblocking(False)
        self.rung = False
        self._bell, self._rope = _bell()
        self._numbers = {self._bell, self._rope}  # closed with the socket
        self._pollers: dict[int, select.poll] = {}
        self._lock = threading.Lock()
        self._held = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bool] | None = None

    @classmethod
    def dead_end(cls) -> Wire:
        """A wire whose peer has gone already, for a connection that was lost before its use."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return cls(ours.fileno())

    def lend(self, descriptor: int) -> int:
        """Keep `descriptor` open as long as a thread may use the wire, then close it."""
        self._numbers.add(descriptor)
        return descriptor

    # In a worker thread

    def hold(self) -> bool:
        """Keep the descriptor open until `release`; False if it is closed already."""
        with self._lock:
            self._held = not self._closed
            return self._held

    def release(self) -> None:
        """Let go; closes if `close` was called meanwhile."""
        with self._lock:
            self._held = False
            closing = self._closed
        if closing:
            self._shut()

    def poll(self, events: int, seconds: float) -> bool:
        """Wait in this thread for `select.POLLIN` or `POLLOUT`; False if in vain or rung."""
        poller = self._pollers.get(events)
        if poller is None:
            poller = self._pollers[events] = select.poll()
            poller.register(self.socket, events)
            poller.register(self._bell, select.POLLIN)
        return bool(poller.poll(seconds * 1000)) and not self.rung

    # From anywhere

    def ring(self) -> None:
        """End every wait, now and from now on. Any thread."""
        self.rung = True
        with self._lock:
            if not self._closed:
                os.write(self._rope, (1).to_bytes(8, sys.byteorder))
        self.tell(self._wake, False)

    def tell(self, callback: Callable[..., object], *args: object) -> None:
        """Call `callback` on the loop soon; nothing if the loop has ended. Any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(callback, *args)

    # On the loop

    async def readable(self, seconds: float | None) -> bool:
        """Wait without a thread until bytes, an end or an error can be read."""
        return await self._until(self._loop.add_reader, self._loop.remove_reader, seconds)

    async def writable(self, seconds: float | None) -> bool:
        """Wait without a thread until the peer takes bytes again."""
        return await self._until(self._loop.add_writer, self._loop.remove_writer, seconds)

    async def rest(self, seconds: float) -> None:
        """Wait until the time is over or the bell rings."""
        await self._wait(seconds)

    async def _until(
        self,
        add: Callable[..., object],
        remove: Callable[[int], object],
        seconds: float | None,
    ) -> bool:
        if self._closed:
            return False
        number = self.socket.fileno()
        add(number, self._wake, True)
        try:
            return await self._wait(seconds)
        finally:
            if not self._closed:  # else `close` took it off
                remove(number)

    async def _wait(self, seconds: float | None) -> bool:
        if self.rung:
            return False
        self._waiter = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self._wake, False)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self, came: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(came)

    def close(self) -> None:
        """Let go of the descriptor: at once, or when the thread that holds it does. On the loop."""
        if self._closed:
            return
        # Off the loop's poll first: a closed duplicate of a live socket would go on reporting.
        self._loop.remove_reader(self.socket.fileno())
        self._loop.remove_writer(self.socket.fileno())
        self.ring()
        with self._lock:
            self._closed = True
            held = self._held
        if not held:
            self._shut()

    def _shut(self) -> None:
        self.socket.close()
        for number in self._numbers:
            os.close(number)
