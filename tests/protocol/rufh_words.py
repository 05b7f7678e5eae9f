"""Requests, uploads and answers to try resumable uploads for HTTP with."""

from __future__ import annotations

import json
from typing import Any

from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.protocol import rufh
from towpath.protocol.message import Head, Reply
from towpath.protocol.rufh.versions import VERSIONS
from towpath.testing.rows import upload

KEY = "0123456789abcdefghijklmnopqrstu"
PARTIAL = "application/partial-upload"
TYPES = "https://iana.org/assignments/http-problem-types#"
SPOKEN = [*VERSIONS, None]
LATE = [7, 8, 9, None]
S = UploadState


def head(method: str = "POST", path: str = "", version: int | None = 8, **fields: Any) -> Head:
    """A request; underscores in names of fields stand for hyphens."""
    said = {name.replace("_", "-"): str(value) for name, value in fields.items()}
    if version is not None:
        said["upload-draft-interop-version"] = str(version)
    return Head(method=method, path=path, fields=said, base="/files")


def completes(version: int | None, complete: bool) -> dict[str, str]:
    """The field that says whether a request completes the upload."""
    if version == 3:
        return {"upload_incomplete": "?0" if complete else "?1"}
    return {"upload_complete": "?1" if complete else "?0"}


def part(version: int | None = 8, *, complete: bool = False, **fields: Any) -> Head:
    """An append of three bytes at 4."""
    known = {"upload_offset": 4, "content_length": 3, "content_type": PARTIAL}
    said = completes(version, complete)
    return head("PATCH", f"/{KEY}", version, **{**said, **known, **fields})


def row(state: UploadState = S.OPEN, **fields: Any) -> Upload:
    """An upload with 4 of 10 bytes."""
    done: dict[str, Any] = {"offset": 10, "length": 10} if state is S.COMPLETE else {"offset": 4}
    return upload(KEY, state=state, **{"expires_at": 90_000, **done, **fields})


def command(asked: Head) -> Any:
    """What the request asks for."""
    found = rufh.parse(asked)
    assert not isinstance(found, Reply), found.body
    return found


def answer(asked: Head, made: Upload | None, **more: Any) -> Reply:
    """What the request is answered with."""
    return rufh.render(command(asked), made, asked, **{"most": None, "now": 30_000, **more})


def field(reply: Reply, name: str) -> str | None:
    """A field of an answer, which it may have once."""
    values = [value for each, value in reply.fields if each == name]
    assert len(values) < 2
    return values[0] if values else None


def refused(error: Exception, asked: Head, made: Upload | None = None, **more: Any) -> Any:
    """Status, document and reply of a refusal."""
    reply = rufh.refuse(error, asked, made, **more)
    return reply.status, json.loads(reply.body), reply
