"""A client of the form dialects: JSON bodies and multipart forms, said by hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.web.running import Served
from tests.web.talk import Answer, Line
from tests.web.tokens import token

BOUNDARY = "----WebKitFormBoundaryAbC123"
FORM = f"multipart/form-data; boundary={BOUNDARY}"

Part = tuple[str, str] | tuple[str, bytes] | tuple[str, bytes, str]
"""A field; a file as browsers name one; a file with its name."""


def form(parts: Iterable[Part]) -> bytes:
    """The body of a form."""
    pieces = []
    for name, value, *filename in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += f'; filename="{filename[0] if filename else "blob"}"\r\n'
            head += "Content-Type: application/octet-stream"
        content = value if isinstance(value, bytes) else value.encode()
        pieces.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


@dataclass
class Forms:
    """Asks each question on a new connection."""

    served: Served
    base: str
    who: str | None = None
    chunked: bool = False

    def ask(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request and its answer."""
        known = {} if self.who is None else {"Authorization": f"Bearer {token(self.who)}"}
        with contextlib.closing(Line(self.served)) as line:
            return line.ask(
                method,
                path if path.startswith("/files") else self.base + path,
                {**known, **(fields or {})},
                body,
                chunked=self.chunked,
            )

    def json(self, method: str, path: str, value: Any = None, kind: str = "") -> Answer:
        """A request with a JSON body, without Content-Type if none is named."""
        fields = {"Content-Type": kind} if kind else {}
        body = None if value is None else json.dumps(value).encode()
        return self.ask(method, path, fields, body)

    def form(self, path: str, parts: Iterable[Part]) -> Answer:
        """A request with a form."""
        return self.ask("POST", path, {"Content-Type": FORM}, form(parts))

    def bytes_of(self, key: str) -> bytes:
        """A finished object."""
        answer = self.ask("GET", f"/files/{key}")
        assert answer.status == 200, answer.body
        return answer.body
