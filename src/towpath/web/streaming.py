"""/api/streaming/upload: chunks by index, any order, in parallel.

One request, top to bottom: read the fields, see where the chunk belongs, give the engine the file
of the form as its source, render. Who asks was settled before.
"""

from __future__ import annotations

from towpath.core.caller import Caller, Scope
from towpath.core.ports import Source
from towpath.core.state import UploadState
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.protocol import streaming
from towpath.protocol.message import Head, Reply
from towpath.protocol.values import unsuccessful
from towpath.web.form_source import open_form
from towpath.web.intake import (
    HERE,
    Sourcing,
    below_prefix,
    keep,
    query_of,
    read_json,
    repeat,
    wrong_address,
)
from towpath.web.log import upload_id

_CALLS = {"/initialize": "POST", "/chunk": "POST", "/status": "GET, PUT"}


class Streaming:
    """Answers requests below /api/streaming/upload."""

    def __init__(self, engine: Engine, shelf: Shelf, *, files: str) -> None:
        """`files`: where objects are read."""
        self._engine = engine
        self._shelf = shelf
        self._files = files

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error."""
        return streaming.refuse(error)

    async def answer(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        """Do what the request asks for. Raises what the engine raises."""
        match head.method, head.path.rstrip("/"):
            case "POST", "/initialize":
                return await self._initialize(caller, head, source)
            case "POST", "/chunk":
                return await self._chunk(caller, head, source)
            case "GET", "/status":
                return await self._status(caller, head, streaming.parse_status(query_of(head)))
            case "PUT", "/status":
                return await self._act(caller, head, source)
        return unsuccessful(wrong_address(head, _CALLS), "error")

    async def _initialize(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        new = streaming.parse_initialize(await read_json(head, source, self._engine.threads))
        upload = await self._engine.create(caller, below_prefix(caller, new))
        return streaming.render_begun(upload)

    async def _chunk(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        engine = self._engine
        fields, form = await open_form(
            source(), head.get("content-type"), engine.threads, files=(streaming.FILE,)
        )
        chunk = streaming.parse_chunk(fields)
        upload_id.set(chunk.key)
        upload, _ = await engine.inspect(caller, chunk.key)
        write = streaming.place(chunk, upload).write
        form.expect(write.length or 0)

        def body() -> Source:
            return form

        behind = streaming.read_behind
        if upload.state in HERE:
            await repeat(engine, self._shelf, caller, upload, write, form, behind)
            if upload.state is UploadState.FILLED:  # another dialect waits for its own word
                await engine.write(caller, chunk.key, streaming.last(upload), body)
        else:
            await engine.write(caller, chunk.key, write, body, behind)
        return streaming.render_chunk(chunk, *await engine.inspect(caller, chunk.key))

    async def _status(self, caller: Caller, head: Head, key: str) -> Reply:
        upload, extent = await self._engine.inspect(caller, key)
        return streaming.render_status(upload, extent, head.root + self._files)

    async def _act(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        values = await read_json(head, source, self._engine.threads)
        key, pause = streaming.parse_action(values)
        upload, _ = await self._engine.inspect(caller, key)
        if streaming.is_paused(upload) != pause and not upload.state.is_final:
            await keep(self._engine, key, lambda row: streaming.with_pause(row, pause))
        if pause:
            await self._engine.claim(caller, key)  # ends the chunks that are on their way
        return await self._status(caller, head, key)
