"""A client of our own dialect, by its own words: what the protocol composes, sent by hand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from tests.web.running import PATIENCE, Served
from tests.web.talk import Answer, Line
from tests.web.tokens import token
from towpath.core.command import Append, Cancel, Complete, Create, NewUpload
from towpath.core.transfer import Write
from towpath.protocol import ranges

BASE = "/ranges"


def digest_of(data: bytes, name: str = "sha-256") -> str:
    """A digest field."""
    value = hashlib.new(name.replace("-", ""), data).digest()
    return f"{name}=:{base64.b64encode(value).decode()}:"


@dataclass
class Ranger:
    """Asks each question on a new connection."""

    served: Served
    chunked: bool = False
    who: str | None = None

    def ask(self, method: str, path: str, fields: Any = None, body: bytes | None = None) -> Answer:
        """One request and its answer."""
        known = {} if self.who is None else {"Authorization": f"Bearer {token(self.who)}"}
        with contextlib.closing(Line(self.served)) as line:
            coded = self.chunked and body is not None
            return line.ask(method, path, {**known, **(fields or {})}, body, chunked=coded)

    def do(self, command: ranges.Command, body: bytes | None = None, **more: Any) -> Answer:
        """Send a command as the protocol has it; `more`: further fields of the request."""
        head, values = ranges.compose(command, base=BASE)
        fields = {name: value for name, value in head.fields.items() if name != "content-length"}
        fields |= {name.replace("_", "-"): value for name, value in more.items()}
        query = f"?{head.query}" if head.query else ""
        return self.ask(head.method, BASE + head.path + query, fields, body or values or None)

    def told(self, answer: Answer, status: int = 200) -> ranges.Told:
        """What an answer says of the upload."""
        assert answer.status == status, (answer.status, answer.body)
        said = ranges.read(answer.status, answer.body)
        if isinstance(said, ranges.Page):
            said = said.upload
        assert isinstance(said, ranges.Told)
        return said

    def new(self, length: int | None, **more: Any) -> str:
        """A new upload's id."""
        answer = self.do(Create(new=NewUpload(length=length, **more)))
        told = self.told(answer, 201)
        assert answer.fields["location"] == f"{BASE}/{told.id}"
        return told.id

    def put(self, key: str, start: int, data: bytes, **more: Any) -> Answer:
        """Send a range; `total` is the length of the whole, if it is to be said."""
        write = Write(
            offset=start, length=len(data), sequential=False, declares=more.pop("total", None)
        )
        return self.do(Append(key=key, write=write), data, **more)

    def page(self, key: str, after: int = 0, limit: int = 1000) -> ranges.Page:
        """Some of the extent."""
        answer = self.do(ranges.Look(key=key, after=after, limit=limit))
        assert answer.status == 200, answer.body
        said = ranges.read(200, answer.body)
        assert isinstance(said, ranges.Page)
        return said

    def until_it_writes(self, *, wanted: bool = True) -> None:
        """Wait until the server has taken a chunk on, or (not wanted) has none."""
        deadline = time.monotonic() + PATIENCE
        while bool(self.ask("GET", "/api/v1/server").document["writing"]) is not wanted:
            assert time.monotonic() < deadline, "in vain"

    def missing(self, key: str) -> list[tuple[int, int | None]]:
        """What is still to come."""
        return list(self.page(key).missing)

    def complete(self, key: str) -> Answer:
        """Ask for the end."""
        return self.do(Complete(key=key))

    def cancel(self, key: str) -> Answer:
        """Give it up."""
        return self.do(Cancel(key=key))

    def have(self, *digests: bytes) -> list[str]:
        """Ids of objects with these SHA-256."""
        answer = self.do(ranges.Have(digests=digests))
        assert answer.status == 200, answer.body
        said = ranges.read(200, answer.body)
        assert said is not None
        assert not isinstance(said, (ranges.Told, ranges.Page))
        return [each.id for each in said]

    def bytes_of(self, key: str) -> bytes:
        """A finished object."""
        answer = self.ask("GET", f"/files/{key}")
        assert answer.status == 200, answer.body
        return answer.body
