"""/ranges: one upload by many connections, each with a range of it.

One request, top to bottom: read the head and the small body, ask the engine, render. Who asks was
settled before. An upload that another dialect began is carried on here like one of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from towpath.core.caller import Caller, Scope
from towpath.core.command import Append, Cancel, Complete, Create
from towpath.core.model import Object
from towpath.core.ports import Source
from towpath.core.state import UploadState
from towpath.core.transfer import Write, declare, refuse_beyond
from towpath.engine.copying import CopySource, require_proof
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf, held
from towpath.errors import NotFound, StateConflict, StoreLost
from towpath.protocol import ranges
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import refuse
from towpath.web.intake import HERE, Sourcing, query_of, read_json, repeat
from towpath.web.log import upload_id
from towpath.web.reuse import Mapped, Places


class Ranges:
    """Answers requests below /ranges."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine = engine
        self._shelf = shelf
        self._places = Places()

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error."""
        return refuse(error)

    async def answer(self, caller: Caller, head: Head, source: Sourcing) -> Reply | Mapped:
        """Do what the request asks for. Raises what the engine raises."""
        values: dict[str, object] = dict(query_of(head)) if head.method == "GET" else {}
        if ranges.has_values(head):
            caller.require(Scope.READ if ranges.asks(head) else Scope.WRITE)
            values = await read_json(head, source, self._engine.threads)
        command = ranges.parse(head, values)
        match command:
            case Reply():
                return command
            case ranges.Have():
                found = await self._engine.do(held, self._engine.ledger, caller, command.digests)
                return ranges.render(command, ranges.held(found), head)
            case Create():
                upload = await self._engine.create(caller, command.new)
                return ranges.render(command, await self._told(caller, upload.id), head)
        upload_id.set(command.key)
        match command:
            case ranges.Map():
                opened = await self._shelf.open(caller, command.key)
                return Mapped(self._engine, opened, command.cut, self._places)
            case ranges.Copy():
                await self._copy(caller, command)
            case Append():
                caller.require(Scope.WRITE)
                async with self._engine.hold(command.key):  # it is read from the ledger once
                    await self._append(caller, command, source)
                    told = await self._told(caller, command.key)
                return ranges.render(command, told, head)
            case Complete():
                await self._engine.complete(caller, command.key)
            case Cancel():
                await self._cancel(caller, command.key)
                return ranges.render(command, None, head)
            case ranges.Look():
                upload, extent = await self._engine.inspect(caller, command.key)
                told = await self._told(caller, command.key)
                page = ranges.page(told, extent, after=command.after, limit=command.limit)
                return ranges.render(command, page, head)
        return ranges.render(command, await self._told(caller, command.key), head)

    async def _copy(self, caller: Caller, command: ranges.Copy) -> None:
        """Fill the ranges from the object, one after the other, as if its bytes were sent."""
        upload, _ = await self._engine.inspect(caller, command.key)
        require_proof(upload)
        opened = await self._shelf.open(caller, command.source)
        sources = [CopySource(opened, start, end) for start, end, _ in command.runs]
        with self._places.place():
            for source, (_, _, at) in zip(sources, command.runs, strict=True):
                await self._copy_run(caller, command.key, at, source)

    async def _copy_run(self, caller: Caller, key: str, at: int, source: CopySource) -> None:
        write = Write(offset=at, length=source.length, sequential=False, when_filled=True)
        try:
            async with self._engine.hold(key):
                await self._append(caller, Append(key=key, write=write), lambda: source)
        finally:
            await self._engine.do(source.close)

    async def _append(self, caller: Caller, command: Append, source: Sourcing) -> None:
        """Write the range, or hold it against what is there if nothing is missing any more."""
        if await self._write(caller, command, source):
            return
        upload, extent = await self._engine.inspect(caller, command.key)
        write = command.write
        if write.declares is not None:
            declare(upload, write.declares, extent=extent, most=None)
        refuse_beyond(upload, write)
        if write.length:
            await repeat(self._engine, self._shelf, caller, upload, write, source(), _nothing)
        if upload.completes:
            await self._engine.complete(caller, command.key)

    async def _write(self, caller: Caller, command: Append, source: Sourcing) -> bool:
        """Write the range; False, with nothing taken, if no byte of the upload is missing."""
        taken: list[Source] = []

        def body() -> Source:
            taken.append(source())
            return taken[0]

        upload, _ = await self._engine.inspect(caller, command.key)
        if upload.state in HERE:
            return False
        try:
            await self._engine.write(caller, command.key, command.write, body)
        except StateConflict:
            upload, _ = await self._engine.inspect(caller, command.key)
            if taken or upload.state not in HERE:
                raise
            return False  # others have filled it since we looked
        return True

    async def _told(self, caller: Caller, key: str) -> ranges.Told:
        """What is told of the upload, with the digests that the caller may see."""
        upload, extent = await self._engine.inspect(caller, key)
        made: Object | None = None
        if upload.state is UploadState.COMPLETE and Scope.READ in caller.scopes:
            with contextlib.suppress(NotFound, StoreLost):  # it may be gone or damaged by now
                made = (await self._shelf.open(caller, key)).object
        return ranges.tell(upload, extent, made)

    async def _cancel(self, caller: Caller, key: str) -> None:
        upload, _ = await self._engine.inspect(caller, key)
        if upload.state is UploadState.COMPLETE:
            await self._shelf.discard(caller, key)
        else:
            await self._engine.cancel(caller, key)


def _nothing(_trailers: Mapping[str, str]) -> Mapping[str, bytes]:
    """No digest comes behind the bytes in this dialect."""
    return {}
