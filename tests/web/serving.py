"""A real server on a loopback port, in a thread of the test, with a tiny application of its own.

The application writes bodies through a `Source` the way the engine does, and puts what became of
each into `results`, so that a test can await it.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
import uvloop

from towpath.core.ports import Source
from towpath.web import contract
from towpath.web.asgi_source import AsgiSource
from towpath.web.limits import WireLimits
from towpath.web.registry import Registry

BULK = 40 * 1024 * 1024  # bytes of the ordinary large response
PATIENCE = 10.0  # seconds that anything may take before a test fails


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Look until `condition` holds; fail after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.005)
    return answer


@dataclass
class Result:
    """What became of one body."""

    way: str
    ending: str
    body: bytes
    rounds: int  # how often a worker thread was engaged


@dataclass
class Serving:
    """The server of one test, and its application."""

    loop_name: str
    folder: Path
    limits: WireLimits = field(default_factory=WireLimits)
    direct: bool = True
    tls: tuple[Path, Path] | None = None
    port: int = 0
    results: queue.Queue[Result] = field(default_factory=queue.Queue)
    sources: queue.Queue[Source] = field(default_factory=queue.Queue)
    sent: queue.Queue[str] = field(default_factory=queue.Queue)
    working: int = 0  # threads inside a read at this moment
    written: int = 0  # bytes of all bodies

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)
        self.registry = Registry(self.limits, ThreadPoolExecutor(2))
        self.go = threading.Event()  # a held body is read from when it is set
        self._count = 0
        self._lock = threading.Lock()

    # The application

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Routes: /write /hold (take, await `go`) /refuse /read (receive) /file /interim."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": (await receive())["text"]})
            await send({"type": "websocket.close"})
            return
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        if path in ("/write", "/hold"):
            await self._write(scope, receive, send, hold=path == "/hold")
        elif path == "/refuse":
            await self._answer(send, 413, {"refused": True})
        elif path == "/read":
            body, more, kind = b"", True, "http.request"
            while more and kind == "http.request":
                message = await receive()
                kind, more = message["type"], message.get("more_body", False)
                body += message.get("body", b"")
            ending = "whole" if kind == "http.request" else "cut"
            self.results.put(Result("receive", ending, body, 0))
            await self._answer(send, 200, {"count": len(body)})
        elif path == "/file":
            mode = os.O_WRONLY if "unreadable" in query else os.O_RDONLY
            await self._file(send, int(query["offset"][0]), int(query["count"][0]), mode)
        elif path == "/bulk":
            headers = [(b"content-length", b"%d" % BULK)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number in range(BULK // (1024 * 1024)):
                piece = {"type": "http.response.body", "body": bytes(1024 * 1024)}
                await send({**piece, "more_body": number < 39})
            self.sent.put("over")
        elif path == "/interim":
            headers = [(b"upload-offset", b"7")]
            await send({"type": "towpath.informational", "status": 104, "headers": headers})
            await self._answer(send, 200, {})
        else:
            await self._answer(send, 200, {"path": path})

    async def _write(self, scope: Any, receive: Any, send: Any, *, hold: bool) -> None:
        loop = asyncio.get_running_loop()
        offer = scope.get("extensions", {}).get("towpath.direct")
        length = dict(scope["headers"]).get(b"content-length")
        source: Source
        if offer is not None:
            source = offer.take()
        else:
            known = None if length is None else int(length)
            source = AsgiSource(receive, length=known, limits=self.limits)
        self.sources.put(source)
        if hold:
            await loop.run_in_executor(None, self.go.wait, PATIENCE)
        with self._lock:
            self._count += 1
            path = self.folder / f"body{self._count}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        offset = rounds = 0
        while source.ending is None:
            await source.ready()
            offset = await loop.run_in_executor(self.pool, self._drain, source, descriptor, offset)
            rounds += 1
        os.close(descriptor)
        ending = source.ending
        source.stop()
        way = "direct" if offer is not None else "asgi"
        body = await loop.run_in_executor(None, path.read_bytes)
        await loop.run_in_executor(None, path.unlink)
        self.results.put(Result(way, ending.value, body, rounds))
        status = 200 if ending.value == "whole" else 400
        await self._answer(send, status, {"count": offset, "ending": ending.value, "way": way})

    def _drain(self, source: Source, descriptor: int, offset: int) -> int:
        with self._lock:
            self.working += 1
        view = memoryview(bytearray(256 * 1024))
        while count := source.read_into(view):
            offset += os.pwrite(descriptor, view[:count], offset)
            with self._lock:
                self.written += count
        with self._lock:
            self.working -= 1
        return offset

    async def _answer(self, send: Any, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _file(self, send: Any, offset: int, count: int, mode: int) -> None:
        descriptor = os.open(self.folder / "file", mode)
        headers = [(b"content-length", b"%d" % count)]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            message = {"type": "towpath.sendfile", "fd": descriptor}
            await send({**message, "offset": offset, "count": count})
        finally:
            os.close(descriptor)
            self.sent.put("over")

    # The server

    @contextmanager
    def running(self) -> Iterator[Serving]:
        """Serve until the block ends; then all connections must end by themselves."""
        http: Any = contract.http_class(self.registry) if self.direct else "httptools"
        options: dict[str, Any] = {}
        if self.tls is not None:
            options = {"ssl_certfile": self.tls[0], "ssl_keyfile": self.tls[1]}
        config = uvicorn.Config(
            self.app, http=http, interface="asgi3", lifespan="off", log_level="warning",
            access_log=False, timeout_graceful_shutdown=5, **options,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = listener.getsockname()[1]
        factory = uvloop.new_event_loop if self.loop_name == "uvloop" else asyncio.new_event_loop

        def serve() -> None:
            with asyncio.Runner(loop_factory=factory) as runner:
                self.loop = runner.get_loop()
                runner.run(self.server.serve(sockets=[listener]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        wait_for(lambda: self.server.started, "the server's start")
        try:
            yield self
        finally:
            self.go.set()
            self.server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the server did not end"
            self.pool.shutdown()
            self.registry.senders.shutdown()

    def connect(self) -> Client:
        """A new raw connection."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            context = ssl.create_default_context(cafile=str(self.tls[0]))
            raw = context.wrap_socket(raw, server_hostname="localhost")
        return Client(raw)

    def result(self) -> Result:
        """What became of the next body."""
        return self.results.get(timeout=PATIENCE)

    def source(self) -> Source:
        """The source of the next body, as soon as the application has it."""
        return self.sources.get(timeout=PATIENCE)


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class Client:
    """Speaks HTTP/1.1 byte by byte."""

    def __init__(self, raw: socket.socket) -> None:
        self.socket = raw
        self.file = raw.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def head(self, path: str, *fields: str, length: int | None = None, method: str = "") -> None:
        """Send a request head; POST if it has a length."""
        method = method or ("GET" if length is None else "POST")
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.send("\r\n".join([*lines, "", ""]).encode())

    def answer(self, *, body: bool = True) -> Answer:
        """Read one response."""
        line = self.file.readline()
        assert line, "the connection ended before an answer"
        headers = {}
        while (field := self.file.readline().strip()) != b"":
            name, _, value = field.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0")) if body else 0
        return Answer(int(line.split()[1]), headers, self.file.read(length))

    def ended(self) -> bool:
        """Whether the server closes without a word more; an RST counts."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.file.close()
        self.socket.close()
