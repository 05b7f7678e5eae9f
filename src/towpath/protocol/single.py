"""One request, one object: POST /v1/uploads with the file as the body or in a form.

Rules: an upload is never carried on; what does not arrive whole leaves nothing. SHA-256 is
computed on the way and answered, so that the sender can compare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from towpath.core.command import Create, NewUpload
from towpath.core.digest import CRC64NVME, SHA256, crc_bytes
from towpath.core.model import Object
from towpath.core.names import check_name
from towpath.core.transfer import Write
from towpath.errors import Malformed
from towpath.protocol.fields import read_media_type, read_size
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.values import refuse_with, text, write_json, write_time

NAME = "single"
FILE = "file"
"""The part of the form that is a file even without a file name."""

_ENCODED = "application/x-www-form-urlencoded"  # what curl says of any body


def check(head: Head) -> Reply | None:
    """The reply to what is no upload; None if it is one."""
    if head.method == "POST" and head.path in {"", "/"}:
        return None
    if head.path not in {"", "/"}:
        return problem(
            404,
            "There is nothing at this address.",
            why="Uploads are sent whole, to one address.",
            todo="POST the file to /v1/uploads.",
            code="not-found",
        )
    return problem(
        405,
        f"{head.method} is not for this address.",
        why="Here it is POST.",
        todo="POST the file, as the body or in a form.",
        code="method",
        fields=(("allow", "POST"),),
    )


def parse(head: Head, query: Mapping[str, str]) -> Create:
    """What a request with the file as its body asks for. Raises Malformed."""
    media_type = read_media_type(head.get("content-type"))
    kind = None if media_type == _ENCODED else media_type
    return _create(query, None, kind, _content_length(head))


def parse_form(fields: Mapping[str, str], filename: str | None, media_type: str | None) -> Create:
    """What a form asks for; how long its file is will be seen. Raises Malformed."""
    return _create(fields, filename, media_type, None)


def _create(
    values: Mapping[str, str], filename: str | None, media_type: str | None, length: int | None
) -> Create:
    field = next((key for key in ("name", "filename") if values.get(key)), "filename")
    name = text(values, field) or filename
    metadata = json.dumps(dict(values)) if values else ""
    new = NewUpload(
        length=length,
        name=check_name(name, field=field) if name else None,
        media_type=media_type,
        metadata=metadata,
        dialect=NAME,
        wants=(SHA256,),
    )
    return Create(new=new, write=None if length == 0 else Write(offset=0, length=length))


def _content_length(head: Head) -> int | None:
    """Bytes of the body; None for a chunked one, 0 when there is none."""
    coding = head.get("transfer-encoding")
    if coding is None:
        return read_size(head.get("content-length") or "0", field="Content-Length")
    if coding.strip().lower() == "chunked":
        return None
    raise Malformed(
        "The body's coding is not undone here.",
        field="Transfer-Encoding",
        why="Only chunked is.",
        todo="Send the bytes as they are.",
    )


def render(made: Object, name: str | None, files: str) -> Reply:
    """The answer: the object. `files`: where objects are read."""
    url = f"{files}/{made.id}"
    return write_json(
        {
            "id": made.id,
            "size": made.length,
            "sha256": made.sha256.hex() if made.sha256 is not None else None,
            "name": name,
            "content_type": made.media_type,
            "created_at": write_time(made.created_at),
            "url": url,
            "digests": {CRC64NVME: crc_bytes(made.crc).hex()},
        },
        status=201,
        fields=(("location", url),),
    )


def refuse(error: BaseException) -> Reply:
    """The reply to an error, which says that nothing was kept."""
    return refuse_with(error, "message", also="Nothing of the file was kept.")
