"""HTTP/1.1 by hand over a socket that the test holds, so that it can do what no client would.

Rules: what is sent is what the test says, byte for byte; an answer is read whole and is small,
but a body may be read as blocks; interim answers (1xx) are kept beside the final one.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

BLOCK = 256 * 1024
MAX_HEAD = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; field names in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    interim: tuple[Answer, ...] = ()

    def number(self, name: str) -> int:
        """A field that must be there and be a number."""
        if name not in self.fields:
            raise AssertionError(f"{self.status} without {name}: {self.fields} {self.body[:500]!r}")
        return int(self.fields[name])


class Gone(Exception):
    """The server ended the connection before its answer was whole."""


@dataclass(slots=True)
class Line:
    """One connection to a server: `socket` is there to be misused."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0
    socket: socket.socket = field(init=False)
    _rest: bytearray = field(init=False, default_factory=bytearray)

    def __post_init__(self) -> None:
        """Connect."""
        self.socket = socket.create_connection((self.host, self.port), timeout=self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname=self.host)

    def __enter__(self) -> Self:
        """Give the open connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close as a client does that goes away."""
        self.socket.close()

    def reset(self) -> None:
        """Close with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.socket.close()

    def half_close(self) -> None:
        """Say that no more comes, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def send_head(self, method: str, path: str, fields: Mapping[str, str | int]) -> None:
        """Send a request's first lines."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def ask(self, method: str, path: str, fields: Mapping[str, str | int] | None = None) -> Answer:
        """Send a request without a body and read its answer."""
        self.send_head(method, path, fields or {})
        return self.answer(without_body=method == "HEAD")

    def answer(self, *, without_body: bool = False) -> Answer:
        """Read the next answer, whole."""
        head = self.head()
        body = b"" if without_body else b"".join(self.body(head))
        return Answer(head.status, head.fields, body, head.interim)

    def head(self) -> Answer:
        """Read an answer's head, past the interim ones, which it keeps."""
        interim: list[Answer] = []
        while True:
            one = self.next_head()
            if one.status >= 200:
                return Answer(one.status, one.fields, b"", tuple(interim))
            interim.append(one)

    def next_head(self) -> Answer:
        """Read the next head, be it interim or final."""
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > MAX_HEAD:
                raise Gone("the head of the answer does not end")
            self._fill()
        first, *lines = self._rest[:end].decode("latin-1").split("\r\n")
        del self._rest[: end + 4]
        pairs = (line.partition(":") for line in lines)
        return Answer(int(first.split()[1]), {n.strip().lower(): v.strip() for n, _, v in pairs})

    def body(self, head: Answer) -> Iterator[bytes]:
        """The blocks of the body that follows this head."""
        if head.status in (204, 304):
            return
        if "chunked" in head.fields.get("transfer-encoding", ""):
            yield from self._chunks()
        elif "content-length" in head.fields:
            yield from self._exactly(head.number("content-length"))
        else:
            while True:
                try:
                    self._fill()
                except Gone:
                    break
                yield bytes(self._rest)
                self._rest.clear()

    def drop_read_ahead(self) -> int:
        """Throw away what was read beyond the last head; how much it was."""
        length = len(self._rest)
        self._rest.clear()
        return length

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            if not self._rest:
                self._fill()
            block = bytes(self._rest[:length])
            del self._rest[: len(block)]
            length -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            self._fill()
        line = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return line

    def _fill(self) -> None:
        try:
            block = self.socket.recv(BLOCK)
        except ConnectionError as error:
            raise Gone(str(error)) from error
        if not block:
            raise Gone("the connection ended")
        self._rest += block
