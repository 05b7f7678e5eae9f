"""A server that is told and asked: keeps what it got, and answers as a test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.web.running import PATIENCE

SECRET = b"thirty-two bytes that are secret"
OLD = b"thirty-two bytes that were so..."


def write_secrets(file: Path, *secrets: bytes) -> Path:
    """A file of secrets as a server reads it."""
    lines = (f"whsec_{base64.b64encode(each).decode()}" for each in secrets or (SECRET,))
    file.write_text("\n".join(lines) + "\n")
    return file


@dataclass(frozen=True)
class Call:
    """One request that came."""

    path: str
    fields: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        """The JSON in it."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed_with(self, secret: bytes) -> bool:
        """Verified as the specification of Standard Webhooks says."""
        key, at = self.fields["webhook-id"], self.fields["webhook-timestamp"]
        assert abs(time.time() - int(at)) < 300
        mac = hmac.new(secret, f"{key}.{at}.".encode() + self.body, hashlib.sha256).digest()
        wanted = f"v1,{base64.b64encode(mac).decode()}"
        return wanted in self.fields["webhook-signature"].split(" ")


Answers = Callable[[Call], tuple[int, dict[str, str], bytes] | None]


class Receiver:
    """Its address, what came, and what it answers: None closes the connection without a word."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: queue.Queue[Call] = queue.Queue()
        self.answers: Answers = lambda call: (200, {}, b"{}")

    def next(self, timeout: float = PATIENCE) -> Call:
        """The next call."""
        return self.calls.get(timeout=timeout)

    def answer(self, status: int = 200, **values: Any) -> None:
        """Answer all with this."""
        self.answers = lambda call: (status, {}, json.dumps(values).encode())


@contextmanager
def receiver(tls: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A receiver until the `with` ends. `tls`: certificate and key."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            fields = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.path, fields, body)
            made.calls.put(call)
            answer = made.answers(call)
            if answer is None:
                return
            status, more, content = answer
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/told?by=towpath"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
