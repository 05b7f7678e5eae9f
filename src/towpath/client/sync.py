"""The same client for code without asyncio: a thin face over AsyncClient on a background loop.

Rules: no logic of its own. A coroutine handed to the loop may return a Transfer, and a Transfer is
awaitable: it must come back as it is, not as its result.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

from towpath.client.aio import AsyncClient
from towpath.client.lines import Lines
from towpath.client.location import Location, absolute
from towpath.client.loop import Loop
from towpath.client.opening import Reads, Writes
from towpath.client.progress import Progress
from towpath.client.resume import Note, Notebook
from towpath.client.throttle import Limit, Throttle
from towpath.client.transfer import OnProgress, Transfer

if TYPE_CHECKING:
    from towpath.client.reader import AsyncReader
    from towpath.client.records import LinkRecord, NameRecord, UploadRecord
    from towpath.client.results import DownloadResult, UploadResult
    from towpath.client.sinks import Sink
    from towpath.client.sources import Content
    from towpath.client.writer import AsyncWriter, ObjectWriter
    from towpath.codec.keys import Locks, Opens

R = TypeVar("R")


class BlockingTransfer(Generic[R]):
    """A Transfer whose methods wait. Iterate over it for the newest Progress.

    Leaving `with transfer` waits for it, unless it is paused; by an error it pauses it.
    """

    def __init__(self, loop: Loop, transfer: Transfer[R]) -> None:
        self._loop = loop
        self._transfer = transfer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._loop.is_over:  # its client has paused it, then
            self._loop.call(self._transfer.__aexit__(kind, error, trace))

    @property
    def id(self) -> str:
        """What it is called on this machine; the same call has the same id."""
        return self._transfer.id

    @property
    def progress(self) -> Progress:
        """The newest value."""
        return self._transfer.progress

    @property
    def done(self) -> bool:
        """True when `result` returns at once."""
        return self._transfer.done

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result, at most `timeout` seconds (TimeoutError; it goes on then)."""
        return self._loop.call(self._transfer.wait(), timeout)

    def wait(self, timeout: float | None = None) -> R:
        """The same as `result`."""
        return self.result(timeout)

    def __iter__(self) -> Iterator[Progress]:
        return self._loop.each(aiter(self._transfer))

    def pause(self) -> None:
        """Stop soon and keep everything; returns when no more bytes move."""
        self._loop.call(self._transfer.pause())

    def resume(self) -> None:
        """Go on after a pause."""
        self._loop.call(self._transfer.resume())

    def set_limit(self, limit: Limit) -> None:
        """Bytes a second for this transfer from now on, beside what its client allows."""
        self._transfer.set_limit(limit)

    def cancel(self, *, cleanup: bool = True) -> None:
        """End it for good. `cleanup`: also remove what is half done, here and at the server."""
        self._loop.call(self._transfer.cancel(cleanup=cleanup))


class Client:
    """AsyncClient for code without asyncio; see there for the arguments and the methods."""

    def __init__(  # noqa: PLR0913 - the same as AsyncClient's
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
        self._client = AsyncClient(
            url,
            token,
            state_dir=state_dir,
            timeout=timeout,
            retries=retries,
            deadline=deadline,
            parallel=parallel,
            connections=connections,
            total_connections=total_connections,
            chunk_size=chunk_size,
            memory=memory,
            verify=verify,
            ca=ca,
            cert=cert,
            cert_key=cert_key,
            proxy=proxy,
            limit=limit,
        )
        self._loop = Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._loop.is_over:
                self._loop.call(self._client.__aexit__(kind, error, trace))
        finally:
            self._loop.end()

    def close(self) -> None:
        """Pause what is under way, keep its state, and hang up. Again is no error."""
        try:
            if not self._loop.is_over:
                self._loop.call(self._client.close())
        finally:
            self._loop.end()

    def set_limit(self, limit: Limit) -> None:
        """Another limit for all transfers together, from now on. Raises SettingsError."""
        self._client.set_limit(limit)

    def upload(  # noqa: PLR0913 - the same as AsyncClient's
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
    ) -> BlockingTransfer[UploadResult]:
        """Start to upload a file, or go on where an earlier call for it stopped.

        An iterator of bytes runs in another thread than this one.
        """
        if isinstance(source, (str, os.PathLike)):
            source = absolute(source)

        async def start() -> Transfer[UploadResult]:
            return self._client.upload(
                source,
                name,
                metadata=metadata,
                on_conflict=on_conflict,
                fingerprint=fingerprint,
                restart=restart,
                compress=compress,
                encrypt=encrypt,
                delta=delta,
                progress=progress,
            )

        return BlockingTransfer(self._loop, self._loop.call(start()))

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
    ) -> BlockingTransfer[DownloadResult]:
        """Start to download an object, or go on where an earlier call for it stopped.

        A `path` that is a folder is one also without a slash at its end.
        """
        target = path
        if isinstance(path, (str, os.PathLike)):
            folder = os.fspath(path).endswith(("/", os.sep)) or os.path.isdir(path)  # noqa: PTH112
            target = absolute(path)
            if folder:
                target = os.path.join(target, "")  # noqa: PTH118 - with one slash, if it is the root
        said: dict[str, Any] = {"overwrite": overwrite, "restart": restart, "keys": keys}

        async def start() -> Transfer[DownloadResult]:
            return self._client.download(name, target, known=known, progress=progress, **said)

        return BlockingTransfer(self._loop, self._loop.call(start()))

    @overload
    def open(
        self, name: str, mode: Reads = "rb", *, keys: Sequence[Opens] = ()
    ) -> io.BufferedReader: ...

    @overload
    def open(
        self,
        name: str,
        mode: Writes,
        *,
        metadata: Mapping[str, str] | None = None,
        on_conflict: str = "",
    ) -> ObjectWriter: ...

    def open(
        self,
        name: str,
        mode: str = "rb",
        *,
        metadata: Mapping[str, str] | None = None,
        on_conflict: str = "",
        keys: Sequence[Opens] = (),
    ) -> io.BufferedReader | ObjectWriter:
        """An object as a file of Python. Raises NotFound when it is opened for reading."""
        from towpath.client.reader import AsyncReader  # noqa: PLC0415 - slow to import
        from towpath.client.writer import ObjectWriter  # noqa: PLC0415 - slow to import

        async def start() -> AsyncReader | AsyncWriter:
            if mode == "wb" and not keys:
                return self._client.open(name, "wb", metadata=metadata, on_conflict=on_conflict)
            return self._client.open(name, cast("Reads", mode), keys=keys)  # or it is refused there

        opened = self._loop.call(start())
        if isinstance(opened, AsyncReader):
            return opened.blocking()
        return ObjectWriter(
            opened.handoff, BlockingTransfer(self._loop, opened.transfer), opened.name
        )

    def blocks(self, name: str, *, keys: Sequence[Opens] = ()) -> Generator[bytes, None, None]:
        """The bytes of an object in order; raises DigestMismatch at their end if they are wrong."""
        return self._loop.each(self._client.blocks(name, keys=keys))

    def resume(
        self,
        note: Note,
        *,
        encrypt: Sequence[Locks] = (),
        keys: Sequence[Opens] = (),
        progress: OnProgress | None = None,
    ) -> BlockingTransfer[Any]:
        """Go on with a transfer from `unfinished`. `encrypt`, `keys`: as when it began."""

        async def start() -> Transfer[Any]:
            return self._client.resume(note, encrypt=encrypt, keys=keys, progress=progress)

        return BlockingTransfer(self._loop, self._loop.call(start()))

    def unfinished(self) -> list[Note]:
        """What this machine remembers of transfers with this server that are not finished."""
        return self._loop.call(self._client.unfinished())

    def forget(self, note: Note) -> None:
        """Give an unfinished transfer up: remove what is half done, here and at the server."""
        self._loop.call(self._client.forget(note))

    def names(self, prefix: str = "", *, page: int = 1000, after: str = "") -> Iterator[NameRecord]:
        """The names that begin with `prefix`, in order, from behind `after` on; `page` at once."""
        return self._loop.each(self._client.names(prefix, page=page, after=after))

    def uploads(
        self, states: Iterable[str] = ("open", "filled"), *, page: int = 1000
    ) -> Iterator[UploadRecord]:
        """The uploads that the server has in one of `states`."""
        return self._loop.each(self._client.uploads(states, page=page))

    def rewrap(self, name: str, keys: Sequence[Opens], encrypt: Sequence[Locks]) -> None:
        """From now on an encrypted file is for `encrypt`, and for no others; no data moves."""
        self._loop.call(self._client.rewrap(name, keys, encrypt))

    def stat(self, name: str) -> NameRecord:
        """What the server knows of a name. Raises NotFound."""
        return self._loop.call(self._client.stat(name))

    def remove(self, name: str) -> None:
        """Take a name away. Raises NotFound."""
        self._loop.call(self._client.remove(name))

    def move(self, name: str, to: str, *, on_conflict: str = "fail") -> str:
        """Call `name` `to` instead; what it is called then. Raises NotFound, NameConflict."""
        return self._loop.call(self._client.move(name, to, on_conflict=on_conflict))

    def link(
        self, name: str, *, seconds: int | None = None, disposition: str = "", filename: str = ""
    ) -> LinkRecord:
        """An address that reads the object without a token; see AsyncClient."""
        return self._loop.call(
            self._client.link(name, seconds=seconds, disposition=disposition, filename=filename)
        )

    def cancel(self, upload: str) -> None:
        """Give up an upload that the server has, by its id there. Raises NotFound."""
        self._loop.call(self._client.cancel(upload))

    def server(self) -> Mapping[str, Any]:
        """What the server says of itself."""
        return self._loop.call(self._client.server())
