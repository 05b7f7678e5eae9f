"""/names: files by their names, as curl, browsers and mirrors know them.

One request, top to bottom: look at what the name points to, judge the conditions, ask the engine,
render. Who asks was settled before.

Rules: nothing stands under the name before all bytes are durable and proven; a body that is cut
leaves an upload that can be carried on or expires, one that is refused leaves nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

from towpath.core.caller import Caller, Scope
from towpath.core.command import Create
from towpath.core.model import Name, Object, Upload
from towpath.core.ports import Source
from towpath.core.transfer import Write
from towpath.engine.engine import Engine
from towpath.engine.names import Entry, list_folder, no_such_name, pointed
from towpath.engine.shelf import Shelf
from towpath.engine.whole import at_once
from towpath.errors import Interrupted, NameConflict, TowpathError
from towpath.protocol import names
from towpath.protocol.download import Delivery, deliver, digests_of, etag, keys_beside
from towpath.protocol.forms import is_form
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem, refuse
from towpath.web.downloads import Whole
from towpath.web.form_source import FormSource, open_form
from towpath.web.intake import Sourcing, query_of
from towpath.web.log import upload_id
from towpath.web.unpacked import for_reader, is_packed

Check = Callable[[], None]

_log = logging.getLogger("towpath.web")


class Named:
    """Answers requests below /names."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine = engine
        self._shelf = shelf

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error."""
        return refuse(error)

    async def answer(self, caller: Caller, head: Head, source: Sourcing) -> Reply | Whole:
        """Do what the request asks for. Raises what the engine raises."""
        wrong = names.check(head)
        if wrong is not None:
            return wrong
        if names.is_folder(head):
            if head.method == "POST":
                return await self._take_form(caller, head, source)
            return await self._list(caller, head)
        if head.method == "PUT":
            return await self._put(caller, head, source)
        if head.method == "DELETE":
            return await self._forget(caller, head)
        return await self._fetch(caller, head)

    async def _fetch(self, caller: Caller, head: Head) -> Whole:
        caller.require(Scope.READ)
        found = await self._pointed(caller, head)
        if found is None:
            raise no_such_name()
        opened = await self._shelf.open(caller, found[1].id)
        varies = is_packed(opened)
        opened = await for_reader(head, opened)
        delivery = deliver(head, opened.object, found[0].path, boundary=secrets.token_hex(16))
        whole = Whole(_by_its_address(delivery), opened)
        whole = whole.with_fields(*keys_beside(opened.object, found[0].path))
        return whole.with_fields(("vary", "accept")) if varies else whole

    async def _forget(self, caller: Caller, head: Head) -> Reply:
        caller.require(Scope.REMOVE)
        found = await self._pointed(caller, head)
        if found is None:
            raise no_such_name()
        name, made = found
        refused = _judge(caller, names.read_condition(head), _current(made))
        if refused is not None:
            return refused
        await self._shelf.forget(caller, name.path, only=made.id)
        return Reply(status=204)

    async def _put(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        put = names.parse_put(head)
        if isinstance(put, Reply):
            return put
        found = await self._pointed(caller, head)
        current = None if found is None else _current(found[1])
        refused = _judge(caller, put.condition, current)
        if refused is not None:
            return refused
        try:
            upload, made = await self._store(caller, names.bind(put, current), source)
        except NameConflict:
            return names.moved(None)
        tag, digests = etag(made), digests_of(made)
        path = upload.name or ""
        return names.render_put(head.base, path, tag, digests, created=current is None)

    async def _take_form(self, caller: Caller, head: Head, source: Sourcing) -> Reply:
        caller.require(Scope.WRITE)
        content_type = head.get("content-type")
        if not is_form(content_type):
            return problem(
                415,
                "A folder takes forms.",
                why="Content-Type is not multipart/form-data.",
                todo="POST a form with the file, or PUT the file to its name.",
                code="media-type",
            )
        fields, form = await open_form(
            source(), content_type, self._engine.threads, files=(names.FILE,)
        )
        create = names.parse_form(names.path_of(head), fields, form.filename, form.media_type)
        upload, made = await self._store(caller, create, lambda: form, lambda: _check_behind(form))
        path = upload.name or ""
        return names.render_form(head, path, _shown(path.rpartition("/")[2], made))

    async def _list(self, caller: Caller, head: Head) -> Reply:
        caller.require(Scope.LIST)
        look, folder = names.parse_look(head, dict(query_of(head))), names.path_of(head)
        found = await self._engine.do(
            list_folder, self._engine.ledger, caller, folder, look.after, look.limit
        )
        if folder and not found.entries and look.after is None:
            raise no_such_name()
        entries = tuple(_entry(each) for each in found.entries)
        listed = names.Listed(folder=folder, entries=entries, next=found.next)
        return names.render_folder(look, listed, writes=Scope.WRITE in caller.scopes)

    # --- storing -----------------------------------------------------------------------------

    async def _store(
        self, caller: Caller, create: Create, body: Sourcing, check: Check | None = None
    ) -> tuple[Upload, Object]:
        """The object of a whole body. `check` may still refuse it at its end."""
        if check is None:
            made, body = await at_once(self._engine, caller, create, body)
            if made is not None:
                upload_id.set(made.id)
                return made, await self._engine.complete(caller, made.id)
        upload = await self._engine.create(caller, create.new)
        upload_id.set(upload.id)
        try:
            if create.write is not None and not upload.state.is_final:
                upload = await self._fill(caller, upload, create.write, body, check)
            return upload, await self._engine.complete(caller, upload.id)
        except Interrupted:
            raise  # what came stays for a while
        except TowpathError:
            await asyncio.shield(self._undo(caller, upload.id))
            raise

    async def _fill(
        self,
        caller: Caller,
        upload: Upload,
        write: Write,
        body: Callable[[], Source],
        check: Check | None,
    ) -> Upload:
        upload = await self._engine.write(caller, upload.id, write, body)
        if check is not None:
            check()
        if upload.length is None:
            end = Write(offset=upload.offset, length=0, declares=upload.offset)
            upload = await self._engine.write(caller, upload.id, end, body)
        return upload

    async def _undo(self, caller: Caller, key: str) -> None:
        try:
            await self._engine.fail(caller, key, "it was refused at its end")
        except TowpathError as error:
            _log.warning("a refused upload is left to the sweep", extra={"why": str(error)})

    async def _pointed(self, caller: Caller, head: Head) -> tuple[Name, Object] | None:
        """The name and what it points to."""
        path = names.name_of(head)
        if path is None:
            return None
        return await self._engine.do(pointed, self._engine.ledger, caller, path)


def _judge(
    caller: Caller, condition: names.Condition, current: names.Current | None
) -> Reply | None:
    """The refusal, if there is one; who may not read is not told what is there."""
    refused = names.judge(condition, current)
    return refused if refused is None or Scope.READ in caller.scopes else names.moved(None)


def _by_its_address(delivery: Delivery) -> Delivery:
    """Without a file name: the address has it, and mirrors would take it for the whole path."""
    fields = tuple(
        (name, "attachment" if name == "content-disposition" else value)
        for name, value in delivery.reply.fields
    )
    return replace(delivery, reply=replace(delivery.reply, fields=fields))


def _check_behind(form: FormSource) -> None:
    names.check_behind(form.trailers)


def _current(made: Object) -> names.Current:
    return names.Current(key=made.id, tag=etag(made), changed_at=made.created_at)


def _entry(entry: Entry) -> names.Shown:
    if entry.name is None or entry.object is None:
        return names.Shown(label=entry.label)
    return _shown(entry.label, entry.object, entry.name.updated_at)


def _shown(label: str, made: Object, updated_at: int | None = None) -> names.Shown:
    return names.Shown(
        label=label,
        id=made.id,
        length=made.length,
        media_type=made.media_type,
        tag=etag(made),
        updated_at=made.created_at if updated_at is None else updated_at,
    )
