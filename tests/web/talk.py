"""HTTP/1.1 and tus by hand, so that a test can say what no client would.

Rules: what is sent is what the test says; answers are small and read whole; interim answers are
kept beside the final one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from tests.web.running import PATIENCE, Served

TUS: dict[str, str | int] = {"Tus-Resumable": "1.0.0"}
CHUNK: dict[str, str | int] = {**TUS, "Content-Type": "application/offset+octet-stream"}
IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3]\d "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} [0-2]\d:[0-5]\d:[0-6]\d GMT"
)

Fields = Mapping[str, str | int]


class Gone(Exception):
    """The server ended the connection before its answer was whole."""


@dataclass(frozen=True)
class Answer:
    """What the server said; field names in lower case, repeated ones joined."""

    status: int
    fields: dict[str, str]
    body: bytes = b""
    interim: tuple[int, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The JSON body."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def number(self, name: str) -> int:
        """A field that must be there and be a number."""
        assert name in self.fields, (self.status, self.fields, self.body[:500])
        return int(self.fields[name])


def require_problem(answer: Answer, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal, which says what, why and what to do."""
    assert answer.status == status, (answer.status, answer.body[:500])
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.fields["cache-control"] == "no-store"
    document = answer.document
    assert document["status"] == status
    for part in ("type", "title", "detail", "todo", "code"):
        assert document[part], (part, document)
    assert document["type"] == f"urn:towpath:{document['code']}"
    assert code is None or document["code"] == code, document
    return document


def require_date(text: str) -> float:
    """Seconds since 1970 of a date as RFC 9110 wants it."""
    assert IMF_FIXDATE.fullmatch(text), text
    return parsedate_to_datetime(text).timestamp()


@dataclass
class Line:
    """One connection; `socket` is there to be misused."""

    served: Served
    socket: socket.socket = field(init=False)
    _rest: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        """Connect."""
        self.socket = self.served.connect()

    def close(self) -> None:
        """Go away."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send; a server that has refused already may have closed."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_head(self, method: str, path: str, fields: Fields, *, host: str | None = None) -> None:
        """Send a request's head."""
        name = f"{self.served.address[0]}:{self.served.address[1]}" if host is None else host
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"Host: {name}"] if name else []
        lines += [f"{each}: {value}" for each, value in fields.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def ask(
        self,
        method: str,
        path: str,
        fields: Fields | None = None,
        body: bytes | None = None,
        *,
        chunked: bool = False,
        host: str | None = None,
    ) -> Answer:
        """Send a request, with its body if there is one, and read the answer."""
        framing: dict[str, str | int] = {}
        if body is not None:
            framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": len(body)}
        self.send_head(method, path, {**(fields or {}), **framing}, host=host)
        if body is not None:
            self.send(coded(body) if chunked else body)
        return self.answer(bodiless=method == "HEAD")

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Read the next answer, whole."""
        interim: list[int] = []
        while True:
            status, fields = self.head()
            if status >= 200:
                break
            interim.append(status)
        body = b"" if bodiless or status in {204, 304} else self._body(fields)
        return Answer(status, fields, body, tuple(interim))

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        text, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            known = fields.get(name.lower())
            fields[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
        return int(first.split(" ")[1]), fields

    def _body(self, fields: Mapping[str, str]) -> bytes:
        if fields.get("transfer-encoding") == "chunked":
            return b"".join(self._chunks())
        if "content-length" in fields:
            return self.read(int(fields["content-length"]))
        with contextlib.suppress(Gone):
            while True:
                self._more()
        body, self._rest = self._rest, b""
        return body

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self._rest:
                self._more()
            size, _, self._rest = self._rest.partition(b"\r\n")
            chunk = self.read(int(size, 16) + 2)[:-2]
            if not chunk:
                return
            yield chunk

    def read(self, count: int) -> bytes:
        """Exactly so many bytes of what comes next."""
        pieces, missing = [self._rest[:count]], count - len(self._rest)
        self._rest = self._rest[count:]
        while missing > 0:
            piece = self.socket.recv(min(missing, 1 << 20))
            if not piece:
                raise Gone(f"{missing} of {count} bytes are missing")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def ended(self) -> bool:
        """True when the server has closed, with nothing more said."""
        try:
            return not self._rest and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Gone(f"after {self._rest[:200]!r}")
        self._rest += piece


def coded(body: bytes, size: int = 10_000) -> bytes:
    """A body in chunked coding."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def metadata(**values: str) -> str:
    """Upload-Metadata of these values; an underscore in a key stands for a hyphen."""
    pairs = (
        (key.replace("_", "-"), base64.b64encode(text.encode())) for key, text in values.items()
    )
    return ",".join(f"{key} {text.decode()}" for key, text in pairs)


@dataclass
class Tus:
    """A client of tus 1.0 that asks each question on a new connection."""

    served: Served
    chunked: bool = False
    token: str | None = None

    def ask(
        self,
        method: str,
        path: str,
        fields: Fields | None = None,
        body: bytes | None = None,
        **more: Any,
    ) -> Answer:
        """One request and its answer."""
        known = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        with contextlib.closing(Line(self.served)) as line:
            more.setdefault("chunked", self.chunked)
            return line.ask(method, path, {**known, **(fields or {})}, body, **more)

    def create(self, length: int | None, body: bytes | None = None, **fields: str | int) -> Answer:
        """POST; underscores in names of fields stand for hyphens."""
        size: dict[str, str | int] = {
            "Upload-Length" if length is not None else "Upload-Defer-Length": 1
            if length is None
            else length
        }
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        kind = TUS if body is None else CHUNK
        return self.ask("POST", "/files/", {**kind, **size, **more}, body)

    def new(self, length: int | None, body: bytes | None = None, **fields: str | int) -> str:
        """Create an upload and return its address."""
        answer = self.create(length, body, **fields)
        assert answer.status == 201, (answer.status, answer.body)
        return answer.fields["location"]

    def patch(self, path: str, offset: int | str, body: bytes, **fields: str | int) -> Answer:
        """PATCH."""
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.ask("PATCH", path, {**CHUNK, "Upload-Offset": offset, **more}, body)

    def head(self, path: str) -> Answer:
        """HEAD."""
        return self.ask("HEAD", path, TUS)

    def offset(self, path: str) -> int:
        """What is durable."""
        answer = self.head(path)
        assert answer.status == 200, answer.status
        return answer.number("upload-offset")

    def put(self, content: bytes, **fields: str | int) -> str:
        """Upload all of it; return the address."""
        return self.new(len(content), content, **fields)

    def offset_reaches(self, path: str, least: int) -> int:
        """Wait until so much is durable, without disturbing whoever writes."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found: int = self.ask("GET", f"/api/v1/uploads/{path.rpartition('/')[2]}").document[
                "offset"
            ]
            if found >= least:
                return found
            assert time.monotonic() < deadline, f"{found} of {least} bytes"
            time.sleep(0.005)
