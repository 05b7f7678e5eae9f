"""/api/v1/: names, uploads and the server, as JSON.

Who asks was settled before; the caller stands in the scope. Times are RFC 3339, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from towpath.core.caller import Caller
from towpath.core.digest import CRC64NVME, crc_bytes
from towpath.core.metadata import read_metadata
from towpath.core.model import Name, Object, OnConflict, Upload
from towpath.core.state import UploadState
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.errors import Malformed, TooLarge, TowpathError
from towpath.protocol.download import etag
from towpath.protocol.message import Reply
from towpath.protocol.problem import problem, refuse
from towpath.protocol.values import MOST_BODY, missing, read_object, text
from towpath.web.app import FILES
from towpath.web.links import Links
from towpath.web.openapi.forms import LINK_TO_READ, LINK_TO_WRITE, MOVE


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(kw_only=True)
class NameRecord:
    """A name and what it points to."""

    path: str
    id: str
    length: int
    created_at: str | None
    updated_at: str | None
    version: int
    media_type: str | None
    digests: dict[str, str]
    damaged: bool
    modified_at: str | None
    href: str
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class MovedRecord:
    """What a name is called now, and the object that it points to."""

    path: str
    id: str
    version: int


@dataclass(kw_only=True)
class NamePage:
    """Some names, and where the next ones begin."""

    names: list[NameRecord]
    next: str | None


@dataclass(kw_only=True)
class UploadRecord:
    """An upload."""

    id: str
    name: str | None
    state: str
    offset: int
    length: int | None
    created_at: str | None
    updated_at: str | None
    expires_at: str | None
    reason: str
    href: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class LinkRecord:
    """An address that whoever has it may use until it expires."""

    href: str
    expires_at: str | None


@dataclass(kw_only=True)
class UploadPage:
    """Some uploads, and where the next ones begin."""

    uploads: list[UploadRecord]
    next: str | None


def _caller(request: Request) -> Caller:
    caller: Caller = request.scope["towpath.caller"]
    return caller


def _root(request: Request) -> str:
    """What stands before every address of the application, outside."""
    root: str = request.scope["towpath.root"]
    return root


async def _said(request: Request) -> dict[str, object]:
    """The JSON object of the body; {} without one. Raises Malformed, TooLarge."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise TooLarge(
                "The body is too long.",
                why=f"It has more than {MOST_BODY} bytes.",
                todo="Say less.",
            )
    return read_object(bytes(body))


def _text(value: str) -> str:
    """What a database can hold as text. Raises ValueError, which FastAPI answers with 400."""
    if "\0" in value:
        raise ValueError("a null character stands in it")
    return value


Text = Annotated[str, AfterValidator(_text)]
CallerIs = Annotated[Caller, Depends(_caller)]
RootIs = Annotated[str, Depends(_root)]
Said = Annotated[dict[str, object], Depends(_said)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def control(engine: Engine, shelf: Shelf, links: Links, *, about: Callable[[], Any]) -> FastAPI:
    """The JSON application. `about` tells of the server."""
    app = FastAPI(title="Towpath", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/names")
    async def list_names(
        caller: CallerIs,
        root: RootIs,
        prefix: Text = "",
        after: Text | None = None,
        limit: Limit = 100,
    ) -> NamePage:
        found = await shelf.list(caller, prefix=prefix, after=after, limit=limit)
        names = [_name(name, made, root + FILES) for name, made in found]
        return NamePage(names=names, next=names[-1].path if len(names) == limit else None)

    @app.get("/names/{path:path}")
    async def stat_name(caller: CallerIs, root: RootIs, path: Text) -> NameRecord:
        return _name(*await shelf.stat(caller, path), root + FILES)

    @app.patch("/names/{path:path}", openapi_extra={"requestBody": MOVE})
    async def move_name(caller: CallerIs, path: Text, said: Said) -> MovedRecord:
        moved = await shelf.move(caller, path, *_destination(said))
        return MovedRecord(path=moved.path, id=moved.object, version=moved.version)

    @app.delete("/names/{path:path}", status_code=204)
    async def forget_name(caller: CallerIs, path: Text) -> None:
        await shelf.forget(caller, path)

    @app.get("/uploads")
    async def list_uploads(
        caller: CallerIs,
        root: RootIs,
        state: str = "",
        after: Text | None = None,
        limit: Limit = 100,
    ) -> UploadPage:
        found = await engine.list(caller, states=_states(state), after=after, limit=limit)
        uploads = [_upload(upload, root + FILES) for upload in found]
        return UploadPage(uploads=uploads, next=uploads[-1].id if len(uploads) == limit else None)

    @app.get("/uploads/{key}")
    async def inspect_upload(caller: CallerIs, root: RootIs, key: Text) -> UploadRecord:
        upload, _ = await engine.inspect(caller, key)
        return _upload(upload, root + FILES)

    @app.delete("/uploads/{key}", status_code=204)
    async def cancel_upload(caller: CallerIs, key: Text) -> None:
        await engine.cancel(caller, key)

    @app.post("/objects/{key}/links", status_code=201, openapi_extra={"requestBody": LINK_TO_READ})
    async def link_to_object(
        caller: CallerIs, root: RootIs, key: Text, said: Said, response: Response
    ) -> LinkRecord:
        response.headers["cache-control"] = "no-store"
        return _link(root + FILES, key, *await links.to_read(caller, key, said))

    @app.post("/uploads/{key}/links", status_code=201, openapi_extra={"requestBody": LINK_TO_WRITE})
    async def link_to_upload(
        caller: CallerIs, root: RootIs, key: Text, said: Said, response: Response
    ) -> LinkRecord:
        response.headers["cache-control"] = "no-store"
        return _link(root + FILES, key, *await links.to_write(caller, key, said))

    @app.get("/server")
    async def tell_of_server(caller: CallerIs) -> dict[str, Any]:
        return {**await engine.do(about), "caller": _who(caller)}

    _answer_errors(app)
    return app


def _states(text: str) -> list[UploadState]:
    try:
        return [UploadState(part) for part in text.split(",") if part]
    except ValueError:
        raise Malformed(
            "state cannot be read.",
            field="state",
            why=f"It is one or several of {', '.join(UploadState)}.",
            todo="Correct it or leave it out.",
        ) from None


def _destination(said: dict[str, object]) -> tuple[str, OnConflict]:
    """Where a name is to go, and what to do when that is taken. Raises Malformed."""
    path, rule = text(said, "path"), text(said, "on_conflict") or OnConflict.FAIL
    if not path:
        raise missing("path", "Say what the name is to be.")
    if rule not in set(OnConflict):
        raise Malformed(
            "on_conflict cannot be read.",
            field="on_conflict",
            why=f"It is one of {', '.join(OnConflict)}.",
            todo="Correct it or leave it out.",
        )
    return path, OnConflict(rule)


def _who(caller: Caller) -> dict[str, object]:
    """What the server knows of who asks."""
    return {
        "tenant": caller.tenant,
        "subject": caller.subject,
        "scopes": sorted(caller.scopes),
        "prefix": caller.prefix,
    }


def _name(name: Name, made: Object, files: str) -> NameRecord:
    return NameRecord(
        path=name.path,
        id=made.id,
        length=made.length,
        created_at=_time(made.created_at),
        updated_at=_time(name.updated_at),
        version=name.version,
        media_type=made.media_type,
        digests={CRC64NVME: crc_bytes(made.crc).hex()},
        damaged=made.damaged,
        modified_at=_modified(made.metadata),
        href=f"{files}/{made.id}",
        etag=etag(made),
        metadata=_metadata(made.metadata),
    )


def _metadata(text: str) -> dict[str, str]:
    """The texts that came with an object, by key."""
    return {key: value for key, value in read_metadata(text).items() if isinstance(value, str)}


def _modified(metadata: str) -> str | None:
    """When the sender's file was last changed, if it said so with `mtime`, in milliseconds."""
    try:
        return _time(int(read_metadata(metadata)["mtime"]))
    except (ValueError, TypeError, KeyError, ArithmeticError, OSError):
        return None


def _upload(upload: Upload, files: str) -> UploadRecord:
    return UploadRecord(
        id=upload.id,
        name=upload.name,
        state=upload.state.value,
        offset=upload.offset,
        length=upload.length,
        created_at=_time(upload.created_at),
        updated_at=_time(upload.updated_at),
        expires_at=_time(upload.expires_at),
        reason=upload.reason,
        href=f"{files}/{upload.id}",
        metadata=_metadata(upload.metadata),
    )


def _link(files: str, key: str, query: str, ends: int) -> LinkRecord:
    return LinkRecord(href=f"{files}/{key}?{query}", expires_at=_time(ends))


def _answer_errors(app: FastAPI) -> None:
    """Errors as problem documents, also FastAPI's own."""

    async def refused(_request: Request, error: Exception) -> Response:
        return _response(refuse(error))

    async def invalid(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        where = ".".join(str(part) for part in found[0]["loc"]) if found else "request"
        why = f"{where}: {found[0]['msg']}" if found else ""
        return _response(
            problem(
                400, "The request cannot be read.", why=why, todo="Correct it.", code="malformed"
            )
        )

    async def elsewhere(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException) or error.status_code != 405:
            return _response(_nowhere())
        allow = ", ".join(_methods(app, request))  # a framework's names those of one route alone
        return _response(
            problem(
                405,
                f"{request.method} is not for this address.",
                why=f"Here it is {allow}.",
                todo="See which calls there are in the documentation.",
                code="method",
                fields=(("allow", allow),),
            )
        )

    app.add_exception_handler(TowpathError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, elsewhere)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of all calls at the request's address."""
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


def _nowhere() -> Reply:
    return problem(
        404,
        "There is nothing at this address.",
        why="The API has no such call.",
        todo="See which calls there are in the documentation.",
        code="not-found",
    )


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.fields))
