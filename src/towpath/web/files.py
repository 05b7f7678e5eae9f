"""/files/: uploads by tus or as HTTP has them, and finished objects to read.

One request, top to bottom: parse the head, ask the engine, give it the body's source if it
wants one, render. Who asks was settled before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from towpath.core.caller import Caller, Scope
from towpath.core.command import (
    Append,
    Cancel,
    Claim,
    Command,
    Concatenate,
    Create,
    Discover,
    Fetch,
)
from towpath.core.model import Upload
from towpath.core.ports import Source
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.engine.whole import at_once
from towpath.errors import DigestMismatch, NotFound, TooLarge, TowpathError
from towpath.protocol import rufh, tus
from towpath.protocol.message import Head, Reply
from towpath.settings import Informational
from towpath.web.downloads import Arriving, Downloads, Whole, incomplete
from towpath.web.links import Links
from towpath.web.log import upload_id
from towpath.web.resumable import Inform, Resumable

Sourcing = Callable[[], Source]


class Files:
    """Answers requests below /files/."""

    def __init__(
        self,
        engine: Engine,
        shelf: Shelf,
        links: Links,
        downloads: Downloads,
        *,
        informational: Informational = "asked",
        trailers: bool = True,
    ) -> None:
        """`informational`: who gets interim answers.

        `trailers`: what comes behind bodies is read, where the server can.
        """
        self._trailers = trailers
        self._engine = engine
        self._shelf = shelf
        self._links = links
        self._downloads = downloads
        self._informs = informational != "never"
        unasked = informational == "always"
        self._resumable = Resumable(engine, shelf, self._cancel, unasked=unasked)

    def by_link(self, head: Head) -> Caller | None:
        """Who asks, if the address is a link. Raises Forbidden for a link that is not sound."""
        link = self._links.find(head)
        return None if link is None else link.caller

    async def answer(
        self, caller: Caller | None, head: Head, source: Sourcing, inform: Inform | None = None
    ) -> Reply | Whole | Arriving:
        """The reply, or bytes to send. `caller` is None for what needs none.

        `inform` sends an interim answer, where that can be done. Raises what the engine raises.
        """
        head = replace(head, trailers=head.trailers and self._trailers)
        if self._resumable.is_meant(head):
            telling = inform if self._informs else None
            return await self._resumable.answer(caller, head, source, telling)
        command = tus.parse(head)
        if isinstance(command, Reply):
            return command
        if isinstance(command, Discover) or caller is None:
            limits = rufh.limits(head, None, most=self._engine.limits.length)
            return self._render(command, None, head).with_fields(rufh.ACCEPT_PATCH, *limits)
        if not isinstance(command, Create | Concatenate):
            upload_id.set(command.key)
        match command:
            case Fetch():
                return await self._fetch(caller, head, command.key)
            case Create():
                return await self._create(caller, head, command, source)
            case Concatenate():
                return await self._concatenate(caller, head, command)
            case Append():
                return await self._append(caller, head, command, source)
            case Claim():
                return self._render(command, await self._claim(caller, command.key), head)
            case Cancel():
                await self._cancel(caller, command.key)
        return self._render(command, None, head)

    def _render(self, command: Command, upload: Upload | None, head: Head) -> Reply:
        return tus.render(command, upload, head, most=self._engine.limits.length)

    async def _create(self, caller: Caller, head: Head, command: Create, source: Sourcing) -> Reply:
        length, write = command.new.length, command.write
        if write is not None and None not in {length, write.length}:
            _refuse_overlong(length or 0, write)
        made, source = await at_once(self._engine, caller, command, source)
        upload = made or await self._engine.create(caller, command.new)
        upload_id.set(upload.id)
        if write is None or made is not None:
            return self._render(command, upload, head)
        try:
            upload = await self._engine.write(caller, upload.id, write, source, tus.read_behind)
        except TowpathError as error:
            # The upload exists and keeps what came: its address is told even so.
            return tus.refuse(error).with_fields(tus.location(head, upload))
        return self._render(command, upload, head)

    async def _concatenate(self, caller: Caller, head: Head, command: Concatenate) -> Reply:
        try:
            upload = await self._engine.concatenate(caller, command.new, command.parts)
        except DigestMismatch as error:
            return tus.refuse(error)
        upload_id.set(upload.id)
        return self._render(command, upload, head)

    async def _append(self, caller: Caller, head: Head, command: Append, source: Sourcing) -> Reply:
        try:
            upload = await self._engine.write(
                caller, command.key, command.write, source, tus.read_behind
            )
        except DigestMismatch as error:
            return tus.refuse(error)
        return self._render(command, upload, head)

    async def _claim(self, caller: Caller, key: str) -> Upload:
        if Scope.WRITE in caller.scopes:
            return await self._engine.claim(caller, key)
        upload, _ = await self._engine.inspect(caller, key)
        return upload

    async def _cancel(self, caller: Caller, key: str) -> None:
        upload, _ = await self._engine.inspect(caller, key)
        if upload.state is UploadState.COMPLETE:
            await self._shelf.discard(caller, key)
        else:
            await self._engine.cancel(caller, key)

    async def _fetch(self, caller: Caller, head: Head, key: str) -> Reply | Whole | Arriving:
        try:
            found = await self._downloads.fetch(caller, head, key)
        except NotFound:
            upload, _ = await self._engine.inspect(caller, key)  # raises if there is none either
            if head.method == "HEAD" or upload.dialect == rufh.NAME or rufh.speaks(head):
                return await self._resumable.offset(caller, head, key)
            return incomplete(upload.state.value, upload.offset)
        if head.method == "HEAD" and isinstance(found, Whole):
            return found.with_fields(*await self._resumable.described(caller, head, key))
        return found


def _refuse_overlong(length: int, write: Write) -> None:
    if write.length is not None and write.length > length:
        raise TooLarge(
            "The body is longer than the upload.",
            why=f"It has {write.length} bytes; the upload is to have {length}.",
            todo="Send no more bytes than Upload-Length says.",
        )
