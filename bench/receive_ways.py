"""The servers that `bench/receive.py` compares: each receives a body, writes it, and answers."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import socket
import ssl
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop
from awscrt import checksums

MIB = 1024 * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


class Sink:
    """A preallocated file that each round writes anew."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.offset = 0
        self.crc = 0

    def write(self, block: memoryview) -> None:
        """Checksum and write one block, as the engine does."""
        self.crc = checksums.crc64nvme(block, self.crc)
        self.bare_write(block)

    def bare_write(self, block: memoryview) -> None:
        """Write one block."""
        self.offset += os.pwrite(self.descriptor, block, self.offset)


def spent() -> bytes:
    """CPU seconds of this process, the body of every answer."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return b"%.4f" % (usage.ru_utime + usage.ru_stime)


def head_of(connection: socket.socket) -> int:
    """Read a request head and nothing more; return its Content-Length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return int(head.lower().split(b"content-length:")[1].split()[0])


def serve_bare(listener: socket.socket, path: Path, block: int, checksum: bool) -> None:
    """The yardstick."""
    view = memoryview(bytearray(block))
    while True:
        connection, _ = listener.accept()
        left, sink = head_of(connection), Sink(path)
        write = sink.write if checksum else sink.bare_write
        while left:
            count = connection.recv_into(view[: min(block, left)])
            write(view[:count])
            left -= count
        answer = spent()
        connection.sendall(ANSWER % (len(answer), answer))
        connection.close()
        os.close(sink.descriptor)


class Buffered(asyncio.BufferedProtocol):
    """Way (a): the loop receives into reused blocks, an executor writes them."""

    def __init__(self, owner: RawServer, transport: asyncio.Transport, left: int, block: int):
        self.owner, self.transport, self.left = owner, transport, left
        self.free = [memoryview(bytearray(block)) for _ in range(4)]
        self.full: asyncio.Queue[tuple[memoryview, int]] = asyncio.Queue()
        self.block: memoryview | None = self.free.pop()
        self.at = 0

    def get_buffer(self, hint: int) -> memoryview:
        """Where the loop shall receive to."""
        assert self.block is not None
        return self.block[self.at : self.at + self.left]

    def buffer_updated(self, count: int) -> None:
        """The loop has received."""
        assert self.block is not None
        self.at += count
        self.left -= count
        if self.at == len(self.block) or not self.left:
            self.full.put_nowait((self.block, self.at))
            self.at = 0
            self.block = self.free.pop() if self.free and self.left else None
            if self.block is None:
                self.transport.pause_reading()

    def give_back(self, block: memoryview) -> None:
        """A block is written."""
        self.free.append(block)
        if self.block is None and self.left:
            self.block = self.free.pop()
            self.transport.resume_reading()


class RawServer(asyncio.Protocol):
    """Reads a head, pauses the transport and lets `way` receive the body."""

    def __init__(self, way: Any) -> None:
        self.way = way
        self.head = b""

    def connection_made(self, transport: Any) -> None:
        """A client came."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """The head, and what came with it."""
        self.head += data
        if b"\r\n\r\n" not in self.head:
            return
        head, early = self.head.split(b"\r\n\r\n", 1)
        self.transport.pause_reading()
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        self.task = asyncio.ensure_future(self.receive(length, early))

    async def receive(self, length: int, early: bytes) -> None:
        """The body and the answer."""
        await self.way(self, length, early)
        answer = spent()
        self.transport.write(ANSWER % (len(answer), answer))
        self.transport.close()


def buffered_way(path: Path, block: int, pool: ThreadPoolExecutor) -> Any:
    """Way (a)."""

    async def receive(server: RawServer, length: int, early: bytes) -> None:
        loop, sink = asyncio.get_running_loop(), Sink(path)
        sink.write(memoryview(early))
        receiver = Buffered(server, server.transport, length - len(early), block)
        server.transport.set_protocol(receiver)
        server.transport.resume_reading()
        while sink.offset < length:
            full, count = await receiver.full.get()
            await loop.run_in_executor(pool, sink.write, full[:count])
            receiver.give_back(full)
        server.transport.set_protocol(server)
        os.close(sink.descriptor)

    return receive


def threaded_way(path: Path, block: int, wait: float, how: str, pool: ThreadPoolExecutor) -> Any:
    """Way (b), as bare as can be: a thread on a duplicate of the socket."""

    def work(duplicate: socket.socket, sink: Sink, length: int) -> bool:
        view = memoryview(bytearray(block))
        poller = select.poll()
        poller.register(duplicate, select.POLLIN)
        if how == "timeout":
            duplicate.settimeout(wait)
        if how == "low":
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(block, 128 * 1024))
        while sink.offset < length:
            try:
                count = duplicate.recv_into(view[: length - sink.offset])
            except TimeoutError:
                return False
            except BlockingIOError:
                if how == "low":  # the last bytes are fewer than the mark
                    low = min(block, 128 * 1024, length - sink.offset)
                    duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)
                if not poller.poll(wait * 1000):
                    return False
                continue
            sink.write(view[:count])
        return True

    async def receive(server: RawServer, length: int, early: bytes) -> None:
        loop, sink = asyncio.get_running_loop(), Sink(path)
        sink.write(memoryview(early))
        number = server.transport.get_extra_info("socket").fileno()
        duplicate = socket.socket(fileno=os.dup(number))
        duplicate.setblocking(False)
        while not await loop.run_in_executor(pool, work, duplicate, sink, length):
            readable = asyncio.Event()
            loop.add_reader(duplicate, readable.set)
            await readable.wait()
            loop.remove_reader(duplicate)
        duplicate.close()
        os.close(sink.descriptor)

    return receive


async def drain(source: Any, sink: Sink, block: int, pool: ThreadPoolExecutor) -> None:
    """The engine's loop over any `Source`: the block grows from 64 KiB while it is filled."""
    loop = asyncio.get_running_loop()

    def work() -> None:
        size = min(block, 64 * 1024)
        view = memoryview(bytearray(size))
        while count := source.read_into(view):
            sink.write(view[:count])
            if count == size and size < block:
                size *= 2
                view = memoryview(bytearray(size))

    while source.ending is None:
        await source.ready()
        await loop.run_in_executor(pool, work)


def source_way(path: Path, block: int, pool: ThreadPoolExecutor) -> Any:
    """Our source, without HTTP around it."""
    from towpath.web.limits import WireLimits
    from towpath.web.pace import Pace
    from towpath.web.socket_source import SocketSource
    from towpath.web.wire import Wire

    async def receive(server: RawServer, length: int, early: bytes) -> None:
        sink = Sink(path)
        wire = Wire(server.transport.get_extra_info("socket").fileno())
        source = SocketSource(
            wire, length=length, early=early, pace=Pace(WireLimits()), on_end=lambda: None
        )
        await drain(source, sink, block, pool)
        source.close()
        os.close(sink.descriptor)

    return receive


def certificate() -> tuple[Path, Path]:
    """A self-signed certificate and its key, made once."""
    paths = (
        Path(tempfile.gettempdir(), "towpath-bench.pem"),
        Path(tempfile.gettempdir(), "towpath-bench.key"),
    )
    if not paths[0].exists():
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9"
        files = ["-subj", "/CN=localhost", "-out", str(paths[0]), "-keyout", str(paths[1])]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return paths


def serve_raw(listener: socket.socket, way: Any, *, tls: bool = False) -> None:
    """Serve one of the ways without HTTP library."""
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: RawServer(way), sock=listener, ssl=context)
        await server.serve_forever()

    uvloop.run(main())


def serve_uvicorn(listener: socket.socket, path: Path, block: int, way: str, tls: bool) -> None:
    """Serve through uvicorn: with our protocol, or untouched."""
    import uvicorn

    from towpath.web import contract
    from towpath.web.asgi_source import AsgiSource
    from towpath.web.limits import WireLimits
    from towpath.web.registry import Registry

    pool = ThreadPoolExecutor(4)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sink = Sink(path)
        length = int(dict(scope["headers"])[b"content-length"])
        if way == "direct":
            source = scope["extensions"]["towpath.direct"].take()
        else:
            source = AsgiSource(receive, length=length, limits=WireLimits())
        await drain(source, sink, block, pool)
        os.close(sink.descriptor)
        answer = spent()
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    http: Any = contract.http_class(Registry(WireLimits(), pool))
    if way == "plain":
        http = "httptools"
    files = certificate() if tls else (None, None)
    config = uvicorn.Config(
        app,
        http=http,
        loop="uvloop",
        lifespan="off",
        log_level="error",
        ssl_certfile=files[0],
        ssl_keyfile=files[1],
    )
    uvicorn.Server(config).run(sockets=[listener])


def serve(way: str, target: Path, descriptor: int, tls: bool) -> None:
    """Be the server of one way until killed."""
    listener = socket.socket(fileno=descriptor)
    name, block, wait = (*way.split(":"), "1024", "20")[:3] if ":" in way else (way, "1024", "20")
    path, size, pool = target, int(block) * 1024, ThreadPoolExecutor(4)
    if name in ("bare", "barecrc"):
        serve_bare(listener, path, size, name == "barecrc")
    elif name == "buffered":
        serve_raw(listener, buffered_way(path, size, pool), tls=tls)
    elif name in ("poll", "timeout", "low"):
        serve_raw(listener, threaded_way(path, size, int(wait) / 1000, name, pool))
    elif name == "source":
        serve_raw(listener, source_way(path, size, pool))
    else:
        serve_uvicorn(listener, path, size, name, tls)
