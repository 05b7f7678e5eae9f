"""One request and its answer on a direct connection: what the application is offered beyond ASGI.

Extensions in `scope["extensions"]`:

- `towpath.direct`: an object whose `take()` returns a `Source`; there only if the body has a
  Content-Length, no Transfer-Encoding, and comes over a plain socket by HTTP/1.1. Not after
  `receive()`; after it `receive()` waits for the end of the body, then for a disconnect.
- `towpath.sendfile`: `{}`. The message `{"type": "towpath.sendfile", "fd": int, "offset": int,
  "count": int, "more_body": False}` sends a range of a file as (part of) the response body, after
  an `http.response.start` with Content-Length. The descriptor may be closed once `send` returned.
- `towpath.narrow`: `{}`. The message `{"type": "towpath.narrow"}` lets little be on its way to the
  client from now on: for answers that go on for long and say little.
- `towpath.trailers`: a mapping, empty until the body has ended: the fields behind it (RFC 9112
  section 7.1.2) that `protocol.trailers` keeps, names in lower case.
- `towpath.informational`: `{}`. The message `{"type": "towpath.informational", "status": 1xx,
  "headers": [...]}` sends an interim response (RFC 9110 section 15.2).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from towpath.core.ports import Ending
from towpath.protocol.trailers import KEPT
from towpath.web.narrow import narrow
from towpath.web.pace import Pace
from towpath.web.sendfile import send_range
from towpath.web.socket_source import SocketSource
from towpath.web.wire import Wire

if TYPE_CHECKING:
    from towpath.web.direct import DirectProtocol

# What sendfile(2) says of the file; everything else is said of the connection.
FILE_ERRORS = {errno.EBADF, errno.EINVAL, errno.EIO, errno.EOVERFLOW, errno.ESTALE}

Message = MutableMapping[str, Any]
App = Callable[
    [Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


def body_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Bytes of the request's body as its head frames it (RFC 9112 section 6.3); None if coded."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)  # the parser has refused what is no number
    return length


class Exchange:
    """Stands between uvicorn's request-response cycle and the application; is that application.

    All methods run on the loop.
    """

    def __init__(self, protocol: DirectProtocol, cycle: RequestResponseCycle) -> None:
        self.protocol = protocol
        self.cycle = cycle
        self.app: App | None = None
        self.announced = body_length(cycle.scope["headers"])
        self.received = 0  # bytes of the body that came by way of the parser
        self.asked = False  # the application called receive()
        self.told_end = False  # ... and was told the end of the body
        self.trailers: dict[str, str] = {}
        self._trailer_bytes = 0
        self.source: SocketSource | None = None
        self._source_over = asyncio.Event()
        self._wire: Wire | None = None  # while a file is being sent

    # The body

    @property
    def left(self) -> int | None:
        """Bytes of the body still in the connection; None if the head does not say."""
        if not self.cycle.more_body:
            return 0
        if self.source is not None:
            return self.source.left
        return None if self.announced is None else self.announced - self.received

    @property
    def can_be_taken(self) -> bool:
        """Whether `towpath.direct` is offered."""
        scope = self.cycle.scope
        http_1_1 = scope["http_version"] == "1.1"
        return bool(self.announced) and http_1_1 and self.protocol.plain and not self.asked

    def take(self) -> SocketSource:
        """Receive the body from the socket; sends 100 Continue if it is waited for.

        Raises `RuntimeError` if the body has been taken or asked for already.
        """
        if not self.can_be_taken or self.source is not None or self.announced is None:
            raise RuntimeError("this body cannot be taken: receive() or take() was called before")
        cycle, protocol = self.cycle, self.protocol
        if cycle.waiting_for_100_continue and cycle.more_body and not cycle.disconnected:
            protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        cycle.waiting_for_100_continue = False
        early = bytes(cycle.body)
        cycle.body = bytearray()
        gone = cycle.disconnected or protocol.transport.is_closing()
        self.source = SocketSource(
            Wire.dead_end() if gone else Wire(protocol.descriptor),
            length=self.announced,
            early=early,
            pace=Pace(protocol.registry.limits),
            on_end=self._body_over,
        )
        if cycle.more_body and not gone:
            protocol.flow.pause_reading()
        return self.source

    def _body_over(self) -> None:
        """The source has ended: if whole, the connection is the parser's again."""
        source, cycle = self.source, self.cycle
        if source is None or self._source_over.is_set():
            return
        self._source_over.set()
        source.close()
        if source.reset:
            cycle.disconnected = True
            self.protocol.transport.abort()
        elif source.left == 0 and cycle.more_body:
            cycle.more_body = False
            cycle.message_event.set()
            self.protocol.begin_anew()

    async def receive(self) -> Message:
        """ASGI receive; unlike uvicorn's, loses nothing that came before a disconnect."""
        if self.source is not None:
            await self._source_over.wait()
            if self.cycle.more_body:
                return {"type": "http.disconnect"}
        self.asked = True
        message: Message = await self.cycle.receive()  # type: ignore[assignment]
        cycle = self.cycle
        if message["type"] == "http.disconnect" and not cycle.response_complete:
            ended = not cycle.more_body and not self.told_end
            if cycle.body or ended:
                message = {
                    "type": "http.request",
                    "body": bytes(cycle.body),
                    "more_body": cycle.more_body,
                }
                cycle.body = bytearray()
        if message["type"] == "http.request" and not message["more_body"]:
            self.told_end = True
        return message

    def keep_trailer(self, name: bytes, value: bytes) -> None:
        """A field came behind the body; of those that are wanted, as much is kept as of a head."""
        word = name.decode("latin-1").lower()
        self._trailer_bytes += len(name) + len(value)
        if word in KEPT and self._trailer_bytes <= self.protocol.registry.limits.header_bytes:
            text, before = value.decode("latin-1").strip(), self.trailers.get(word)
            self.trailers[word] = text if before is None else f"{before}, {text}"

    # The answer

    async def send(self, message: Message) -> None:
        """ASGI send, with three messages more."""
        if message["type"] == "towpath.sendfile":
            await self._send_file(message)
        elif message["type"] == "towpath.informational":
            self._send_informational(message)
        elif message["type"] == "towpath.narrow":
            narrow(self.protocol.transport)
        else:
            if message["type"] == "http.response.start" and self._must_close():
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await self.cycle.send(message)  # type: ignore[arg-type]

    def _must_close(self) -> bool:
        """Whether what is left of the body forbids to keep the connection."""
        left, cycle = self.left, self.cycle
        if left == 0 or not cycle.keep_alive:
            return False
        if self.source is not None or cycle.waiting_for_100_continue:
            # Who waits for 100 Continue may or may not send the body now: RFC 9110 10.1.1.
            return True
        return left is None or left > self.protocol.registry.limits.keep_bytes

    def _send_informational(self, message: Message) -> None:
        cycle, status = self.cycle, message["status"]
        if not 100 <= status < 200 or status == 101 or cycle.response_started:
            raise RuntimeError(f"{status} cannot be sent as an interim response here")
        if cycle.disconnected or cycle.scope["http_version"] != "1.1":
            return
        lines = [STATUS_LINE[status]]
        for name, value in message.get("headers", []):
            if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
                raise RuntimeError(f"header {name!r} cannot be sent")
            lines += [name, b": ", value, b"\r\n"]
        self.protocol.transport.write(b"".join([*lines, b"\r\n"]))

    async def _send_file(self, message: Message) -> None:
        cycle, count, more = self.cycle, message["count"], message.get("more_body", False)
        if not cycle.response_started or cycle.chunked_encoding:
            raise RuntimeError("towpath.sendfile needs a response started with Content-Length")
        if cycle.scope["method"] != "HEAD":
            if count > cycle.expected_content_length:
                raise RuntimeError("Response content longer than Content-Length")
            if not await self._send_range(message["fd"], message["offset"], count):
                return  # the client has gone: like uvicorn's send, say nothing
            cycle.expected_content_length -= count
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": more})

    async def _send_range(self, descriptor: int, offset: int, count: int) -> bool:
        """Send exactly these bytes; False if the client went away, or takes nothing."""
        cycle, protocol, registry = self.cycle, self.protocol, self.protocol.registry
        stall = registry.limits.stall_seconds
        if cycle.disconnected or protocol.transport.is_closing():
            return False
        self._wire = wire = Wire(protocol.descriptor)
        duplicate = wire.lend(os.dup(descriptor))
        sent = 0
        try:
            await protocol.flush(stall)
            if not cycle.disconnected:
                sent = await send_range(
                    wire, duplicate, offset, count, pool=registry.senders, stall_seconds=stall
                )
        except OSError as error:  # gone, stalled or unreadable: no more can be said to this client
            cycle.disconnected = True
            if error.errno in FILE_ERRORS:
                raise
        finally:
            wire.close()  # if this task is cancelled, the thread lets go a moment later
            self._wire = None
        if cycle.disconnected or (sent < count and protocol.transport.is_closing()):
            protocol.transport.abort()
            return False
        if sent < count:
            raise OSError(f"the file ended {count - sent} bytes before the range that was promised")
        return True

    def lost(self) -> None:
        """The connection has gone."""
        if self._wire is not None:
            self._wire.ring()
        if self.source is None or self.source.ending is not None:
            self._source_over.set()

    # The life of the exchange

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application in place of uvicorn's call of it."""
        if self.app is None:
            raise RuntimeError("an exchange runs an application")
        extensions = scope.setdefault("extensions", {})
        extensions["towpath.informational"] = {}
        extensions["towpath.narrow"] = {}
        extensions["towpath.trailers"] = self.trailers
        if self.protocol.plain:
            extensions["towpath.sendfile"] = {}
        if self.can_be_taken:
            extensions["towpath.direct"] = self
        try:
            await self.app(scope, self.receive, self.send)
        finally:
            self.end()
            source, cycle = self.source, self.cycle
            if source is not None and source.ending is Ending.CUT and not cycle.response_started:
                cycle.disconnected = True  # there was nobody to answer: no error
                self.protocol.transport.close()

    def end(self) -> None:
        """The answer is complete, or will never be: let go of the socket."""
        if self.source is not None:
            self.source.close()
            self._body_over()
