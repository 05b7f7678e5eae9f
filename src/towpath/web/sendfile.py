"""The fast way out: a range of a file goes to the socket by sendfile(2), never through Python.

While the peer takes bytes one worker thread sends; while it does not, nobody holds a thread.
"""

from __future__ import annotations

import asyncio
import os
import select
from concurrent.futures import Executor

from towpath.web.wire import Wire, unacknowledged

AT_ONCE = 256 * 1024  # bytes of one system call; 1 and 4 MiB were slower, and a stop waits for it
TAKES_SECONDS = 0.020  # a thread waits so long for the peer before it is given back


class Stalled(ConnectionError):
    """The peer took nothing for the stall limit."""


async def send_range(
    wire: Wire, descriptor: int, start: int, count: int, *, pool: Executor, stall_seconds: float
) -> int:
    """Send bytes `start` to `start + count` of the file; return how many it had.

    Fewer than `count` only if the file is shorter, or `wire` was rung. Raises `Stalled`, and
    `OSError` for a connection that is gone.
    """
    loop = asyncio.get_running_loop()
    at, end = start, start + count
    while at < end and not wire.rung:
        sent, dry = await loop.run_in_executor(pool, _send, wire, descriptor, at, end)
        at += sent
        if not dry:
            break
        await _until_taken(wire, stall_seconds)
    return at - start


async def _until_taken(wire: Wire, stall_seconds: float) -> None:
    """Wait until the socket is writable again, or the wire is rung."""
    number = wire.socket.fileno()
    queued = unacknowledged(number)
    while not await wire.writable(stall_seconds or None) and not wire.rung:
        before, queued = queued, unacknowledged(number)
        if queued >= before:
            raise Stalled(f"the peer took nothing for {stall_seconds:g} s")


def _send(wire: Wire, descriptor: int, start: int, end: int) -> tuple[int, bool]:
    """Send while the peer takes bytes: how many went, and whether it stopped taking them."""
    if not wire.hold():
        return 0, False
    at = start
    try:
        while at < end and not wire.rung:
            try:
                sent = os.sendfile(wire.socket.fileno(), descriptor, at, min(end - at, AT_ONCE))
            except BlockingIOError:
                if not wire.poll(select.POLLOUT, TAKES_SECONDS):
                    return at - start, True
                continue
            if sent == 0:  # the file ends here
                break
            at += sent
    finally:
        wire.release()
    return at - start, False
