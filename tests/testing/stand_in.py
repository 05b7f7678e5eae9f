"""A small tus server and uploader that stand in for the real ones, to prove the tests' own tools.

Rules: standard library only; correct by default (data durable, then the answer), with sins to
order, so that a test can show that it would notice them:

    stand_in.py serve --host H --port P --data DIR [--sin NAME]
    stand_in.py put FILE NAME [--sin NAME]      (TOWPATH_URL, XDG_STATE_HOME)
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

BLOCK = 256 * 1024
SETTLE = 4 * 1024 * 1024

SINS = {
    "never-syncs": "the server answers 204 before the bytes are durable",
    "forgets": "after a start each HEAD forgets half of the bytes",
    "garbles": "the server writes every byte one place too far after a start",
    "from-zero": "the client sends everything again at each run",
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Speaks enough tus 1.0."""

    protocol_version = "HTTP/1.1"
    data: ClassVar[Path]
    sin: ClassVar[str]
    writing: ClassVar[int] = 0
    known: ClassVar[dict[str, threading.Lock]] = {}
    inherited: ClassVar[set[str]]

    def log_message(self, *args: object) -> None:
        """Keep the log small."""

    def reply(self, status: int, fields: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Tus-Resumable", "1.0.0")
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @property
    def file(self) -> Path:
        """Where the bytes of this upload are: the file's size is the offset."""
        return self.data / Path(self.path).name

    def offset(self) -> int:
        """How far it is."""
        return self.file.stat().st_size

    def sync(self, path: Path) -> None:
        """Make what has been written durable: nothing may be told before."""
        if self.sin != "never-syncs":
            number = os.open(path, os.O_RDONLY)
            os.fdatasync(number)
            os.close(number)

    def do_POST(self) -> None:
        """Create."""
        name = uuid.uuid4().hex
        length = self.headers["Upload-Length"]
        for path, content in ((self.data / f"{name}.length", length), (self.data / name, "")):
            with path.open("w") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        directory = os.open(self.data, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        self.reply(201, {"Location": f"/files/{name}"})

    def do_HEAD(self) -> None:
        """Tell the offset."""
        if not self.file.exists():
            self.reply(404)
            return
        if self.sin == "forgets" and self.file.name in self.inherited:
            os.truncate(self.file, self.offset() // 2 // BLOCK * BLOCK)
        length = (self.data / f"{self.file.name}.length").read_text()
        offset = self.offset()
        self.sync(self.file)
        self.reply(200, {"Upload-Offset": str(offset), "Upload-Length": length})

    def do_GET(self) -> None:
        """Give the bytes, or say how the server is."""
        if self.path == "/livez":
            self.reply(200, body=b"ok")
        elif self.path == "/api/v1/server":
            self.reply(200, body=json.dumps({"writing": Handler.writing}).encode())
        else:
            with self.file.open("rb") as file:
                self.send_response(200)
                self.send_header("Content-Length", str(self.file.stat().st_size))
                self.end_headers()
                self.connection.sendfile(file)

    def do_PATCH(self) -> None:
        """Append what comes, durable before it is acknowledged."""
        lock = self.known.setdefault(self.file.name, threading.Lock())
        with lock:
            if int(self.headers["Upload-Offset"]) != self.offset():
                self.close_connection = True
                self.reply(409, {"Upload-Offset": str(self.offset())})
                return
            Handler.writing += 1
            try:
                self.receive(int(self.headers["Content-Length"]))
            finally:
                Handler.writing -= 1

    def receive(self, left: int) -> None:
        """Write the body, settled every few MiB."""
        with self.file.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            if self.sin == "garbles" and self.file.name in self.inherited and file.tell():
                file.seek(-1, os.SEEK_END)
                file.write(b"?")
                self.inherited.discard(self.file.name)
            unsettled = 0
            while left:
                block = self.rfile.read1(min(left, BLOCK))
                if not block:
                    self.close_connection = True
                    break
                file.write(block)
                left -= len(block)
                unsettled += len(block)
                if unsettled >= SETTLE or not left:
                    unsettled = 0
                    file.flush()
                    self.sync(self.file)
        self.reply(204, {"Upload-Offset": str(self.file.stat().st_size)})


def serve(host: str, port: int, data: Path, sin: str) -> None:
    """Serve until somebody ends the process."""
    data.mkdir(parents=True, exist_ok=True)
    Handler.data, Handler.sin = data, sin
    Handler.inherited = {path.name for path in data.iterdir()}
    http.server.ThreadingHTTPServer.request_queue_size = 1024
    server = http.server.ThreadingHTTPServer((host, port), Handler)
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    server.serve_forever()


def put(file: Path, name: str, sin: str) -> int:
    """Upload a file, going on where an earlier run ended."""
    memory = Path(os.environ["XDG_STATE_HOME"]) / f"{name}.location"
    parts = urlsplit(os.environ["TOWPATH_URL"])
    for _ in range(50):
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        with contextlib.closing(line), contextlib.suppress(OSError, http.client.HTTPException):
            carry(line, file, memory, sin)
            return 0
        time.sleep(0.1)
    return 1


def carry(line: http.client.HTTPConnection, file: Path, memory: Path, sin: str) -> None:
    """Carry it through on one connection."""
    size = file.stat().st_size
    version = {"Tus-Resumable": "1.0.0"}
    if not memory.exists() or sin == "from-zero":
        line.request("POST", "/files/", headers=version | {"Upload-Length": str(size)})
        answer = line.getresponse()
        answer.read()
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(answer.headers["Location"])
    line.request("HEAD", memory.read_text(), headers=version)
    answer = line.getresponse()
    answer.read()
    offset = int(answer.headers["Upload-Offset"])
    with file.open("rb") as source:
        source.seek(offset)
        fields = version | {"Upload-Offset": str(offset), "Content-Length": str(size - offset)}
        fields["Content-Type"] = "application/offset+octet-stream"
        line.request("PATCH", memory.read_text(), body=source, headers=fields)
        answer = line.getresponse()
        answer.read()
        if answer.status != 204:
            raise http.client.HTTPException(answer.status)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, required=True)
    serving.add_argument("--data", type=Path, required=True)
    serving.add_argument("--durability", default="strict")
    putting = commands.add_parser("put")
    putting.add_argument("file", type=Path)
    putting.add_argument("name")
    for each in (serving, putting):
        each.add_argument("--sin", choices=SINS, default="")
    words = parser.parse_args()
    if words.command == "serve":
        serve(words.host, words.port, words.data, words.sin)
        return 0
    return put(words.file, words.name, words.sin)


if __name__ == "__main__":
    sys.exit(main())
