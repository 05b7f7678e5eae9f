"""Resumable uploads for HTTP below /files/: one request, top to bottom.

Rules: an upload is gone on with here whichever dialect created it, by this one's rules; the interim
answer goes out before the first byte is taken; what an error did to the upload is looked at before
it is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from towpath.core.caller import Caller, Scope
from towpath.core.command import Append, Cancel, Claim, Command, Create, Discover
from towpath.core.model import Upload
from towpath.core.ports import Source
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.errors import Interrupted, TowpathError
from towpath.protocol import rufh
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import status_of
from towpath.web.intake import below_prefix
from towpath.web.log import upload_id

Sourcing = Callable[[], Source]
Inform = Callable[[tuple[tuple[str, str], ...]], Awaitable[None]]
"""Sends a 104 with these fields."""

PROGRESS_SECONDS = 1.0
"""How often a client that asked is told what has become durable."""

_log = logging.getLogger("towpath.web")


class Resumable:
    """Answers requests in this dialect."""

    def __init__(
        self,
        engine: Engine,
        shelf: Shelf,
        cancel: Callable[[Caller, str], Awaitable[None]],
        *,
        unasked: bool = False,
    ) -> None:
        """`cancel` gives an upload up, or removes the object that it became.

        `unasked`: interim answers are also for clients that say no version.
        """
        self._engine = engine
        self._shelf = shelf
        self._cancel = cancel
        self._unasked = unasked

    def is_meant(self, head: Head) -> bool:
        """True if the request is for us: its fields say so, or it is a DELETE without any."""
        if head.method == "GET":
            return False  # it reads; who reads what is not complete comes to `offset`
        return rufh.speaks(head) or (head.method == "DELETE" and "tus-resumable" not in head.fields)

    async def answer(
        self, caller: Caller | None, head: Head, source: Sourcing, inform: Inform | None
    ) -> Reply:
        """The reply; errors are told in the dialect's words. `inform`: None where none can be."""
        try:
            command = rufh.parse(head)
            if isinstance(command, Reply):
                return command
            if isinstance(command, Discover) or caller is None:
                return await self._render(None, command, None, head)
            if isinstance(command, Create):
                return await self._create(caller, head, command, source, inform)
            if isinstance(command, Append | Claim | Cancel):
                upload_id.set(command.key)
            match command:
                case Append():
                    return await self._append(caller, head, command, source, inform)
                case Claim():
                    return await self.offset(caller, head, command.key)
                case Cancel():
                    await self._cancel(caller, command.key)
            return await self._render(caller, command, None, head)
        except TowpathError as error:
            return self._refuse(error, head, None)

    async def offset(self, caller: Caller, head: Head, key: str) -> Reply:
        """Offset Retrieval: ends whoever writes, if the caller may. Raises NotFound, Expired."""
        async with self._engine.hold(key):
            upload, _ = await self._engine.inspect(caller, key)
            if Scope.WRITE in caller.scopes and not rufh.is_gone(upload):
                upload = await self._engine.claim(caller, key)
        return await self._render(caller, Claim(key=key), upload, head)

    async def described(self, caller: Caller, head: Head, key: str) -> tuple[tuple[str, str], ...]:
        """What a HEAD of a finished object says beside what every object's says."""
        try:
            upload, _ = await self._engine.inspect(caller, key)
        except TowpathError:  # the upload is forgotten
            return ()
        return rufh.state(head, upload, most=self._engine.limits.length, now=self._now())

    async def _create(
        self,
        caller: Caller,
        head: Head,
        command: Create,
        source: Sourcing,
        inform: Inform | None,
    ) -> Reply:
        upload = await self._engine.create(caller, below_prefix(caller, command.new))
        upload_id.set(upload.id)
        fields = self._informational(head, upload, head.base)
        if inform is not None and fields is not None:
            await inform(fields)
        if command.write is None or upload.state is UploadState.COMPLETE:
            return await self._render(caller, command, upload, head)
        try:
            upload = await self._write(caller, head, upload, command.write, source, inform)
        except TowpathError as error:
            refused = await self._refuse_write(error, caller, head, upload.id)
            return refused.with_fields(rufh.location(head, upload))
        return await self._render(caller, command, upload, head)

    async def _append(
        self,
        caller: Caller,
        head: Head,
        command: Append,
        source: Sourcing,
        inform: Inform | None,
    ) -> Reply:
        async with self._engine.hold(command.key):
            upload, _ = await self._engine.inspect(caller, command.key)
            if rufh.is_gone(upload):
                return await self._render(caller, command, upload, head)
            try:
                upload = await self._write(caller, head, upload, command.write, source, inform)
            except TowpathError as error:
                return await self._refuse_write(error, caller, head, command.key)
        return await self._render(caller, command, upload, head)

    async def _write(
        self,
        caller: Caller,
        head: Head,
        upload: Upload,
        write: Write,
        source: Sourcing,
        inform: Inform | None,
    ) -> Upload:
        async with self._telling(caller, head, upload, inform):
            return await self._engine.write(caller, upload.id, write, source, rufh.read_behind)

    @asynccontextmanager
    async def _telling(
        self, caller: Caller, head: Head, upload: Upload, inform: Inform | None
    ) -> AsyncIterator[None]:
        """Tell the progress while the block runs, to a client that asked."""
        if inform is None or self._informational(head, upload, None) is None:
            yield
            return
        telling = asyncio.create_task(self._tell(caller, head, upload, inform))
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, caller: Caller, head: Head, upload: Upload, inform: Inform) -> None:
        told = upload.offset
        while True:
            await self._engine.clock.sleep(PROGRESS_SECONDS)
            upload, _ = await self._engine.inspect(caller, upload.id)
            fields = self._informational(head, upload, None)
            if upload.offset > told and fields is not None:
                told = upload.offset
                await inform(fields)

    def _informational(
        self, head: Head, upload: Upload, base: str | None
    ) -> tuple[tuple[str, str], ...] | None:
        most = self._engine.limits.length
        return rufh.informational(
            head, upload, base, most=most, now=self._now(), unasked=self._unasked
        )

    async def _render(
        self, caller: Caller | None, command: Command, upload: Upload | None, head: Head
    ) -> Reply:
        digests = ""
        if upload is not None and upload.wants and upload.state is UploadState.COMPLETE:
            digests = await self._digests(caller, upload.id)
        return rufh.render(
            command,
            upload,
            head,
            most=self._engine.limits.length,
            now=self._now(),
            digests=digests,
        )

    async def _digests(self, caller: Caller | None, key: str) -> str:
        """Those that were asked for, if the caller may read what it wrote."""
        if caller is None or Scope.READ not in caller.scopes:
            return ""
        opened = await self._shelf.open(caller, key)
        return opened.object.digests

    async def _refuse_write(
        self, error: TowpathError, caller: Caller, head: Head, key: str
    ) -> Reply:
        """Tell what went wrong, and what has become of the upload by it."""
        upload: Upload | None = None
        try:
            upload, _ = await self._engine.inspect(caller, key)
            if rufh.invalidates(error, upload, head):
                await self._engine.fail(caller, key, "more came than it was to have")
        except TowpathError as further:
            _log.warning("an upload cannot be looked at", extra={"why": str(further)})
        return self._refuse(error, head, upload)

    def _refuse(self, error: TowpathError, head: Head, upload: Upload | None) -> Reply:
        if status_of(error) >= 500 or isinstance(error, Interrupted):
            _log.warning("a request ended early", extra={"why": str(error)})
        return rufh.refuse(error, head, upload, most=self._engine.limits.length, now=self._now())

    def _now(self) -> int:
        return self._engine.clock.now()
