"""What handlers of form dialects share: small bodies, queries, chunks that come again.

Rules: no more than MOST_BODY bytes of a body are held; a chunk that is durable already is read to
its end, compared with what is durable, and held against its digests before it counts as received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from urllib.parse import parse_qsl

from towpath.core.caller import Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.core.ports import Ending, Source
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.endings import interrupted, too_much
from towpath.engine.engine import Engine
from towpath.engine.proof import Behind, Proof
from towpath.engine.shelf import Shelf
from towpath.errors import Malformed, StateConflict, TooLarge
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.values import MOST_BODY, read_object
from towpath.store.base import Reading

Sourcing = Callable[[], Source]
Read = Callable[[int, int], Reading]

HERE = frozenset({UploadState.FILLED, UploadState.COMPLETE})
"""States in which every byte is durable."""


async def read_json(head: Head, source: Sourcing, threads: Executor) -> dict[str, object]:
    """The object of a small JSON body; {} if there is none. Raises Malformed, TooLarge."""
    return read_object(await _read_small(source(), threads)) if head.has_body else {}


async def _read_small(source: Source, threads: Executor) -> bytes:
    view, count = memoryview(bytearray(MOST_BODY + 1)), 0
    loop = asyncio.get_running_loop()
    while source.ending is None:
        await source.ready()
        while got := await loop.run_in_executor(threads, source.read_into, view[count:]):
            count += got
            if count > MOST_BODY:
                raise TooLarge(
                    "The body is too large.",
                    why=f"At most {MOST_BODY} bytes are read here.",
                    todo="Send the fields only; bytes of files go elsewhere.",
                )
    if source.ending is not Ending.WHOLE:
        raise interrupted(source.ending, count)
    return bytes(view[:count])


def query_of(head: Head) -> dict[str, str]:
    """The query's values. Raises Malformed for what is no query, or a field that is there twice."""
    try:
        pairs = parse_qsl(head.query, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        pairs = [("query", ""), ("query", "")]
    values = dict(pairs)
    for field in values:
        if len([name for name, _ in pairs if name == field]) > 1:
            raise Malformed(
                "The query cannot be read.",
                field=field,
                why="A field is there twice, or is not UTF-8 text.",
                todo="Send each field once.",
            )
    return values


def below_prefix(caller: Caller, new: NewUpload) -> NewUpload:
    """The upload with a name where the caller may have one: these dialects know no folders."""
    if caller.reaches(new.name or ""):
        return new
    return replace(new, name=caller.prefix + (new.name or "upload"))


async def keep(engine: Engine, key: str, change: Callable[[Upload], Upload]) -> None:
    """Commit what `change` makes of an upload that the caller was seen to own."""
    async with engine.hold(key) as live:
        await engine.do(live.change, engine.ledger, change)


async def repeat(
    engine: Engine,
    shelf: Shelf,
    caller: Caller,
    upload: Upload,
    write: Write,
    source: Source,
    behind: Behind,
) -> None:
    """Take a chunk of an upload that has all its bytes, and keep none of it.

    Raises StateConflict if it differs from what is durable, DigestMismatch, Interrupted.
    """
    read: Read | None = None
    if upload.parts and upload.state is not UploadState.COMPLETE:
        pass  # it is made of an object that the sender may not even have read
    elif upload.state is UploadState.COMPLETE:
        reader = replace(caller, scopes=caller.scopes | {Scope.READ})
        read = (await shelf.open(reader, upload.id)).read
    else:
        handle, store = upload.handle, engine.store

        def read(start: int, end: int) -> Reading:
            return store.read(handle, start, end)

    proof = Proof(write.digests, write.trailing, behind)
    block = await engine.governor.take()
    try:
        position = write.offset
        while source.ending is None:
            await source.ready()
            view = memoryview(block)
            position = await engine.do(_compare, source, view, position, write.end, read, proof)
    finally:
        engine.governor.give(block)
    if source.ending is not Ending.WHOLE:
        raise interrupted(source.ending, position)
    if write.end is not None and position < write.end:
        raise interrupted(Ending.CUT, position)
    await engine.do(proof.hold, source.trailers)


def _compare(
    source: Source,
    block: memoryview,
    position: int,
    end: int | None,
    read: Read | None,
    proof: Proof,
) -> int:
    """Hold what comes against the durable bytes from `position` on; return where it ended."""
    while count := source.read_into(block):
        part = block[:count]
        if end is not None and position + count > end:
            raise too_much(None)
        proof.feed(part)
        if read is not None:
            reading, at = read(position, position + count), 0
            try:
                for durable in reading:
                    if part[at : at + len(durable)] != durable:
                        raise StateConflict(
                            "The bytes differ from the durable ones at the same place.",
                            why=f"At {position + at} or soon after.",
                            todo="Begin a new upload for other content.",
                        )
                    at += len(durable)
            finally:
                reading.close()
        position += count
    return position


def wrong_address(head: Head, calls: dict[str, str]) -> Reply:
    """The reply to what is no call. `calls`: path -> method, or methods with commas between."""
    path = "/" + head.path.strip("/").partition("/")[0]
    allow = calls.get(path)
    if allow is None:
        return problem(
            404,
            "There is nothing at this address.",
            why=f"Below {head.base} there are {', '.join(calls)}.",
            todo="Correct the address.",
            code="not-found",
        )
    return problem(
        405,
        f"{head.method} is not for this address.",
        why=f"Here it is {allow}.",
        todo="Use that method.",
        code="method",
        fields=(("allow", allow),),
    )
