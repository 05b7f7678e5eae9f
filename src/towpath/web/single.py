"""/v1/uploads: a file in one request, stored as it comes, and its SHA-256 in the answer.

Rules: what does not become an object leaves no byte and no row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from towpath.core.caller import Caller, Scope
from towpath.core.model import Object, Upload
from towpath.core.ports import Source
from towpath.core.transfer import Write
from towpath.engine.engine import Engine
from towpath.errors import TowpathError
from towpath.ledger.base import Remove
from towpath.protocol import single
from towpath.protocol.forms import is_form
from towpath.protocol.message import Head, Reply
from towpath.web.form_source import open_form
from towpath.web.intake import Sourcing, below_prefix, query_of
from towpath.web.log import upload_id

_log = logging.getLogger("towpath.web")


class Single:
    """Answers requests at /v1/uploads."""

    def __init__(self, engine: Engine, *, files: str) -> None:
        """`files`: where objects are read."""
        self._engine = engine
        self._files = files

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error."""
        return single.refuse(error)

    async def answer(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        """Store what the request has. Raises what the engine raises."""
        wrong = single.check(head)
        if wrong is not None:
            return wrong
        caller.require(Scope.WRITE)
        body: Callable[[], Source] = source
        content_type = head.get("content-type")
        if is_form(content_type):
            fields, form = await open_form(
                source(), content_type, self._engine.threads, files=(single.FILE,)
            )
            command = single.parse_form(fields, form.filename, form.media_type)

            def body() -> Source:
                return form
        else:
            command = single.parse(head, query_of(head))
        upload = await self._engine.create(caller, below_prefix(caller, command.new))
        upload_id.set(upload.id)
        try:
            upload, made = await self._fill(caller, upload, command.write, body)
        except BaseException:
            await asyncio.shield(self._undo(caller, upload.id))
            raise
        return single.render(made, upload.name, head.root + self._files)

    async def _fill(
        self, caller: Caller, upload: Upload, write: Write | None, body: Sourcing
    ) -> tuple[Upload, Object]:
        if write is not None:
            upload = await self._engine.write(caller, upload.id, write, body)
        if upload.length is None:
            end = Write(offset=upload.offset, length=0, declares=upload.offset)
            upload = await self._engine.write(caller, upload.id, end, body)
        made = await self._engine.complete(caller, upload.id)
        return upload, made

    async def _undo(self, caller: Caller, key: str) -> None:
        """Leave nothing: nobody was told the upload's id."""
        try:
            await self._engine.fail(caller, key, "it did not arrive whole")
            async with self._engine.hold(key) as live:
                row = live.upload
                remove = Remove(Upload, row.key, row.version)
                await self._engine.do(self._engine.ledger.commit, [remove])
        except TowpathError as error:
            _log.warning("a failed upload is left to the sweep", extra={"why": str(error)})
