"""A client of resumable uploads for HTTP in any of its versions, by hand."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass
from typing import Any

from tests.web.running import PATIENCE, Served
from tests.web.talk import coded
from towpath.protocol.rufh.versions import FINAL, VERSIONS
from towpath.testing.rawhttp import Answer, Line

PARTIAL = "application/partial-upload"

Fields = dict[str, str | int]


@dataclass(frozen=True)
class Rufh:
    """Speaks one version to one server; each question on a new connection."""

    served: Served
    version: int | None
    chunked: bool = False

    def line(self) -> Line:
        """A connection."""
        tls = None
        if self.served.trust is not None:
            tls = ssl.create_default_context(cafile=self.served.trust)
        return Line(*self.served.address, tls=tls, timeout=PATIENCE)

    def said(self, complete: bool | None = None) -> Fields:
        """The version, and whether the request completes the upload."""
        spoken = FINAL if self.version is None else VERSIONS[self.version]
        fields: Fields = {}
        if self.version is not None:
            fields["Upload-Draft-Interop-Version"] = self.version
        if complete is not None:
            name, value = spoken.write_completeness(complete)
            fields[name.title()] = value
        return fields

    def part(self, offset: int, *, complete: bool) -> Fields:
        """The fields of an append."""
        early = self.version in {3, 4, 5}
        kind: Fields = {} if early else {"Content-Type": PARTIAL}
        return {**self.said(complete), **kind, "Upload-Offset": offset}

    def ask(self, method: str, path: str, fields: Fields, body: bytes | None = None) -> Answer:
        """One request and its answer."""
        with self.line() as line:
            framing: Fields = {}
            if body is not None:
                framing = {"Content-Length": len(body)}
            if body and self.chunked:
                framing = {"Transfer-Encoding": "chunked"}
            line.send_head(method, path, {**fields, **framing})
            if body:
                line.socket.sendall(coded(body) if self.chunked else body)
            return line.answer(without_body=method == "HEAD")

    def create(self, body: bytes | None = None, *, complete: bool = False, **fields: Any) -> Answer:
        """POST; underscores in names of fields stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.ask("POST", "/files/", {**self.said(complete), **more}, body)

    def new(self, body: bytes | None = None, **fields: Any) -> str:
        """Create an upload and return its address."""
        answer = self.create(body, **fields)
        assert answer.status == 201, (answer.status, answer.body)
        return answer.fields["location"]

    def append(
        self, path: str, offset: int, body: bytes, *, complete: bool, **fields: Any
    ) -> Answer:
        """PATCH."""
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.ask("PATCH", path, {**self.part(offset, complete=complete), **more}, body)

    def head(self, path: str) -> Answer:
        """HEAD."""
        return self.ask("HEAD", path, self.said())

    def state(self, path: str) -> tuple[int, bool]:
        """Offset and completeness, as a HEAD tells them."""
        answer = self.head(path)
        assert answer.status in {200, 204}, answer.status
        assert answer.fields.get("cache-control") is not None
        return answer.number("upload-offset"), self.complete(answer)

    def complete(self, answer: Answer) -> bool:
        """What an answer says of the completeness."""
        if self.version == 3:
            return {"?0": True, "?1": False}[answer.fields["upload-incomplete"]]
        return {"?1": True, "?0": False}[answer.fields["upload-complete"]]

    def durable(self, path: str, least: int) -> int:
        """Wait until so much is durable, and disturb nobody."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.ask("GET", f"/api/v1/uploads/{path.rpartition('/')[2]}", {})
            offset: int = json.loads(answer.body)["offset"]
            if offset >= least:
                return offset
            assert time.monotonic() < deadline, f"{offset} of {least} bytes"
            time.sleep(0.01)
