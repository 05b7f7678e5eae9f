"""What the stub servers of the suites' tests are made of: requests, replies, and sins to order.

Rules: standard library only; a stub is right by itself. A sin changes what the stub sees of a
request (`ask`) or what it says (`say`), so that each can be planted without a branch in the stub.
"""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import responses
from types import TracebackType
from typing import Any, Self

BLOCK = 64 * 1024
METHODS = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass
class Ask:
    """A request as the stub sees it; field names in lower case."""

    stub: Stub
    handler: Handler
    method: str
    path: str
    fields: dict[str, str]
    trailers: dict[str, str] = field(default_factory=dict)
    keeps_cut: bool = True
    bounded: bool = True
    takes_over: bool = True
    body: bytes = b""
    interims: int = 0
    removed: Any = None

    @property
    def upload(self) -> Any:
        """The upload at this path, or None."""
        return self.stub.uploads.get(self.path)

    @property
    def chunked(self) -> bool:
        """True if the body is framed so."""
        return "transfer-encoding" in self.fields

    def blocks(self) -> Iterator[bytes]:
        """The body as it comes. It ends early, by ConnectionError, when it is cut."""
        return self._chunks() if self.chunked else self._plain()

    def _plain(self) -> Iterator[bytes]:
        left = int(self.fields.get("content-length", "0"))
        while left:
            block = self.handler.rfile.read1(min(left, BLOCK))
            if not block:
                raise ConnectionError
            left -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        source = self.handler.rfile
        while size := int(source.readline() or b"x", 16):
            block = source.read(size)
            source.readline()
            if len(block) < size:
                raise ConnectionError
            yield block
        while line := source.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()

    def interim(self, status: int, fields: dict[str, str]) -> None:
        """Send an interim answer."""
        self.interims += 1
        said = Say(status, dict(fields))
        self.stub.sin.say(self, said)
        if said.status >= 200:  # a sin has silenced it
            return
        lines = [f"HTTP/1.1 {said.status} {responses.get(said.status, 'Upload')}"]
        lines += [f"{name}: {value}" for name, value in said.fields.items()]
        self.handler.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


@dataclass
class Say:
    """A reply; field names in lower case."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Sin:
    """What a stub does wrong: nothing, if nothing is given."""

    ask: Callable[[Ask], None] = _nothing
    say: Callable[[Ask, Say], None] = _nothing
    mute: bool = False  # no 100 (Continue)


class Handler(http.server.BaseHTTPRequestHandler):
    """One request on one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    stub: Stub

    def log_message(self, *args: object) -> None:
        """Keep silent."""

    def handle_expect_100(self) -> bool:
        """Send 100 unless that is the sin."""
        return True if self.stub.sin.mute else super().handle_expect_100()

    def serve(self) -> None:
        """Answer in the words of the stub."""
        fields = {name.lower(): value for name, value in self.headers.items()}
        ask = Ask(self.stub, self, self.command, self.path, fields)
        self.close_connection = True
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            self.stub.sin.ask(ask)
            said = self.stub.answer(ask)
            self.stub.sin.say(ask, said)
            self._write(said)

    def _write(self, said: Say) -> None:
        lines = [f"HTTP/1.1 {said.status} {responses.get(said.status, 'Other')}"]
        lines += [f"{name}: {value}" for name, value in said.fields.items()]
        if said.status != 204:
            lines.append(f"content-length: {len(said.body)}")
        self.wfile.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
        if self.command != "HEAD":
            self.wfile.write(said.body)
        # What was not read is drained, so that no RST overtakes the answer.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(2)
        while self.connection.recv(BLOCK):
            pass


class Stub:
    """A server on a free port, for the time of a `with`."""

    def __init__(self, sin: Sin | None = None) -> None:
        self.sin = sin or Sin()
        self.uploads: dict[str, Any] = {}
        self.lock = threading.RLock()
        names = {f"do_{method}": Handler.serve for method in METHODS}
        kind = type("Bound", (Handler,), {"stub": self, **names})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where uploads are created."""
        return f"http://127.0.0.1:{self._server.server_port}/files/"

    def answer(self, ask: Ask) -> Say:
        """What the stub says to a request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


# Sins in few words


def saying(
    change: Callable[[Ask, Say], None], *, on: str = "", was: int = 0
) -> Callable[[Ask, Say], None]:
    """Change replies to this method that had this status."""

    def say(ask: Ask, said: Say) -> None:
        if on in ("", ask.method) and was in (0, said.status):
            change(ask, said)

    return say


def status(new: int, *, on: str = "", was: int = 0) -> Sin:
    """Answer with another status."""
    return Sin(say=saying(lambda _, said: setattr(said, "status", new), on=on, was=was))


def drop(name: str, *, on: str = "", was: int = 0, value: str = "") -> Sin:
    """Leave a field out of the answer, or only when it has this value."""

    def change(_: Ask, said: Say) -> None:
        if value in ("", said.fields.get(name)):
            said.fields.pop(name, None)

    return Sin(say=saying(change, on=on, was=was))


def put(name: str, value: str, *, on: str = "", was: int = 0) -> Sin:
    """Put a field into the answer."""
    return Sin(say=saying(lambda _, said: said.fields.update({name: value}), on=on, was=was))


def unseen(*names: str, on: str = "") -> Sin:
    """Overlook fields of the request."""

    def ask_without(ask: Ask) -> None:
        if on in ("", ask.method):
            for name in names:
                ask.fields.pop(name, None)

    return Sin(ask=ask_without)


def taken_for(name: str, value: str, *, on: str = "", when: Callable[[str], bool] = bool) -> Sin:
    """Read a field of the request as something else, when it is there and `when` says so."""

    def ask_with(ask: Ask) -> None:
        if on in ("", ask.method) and when(ask.fields.get(name, "")):
            ask.fields[name] = value

    return Sin(ask=ask_with)


def asking(change: Callable[[Ask], object], *, on: str = "") -> Sin:
    """Change how requests of this method are seen."""

    def seen(ask: Ask) -> None:
        if on in ("", ask.method):
            change(ask)

    return Sin(ask=seen)


def telling(change: Callable[[Ask, Say], object], *, on: str = "", was: int = 0) -> Sin:
    """Change replies in some other way."""

    def changed(ask: Ask, said: Say) -> None:
        change(ask, said)

    return Sin(say=saying(changed, on=on, was=was))
