"""The universal way in: a `Source` over plain ASGI `receive`, for TLS, chunked bodies, any server.

A feeder task on the loop fills a short queue, the worker thread empties it. The feeder asks for
a message only while the queue has room: what the sender may have on the way is held by the
server's own flow control, not by us.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from towpath.core.ports import Ending
from towpath.web.limits import WireLimits
from towpath.web.pace import Pace

MOST_BYTES = 1024 * 1024  # with these at hand, or so many messages, no further one is asked for
MOST_MESSAGES = 4
FIRST_BYTE_SECONDS = 0.020

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class AsgiSource:
    """A `Source` of the body that `receive` yields; made on the event loop that it serves.

    Holds at most 1 MiB and one message more. Call `stop` when done with it: the feeder task ends
    by itself only at the end of the body.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        length: int | None,
        limits: WireLimits,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        """`trailers`: where the server puts them before `receive` tells the end of the body."""
        self._receive = receive
        self._trailers: Mapping[str, str] = {} if trailers is None else trailers
        self._length = length
        self._pace = Pace(limits)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[memoryview] = deque()
        self._held = 0  # bytes in the queue
        self._last: Ending | None = None  # how it ends once the queue is empty
        self._ending: Ending | None = None
        self._news = threading.Condition()  # guards the fields above; wakes the thread
        self._reader: asyncio.Future[None] | None = None  # `ready` waits
        self._room: asyncio.Future[None] | None = None  # the feeder waits
        self._feeder: asyncio.Task[None] | None = None

    @property
    def length(self) -> int | None:
        """Bytes that are to come in all; None for a chunked body (RFC 9112 section 7.1)."""
        return self._length

    @property
    def trailers(self) -> Mapping[str, str]:
        """Those that the server keeps; it is asked once the body is WHOLE."""
        return self._trailers if self._ending is Ending.WHOLE else {}

    @property
    def ending(self) -> Ending | None:
        """None while more may come."""
        return self._ending

    def read_into(self, view: memoryview) -> int:
        """Put what has come into `view`, several messages at once; waits at most 20 ms."""
        with self._news:
            if self._waits_for_news():
                began = time.monotonic()
                self._news.wait(FIRST_BYTE_SECONDS)
                self._pace.waited(time.monotonic() - began)
            if self._ending is not None:
                return 0
            filled = 0
            while self._queue and filled < len(view):
                piece = self._queue.popleft()
                count = min(len(piece), len(view) - filled)
                view[filled : filled + count] = piece[:count]
                filled += count
                if count < len(piece):
                    self._queue.appendleft(piece[count:])
            self._held -= filled
            if not self._queue and self._last is not None:
                self._ending = self._last
            feeder_waits = self._room is not None and self._has_room()
        if filled:
            self._pace.came(filled)
        if feeder_waits:
            self._tell(self._wake_feeder)
        return filled

    def _waits_for_news(self) -> bool:
        dry = not self._queue and self._last is None and self._ending is None
        return dry and self._feeder is not None and self._pace.flood

    def _has_room(self) -> bool:
        return self._held < MOST_BYTES and len(self._queue) < MOST_MESSAGES

    async def ready(self) -> None:
        """Return when there is something to read; lets the bytes of a slow sender gather first."""
        if self._feeder is None and self._ending is None:
            self._feeder = self._loop.create_task(self._feed())
            self._feeder.add_done_callback(self._fed)
        if self._feeder is not None and self._feeder.done() and not self._feeder.cancelled():
            self._feeder.result()  # raises what `receive` raised
        if self._pace.too_slow():
            self._end(Ending.SLOW)
        began = time.monotonic()
        if await self._until_news(self._pace.silence_left) and (pause := self._pace.pause()):
            await self._until_stopped(pause)
        self._pace.waited(time.monotonic() - began)

    async def _until_news(self, seconds: float | None) -> bool:
        """Wait for the feeder; True if it brought bytes."""
        with self._news:
            if self._queue or self._ending is not None:
                return bool(self._queue)
            if self._last is not None:
                self._ending = self._last
                return False
        await self._wait(seconds)
        with self._news:
            if not self._queue and self._ending is None:
                last: Ending | None = self._last  # it may have come while we waited
                self._ending = last or Ending.SLOW
            slow = self._ending is Ending.SLOW
        if slow:
            self._close()
        return bool(self._queue) and self._last is None

    async def _until_stopped(self, seconds: float) -> None:
        """Let bytes gather, unless the queue is full or the body ends."""
        deadline = self._loop.time() + seconds
        while self._last is None and self._ending is None and self._has_room():
            left = deadline - self._loop.time()
            if left <= 0:
                return
            await self._wait(left)

    async def _wait(self, seconds: float | None) -> None:
        self._reader = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self._wake_reader)
        try:
            await self._reader
        finally:
            self._reader = None
            if timer is not None:
                timer.cancel()

    async def _feed(self) -> None:
        while self._last is None and self._ending is None:
            if not self._has_room():
                await self._until_room()
                continue
            message = await self._receive()
            body = message.get("body", b"")
            with self._news:
                if body:
                    self._queue.append(memoryview(body))
                    self._held += len(body)
                if message["type"] != "http.request":
                    self._last = Ending.CUT
                elif not message.get("more_body", False):
                    self._last = Ending.WHOLE
                self._news.notify()
            if body or self._last is not None:
                self._wake_reader()

    def _fed(self, feeder: asyncio.Task[None]) -> None:
        if not feeder.cancelled() and feeder.exception() is not None:
            with self._news:
                self._last = self._last or Ending.CUT
                self._news.notify()
            self._wake_reader()

    async def _until_room(self) -> None:
        with self._news:
            if self._has_room():
                return
            self._room = self._loop.create_future()
        await self._room

    def _wake_feeder(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def stop(self) -> None:
        """End it now. Any thread."""
        self._end(Ending.STOPPED)

    def _end(self, ending: Ending) -> None:
        with self._news:
            if self._ending is None:
                self._ending = ending
            self._news.notify()
        self._tell(self._close)

    def _close(self) -> None:
        with self._news:
            self._queue.clear()
            self._held = 0
        self._wake_reader()
        if self._feeder is not None:
            self._feeder.cancel()

    def _tell(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(callback)


async def swallow(receive: Receive, limits: WireLimits) -> None:
    """Take what a client still sends, not more than so much and for so long, and drop it."""
    left = limits.linger_bytes
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.linger_seconds):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
