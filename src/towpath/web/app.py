"""The way of a request: who, where, what, answer. A raw ASGI application.

Rules:
- The head is authenticated before anything of the body is read.
- Every error becomes a problem document here, and only here; what is not in our error tree is
  logged with its traceback and answered without its text.
- Every request has an id: the client's X-Request-Id if it is a plain word, else a new one.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Protocol

from towpath.core.caller import Caller
from towpath.core.ports import Source
from towpath.errors import Interrupted, TowpathError
from towpath.protocol import rufh, tus
from towpath.protocol.message import Head, Reply, join_fields
from towpath.protocol.problem import problem, status_of
from towpath.web.answer import Answer
from towpath.web.asgi_source import AsgiSource, swallow
from towpath.web.body import send_reply
from towpath.web.edge import Edge
from towpath.web.files import Files
from towpath.web.gate import Gate
from towpath.web.limits import WireLimits
from towpath.web.log import request_id, upload_id
from towpath.web.page import page
from towpath.web.plain import for_reading, head_too_large, plain

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Page = Callable[[str], Reply]
"""Makes a page from what stands before every address outside."""
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("towpath.web")
_MARKS = {"ok": "+", "warning": "!"}  # of the parts that /readyz lists
_WORD = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
FILES = "/files"
API = "/api/v1"
SINGLE = "/v1/uploads"
STREAMING = "/api/streaming/upload"
DOCUMENTS = "/api/documents/streaming"
RANGES = "/ranges"
NAMES = "/names"


class Outgoing(Protocol):
    """An answer whose bytes come from the store."""

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises what the store raises."""
        ...


Answered = Reply | Outgoing


class Handler(Protocol):
    """Answers all requests of one dialect."""

    def refuse(self, error: BaseException) -> Reply:
        """The reply to an error, as the dialect has it."""
        ...

    async def answer(self, caller: Caller, head: Head, source: Callable[[], Source]) -> Answered:
        """The reply, or an object to deliver. `source`: the body, once it is wanted.

        Raises what the engine raises.
        """
        ...


class Health(Protocol):
    """Says how the server is."""

    async def check(self) -> tuple[bool, dict[str, str]]:
        """Whether it can take uploads, and for each part "ok" or what is wrong."""
        ...


class Life(Protocol):
    """What begins and ends with the server."""

    async def begin(self) -> None:
        """Called before the first request."""
        ...

    async def end(self) -> None:
        """Called after the last one."""
        ...


class App:
    """Towpath over HTTP."""

    def __init__(  # noqa: PLR0913  # one for each thing that a server is made of
        self,
        *,
        files: Files,
        control: Asgi,
        gate: Gate,
        health: Health,
        life: Life,
        limits: WireLimits,
        dialects: Mapping[str, Handler] | None = None,
        pages: Mapping[str, Page] | None = None,
        edge: Edge | None = None,
        sockets: Asgi | None = None,
    ) -> None:
        """`dialects`: handlers by the path that each lives below.

        `pages`: what is open to all; `sockets` takes WebSockets.
        """
        self._files = files
        self._dialects = dict(dialects or {})
        self._pages = {"/": page, **(pages or {})}
        self._control = control
        self._gate = gate
        self._health = health
        self._life = life
        self._limits = limits
        self._edge = edge or Edge()
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and self._sockets is not None:
            await self._sockets(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._life.begin()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is said and it ends us
            _log.exception("the server could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._life.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = join_fields(scope["headers"])
        given = fields.get("x-request-id", "")
        identity = given if _WORD.match(given) else secrets.token_hex(8)
        tokens = request_id.set(identity), upload_id.set("")
        answer = Answer(send, identity, self._edge.shared(fields))
        began = time.perf_counter()
        path: str = scope["path"]
        try:
            placed, told = self._edge.place(scope, fields)
            path, answer.origin = placed["path"], self._edge.origin(placed, told)
            await self._route(placed, told, receive, answer)
        except Exception as error:  # noqa: BLE001  # the one place where errors become answers
            await self._fail(error, scope, receive, answer)
        finally:
            if path not in {"/livez", "/readyz"}:
                _log.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"][:200],
                        "status": answer.status,
                        "seconds": round(time.perf_counter() - began, 4),
                    },
                )
            request_id.reset(tokens[0])
            upload_id.reset(tokens[1])

    async def _route(
        self, scope: Scope, fields: Mapping[str, str], receive: Receive, answer: Answer
    ) -> None:
        path: str = scope["path"]
        below_files = path == FILES or path.startswith(FILES + "/")
        if below_files and not rufh.speaks(Head(method=scope["method"], path="", fields=fields)):
            answer.always = tus.ALWAYS
        base = next((at for at in self._dialects if path == at or path.startswith(at + "/")), None)
        handler = None if base is None else self._dialects[base]
        if handler is not None:
            answer.refuse = handler.refuse
        self._check_head(scope)
        preflight = self._edge.preflight(scope["method"], fields)
        if preflight is not None:
            await send_reply(scope, answer, preflight)
        elif path in {"/livez", "/readyz"} | self._pages.keys():
            shown = await self._show(scope)
            await send_reply(scope, answer, shown, unread=shown.status == 405)
        elif below_files:
            await self._serve_files(scope, fields, receive, answer)
        elif handler is not None:
            await self._serve(handler, base or "", scope, fields, receive, answer)
        elif path == API or path.startswith(API + "/"):
            caller = self._gate.admit(fields, _peer(scope))
            root = scope["root_path"]
            inner = {**scope, "root_path": API, "towpath.root": root, "towpath.caller": caller}
            await self._control(inner, receive, answer)
        else:
            await send_reply(scope, answer, _nowhere(path, scope["root_path"]))

    def _check_head(self, scope: Scope) -> None:
        """Bound the head also where the server in front of us does not."""
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > self._limits.header_bytes:
            raise _HeadTooLarge

    async def _serve_files(
        self, scope: Scope, fields: Mapping[str, str], receive: Receive, answer: Answer
    ) -> None:
        head = Head(
            method=tus.read_method(scope["method"], fields),
            path=scope["path"][len(FILES) :],
            fields=fields,
            base=scope["root_path"] + FILES,
            query=scope.get("query_string", b"").decode("latin-1"),
            trailers="towpath.trailers" in scope.get("extensions", {}),
        )
        caller: Caller | None = None
        if head.method != "OPTIONS":
            caller = self._files.by_link(head) or self._gate.admit(fields, _peer(scope))
        sources: list[Source] = []

        def source() -> Source:
            sources.append(_source(scope, fields, receive, self._limits))
            return sources[0]

        async def inform(told: tuple[tuple[str, str], ...]) -> None:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in told]
            await answer({"type": "towpath.informational", "status": 104, "headers": headers})

        able = "towpath.informational" in scope.get("extensions", {})
        try:
            answered = await self._files.answer(caller, head, source, inform if able else None)
        finally:
            for taken in sources:
                taken.stop()
        unread = head.has_body and not sources
        await self._send(scope, receive, answer, answered, unread=unread)

    async def _serve(
        self,
        handler: Handler,
        base: str,
        scope: Scope,
        fields: Mapping[str, str],
        receive: Receive,
        answer: Answer,
    ) -> None:
        root = scope["root_path"]
        head = Head(
            method=scope["method"],
            path=scope["path"][len(base) :],
            fields=fields,
            base=root + base,
            query=scope.get("query_string", b"").decode("latin-1"),
            root=root,
        )
        caller = self._gate.admit(fields, _peer(scope))
        sources: list[Source] = []

        def source() -> Source:
            sources.append(_source(scope, fields, receive, self._limits))
            return sources[0]

        try:
            answered = await handler.answer(caller, head, source)
        finally:
            for taken in sources:
                taken.stop()
        unread = head.has_body and not sources
        await self._send(scope, receive, answer, answered, unread=unread)

    async def _show(self, scope: Scope) -> Reply:
        """What anybody may see."""
        path, method = scope["path"], scope["method"]
        if method not in {"GET", "HEAD"}:
            return for_reading(method)
        if path == "/livez":
            return plain("ok\n")
        if path == "/readyz":
            return await self._ready(scope)
        return self._pages[path](scope["root_path"])

    async def _ready(self, scope: Scope) -> Reply:
        fine, parts = await self._health.check()
        lines = "".join(
            f"[{_MARKS.get(said.partition(':')[0], '-')}] {part} {said}\n"
            for part, said in parts.items()
        )
        verbose = b"verbose" in scope.get("query_string", b"")
        text = lines if verbose or not fine else "ok\n"
        return plain(text, status=200 if fine else 503)

    async def _send(
        self, scope: Scope, receive: Receive, answer: Answer, answered: Answered, *, unread: bool
    ) -> None:
        if isinstance(answered, Reply):
            linger = self._lingering(scope, receive) if unread else None
            await send_reply(scope, answer, answered, unread=unread, linger=linger)
        else:
            await answered.send(scope, receive, answer)

    def _lingering(self, scope: Scope, receive: Receive) -> Callable[[], Awaitable[None]] | None:
        """What to do before a body that nobody reads is closed on; our own server does it itself.

        Who waits for 100 Continue is not to be told to send.
        """
        ours = "towpath.informational" in scope.get("extensions", {})
        if ours or any(name == b"expect" for name, _ in scope["headers"]):
            return None
        return partial(swallow, receive, self._limits)

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, answer: Answer) -> None:
        if isinstance(error, _HeadTooLarge):
            reply = head_too_large(self._limits.header_bytes)
        else:
            reply = answer.refuse(error)
        if not isinstance(error, TowpathError | _HeadTooLarge):
            _log.error("a request failed", exc_info=error)
        elif status_of(error) >= 500 or isinstance(error, Interrupted):
            _log.warning("a request ended early", extra={"why": str(error)})
        if answer.status:
            return  # the head is out: the server closes the connection on what is missing
        linger = self._lingering(scope, receive)
        await send_reply(scope, answer, reply, unread=True, linger=linger)


class _HeadTooLarge(Exception):
    """The request's fields exceed the limit."""


def _peer(scope: Scope) -> str | None:
    """The address that asks; None if the server does not tell, as with a Unix socket."""
    client = scope.get("client")
    return client[0] if client else None


def _source(
    scope: Scope, fields: Mapping[str, str], receive: Receive, limits: WireLimits
) -> Source:
    """The body, straight from the socket where the server offers it, else by ASGI messages."""
    offered = scope.get("extensions", {})
    direct = offered.get("towpath.direct")
    if direct is not None:
        source: Source = direct.take()
        return source
    length = fields.get("content-length")
    announced = None if length is None or "transfer-encoding" in fields else int(length)
    trailers = offered.get("towpath.trailers")
    return AsgiSource(receive, length=announced, limits=limits, trailers=trailers)


def _nowhere(path: str, root: str) -> Reply:
    return problem(
        404,
        "There is nothing at this address.",
        why=f"“{ascii(path[:80])[1:-1]}” is none of /, /files/, {NAMES}/, {RANGES}/, /api/v1/, "
        f"{SINGLE}, {STREAMING}/, {DOCUMENTS}/, /livez, /readyz.",
        todo=f"Upload to {root}{FILES}/.",
        code="not-found",
    )
