"""Objects as files: opened for reading or for writing, or block by block.

Rules: a face of the client; what is opened works by itself, beside the transfers, and is not
counted among those that run at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Literal, overload

from towpath.client.control import Control
from towpath.client.peer import Peer
from towpath.client.reader import AsyncReader
from towpath.client.reading import Reading, next_block
from towpath.client.records import UploadResult
from towpath.client.retry import Patience
from towpath.client.sources import Feed
from towpath.client.stream import StreamTask
from towpath.client.transfer import OnProgress, Transfer, in_thread
from towpath.client.writer import AsyncWriter, Handoff
from towpath.errors import Malformed

Reads = Literal["rb"]
Writes = Literal["wb"]


class Opening:
    """The part of AsyncClient that opens objects."""

    _peer: Peer
    _patience: Callable[[], Patience]

    @overload
    def open(self, name: str, mode: Reads = "rb") -> AsyncReader: ...

    @overload
    def open(
        self,
        name: str,
        mode: Writes,
        *,
        metadata: Mapping[str, str] | None = None,
        on_conflict: str = "",
    ) -> AsyncWriter: ...

    def open(
        self,
        name: str,
        mode: str = "rb",
        *,
        metadata: Mapping[str, str] | None = None,
        on_conflict: str = "",
    ) -> AsyncReader | AsyncWriter:
        """An object as a file. `name`: its name on the server; for reading also its URL.

        "rb" reads any part of it, by ranges, and goes on after a cut. It is the object that was
        opened: once it is replaced or removed, reading raises NameConflict or NotFound. Read from
        its first byte to its end it is verified, and DigestMismatch is raised there. Any part read
        for itself is what the connection brought.

        "wb" makes a new one: `aclose` completes it, an error within `async with` leaves nothing.
        Raises Malformed for another mode.
        """
        if mode == "rb":
            return AsyncReader(lambda: Reading(self._peer, name, Control(), self._patience))
        if mode != "wb":
            raise Malformed(
                f"An object cannot be opened as {mode!r}.",
                field="mode",
                todo='Say "rb" or "wb"; io.TextIOWrapper makes text of either.',
            )
        handoff = Handoff()
        task = self._stream_task(handoff, name, metadata or {}, on_conflict)
        transfer = self._stream(task, None, asyncio.Semaphore(1))
        transfer.collected = True  # its file waits for it; the client does not
        return AsyncWriter(handoff, transfer, name)

    async def blocks(self, name: str) -> AsyncGenerator[bytes, None]:
        """The bytes of an object in order, up to 1 MiB at a time.

        It goes on after a cut. At the end they are compared with what the server announced: then
        DigestMismatch is raised if they are others, so nothing is proven before the end. Raises
        NotFound, and NameConflict when the object is replaced meanwhile.
        """
        patience = self._patience()
        reading = Reading(self._peer, name, Control(), lambda: patience, whole=True)
        try:
            while block := await in_thread(partial(next_block, reading)):
                yield block
        finally:
            reading.close()

    def _stream_task(
        self, feed: Feed, name: str | None, metadata: Mapping[str, str], on_conflict: str
    ) -> StreamTask:
        raise NotImplementedError

    def _stream(
        self,
        task: StreamTask,
        progress: OnProgress | None,
        gate: asyncio.Semaphore | None = None,
    ) -> Transfer[UploadResult]:
        raise NotImplementedError
