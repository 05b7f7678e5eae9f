"""Many tus uploads at once from one process: each has a socket, none has a thread.

Rules: an upload holds one view of a shared pattern and one socket; nobody sends the last byte
before everybody may, so that all are under way at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from towpath.testing.pattern import Pattern

STEP = 64 * 1024  # bytes that a sender without a rate gives to its socket at once


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many uploads, of which length, at how many bytes a second each."""

    base: str
    count: int
    length: int
    rate: float | None = None
    pattern: Pattern = field(default_factory=lambda: Pattern("crowd"))

    @contextlib.asynccontextmanager
    async def under_way(self) -> AsyncIterator[asyncio.Event]:
        """Start them all; set the event to let them end. All must have ended well then."""
        may_end = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._one(number, may_end))
            try:
                yield may_end
            finally:
                may_end.set()

    async def _one(self, number: int, may_end: asyncio.Event) -> None:
        parts = urlsplit(self.base)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.transport.set_write_buffer_limits(high=0)
        try:
            host = f"Host: {parts.netloc}\r\nTus-Resumable: 1.0.0\r\n"
            size = f"Upload-Length: {self.length}\r\nContent-Length: 0\r\n\r\n"
            writer.write(f"POST /files/ HTTP/1.1\r\n{host}{size}".encode())
            fields = await self._answer(reader, 201)
            path = urlsplit(fields["location"]).path
            size = f"Upload-Offset: 0\r\nContent-Length: {self.length}\r\n"
            kind = "Content-Type: application/offset+octet-stream\r\n\r\n"
            writer.write(f"PATCH {path} HTTP/1.1\r\n{host}{size}{kind}".encode())
            await self._body(writer, number, may_end)
            await self._answer(reader, 204)
        finally:
            writer.close()

    async def _body(
        self, writer: asyncio.StreamWriter, number: int, may_end: asyncio.Event
    ) -> None:
        """Send all but a byte, at the rate, and the last one when it may."""
        loop = asyncio.get_running_loop()
        step = STEP if self.rate is None else max(1, int(self.rate / 2))
        begun, sent = loop.time(), 0
        while sent < self.length - 1:
            view = self.pattern.view(number + sent, min(step, self.length - 1 - sent))
            writer.write(view)
            await writer.drain()
            sent += len(view)
            if self.rate is not None and not may_end.is_set():
                await asyncio.sleep(max(0.0, begun + sent / self.rate - loop.time()))
        await may_end.wait()
        writer.write(self.pattern.view(number + sent, 1))
        await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, status: int) -> dict[str, str]:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            if first.split()[1][0] != "1":
                break
        if int(first.split()[1]) != status:
            raise AssertionError(f"not {status}: {head}")
        pairs = (line.partition(":") for line in lines)
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if status != 204:
            await reader.readexactly(int(fields.get("content-length", "0")))
        return fields
