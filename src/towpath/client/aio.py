"""The client for asyncio: transfers of files. Streams are in `opening`, single calls in `asking`.

Rules: every blocking call runs in a thread; leaving the context because of an error pauses what is
under way and keeps its state; leaving it otherwise waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from towpath.client.asking import Asking
from towpath.client.bounds import insist_on, insist_on_time
from towpath.client.coded import (
    Coded,
    coding_of,
    compress_of,
    give_up,
    metadata_of,
    places,
)
from towpath.client.control import Control
from towpath.client.lines import MOST, Lines
from towpath.client.location import Location, absolute, insist_on_name, local_name, name_for
from towpath.client.memory import SHARED, Memory
from towpath.client.opening import Make, Opening
from towpath.client.peer import Peer
from towpath.client.progress import Direction, Meter
from towpath.client.resume import Note, Notebook, transfer_id
from towpath.client.retry import Patience
from towpath.client.surroundings import speed_limit, state_folder
from towpath.client.throttle import Limit, Pace, Throttle
from towpath.client.transfer import Flow, OnProgress, Transfer, in_thread
from towpath.client.upload import Upload, UploadTask
from towpath.errors import Malformed, StateConflict

if TYPE_CHECKING:
    from towpath.client.records import NameRecord
    from towpath.client.results import DownloadResult, UploadResult
    from towpath.client.sinks import Sink
    from towpath.client.sources import Content
    from towpath.codec.keys import Locks, Opens


class AsyncClient(Opening, Asking):
    """A client of the server at `url`.

    `token` is sent to that server only. `state_dir` holds what is remembered of unfinished
    transfers. `timeout`: seconds that one wait for the server may last. `retries`: failures in a
    row, without a byte getting through, after which a transfer gives up; `deadline`: seconds for
    a whole transfer, however often it is tried. `parallel`: transfers at the same time.
    `connections`: of one transfer of 16 MiB or more, as many as help and no more than that, by
    default 12; 1 sends in order; of a coded upload so many, by default 6. `total_connections`: of
    all together, by default 24, or what `parallel` or `connections` says if that is more.
    `chunk_size`: bytes of one request at most. `memory`: bytes that files pass through, by default
    32 MiB for all clients of the process. `verify`: compare checksums from end to end. `ca`: a PEM
    file to trust in place of the system's.
    `cert`, `cert_key`: PEM files of a certificate to show and its key. `proxy`: the URL of one, or
    none; by default what the environment says. `limit`: bytes a second for all together, or a text
    such as `20M` or `08:00,512k 19:00,10M 23:00,off` by local time; by default what TOWPATH_LIMIT
    says. Clients that are given the same Throttle share it, and so with Lines for the connections.
    Raises SettingsError for what cannot be.
    """

    def __init__(  # noqa: PLR0913 - each stands for itself, and all but two are given by name
        self,
        url: str,
        token: str | None = None,
        *,
        state_dir: Location | Notebook | None = None,
        timeout: float = 60.0,
        retries: int = 10,
        deadline: float | None = None,
        parallel: int = 4,
        connections: int | None = None,
        total_connections: int | Lines | None = None,
        chunk_size: int | None = None,
        memory: int | None = None,
        verify: bool = True,
        ca: Location | None = None,
        cert: Location | None = None,
        cert_key: Location | None = None,
        proxy: str | None = None,
        limit: Limit | Throttle = None,
    ) -> None:
        insist_on(1, parallel=parallel, connections=connections)
        insist_on(1, total_connections=total_connections, chunk_size=chunk_size, memory=memory)
        insist_on(0, retries=retries)
        insist_on_time(timeout=timeout)
        said = speed_limit() if limit is None else limit
        self._throttle = said if isinstance(said, Throttle) else Throttle(said)
        peer = Peer(url, token, timeout=timeout, ca=ca, cert=cert, cert_key=cert_key, proxy=proxy)
        self._way = peer.paced(Pace(self._throttle))
        self._closed = False
        if not isinstance(state_dir, Notebook):
            state_dir = Notebook(state_folder() if state_dir is None else Path(state_dir))
        self._notebook = state_dir
        self._patience = partial(Patience, retries, deadline)
        self._gate = asyncio.Semaphore(parallel)
        self._connections = connections
        if not isinstance(total_connections, Lines):
            total_connections = Lines(total_connections or max(MOST, parallel, connections or 0))
        self._lines = total_connections
        self._memory = SHARED if memory is None else Memory(memory)
        self._chunk_size, self._verify = chunk_size, verify
        self._transfers: list[Transfer[Any]] = []
        self._streams = []

    @property
    def _peer(self) -> Peer:
        """The server. Raises StateConflict once the client is closed, so that nothing begins."""
        if self._closed:
            raise StateConflict("The client is closed.", todo="Make a new one.")
        return self._way

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for transfer in self._transfers:
                    if not transfer.collected and not transfer.paused:
                        await transfer.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Pause what is under way, keep its state, and hang up.

        An upload that nobody could go on with, a stream without a fingerprint, is given up. Again
        is no error; any other call raises StateConflict then.
        """
        self._closed = True
        await asyncio.gather(*(transfer.close() for transfer in self._transfers))
        await self._leave_streams()
        self._transfers.clear()
        self._way.done_with()

    def set_limit(self, limit: Limit) -> None:
        """Another limit for all transfers together, from now on. Raises SettingsError."""
        self._throttle.set_limit(limit)

    def upload(  # noqa: PLR0913 - each stands for itself, and all but two are given by name
        self,
        source: Location | Content,
        name: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        on_conflict: str = "",
        fingerprint: str | None = None,
        restart: bool = False,
        compress: str = "no",
        encrypt: Sequence[Locks] = (),
        delta: bool = False,
        progress: OnProgress | None = None,
    ) -> Transfer[UploadResult]:
        """Start to upload a file, or go on where an earlier call for it stopped.

        `name`: what it is called on the server; by default as here, `folder/` puts it there.
        `on_conflict`: keep-both, replace or fail. `restart`: forget what was sent before.
        `compress`: "auto" or a level, "1" to "9": each chunk that becomes shorter by it.
        `encrypt`: key files, passphrases, recipients (towpath.codec.keys); any can read it then.
        `delta`: read the file first, and send only what the object of that name has not.
        What is no path - bytes, an open binary file from where it is to its end, an iterator of
        bytes, an asynchronous one - needs a name, and is not coded. It goes on after a cut and
        after a pause; in another call only with `fingerprint`: a word of yours that stands for the
        very same bytes, which are read again from their beginning then. Raises Malformed.
        """
        keep = dict(metadata or {})
        coding = coding_of(compress, encrypt)
        if delta and coding is not None:
            raise Malformed("A file cannot be coded if only its changes are sent.", field="delta")
        if not isinstance(source, (str, os.PathLike)):
            if coding is not None:
                raise Malformed("A stream cannot be compressed or encrypted.", field="source")
            from towpath.client.sources import feed_of  # noqa: PLC0415 - slow to import

            feed = feed_of(source, asyncio.get_running_loop())
            made = self._stream_task(
                feed, name, keep, on_conflict, fingerprint=fingerprint, restart=restart
            )
            return self._stream(made, progress)
        if fingerprint is not None:
            raise Malformed("A path needs no fingerprint.", field="fingerprint", todo=_NO_WORD)
        path = absolute(source)
        name = insist_on_name(name_for(name, Path(path).name))
        key = transfer_id(Direction.UPLOAD, self._peer.url, name, path)
        task = UploadTask(
            id=key,
            path=path,
            name=name,
            metadata=keep,
            on_conflict=on_conflict,
            restart=restart,
            verify=self._verify,
            chunk_size=self._chunk_size,
            connections=self._connections,
        )

        def make(control: Control, meter: Meter) -> Flow[UploadResult]:
            peer, memory = self._peer.paced(control.pace), self._memory
            if delta:
                from towpath.client.delta import Delta  # noqa: PLC0415 - slow to import

                return Delta(task, peer, self._notebook, control, meter, memory)
            if coding is not None:
                return Coded(task, coding, peer, self._notebook, control, meter, memory)
            return Upload(task, peer, self._notebook, control, meter, memory)

        return self._start(key, Direction.UPLOAD, make, progress)

    def download(
        self,
        name: str,
        path: Location | Sink = ".",
        *,
        overwrite: bool = False,
        restart: bool = False,
        keys: Sequence[Opens] = (),
        known: NameRecord | None = None,
        progress: OnProgress | None = None,
    ) -> Transfer[DownloadResult]:
        """Start to download an object, or go on where an earlier call for it stopped.

        `name`: its name on the server, or its URL. `path`: a file; `folder/` puts it there.
        An existing file is replaced only with `overwrite`. `restart`: forget what came before.
        `keys`: what may open an encrypted file; what is compressed is undone by itself.
        `known`: what `names` told of the object just now, which saves a question.

        What is no path - an open binary file, a function that takes each block as a memoryview
        and is done with it when it returns - gets the bytes in order. They cannot be taken back:
        they are proven when the transfer has its result, and worthless after DigestMismatch.
        `overwrite` and `restart` mean nothing then.
        """
        from towpath.client.coded_peer import Decoding  # noqa: PLC0415 - slow to import
        from towpath.client.download import Download, DownloadTask  # noqa: PLC0415 - slow to import

        if not isinstance(path, (str, os.PathLike)):
            return self._pour(name, path, keys, progress)
        local = os.fspath(path)
        target = absolute(local)
        if local.endswith(("/", os.sep)) or local in (".", ".."):
            target = str(Path(target) / local_name(name))
        task = DownloadTask(
            id=transfer_id(Direction.DOWNLOAD, self._peer.url, name, target),
            name=name,
            path=target,
            overwrite=overwrite,
            restart=restart,
            verify=self._verify,
            connections=self._connections,
            keys=places(keys),
            known=known,
        )

        def make(control: Control, meter: Meter) -> Flow[DownloadResult]:
            peer = Decoding(self._peer.paced(control.pace), keys, memory=self._memory)
            return Download(task, peer, self._notebook, control, meter, self._memory)

        return self._start(task.id, Direction.DOWNLOAD, make, progress)

    def resume(
        self,
        note: Note,
        *,
        encrypt: Sequence[Locks] = (),
        keys: Sequence[Opens] = (),
        progress: OnProgress | None = None,
    ) -> Transfer[Any]:
        """Go on with a transfer from `unfinished`. `encrypt`, `keys`: as when it began.

        Raises StateConflict if it had no path, or if its keys are not given.
        """
        from towpath.client.stream import refuse_stream  # noqa: PLC0415 - slow to import

        refuse_stream(note)
        if note.direction is Direction.DOWNLOAD:
            return self.download(note.name, note.path, keys=keys, progress=progress)
        return self.upload(
            note.path,
            note.name,
            metadata=metadata_of(note),
            on_conflict=note.on_conflict,
            compress=compress_of(note, encrypt),
            encrypt=encrypt,
            delta=bool(note.etag),
            progress=progress,
        )

    async def unfinished(self) -> list[Note]:
        """What this machine remembers of transfers with this server that are not finished."""
        url = self._peer.url
        notes = await in_thread(lambda: list(self._notebook.all()))
        return [note for note in notes if note.server == url]

    async def forget(self, note: Note) -> None:
        """Give an unfinished transfer up: remove what is half done, here and at the server.

        Raises StateConflict while a process carries it.
        """
        from towpath.client.stream import forget_stream, is_stream  # noqa: PLC0415 - slow to import

        if is_stream(note):
            await in_thread(partial(forget_stream, note, self._peer, self._notebook))
        elif not await in_thread(partial(give_up, self._peer, self._notebook, note)):
            await in_thread(partial(self._notebook.insist_alone, note.id))
            transfer = self.resume(note)
            await transfer.cancel()

    def _start(
        self,
        name: str,
        direction: Direction,
        make: Make,
        progress: OnProgress | None,
        gate: asyncio.Semaphore | None = None,
    ) -> Transfer[Any]:
        self._transfers = [
            known for known in self._transfers if not (known.done and known.collected)
        ]
        transfer: Transfer[Any] = Transfer(
            name,
            direction,
            make,
            pace=Pace(self._throttle),
            patience=self._patience,
            gate=gate or self._gate,
            lines=None if gate else self._lines.share(),  # what is opened goes beside the others
            on_progress=progress,
        )
        self._transfers.append(transfer)
        return transfer


_NO_WORD = "Leave it out: a file is known by its path, size and time."
