"""Uploads a document in chunks, hears by WebSocket how far it is, and goes on where it was cut off.

    python client.py [http://localhost:8000] paper.pdf
    python client.py [http://localhost:8000] paper.pdf SESSION_ID     (goes on with that session)

Needs aiohttp. TOWPATH_TOKEN, if it is set, is sent as the bearer token. At most one chunk is in
memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]

SERVER = "http://localhost:8000"
CHUNK = 8 * 1024 * 1024
TRIES = 5
PASSING = {422, 500, 502, 503, 504}  # a wrong checksum, a busy server: the next try may work


class RefusedError(Exception):
    """The server said no; the text says what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DocumentClient:
    """Speaks the document routes of one server, over an open aiohttp session."""

    def __init__(
        self, http: aiohttp.ClientSession, server: str = SERVER, *, client_id: str = "example-py"
    ) -> None:
        self.http = http
        self.base = f"{server}/api/documents/streaming"
        self.sockets = f"{server}/ws"
        self.client_id = client_id

    async def ask(
        self, path: str, said: Json | None = None, form: aiohttp.FormData | None = None
    ) -> Json:
        """POST, and the JSON that is answered."""
        async with self.http.post(self.base + path, json=said, data=form) as response:
            answer: Json = await response.json()
        if not answer.get("success", response.ok):
            raise RefusedError(response.status, answer["message"])
        return answer

    async def begin(self, path: Path, title: str | None = None) -> Json:
        """A new session."""
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        said = {
            "filename": path.name,
            "file_size": size,
            "chunk_size": CHUNK,
            "client_id": self.client_id,
            "title": title,
        }
        return await self.ask("/initiate", said)

    async def resume(self, session_id: str) -> Json:
        """A session that was begun before, here or on another device, with what it misses."""
        return await self.ask("/resume", {"session_id": session_id, "client_id": self.client_id})

    async def listen(self, client_id: str, on_progress: Callable[[Json], None]) -> None:
        """Call back with the data of each upload_progress until cancelled."""
        with contextlib.suppress(aiohttp.ClientError):  # the upload does not need news
            async with self.http.ws_connect(f"{self.sockets}/{client_id}") as socket:
                async for message in socket:
                    news = json.loads(message.data)
                    if news["type"] == "upload_progress":
                        on_progress(news["data"])

    async def send_chunk(self, session: Json, number: int, data: bytes) -> Json:
        """Send one chunk, again if it did not arrive as it was sent."""
        for attempt in range(1, TRIES + 1):
            form = aiohttp.FormData()
            form.add_field("chunk_id", str(number))
            form.add_field("chunk_offset", str(number * session["chunk_size"]))
            form.add_field("is_final", str(number == session["total_chunks"] - 1).lower())
            form.add_field("checksum", hashlib.sha256(data).hexdigest())
            form.add_field("chunk", data, filename="chunk")
            try:
                return await self.ask(f"/chunk/{session['session_id']}", form=form)
            except (RefusedError, aiohttp.ClientError) as error:
                refused = isinstance(error, RefusedError) and error.status not in PASSING
                if refused or attempt == TRIES:
                    raise
                await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    async def upload(
        self,
        path: Path,
        *,
        title: str | None = None,
        session_id: str | None = None,
        on_chunk: Callable[[str, int, str], None] = lambda _id, _number, _sha: None,
        on_progress: Callable[[Json], None] = lambda _: None,
    ) -> Json:
        """Upload a file; return its document."""
        session = await (self.resume(session_id) if session_id else self.begin(path, title))
        hearing = asyncio.create_task(self.listen(session["client_id"], on_progress))
        missing = session.get("missing_chunks", range(session["total_chunks"]))
        try:
            for number in () if session.get("upload_complete") else missing:
                data = await asyncio.to_thread(read_chunk, path, number, session["chunk_size"])
                result = await self.send_chunk(session, number, data)
                on_chunk(session["session_id"], number, result["message"])
                if result["upload_complete"]:
                    break
            result = await self.ask(f"/complete/{session['session_id']}")
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})
        document: Json = result["document"]
        return document


def read_chunk(path: Path, number: int, size: int) -> bytes:
    """One chunk of the file."""
    with path.open("rb") as file:
        file.seek(number * size)
        return file.read(size)


def tell_progress(data: Json) -> None:
    """One line for each piece of news."""
    speed, left = round(data["upload_speed_bps"] / 1024), data["estimated_time_remaining"]
    said = f"{data['progress_percentage']} % {data['message']} {speed} KiB/s, {left} s left"
    print(said, file=sys.stderr)


def tell_chunk(session: str, number: int, message: str) -> None:
    """One line for each chunk."""
    print(f"{session} chunk {number}: {message}", file=sys.stderr)


async def main() -> None:
    """Read the command line, upload, print the document."""
    words = sys.argv[1:]
    server = words.pop(0) if words[0].startswith(("http:", "https:")) else SERVER
    token = os.environ.get("TOWPATH_TOKEN")
    fields = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=fields) as http:
        document = await DocumentClient(http, server).upload(
            Path(words[0]),
            session_id=words[1] if words[1:] else None,
            on_chunk=tell_chunk,
            on_progress=tell_progress,
        )
    print(json.dumps(document))


if __name__ == "__main__":
    asyncio.run(main())
