"""Our uvicorn protocol: bounded heads, bodies straight from the socket, answers that arrive.

On top of uvicorn's httptools protocol, whose private names it uses are checked by a test; on for
the versions in `web.contract` only. What it adds:

- a request head is bounded in bytes and time (431, 414, 408 as problem+json, RFC 9457);
- reading pauses at the end of a head that announces a body, so that whoever takes the body finds
  it in the socket, and whoever refuses it has not received it;
- a connection is never closed on bytes that the client is still sending before it had the time
  to read the answer: RFC 9112 section 9.6.

Everything here runs on the loop. The parser and the socket's reader never both read: between
`take` and the end of the body the transport's reading is paused.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from towpath.web.exchange import App, Exchange
from towpath.web.refusing import problem_of, refusing
from towpath.web.registry import Registry
from towpath.web.wire import unacknowledged

STREAMS = {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}


class Door:
    """What a cycle has for a transport: it closes only when the answer can be read."""

    def __init__(self, protocol: DirectProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._protocol.lingering or self._protocol.transport.is_closing()

    def close(self) -> None:
        """Close once what was written is out."""
        self._protocol.close_gently()


class DirectProtocol(HttpToolsProtocol):
    """One connection. `contract.http_class` makes the subclass that carries the registry."""

    registry: ClassVar[Registry]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = self.registry.limits
        self.plain = False  # no TLS: the socket itself carries the bytes
        self.lingering = False  # the last answer is out, the client may still be sending
        self._drained = 0
        self._refused = False  # no further request is parsed
        self._late_refusal: tuple[int, str] | None = None  # said when those before are answered
        self._in_head = False
        self._in_body = False
        self._framing = 0  # bytes since the last one of a body
        self._heads = 0
        self._head_seen = 0  # bytes of the head that is open, at least
        self._timer: asyncio.TimerHandle | None = None  # for a head, a leftover body, a linger
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unsent = 0  # bytes that the client had not taken when the stall timer was set
        self._exchanges: dict[RequestResponseCycle, Exchange] = {}
        self._running: Exchange | None = None

    # The transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came; its first head is timed from now."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        self.plain = self.scheme == "http" and peer is not None and peer.family in STREAMS
        self._set_timer(self.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: everybody who waits on it learns it."""
        self._unset_timer()
        self._unset_stall_timer()
        super().connection_lost(exc)
        for exchange in self._exchanges.values():
            exchange.cycle.disconnected = not exchange.cycle.response_complete
            exchange.cycle.message_event.set()
            exchange.lost()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more. If its body was taken whole it still gets its answer."""
        exchange = self._running
        if exchange is None or exchange.source is None or exchange.left != 0 or self.lingering:
            return None
        exchange.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """The client takes less than we write; it must go on taking."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """What was written is out, nearly."""
        self._unset_stall_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bytes that nobody takes from the socket itself: heads, and bodies of the plain way."""
        if self.lingering:
            self._drained += len(data)
            if self._drained > self.limits.linger_bytes:
                self.flow.pause_reading()  # until the time is over
        elif self._refused:
            return
        elif self._in_body:
            self._feed_body(data)
        else:
            self._feed_head(data)

    def _feed_head(self, data: bytes) -> None:
        """Parse not more than a head may have; the rest only if the head has ended in it."""
        if self._timer is None:
            self._set_timer(self.limits.head_seconds)
        most = self.limits.header_bytes + self.limits.request_line_bytes
        room = most - self._head_seen
        heads, was_in_head = self._heads, self._in_head
        super().data_received(data[:room])
        switched = self.transport.get_protocol() is not self
        if self._refused or self.lingering or switched or self.transport.is_closing():
            return
        if self._in_head:
            # A head that began behind another is counted from the next read on: its exact size
            # is judged when it is complete.
            alone = self._heads == heads + (not was_in_head)
            self._head_seen = self._head_seen + min(room, len(data)) if alone else 0
            if len(self.url) > self.limits.request_line_bytes:
                self._refuse(414, "The request target is too long.")
            elif self._head_seen >= most:
                self._refuse(431, "The request head is too large.")
        else:
            self._head_seen = 0
        if len(data) > room:
            self.data_received(data[room:])

    def _feed_body(self, data: bytes) -> None:
        """Parse a body that nobody takes; what frames it and comes behind it is bounded, too."""
        self._framing += len(data)
        super().data_received(data)
        if self._in_body and self._framing > self.limits.header_bytes:
            self._break(431, "What comes behind the body is too large.")

    # The parser's calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head, or one behind a body: those are never taken for the head's."""
        exchange = self._exchanges.get(self.cycle)
        if not self._in_body:
            super().on_header(name, value)
        elif exchange is not None:
            exchange.keep_trailer(name, value)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        self._heads += 1
        if self._timer is None:
            self._set_timer(self.limits.head_seconds)

    def on_headers_complete(self) -> None:
        """A head is complete. If a body can be taken, it stays in the socket until it is."""
        self._in_head, self._in_body, self._framing = False, True, 0
        self._unset_timer()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self._exchange_of(self.cycle).can_be_taken:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Bytes of a body that nobody has taken."""
        self._framing = 0
        exchange = self._exchanges.get(self.cycle)
        if exchange is not None:
            exchange.received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._in_body = False
        super().on_message_complete()
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is not None and cycle.response_complete and cycle.more_body:
            cycle.more_body = False  # a leftover body is swallowed: the connection is idle
            self._unset_timer()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        """The parser could not read it."""
        self._break(400, msg)

    def _break(self, status: int, detail: str) -> None:
        """Nothing more can be read here: say so, if that can be said yet."""
        exchange = self._running
        if self._in_body and exchange is not None and exchange.cycle is self.cycle:
            started = exchange.cycle.response_started
            exchange.cycle.disconnected = True  # the application sees the body cut
            exchange.cycle.message_event.set()
            if started:
                self.transport.close()
                return
            self._running = None
        self._refuse(status, detail)

    # Requests and answers

    def _exchange_of(self, cycle: RequestResponseCycle) -> Exchange:
        exchange = self._exchanges.get(cycle)
        if exchange is None:
            exchange = self._exchanges[cycle] = Exchange(self, cycle)
        return exchange

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        exchange = self._running = self._exchange_of(cycle)
        exchange.app = self._judge(cycle) or app
        cycle.transport = Door(self)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, exchange)

    def _judge(self, cycle: RequestResponseCycle) -> App | None:
        """The exact sizes of a complete head; an application that refuses it, if too large."""
        scope = cycle.scope
        target = len(scope["raw_path"]) + len(scope["query_string"])
        fields = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if target > self.limits.request_line_bytes:
            return refusing(414, "The request target is too long.", self.registry.shared)
        if fields > self.limits.header_bytes:
            return refusing(431, "The request head is too large.", self.registry.shared)
        return None

    def on_response_complete(self) -> None:
        """An answer is out: go on with the next request, or end the connection."""
        exchange, self._running = self._running, None
        left: int | None = 0
        if exchange is not None:
            left = exchange.left
            exchange.end()
            self._exchanges.pop(exchange.cycle, None)
            taken = exchange.source is not None
            if left is None or (left and (taken or left > self.limits.keep_bytes)):
                self._linger()
        if self.lingering:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if left:
            self._set_timer(self.limits.head_seconds)
        if self._late_refusal is not None and self._running is None:
            self._refuse(*self._late_refusal)

    def begin_anew(self) -> None:
        """A taken body was read to its end: what comes now is a new request for a new parser."""
        parser: httptools.HttpRequestParser | None = self.parser  # none once uvicorn gave it up
        if parser is None or self.transport.is_closing() or self.lingering:
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._in_body = False
        self.flow.resume_reading()

    @property
    def descriptor(self) -> int:
        """The number of the connection's socket; -1 if it is gone."""
        if self.transport.is_closing():
            return -1
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    async def flush(self, seconds: float) -> None:
        """Wait until the kernel has all that was written. Raises `TimeoutError`."""
        self.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.timeout(seconds or None):
                await self.flow.drain()
        finally:
            self.transport.set_write_buffer_limits()

    # The end

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what is not a request of the application's, after the requests before it."""
        self._refused = True
        self._unset_timer()
        self._unset_keepalive_if_required()
        if self._running is not None:
            self._late_refusal = status, detail
            self.flow.pause_reading()
            return
        headers, body = problem_of(status, detail)
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        fields = [b"%s: %s\r\n" % pair for pair in [*self.server_state.default_headers, *headers]]
        self.transport.write(b"".join([line, *fields, b"\r\n", body]))
        self._linger()

    def close_gently(self) -> None:
        """Close; if the client is still sending, so that it can read the answer first."""
        if self._running is not None and self._running.left != 0:
            self._linger()
        else:
            self._close()

    def _close(self) -> None:
        """Close when what was written is out; a client that does not take it is cut off."""
        self.transport.close()
        self._watch_writing()

    def _linger(self) -> None:
        """Send our FIN, swallow a bounded amount for a bounded time, then close (RFC 9112 9.6).

        A close on unread bytes makes the kernel send RST, which may destroy the answer on its way.
        """
        if self.lingering or self.transport.is_closing():
            return
        self.lingering = True
        if self._running is not None:
            self._running.end()
        self._unset_keepalive_if_required()
        self._set_timer(self.limits.linger_seconds)
        try:
            if self.transport.can_write_eof():  # not with TLS
                self.transport.write_eof()
        except OSError:  # the client has torn the connection down
            self.transport.abort()
        else:
            self.flow.resume_reading()

    def _set_timer(self, seconds: float) -> None:
        self._unset_timer()
        if seconds:
            self._timer = self.loop.call_later(seconds, self._time_is_over)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_writing(self) -> None:
        self._unset_stall_timer()
        if self.transport.get_write_buffer_size() and self.limits.stall_seconds:
            self._unsent = self._count_unsent()
            self._stall_timer = self.loop.call_later(self.limits.stall_seconds, self._judge_writing)

    def _count_unsent(self) -> int:
        number = self.transport.get_extra_info("socket").fileno()
        return self.transport.get_write_buffer_size() + unacknowledged(number)

    def _judge_writing(self) -> None:
        if self._count_unsent() >= self._unsent:
            self.transport.abort()
        else:
            self._watch_writing()

    def _unset_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _time_is_over(self) -> None:
        self._timer = None
        if self.lingering:
            self._close()
        elif self.flow.read_paused:  # it is us who do not read
            self._set_timer(self.limits.head_seconds)
        elif self._in_head:
            self._refuse(408, "The request head did not come in time.")
        elif self._running is None:
            self.transport.close()
