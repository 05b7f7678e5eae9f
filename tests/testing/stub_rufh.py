"""A small server of Resumable Uploads for HTTP, in any version, to prove the suite for it.

Rules: right by itself, in the words of the version; everything in memory; a newcomer ends whoever
writes; the sins are planted from outside, as `stub` says.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass, field

from tests.testing.stub import Ask, Say, Sin, Stub

MAX = 2**40
PROGRESS = 128 * 1024
RFC = 9
PROBLEMS = "https://iana.org/assignments/http-problem-types#"


@dataclass
class Upload:
    """One upload."""

    wants_digest: bool
    digest: str | None
    length: int | None = None
    data: bytearray = field(default_factory=bytearray)
    complete: bool = False
    invalid: bool = False
    writer: socket.socket | None = None
    writing: threading.Lock = field(default_factory=threading.Lock)

    def end_writer(self) -> None:
        """End whoever writes."""
        with contextlib.suppress(AttributeError, OSError):
            self.writer.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


class RufhStub(Stub):
    """Speaks one version: 3 to 8, or 9 for the RFC."""

    def __init__(self, number: int, sin: Sin | None = None) -> None:
        super().__init__(sin)
        self.number = number
        self.state = "upload-incomplete" if number == 3 else "upload-complete"
        name = "expires" if number == 6 else "max-age"
        self.limit = f"max-size={MAX}, min-append-size=0, {name}=3600"

    def answer(self, ask: Ask) -> Say:
        """Answer."""
        if ask.method == "OPTIONS":
            limits = {"upload-limit": self.limit, "accept-patch": "application/partial-upload"}
            return Say(204, limits if self.number >= 6 else {})
        if ask.path == "/files/":
            return self._create(ask) if ask.method == "POST" else Say(405)
        upload = ask.upload
        if upload is None:
            return Say(404)
        if ask.takes_over:
            upload.end_writer()
            upload.writing.acquire()
            upload.writing.release()
        if upload.invalid:
            return Say(410 if self.number > 6 else 404)
        bare = {"upload-offset", self.state}
        if ask.method in ("HEAD", "DELETE") and self.number <= 6 and bare & ask.fields.keys():
            return Say(400)
        match ask.method:
            case "HEAD":
                return self._head(upload)
            case "PATCH":
                return self._append(ask, upload)
            case "DELETE":
                del self.uploads[ask.path]
                return Say(204)
        return Say(405)

    def told(self, upload: Upload) -> dict[str, str]:
        """The completeness as a field."""
        return {self.state: "?1" if upload.complete is not (self.number == 3) else "?0"}

    def _completes(self, ask: Ask) -> bool | None:
        """What the request says of completeness; None if nothing that can be read."""
        value = ask.fields.get(self.state)
        return None if value not in ("?0", "?1") else (value == "?1") is not (self.number == 3)

    def _head(self, upload: Upload) -> Say:
        fields = {
            "upload-offset": str(len(upload.data)),
            "cache-control": "no-store",
            **self.told(upload),
        }
        if self.number >= 6:
            fields["upload-limit"] = self.limit
            if upload.length is not None:
                fields["upload-length"] = str(upload.length)
        return Say(204, fields)

    def _create(self, ask: Ask) -> Say:
        completes = self._completes(ask)
        spoken = ask.fields.get("upload-draft-interop-version")
        if completes is None or (self.number < RFC and spoken != str(self.number)):
            for _ in ask.blocks():
                pass
            return Say(200, {"content-type": "text/plain"}, b"taken")
        upload = Upload("want-repr-digest" in ask.fields, ask.fields.get("repr-digest"))
        if not self._record(ask, upload, completes=completes):
            return self._problem(400, "inconsistent-upload-length")
        if upload.length is not None and upload.length > MAX:
            return Say(413, {"upload-limit": self.limit})
        path = f"/files/{uuid.uuid4().hex}"
        self.uploads[path] = upload
        fields = {"location": path}
        if self.number >= 6:
            fields["upload-limit"] = self.limit
        self._interim(ask, fields)
        if refused := self._take(ask, upload, completes=completes):
            return refused
        if completes:
            return self._processed(upload)
        if self.number <= 6:
            fields |= {**self.told(upload), "upload-offset": str(len(upload.data))}
        return Say(201, fields)

    def _append(self, ask: Ask, upload: Upload) -> Say:
        kind = ask.fields.get("content-type")
        if self.number >= 6 and kind != "application/partial-upload":
            return Say(415)
        offset = ask.fields.get("upload-offset", "")
        if not re.fullmatch(r"\d{1,15}", offset):
            return Say(400)
        if upload.complete:
            return self._problem(400, "completed-upload")
        here = len(upload.data)
        if int(offset) != here:
            both = {"expected-offset": here, "provided-offset": int(offset)}
            said = self._problem(409, "mismatching-upload-offset", **both)
            said.fields |= {"upload-offset": str(here), **self.told(upload)}
            return said
        completes = self._completes(ask) is not False
        if not self._record(ask, upload, completes=completes):
            return self._problem(400, "inconsistent-upload-length")
        if refused := self._take(ask, upload, completes=completes):
            return refused
        if completes:
            return self._processed(upload)
        fields = self.told(upload)
        if self.number <= 6:
            fields["upload-offset"] = str(len(upload.data))
        return Say(201 if self.number <= 6 else 204, fields)

    def _record(self, ask: Ask, upload: Upload, *, completes: bool) -> bool:
        """Record the length; false if the lengths differ."""
        told = set() if upload.length is None else {upload.length}
        if self.number >= 6 and "upload-length" in ask.fields:
            told.add(int(ask.fields["upload-length"]))
        if completes and not ask.chunked and self.number >= 4:
            told.add(len(upload.data) + int(ask.fields.get("content-length", "0")))
        if len(told) > 1:
            return False
        upload.length = told.pop() if told else None
        return True

    def _take(self, ask: Ask, upload: Upload, *, completes: bool) -> Say | None:
        """Append what comes, as it comes; the refusal, if it may not be."""
        held = "content-digest" in ask.fields or not ask.keeps_cut
        body = bytearray()
        begun = len(upload.data)
        with upload.writing if ask.takes_over else contextlib.nullcontext():
            if ask.takes_over and len(upload.data) != begun:
                raise ConnectionError  # another was let in between: its bytes stand
            upload.writer = ask.handler.connection
            told = 0
            for block in ask.blocks():
                body += block
                room = upload.length if upload.length is not None else MAX
                if begun + len(body) > room and ask.bounded:
                    upload.invalid = self.number > 6
                    return self._problem(400, "inconsistent-upload-length")
                if not held:
                    upload.data += block
                if len(body) - told >= PROGRESS and self.number >= 4:
                    told = len(body)
                    self._interim(ask, {"upload-offset": str(len(upload.data))})
            if "content-digest" in ask.fields and ask.fields["content-digest"] != digest(body):
                return Say(400)
            if held:
                upload.data += body
            upload.writer = None
            upload.complete = completes
        return None

    def _interim(self, ask: Ask, fields: dict[str, str]) -> None:
        version = {} if self.number == RFC else {"upload-draft-interop-version": str(self.number)}
        ask.interim(104, {**version, **fields})

    def _processed(self, upload: Upload) -> Say:
        """What the resource says to the whole representation."""
        if upload.digest not in (None, digest(upload.data)):
            return Say(400, self.told(upload))
        fields = {"content-type": "text/plain", **self.told(upload)}
        if self.number <= 6:
            fields["upload-offset"] = str(len(upload.data))
        if upload.wants_digest:
            fields["repr-digest"] = digest(upload.data)
        return Say(200, fields, b"taken")

    def _problem(self, status: int, kind: str, **members: int) -> Say:
        if self.number < 6:
            return Say(status)
        document = {"type": PROBLEMS + kind, **{k.replace("_", "-"): v for k, v in members.items()}}
        fields = {"content-type": "application/problem+json"}
        return Say(status, fields, json.dumps(document).encode())


def digest(data: bytes | bytearray) -> str:
    """The field's value, as RFC 9530 writes it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
