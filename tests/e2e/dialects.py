"""The resumable dialects, each as an adapter: begin an upload, go on with one, end it.

Rules: what is durable is asked for in the adapter's own words; `carry` sends what is missing and
ends with the connection; `finish` carries on until the dialect itself calls the upload complete.
A further dialect is one more adapter in DIALECTS.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from tests.web.forming import Forms, Part
from tests.web.ranging import Ranger
from tests.web.rufh_talk import Rufh
from tests.web.running import Served
from tests.web.talk import Answer, Gone, Tus
from towpath.protocol import ranges
from towpath.testing import rawhttp

BROKEN = (Gone, rawhttp.Gone, OSError)
"""What a client sees of a connection that was cut."""


class TakenOver(Exception):
    """Another request was admitted later and went on with the upload: ask again what is durable.

    It may be one whose connection is gone already, when the server has not noticed yet.
    """


class Dialect(ABC):
    """One client, speaking one dialect to one server, perhaps through a wire."""

    NAME: ClassVar[str]

    def __init__(self, served: Served) -> None:
        self.served = served

    @abstractmethod
    def begin(self, length: int, name: str) -> str:
        """Create an upload that no byte has come of; return its id."""

    @abstractmethod
    def carry(self, key: str, content: bytes) -> None:
        """Send what is missing, until it is there or the connection breaks: one of BROKEN."""

    @abstractmethod
    def finish(self, key: str, content: bytes) -> None:
        """Send what is missing, and see the upload complete."""

    @abstractmethod
    def knows(self, key: str) -> bool:
        """True if the dialect finds the upload."""


class ByTus(Dialect):
    """tus 1.0: one PATCH from the offset that HEAD tells."""

    NAME = "tus"

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.client = Tus(served)

    def begin(self, length: int, name: str) -> str:
        """POST."""
        return self.client.new(length).rpartition("/")[2]

    def carry(self, key: str, content: bytes) -> None:
        """HEAD, then PATCH."""
        offset = self.client.offset(f"/files/{key}")
        answer = self.client.patch(f"/files/{key}", offset, content[offset:])
        _look(answer.status, answer.body)
        assert (answer.status, answer.number("upload-offset")) == (204, len(content)), answer

    def finish(self, key: str, content: bytes) -> None:
        """The last PATCH completes it."""
        self.carry(key, content)
        assert "repr-digest" in self.client.head(f"/files/{key}").fields

    def knows(self, key: str) -> bool:
        """HEAD."""
        return self.client.head(f"/files/{key}").status == 200


class ByRufh(Dialect):
    """Resumable uploads for HTTP, interop version 8: PATCHes, the last of which says so."""

    NAME = "rufh"

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.client = Rufh(served, 8)

    def begin(self, length: int, name: str) -> str:
        """POST."""
        return self.client.new(Upload_Length=length).rpartition("/")[2]

    def carry(self, key: str, content: bytes) -> None:
        """HEAD, then PATCH that is not the last."""
        self._append(key, content, complete=False)

    def finish(self, key: str, content: bytes) -> None:
        """The last PATCH."""
        self._append(key, content, complete=True)
        assert self.client.state(f"/files/{key}") == (len(content), True)

    def _append(self, key: str, content: bytes, *, complete: bool) -> None:
        offset, _ = self.client.state(f"/files/{key}")
        answer = self.client.append(f"/files/{key}", offset, content[offset:], complete=complete)
        _look(answer.status, answer.body)
        assert answer.status in {201, 204}, (answer.status, answer.body)

    def knows(self, key: str) -> bool:
        """HEAD."""
        return self.client.head(f"/files/{key}").status in {200, 204}


class ByDocuments(Dialect):
    """Document sessions: forms in their order, then the word."""

    NAME = "documents"

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.client = Forms(served, "/api/documents/streaming")

    def begin(self, length: int, name: str) -> str:
        """POST /initiate."""
        said = {"filename": name, "file_size": length, "chunk_size": 300_000}
        return str(_require(self.client.json("POST", "/initiate", said))["session_id"])

    def carry(self, key: str, content: bytes) -> None:
        """POST /resume, then a form for each chunk that is missing."""
        session = self._resume(key)
        for index in session["missing_chunks"]:
            start = index * session["chunk_size"]
            data = content[start : start + session["chunk_size"]]
            fields: list[Part] = [
                ("chunk_id", str(index)),
                ("chunk_offset", str(start)),
                ("file", data),
            ]
            _require(self.client.form(f"/chunk/{key}", fields))

    def finish(self, key: str, content: bytes) -> None:
        """POST /complete."""
        self.carry(key, content)
        assert self._resume(key)["upload_complete"]
        made = _require(self.client.json("POST", f"/complete/{key}"))["document"]
        assert (made["id"], made["file_size"]) == (key, len(content))

    def knows(self, key: str) -> bool:
        """POST /resume."""
        return self.client.json("POST", "/resume", {"session_id": key}).status == 200

    def _resume(self, key: str) -> dict[str, Any]:
        said = {"session_id": key, "client_id": "another"}
        return _require(self.client.json("POST", "/resume", said))


class ByStreaming(Dialect):
    """Chunks by their index, sent in any order."""

    NAME = "streaming"

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.client = Forms(served, "/api/streaming/upload")

    def begin(self, length: int, name: str) -> str:
        """POST /initialize."""
        said = {"fileName": name, "fileSize": length, "mimeType": ""}
        return str(_require(self.client.json("POST", "/initialize", said))["uploadId"])

    def carry(self, key: str, content: bytes) -> None:
        """GET /status, then a form for each chunk that is missing."""
        status = self._status(key)
        missing = status["missingChunks"]
        random.Random(key).shuffle(missing)
        for index in missing:
            start = index * status["chunkSize"]
            data = content[start : start + status["chunkSize"]]
            fields: list[Part] = [("uploadId", key), ("chunkIndex", str(index)), ("chunk", data)]
            _require(self.client.form("/chunk", fields))

    def finish(self, key: str, content: bytes) -> None:
        """The last chunk completes it; where none is missing, the repetition of one does."""
        self.carry(key, content)
        status = self._status(key)
        if not status["complete"]:
            data = content[: status["chunkSize"]]
            fields: list[Part] = [("uploadId", key), ("chunkIndex", "0"), ("chunk", data)]
            assert _require(self.client.form("/chunk", fields))["complete"]
        assert self._status(key)["complete"]

    def knows(self, key: str) -> bool:
        """GET /status."""
        return self.client.ask("GET", f"/status?uploadId={key}").status == 200

    def _status(self, key: str) -> dict[str, Any]:
        return _require(self.client.ask("GET", f"/status?uploadId={key}"))


class ByRanges(Dialect):
    """Ranges, the last first."""

    NAME = "ranges"

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.client = Ranger(served)

    def begin(self, length: int, name: str) -> str:
        """POST."""
        return self.client.new(length, name=name)

    def carry(self, key: str, content: bytes) -> None:
        """GET the extent, then PUT what is missing of it, in pieces."""
        pieces = [
            (at, min(at + 700_000, end or len(content)))
            for start, end in self.client.missing(key)
            for at in range(start, end or len(content), 700_000)
        ]
        for start, end in reversed(pieces):
            _require(self.client.put(key, start, content[start:end], total=len(content)))

    def finish(self, key: str, content: bytes) -> None:
        """The last range completes it; where none is missing, the word does."""
        self.carry(key, content)
        assert self.client.told(self.client.complete(key)).state == "complete"

    def knows(self, key: str) -> bool:
        """GET the extent."""
        return self.client.do(ranges.Look(key=key)).status == 200


def again(act: Callable[[str, bytes], None], key: str, content: bytes) -> None:
    """Carry or finish, and again where somebody else went on with the upload meanwhile."""
    for left in (2, 1, 0):
        try:
            act(key, content)
        except TakenOver:
            if not left:
                raise
        else:
            return


def _look(status: int, body: bytes) -> None:
    if status == 409 and json.loads(body)["code"] in {"taken-over", "offset-conflict"}:
        raise TakenOver


def _require(answer: Answer) -> dict[str, Any]:
    _look(answer.status, answer.body)
    assert answer.status == 200, (answer.status, answer.body)
    return answer.document


DIALECTS: dict[str, type[Dialect]] = {
    each.NAME: each for each in (ByTus, ByRufh, ByDocuments, ByStreaming, ByRanges)
}
