"""A tus 1.0 uploader for tests, which can send as slowly, partly and wrongly as a test wants.

Rules: bytes come from a pattern, so nothing is kept; nothing is retried; every answer is given to
the test as it came.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from towpath.testing.pattern import Pattern
from towpath.testing.rawhttp import Answer, Line

VERSION = {"Tus-Resumable": "1.0.0"}
PATCH_TYPE = "application/offset+octet-stream"


class Patch:
    """A PATCH that is under way: its head is sent, its body is the test's to send."""

    def __init__(self, line: Line, pattern: Pattern, offset: int, *, chunked: bool) -> None:
        self.line = line
        self.pattern = pattern
        self.offset = offset  # of the next byte to send
        self.chunked = chunked

    def __enter__(self) -> Self:
        """Give the open request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connection."""
        self.line.close()

    def send(self, length: int) -> None:
        """Send the next bytes."""
        for view in self.pattern.views(self.offset, self.offset + length):
            if self.chunked:
                self.line.socket.sendall(b"%x\r\n" % len(view))
            self.line.socket.sendall(view)
            if self.chunked:
                self.line.socket.sendall(b"\r\n")
            self.offset += len(view)

    def trickle(self, length: int, rate: float, *, step: int = 4096) -> None:
        """Send the next bytes at `rate` bytes a second."""
        begun, first, end = time.monotonic(), self.offset, self.offset + length
        while self.offset < end:
            self.send(min(step, end - self.offset))
            late = begun + (self.offset - first) / rate - time.monotonic()
            if late > 0:
                time.sleep(late)

    def answer(self) -> Answer:
        """End a chunked body, and read the answer."""
        if self.chunked:
            self.line.socket.sendall(b"0\r\n\r\n")
        return self.line.answer()

    def abandon(self) -> None:
        """Go away with a FIN in the middle of the body."""
        self.line.close()

    def reset(self) -> None:
        """Go away with a RST in the middle of the body."""
        self.line.reset()


@dataclass(frozen=True, slots=True)
class RawTus:
    """A tus server as a test sees it: one connection for each request."""

    base: str  # "http://host:port"
    root: str = "/files/"
    pattern: Pattern = field(default_factory=Pattern)
    fields: Mapping[str, str] = field(default_factory=dict)  # on every request
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0

    def line(self) -> Line:
        """Connect."""
        parts = urlsplit(self.base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Line(parts.hostname or "", port, self.tls, self.timeout)

    def create(self, length: int | None, fields: Mapping[str, str] | None = None) -> str:
        """Create an upload (None: its length comes later) and return its path."""
        size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        every = VERSION | {"Content-Length": "0"} | size | dict(self.fields) | dict(fields or {})
        with self.line() as line:
            answer = line.ask("POST", self.root, every)
        if answer.status != 201:
            raise AssertionError(f"not created: {answer}")
        return urlsplit(answer.fields["location"]).path

    def head(self, path: str) -> Answer:
        """Ask how far an upload is. On a server with leases this claims it."""
        with self.line() as line:
            return line.ask("HEAD", path, VERSION | dict(self.fields))

    def offset(self, path: str) -> int:
        """The offset that HEAD tells."""
        answer = self.head(path)
        if answer.status not in (200, 204):
            raise AssertionError(f"no offset: {answer}")
        return answer.number("upload-offset")

    def open_patch(
        self,
        path: str,
        offset: int,
        length: int | None,
        fields: Mapping[str, str] | None = None,
        *,
        line: Line | None = None,
    ) -> Patch:
        """Send the head of a PATCH; None sends the body chunked."""
        size = {"Transfer-Encoding": "chunked"}
        if length is not None:
            size = {"Content-Length": str(length)}
        place = {"Content-Type": PATCH_TYPE, "Upload-Offset": str(offset)}
        every = VERSION | dict(self.fields) | place | size
        line = line or self.line()
        line.send_head("PATCH", path, every | dict(fields or {}))
        return Patch(line, self.pattern, offset, chunked=length is None)

    def patch(
        self,
        path: str,
        offset: int,
        length: int,
        fields: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """Send a whole PATCH and read its answer."""
        with self.open_patch(path, offset, None if chunked else length, fields) as patch:
            patch.send(length)
            return patch.answer()

    def sha256(self, path: str) -> tuple[int, str]:
        """Download with GET: the length and the digest of what came."""
        digest, length = hashlib.sha256(), 0
        with self.line() as line:
            line.send_head("GET", path, dict(self.fields))
            head = line.head()
            if head.status != 200:
                raise AssertionError(f"no download: {head} {b''.join(line.body(head))[:500]!r}")
            for block in line.body(head):
                digest.update(block)
                length += len(block)
        return length, digest.hexdigest()
