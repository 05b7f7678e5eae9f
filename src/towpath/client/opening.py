"""What of the client has no path here: streams up and down, and objects that are open as files.

Rules: a part of AsyncClient, with no call of its own to the server; what is opened works by itself,
beside the transfers, and is not counted among those that run at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload
from uuid import uuid4

from towpath.client.control import Control
from towpath.client.location import insist_on_name
from towpath.client.memory import Memory
from towpath.client.peer import Peer
from towpath.client.progress import Direction, Meter, TransferState
from towpath.client.resume import Notebook, transfer_id
from towpath.client.retry import Patience
from towpath.client.transfer import Flow, OnProgress, Transfer, in_thread
from towpath.errors import Malformed

if TYPE_CHECKING:
    from towpath.client.reader import AsyncReader
    from towpath.client.results import DownloadResult, UploadResult
    from towpath.client.sinks import Sink, SinkDownload
    from towpath.client.sources import Feed
    from towpath.client.stream import StreamTask, StreamUpload
    from towpath.client.writer import AsyncWriter
    from towpath.codec.keys import Opens

Make = Callable[[Control, Meter], Flow[Any]]
Reads = Literal["rb"]
Writes = Literal["wb"]


class Opening:
    """The part of AsyncClient that has no paths."""

    _notebook: Notebook
    _patience: Callable[[], Patience]
    _chunk_size: int | None
    _memory: Memory
    _verify: bool
    _streams: list[tuple[Transfer[Any], StreamUpload]]

    @property
    def _peer(self) -> Peer:
        """The server. Raises StateConflict once the client is closed."""
        raise NotImplementedError

    @overload
    def open(self, name: str, mode: Reads = "rb", *, keys: Sequence[Opens] = ()) -> AsyncReader: ...

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
        keys: Sequence[Opens] = (),
    ) -> AsyncReader | AsyncWriter:
        """An object as a file. `name`: its name on the server; for reading also its URL.

        "rb" reads any part of it, by ranges, and goes on after a cut. It is the object that was
        opened: once it is replaced or removed, reading raises NameConflict or NotFound. Read from
        its first byte to its end it is verified, and DigestMismatch is raised there. Any part read
        for itself is what the connection brought. What is compressed, and encrypted for one of
        `keys`, is undone: only the chunks that have what is read come, each proven.

        "wb" makes a new one: `aclose` completes it, an error within `async with` leaves nothing.
        Raises Malformed for another mode.
        """
        if mode == "rb":
            from towpath.client.reader import AsyncReader  # noqa: PLC0415 - slow to import
            from towpath.client.reading import Reading  # noqa: PLC0415 - slow to import

            return AsyncReader(lambda: Reading(self._undone(keys), name, Control(), self._patience))
        if keys and mode == "wb":
            raise Malformed("What is written as it comes cannot be encrypted.", field="keys")
        if mode != "wb":
            raise Malformed(
                f"An object cannot be opened as {mode!r}.",
                field="mode",
                todo='Say "rb" or "wb"; io.TextIOWrapper makes text of either.',
            )
        from towpath.client.writer import AsyncWriter, Handoff  # noqa: PLC0415 - slow to import

        handoff = Handoff()
        task = self._stream_task(handoff, name, metadata or {}, on_conflict)
        transfer = self._stream(task, None, asyncio.Semaphore(1))
        transfer.collected = True  # its file waits for it; the client does not
        return AsyncWriter(handoff, transfer, name)

    async def blocks(self, name: str, *, keys: Sequence[Opens] = ()) -> AsyncGenerator[bytes, None]:
        """The bytes of an object in order, up to 1 MiB at a time; `keys` as for `open`.

        It goes on after a cut. At the end they are compared with what the server announced: then
        DigestMismatch is raised if they are others, so nothing is proven before the end. Raises
        NotFound, and NameConflict when the object is replaced meanwhile.
        """
        from towpath.client.reading import Reading, next_block  # noqa: PLC0415 - slow to import

        patience = self._patience()
        peer = self._undone(keys)
        reading = Reading(peer, name, Control(), lambda: patience, whole=True)
        try:
            while block := await in_thread(partial(next_block, reading)):
                yield block
        finally:
            reading.close()

    def _undone(self, keys: Sequence[Opens]) -> Peer:
        """The server with its coded objects as files, in memory of their own.

        A file that is open may stand still for long: it keeps nobody else from going on.
        """
        from towpath.client.coded_peer import Decoding  # noqa: PLC0415 - slow to import

        return Decoding(self._peer, keys, memory=Memory(0))

    def _stream_task(
        self,
        feed: Feed,
        name: str | None,
        metadata: Mapping[str, str],
        on_conflict: str,
        *,
        fingerprint: str | None = None,
        restart: bool = False,
    ) -> StreamTask:
        from towpath.client.stream import StreamTask  # noqa: PLC0415 - slow to import

        if not name or not name.strip("/") or name.endswith("/"):
            raise Malformed("A stream needs a name.", field="name", todo="Say what to call it.")
        name = insist_on_name(name.lstrip("/"))
        word = f"\0{fingerprint}"  # no path begins so
        known = transfer_id(Direction.UPLOAD, self._peer.url, name, word)
        return StreamTask(
            id=known if fingerprint else uuid4().hex[:12],
            feed=feed,
            name=name,
            metadata=metadata,
            on_conflict=on_conflict,
            chunk_size=self._chunk_size,
            verify=self._verify,
            fingerprint=fingerprint or None,
            restart=restart,
        )

    def _stream(
        self,
        task: StreamTask,
        progress: OnProgress | None,
        gate: asyncio.Semaphore | None = None,
    ) -> Transfer[UploadResult]:
        from towpath.client.stream import StreamUpload  # noqa: PLC0415 - slow to import

        made: list[StreamUpload] = []

        def make(control: Control, meter: Meter) -> StreamUpload:
            peer = self._peer.paced(control.pace)
            made.append(StreamUpload(task, peer, self._notebook, control, meter, self._memory))
            return made[0]

        transfer = self._start(task.id, Direction.UPLOAD, make, progress, gate)
        self._streams = [known for known in self._streams if not known[0].done]
        self._streams.append((transfer, made[0]))
        return transfer

    def _pour(
        self, name: str, sink: Sink, keys: Sequence[Opens], progress: OnProgress | None
    ) -> Transfer[DownloadResult]:
        from towpath.client.coded_peer import Decoding  # noqa: PLC0415 - slow to import
        from towpath.client.sinks import SinkDownload, SinkTask  # noqa: PLC0415 - slow to import

        task = SinkTask(id=uuid4().hex[:12], name=name, sink=sink, verify=self._verify)

        def make(control: Control, meter: Meter) -> SinkDownload:
            peer = Decoding(self._peer.paced(control.pace), keys, memory=self._memory)
            return SinkDownload(task, peer, control, meter, self._memory)

        return self._start(task.id, Direction.DOWNLOAD, make, progress)

    async def _leave_streams(self) -> None:
        """Give up what nobody can go on with, once all is paused."""
        for transfer, stream in self._streams:
            if transfer.progress.state is TransferState.PAUSED:
                await in_thread(stream.leave)
        self._streams.clear()

    def _start(
        self,
        name: str,
        direction: Direction,
        make: Make,
        progress: OnProgress | None,
        gate: asyncio.Semaphore | None = None,
    ) -> Transfer[Any]:
        raise NotImplementedError
