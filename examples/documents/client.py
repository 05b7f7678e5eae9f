"""Uploads a document in chunks and goes on where an interrupted upload ended. Python 3.11 or newer.

    python client.py http://127.0.0.1:8000 paper.pdf
    python client.py http://127.0.0.1:8000 paper.pdf SESSION_ID     (goes on with that session)

Needs nothing but the standard library. TOWPATH_TOKEN, if it is set, is sent as the bearer token.
At most one chunk is in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]

CHUNK = 8 * 1024 * 1024
TRIES = 5
PASSING = {422, 500, 502, 503, 504}  # a wrong checksum, a busy server: the next try may work


class RefusedError(Exception):
    """The server said no; the text says what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DocumentClient:
    """Speaks the document routes of one server."""

    def __init__(self, server: str, *, client_id: str = "example-python") -> None:
        self.base = f"{server}/api/documents/streaming"
        self.client_id = client_id
        token = os.environ.get("TOWPATH_TOKEN")
        self.fields = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, path: str, body: bytes = b"", kind: str = "application/json") -> Json:
        """POST, and the JSON that is answered."""
        fields = {**self.fields, "Content-Type": kind}
        request = urllib.request.Request(self.base + path, body, fields, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                answer: Json = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, json.load(error)["message"]) from error

    def begin(self, path: Path, title: str | None = None) -> Json:
        """A new session."""
        said = {
            "filename": path.name,
            "file_size": path.stat().st_size,
            "chunk_size": CHUNK,
            "client_id": self.client_id,
            "title": title,
        }
        return self.ask("/initiate", json.dumps(said).encode())

    def resume(self, session_id: str) -> Json:
        """A session that was begun before, here or on another device, with what it misses."""
        said = {"session_id": session_id, "client_id": self.client_id}
        return self.ask("/resume", json.dumps(said).encode())

    def send_chunk(self, session: Json, number: int, data: bytes) -> Json:
        """Send one chunk, again if it did not arrive as it was sent."""
        fields = {
            "chunk_id": number,
            "chunk_offset": number * session["chunk_size"],
            "is_final": number == session["total_chunks"] - 1,
            "checksum": hashlib.sha256(data).hexdigest(),
        }
        body, kind = form(fields, "chunk", data)
        for attempt in range(1, TRIES + 1):
            try:
                return self.ask(f"/chunk/{session['session_id']}", body, kind)
            except (RefusedError, OSError) as error:
                refused = isinstance(error, RefusedError) and error.status not in PASSING
                if refused or attempt == TRIES:
                    raise
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def upload(
        self,
        path: Path,
        *,
        title: str | None = None,
        session_id: str | None = None,
        on_progress: Callable[[str, int, str], None] = lambda *_: None,
    ) -> Json:
        """Upload a file; return its document."""
        session = self.resume(session_id) if session_id else self.begin(path, title)
        missing = session.get("missing_chunks", range(session["total_chunks"]))
        with path.open("rb") as file:
            for number in () if session.get("upload_complete") else missing:
                file.seek(number * session["chunk_size"])
                result = self.send_chunk(session, number, file.read(session["chunk_size"]))
                on_progress(session["session_id"], number, result["message"])
                if result["upload_complete"]:
                    break
        document: Json = self.ask(f"/complete/{session['session_id']}")["document"]
        return document


def form(fields: dict[str, Any], name: str, data: bytes) -> tuple[bytes, str]:
    """A form with fields and one file behind them, and its Content-Type."""
    boundary = secrets.token_hex(16)
    disposition = "Content-Disposition: form-data; name="
    parts = [
        f'--{boundary}\r\n{disposition}"{key}"\r\n\r\n{json.dumps(value).strip(chr(34))}\r\n'
        for key, value in fields.items()
    ]
    parts.append(f'--{boundary}\r\n{disposition}"{name}"; filename="chunk"\r\n\r\n')
    body = "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def main() -> None:
    """Read the command line, upload, print the document."""
    server, path, *rest = sys.argv[1:]
    document = DocumentClient(server).upload(
        Path(path),
        session_id=rest[0] if rest else None,
        on_progress=lambda *said: print("{} chunk {}: {}".format(*said), file=sys.stderr),
    )
    print(json.dumps(document))


if __name__ == "__main__":
    main()
