"""Chunks by their index, in any order and in parallel: /api/streaming/upload.

    POST /initialize  JSON fileName, fileSize, mimeType -> uploadId, chunkSize, totalChunks
    POST /chunk       form uploadId, chunkIndex, checksum (MD5 in hexadecimal or base64), chunk
    GET  /status      ?uploadId= -> progress and missing chunks
    PUT  /status      JSON uploadId, action: pause or resume

Rules: the server says how large a chunk is, and chunk i begins at i times that; a chunk counts
whole or not at all; the upload is complete when no chunk is missing. JSON is read whatever its
Content-Type. What is paused takes no chunks until it is resumed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath.core.command import Append, NewUpload
from towpath.core.cut import Cut
from towpath.core.digest import SIZES
from towpath.core.memo import memorize, recall
from towpath.core.model import Upload
from towpath.core.names import check_name
from towpath.core.plan import Profile, chunk_size
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import Malformed, StateConflict
from towpath.protocol.fields import read_media_type
from towpath.protocol.foreign import chunk_of, file_name, length_of
from towpath.protocol.message import Reply
from towpath.protocol.values import (
    missing,
    refuse_with,
    size,
    text,
    write_json,
    write_time,
)

NAME = "streaming"
FILE = "chunk"
"""The part of the form that is a file even without a file name."""

MD5 = "md5"
MOST_LISTED = 10_000
"""Missing chunks that one answer lists; `missingCount` counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a form says of its chunk, before the upload is known."""

    key: str
    index: int
    digests: Mapping[str, bytes] = field(default_factory=dict)


def parse_initialize(values: Mapping[str, object]) -> NewUpload:
    """What POST /initialize asks for. Raises Malformed."""
    name, length = text(values, "fileName"), size(values, "fileSize")
    if not name:
        raise missing("fileName", "Send the file's name.")
    if length is None:
        raise missing("fileSize", "Send the file's size in bytes.")
    kind = text(values, "mimeType")
    return NewUpload(
        length=length,
        name=check_name(name, field="fileName"),
        media_type=read_media_type(kind),
        metadata=json.dumps({"fileName": name, "mimeType": kind}),
        dialect=NAME,
        memo=json.dumps({"chunk": chunk_size(Profile.PAGE, length)}),
    )


def parse_chunk(fields: Mapping[str, str]) -> Chunk:
    """What the fields before the chunk say. Raises Malformed naming what is missing there."""
    key, index = text(fields, "uploadId"), size(fields, "chunkIndex")
    for name, value in (("uploadId", key), ("chunkIndex", index)):
        if value is None:
            raise missing(name, "Put it before the chunk in the form.")
    return Chunk(key=key or "", index=index or 0, digests=read_checksum(fields) or {})


def read_checksum(fields: Mapping[str, str]) -> dict[str, bytes] | None:
    """The MD5 that a form announces; None if it does not. Raises Malformed."""
    checksum = text(fields, "checksum")
    if not checksum:
        return None
    try:
        hexadecimal = len(checksum) == 2 * SIZES[MD5]
        value = (
            bytes.fromhex(checksum)
            if hexadecimal
            else base64.b64decode(checksum.encode(), validate=True)
        )
    except ValueError:
        value = b""
    if len(value) != SIZES[MD5]:
        raise Malformed(
            "The checksum cannot be read.",
            field="checksum",
            why="It is not an MD5 in hexadecimal or base64.",
            todo="Send the MD5 of the chunk's bytes, or leave it out.",
        )
    return {MD5: value}


def read_behind(trailers: Mapping[str, str]) -> dict[str, bytes]:
    """The MD5 that came behind the chunk; an empty value if none did. Raises Malformed."""
    return read_checksum(trailers) or {MD5: b""}


def place(chunk: Chunk, upload: Upload) -> Append:
    """Where the chunk belongs. Raises Malformed, and StateConflict while the upload is paused."""
    cut, paused = cut_of(upload), is_paused(upload)
    if chunk.index >= max(cut.total, 1):
        raise Malformed(
            "There is no such chunk.",
            field="chunkIndex",
            why=f"The upload has {cut.total} chunks; the first one's index is 0.",
            todo="Cut the file as the answer to the initialization says.",
        )
    if paused:
        raise StateConflict(
            "The upload is paused.",
            why="It takes no chunks until it is resumed.",
            todo="PUT /status with the action resume, then send the chunk again.",
        )
    offset, length = cut.at(chunk.index)
    trailing = frozenset() if chunk.digests else frozenset({MD5})
    write = Write(
        offset=offset,
        length=length,
        sequential=False,
        digests=chunk.digests,
        trailing=trailing,
        when_filled=True,
    )
    return Append(key=chunk.key, write=write)


def last(upload: Upload) -> Write:
    """A write of nothing to an upload that has all its bytes: this dialect completes it."""
    return Write(offset=length_of(upload), length=0, when_filled=True)


def cut_of(upload: Upload) -> Cut:
    """How the upload is cut. Raises StateConflict while its length is not known."""
    known = _memo(upload).get("chunk")
    chunk = chunk_of(upload, Profile.PAGE) if known is None else int(known)
    return Cut(length_of(upload), chunk)


def is_paused(upload: Upload) -> bool:
    """True while it takes no chunks here."""
    return bool(_memo(upload).get("paused")) and not upload.state.is_final


def _memo(upload: Upload) -> dict[str, Any]:
    memo: dict[str, Any] = json.loads(recall(upload, NAME) or "{}")
    return memo


def parse_action(values: Mapping[str, object]) -> tuple[str, bool]:
    """The upload of PUT /status, and whether it is to be paused. Raises Malformed."""
    key, action = text(values, "uploadId"), text(values, "action")
    if not key:
        raise missing("uploadId", "Send the id that the initialization answered.")
    if action not in {"pause", "resume"}:
        raise Malformed(
            "The action is not known.",
            field="action",
            why="It is neither pause nor resume.",
            todo="Send one of these.",
        )
    return key, action == "pause"


def parse_status(query: Mapping[str, str]) -> str:
    """The upload that GET /status asks for. Raises Malformed."""
    key = text(query, "uploadId")
    if not key:
        raise missing("uploadId", "Ask for /status?uploadId=<id>.")
    return key


def with_pause(upload: Upload, pause: bool) -> Upload:
    """The upload when it is paused, or is not any more."""
    return memorize(upload, NAME, json.dumps({**_memo(upload), "paused": pause}))


def render_begun(upload: Upload) -> Reply:
    """The answer to POST /initialize."""
    cut = cut_of(upload)
    return write_json(
        {
            "uploadId": upload.id,
            "chunkSize": cut.chunk,
            "totalChunks": cut.total,
            "expiresAt": write_time(upload.expires_at),
            "complete": upload.state is UploadState.COMPLETE,
        }
    )


def render_chunk(chunk: Chunk, upload: Upload, extent: Extent) -> Reply:
    """The answer to POST /chunk: all of it is durable."""
    return write_json(
        {"success": True, "chunkIndex": chunk.index, **_progress(upload, _whole(upload, extent))}
    )


def render_status(upload: Upload, extent: Extent, files: str) -> Reply:
    """The answer to GET and PUT /status. `files`: where objects are read."""
    extent = _whole(upload, extent)
    cut, (name, kind) = cut_of(upload), _file(upload)
    missing_chunks = cut.missing(extent)
    complete = upload.state is UploadState.COMPLETE
    return write_json(
        {
            **_progress(upload, extent),
            "status": "paused" if is_paused(upload) else upload.state.value,
            "fileName": name,
            "fileSize": upload.length,
            "mimeType": kind,
            "chunkSize": cut.chunk,
            "missingChunks": missing_chunks.list(MOST_LISTED),
            "missingCount": missing_chunks.count,
            "createdAt": write_time(upload.created_at),
            "updatedAt": write_time(upload.updated_at),
            "expiresAt": None if complete else write_time(upload.expires_at),
            "url": f"{files}/{upload.id}" if complete else None,
        }
    )


def _file(upload: Upload) -> tuple[str, str | None]:
    """The file's name and type, as they were sent; of an upload begun elsewhere, as it has them."""
    if upload.dialect != NAME:
        return file_name(upload), upload.media_type
    metadata = json.loads(upload.metadata)
    return metadata["fileName"], metadata["mimeType"]


def _progress(upload: Upload, extent: Extent) -> dict[str, object]:
    cut = cut_of(upload)
    return {
        "uploadId": upload.id,
        "progress": round(100 * extent.total / cut.length, 2) if cut.length else 100.0,
        "uploadedBytes": extent.total,
        "uploadedChunks": cut.total - cut.missing(extent).count,
        "totalChunks": cut.total,
        "complete": upload.state is UploadState.COMPLETE,
    }


def _whole(upload: Upload, extent: Extent) -> Extent:
    """Nothing of a complete upload is missing, whatever is remembered of its ranges."""
    done = upload.state is UploadState.COMPLETE
    return Extent(upload.length or 0, upload.crc) if done else extent


def refuse(error: BaseException) -> Reply:
    """The reply to an error: a problem document with `error` and success: false beside it."""
    return refuse_with(error, "error")
