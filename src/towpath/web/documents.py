"""/api/documents/streaming: sessions of documents, chunk by chunk.

One request, top to bottom: read the fields, see where the chunk belongs, give the engine the file
of the form as its source, render. Who asks was settled before; a session is its caller's alone.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from towpath.core.caller import Caller, Scope
from towpath.core.model import Upload
from towpath.core.ports import Source
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.errors import Expired, LimitReached, NotFound
from towpath.protocol import documents, session
from towpath.protocol.message import Head, Reply
from towpath.protocol.values import unsuccessful
from towpath.web.form_source import open_form
from towpath.web.intake import (
    HERE,
    Sourcing,
    below_prefix,
    keep,
    read_json,
    repeat,
    wrong_address,
)
from towpath.web.log import upload_id

MOVING_SECONDS = 5.0
"""An upload counts as one of those at once so long after its last chunk."""

MOST_LISTED = 1000
_PAGE = 100
_CALLS = {
    "/initiate": "POST",
    "/chunk": "POST",
    "/complete": "POST",
    "/resume": "POST",
    "/cancel": "POST",
    "/resumable": "GET",
    "/memory-stats": "GET",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What binds these routes alone. Sizes in bytes."""

    length: int | None  # of one file; None: no limit
    chunk: int  # where the client asks for no size
    uploads: int  # that move at once
    memory: int  # which memory-stats compares with


class Documents:
    """Answers requests below /api/documents/streaming."""

    def __init__(self, engine: Engine, shelf: Shelf, terms: Terms) -> None:
        self._engine = engine
        self._shelf = shelf
        self._terms = terms
        self._moving: dict[str, float] = {}  # upload -> when it last moved; infinite: it does

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error."""
        return documents.refuse(error)

    async def answer(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        """Do what the request asks for. Raises what the engine raises."""
        call, _, key = head.path.strip("/").partition("/")
        if key:
            upload_id.set(key)
        match head.method, call, bool(key):
            case "POST", "initiate", False:
                return await self._initiate(caller, head, source)
            case "POST", "chunk", True:
                return await self._chunk(caller, head, key, source)
            case "POST", "complete", True:
                return await self._complete(caller, key)
            case "POST", "resume", False:
                return await self._resume(caller, head, source)
            case "POST", "cancel", True:
                return await self._cancel(caller, head, key, source)
            case "GET", "resumable", False:
                return await self._resumable(caller)
            case "GET", "memory-stats", False:
                return await self._memory(caller)
        return unsuccessful(wrong_address(head, _CALLS), "message")

    async def _initiate(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        begin = documents.parse_initiate(
            await self._json(head, source),
            chunk=self._terms.chunk,
            most=self._terms.length,
            client=secrets.token_hex(8),
        )
        self._admit("")
        # Who may not read finds no duplicate.
        blind = replace(caller, scopes=caller.scopes - {Scope.READ})
        asking = caller if begin.check_duplicates else blind
        upload = await self._engine.create(asking, below_prefix(caller, begin.new))
        return documents.render_begun(upload, head.base)

    async def _chunk(self, caller: Caller, head: Head, key: str, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        engine = self._engine
        upload, _ = await engine.inspect(caller, key)
        self._admit(key)
        fields, form = await open_form(
            source(), head.get("content-type"), engine.threads, files=documents.FILES
        )
        chunk = documents.parse_chunk(fields)
        write = documents.place(key, chunk, upload).write
        form.expect(write.length or 0)

        def body() -> Source:
            return form

        def behind(trailers: Mapping[str, str]) -> Mapping[str, bytes]:
            return documents.read_behind(trailers, chunk, upload)

        with self._moves(key):
            if upload.state in HERE or session.is_copy(upload):
                await repeat(engine, self._shelf, caller, upload, write, form, behind)
            else:
                await engine.write(caller, key, write, body, behind)
        upload, extent = await engine.inspect(caller, key)
        if session.is_whole(upload):
            self._moving.pop(key, None)
        return documents.render_chunk(chunk, upload, extent)

    async def _complete(self, caller: Caller, key: str) -> Reply:
        caller.require(Scope.WRITE)
        made = await self._engine.complete(caller, key)
        upload, _ = await self._engine.inspect(caller, key)
        return documents.render_document(upload, made)

    async def _resume(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        key, client = documents.parse_resume(await self._json(head, source))
        upload_id.set(key)
        upload, _ = await self._engine.inspect(caller, key)
        if not upload.state.is_final:
            await self._engine.claim(caller, key)  # whoever still writes has lost the thread
            if client is not None and client != session.session_of(upload).client:
                await keep(self._engine, key, lambda row: session.for_client(row, client))
        return documents.render_resumed(*await self._engine.inspect(caller, key), head.base)

    async def _cancel(self, caller: Caller, head: Head, key: str, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        reason = documents.parse_reason(await self._json(head, source))
        await self._engine.cancel(caller, key, reason=reason)
        self._moving.pop(key, None)
        return documents.render_cancelled(key)

    async def _resumable(self, caller: Caller) -> Reply:
        found: list[tuple[Upload, Extent]] = []
        for upload in await self._sessions(caller):
            with contextlib.suppress(NotFound, Expired):
                found.append(await self._engine.inspect(caller, upload.id))
        return documents.render_resumable(found, now=self._engine.clock.now())

    async def _memory(self, caller: Caller) -> Reply:
        engine = self._engine
        sessions = await self._sessions(caller)
        space = await engine.do(engine.store.space)
        return documents.render_memory(
            documents.Memory(
                sessions=len(sessions),
                used=engine.governor.reserved,
                peak=engine.governor.peak,
                files=sum(1 for upload in sessions if upload.handle),
                files_size=sum(upload.offset for upload in sessions),
                receiving=engine.writing,
                limit=self._terms.memory,
                bound=min(self._terms.memory or engine.governor.budget, engine.governor.budget),
                free=space.free,
            )
        )

    # --- parts of calls ----------------------------------------------------------------------

    async def _json(self, head: Head, source: Sourcing) -> dict[str, object]:
        return await read_json(head, source, self._engine.threads)

    async def _sessions(self, caller: Caller) -> list[Upload]:
        """The caller's unfinished uploads that can be gone on with here."""
        found: list[Upload] = []
        after: str | None = None
        while len(found) < MOST_LISTED:
            page = await self._engine.list(
                caller,
                states=(UploadState.OPEN, UploadState.FILLED),
                after=after,
                limit=_PAGE,
            )
            found += [upload for upload in page if session.is_session(upload)]
            if len(page) < _PAGE:
                break
            after = page[-1].id
        return found

    def _admit(self, key: str) -> None:
        """Raises LimitReached if as many other uploads move as may."""
        horizon = self._engine.clock.monotonic() - MOVING_SECONDS
        self._moving = {each: at for each, at in self._moving.items() if at > horizon}
        if key not in self._moving and len(self._moving) >= self._terms.uploads:
            raise LimitReached(
                "Too many documents are being uploaded at once.",
                why=f"At most {self._terms.uploads} may be.",
                todo="Wait until one of them is complete, or cancel one.",
            )

    @contextmanager
    def _moves(self, key: str) -> Iterator[None]:
        """Count the upload as one that moves."""
        self._moving[key] = math.inf
        try:
            yield
        finally:
            self._moving[key] = self._engine.clock.monotonic()
