"""Who may write which bytes of an upload now, and how a newcomer ends who is there.

Rules: no two live leases overlap; a newcomer never waits for a timer: it stops the old writers'
sources and waits until their last write has returned and is settled. A fence only grows; leases
that one process gives out while it knows the upload share an epoch, the fence of the first, and it
is the epoch that the store compares: it keeps other processes out, not neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from towpath.core.ports import Source


class Lease:
    """One writer's right to write start <= byte < end (None: to the end) of an upload."""

    def __init__(self, fence: int, start: int, end: int | None, source: Source) -> None:
        self.fence = fence
        self.epoch = fence
        self.start = start
        self.end = end
        self.source = source
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()

    def overlaps(self, start: int, end: int | None) -> bool:
        """True if both ranges share a byte, or begin at the same one."""
        if self.start == start:
            return True
        before_mine = self.end is None or start < self.end
        return before_mine and (end is None or self.start < end)

    def stop(self) -> None:
        """Tell the writer to end now. Idempotent."""
        self.stopping.set()
        self.source.stop()

    async def or_stopped(self, work: asyncio.Future[Any]) -> bool:
        """Wait for `work`, but no longer than until the lease is stopped; True if it is done."""
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return work.done()


async def end_all(leases: Iterable[Lease]) -> None:
    """Stop the leases and return when the last write of each has returned and is settled."""
    ending = list(leases)
    for lease in ending:
        lease.stop()
    for lease in ending:
        await lease.ended.wait()
