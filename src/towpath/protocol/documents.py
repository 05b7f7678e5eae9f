"""Document sessions: /api/documents/streaming.

    POST /initiate            JSON: a session, with the size of its chunks
    POST /chunk/{session_id}  form chunk_id, chunk_offset, is_final, checksum (SHA-256), file
    POST /complete/{session_id}, /cancel/{session_id}, /resume     GET /resumable, /memory-stats

Rules: chunk i begins at i times the chunk size that was answered; a chunk counts whole or not at
all; the last one answers upload_complete, and only /complete makes the document. Every refusal
says success: false and message beside the members of its problem document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from towpath.core.command import Append, NewUpload
from towpath.core.cut import Missing
from towpath.core.digest import SHA256, parse_digests
from towpath.core.limits import MIB
from towpath.core.model import Object, Upload
from towpath.core.names import check_name
from towpath.core.news import WARN_ABOVE, weighs
from towpath.core.plan import Profile, chunk_size
from towpath.core.ranges import Extent
from towpath.core.transfer import Write, check_length
from towpath.errors import Malformed
from towpath.protocol.fields import read_sha256
from towpath.protocol.message import Reply
from towpath.protocol.session import (
    NAME,
    Session,
    cut_of,
    is_copy,
    is_whole,
    session_of,
    title_of,
)
from towpath.protocol.values import (
    flag,
    missing,
    refuse_with,
    size,
    text,
    write_json,
    write_time,
)

FILES = ("file", "chunk")
"""Parts of the form that are files even without a file name."""

MOST_LISTED = 10_000
"""Missing chunks that one answer lists; `missing_count` counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """What POST /initiate asks for."""

    new: NewUpload
    check_duplicates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a form says of its chunk before the file comes."""

    index: int
    offset: int | None
    final: bool
    digests: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What GET /memory-stats tells. Sizes in bytes."""

    sessions: int
    used: int
    peak: int
    files: int
    files_size: int
    receiving: int
    limit: int
    bound: int  # the limit, or the budget of all uploads if that is less
    free: int | None


def parse_initiate(
    values: Mapping[str, object], *, chunk: int, most: int | None, client: str
) -> Begin:
    """What the body asks for. Raises Malformed, TooLarge.

    `chunk`: bytes where the client asks for none; `most`: bytes of a file; `client`: the id of one
    that does not say.
    """
    filename, length = text(values, "filename", most=255), size(values, "file_size")
    if not filename:
        raise missing("filename", "Send the file's name.")
    if length is None:
        raise missing("file_size", "Send the file's size in bytes.")
    check_length(length, most=most)
    asked = size(values, "chunk_size")
    if asked == 0:
        raise Malformed(
            "chunk_size cannot be 0.",
            field="chunk_size",
            why="A chunk has bytes.",
            todo="Leave it out, or send a number of bytes.",
        )
    session = Session(
        chunk=chunk_size(Profile.DOCUMENT, length, asked=asked or chunk),
        client=text(values, "client_id", most=200) or client,
        filename=filename,
        title=text(values, "title", most=500) or title_of(filename),
        build_index=flag(values, "auto_build_index") is not False,
    )
    new = NewUpload(
        length=length,
        name=check_name(filename, field="filename"),
        media_type="application/pdf" if filename.lower().endswith(".pdf") else None,
        metadata=json.dumps(
            {
                "filename": filename,
                "title": session.title,
                "client_id": session.client,
                "auto_build_index": session.build_index,
            }
        ),
        dialect=NAME,
        completes=False,
        digests=_sha256(values, "expected_hash") or {},
        wants=(SHA256,),
        memo=session.as_text(),
    )
    return Begin(new=new, check_duplicates=flag(values, "check_duplicates") is not False)


def _sha256(values: Mapping[str, object], name: str) -> dict[str, bytes] | None:
    return read_sha256(text(values, name), field=name) or None


def parse_chunk(fields: Mapping[str, str]) -> Chunk:
    """What the fields before the file say. Raises Malformed naming what is missing there."""
    index = size(fields, "chunk_id")
    if index is None:
        raise missing("chunk_id", "Put it before the file in the form.")
    return Chunk(
        index=index,
        offset=size(fields, "chunk_offset"),
        final=flag(fields, "is_final") or False,
        digests=_sha256(fields, "checksum") or {},
    )


def place(key: str, chunk: Chunk, upload: Upload) -> Append:
    """Where the chunk belongs. Raises Malformed naming the field that is wrong."""
    cut = cut_of(upload)
    if chunk.index >= max(cut.total, 1):
        raise Malformed(
            "There is no such chunk.",
            field="chunk_id",
            why=f"The session has {cut.total} chunks; the first one's chunk_id is 0.",
            todo="Cut the file by the chunk_size that the session answered.",
        )
    offset, length = cut.at(chunk.index)
    if chunk.offset not in {None, offset}:
        raise Malformed(
            "The chunk is not where it should be.",
            field="chunk_offset",
            why=f"Chunk {chunk.index} begins at {offset}, not at {chunk.offset}.",
            todo=f"Cut the file into chunks of {cut.chunk} bytes, as the session answered.",
        )
    _check_final(chunk.index, final=chunk.final, total=cut.total)
    write = Write(
        offset=offset,
        length=length,
        sequential=False,
        digests=chunk.digests,
        trailing=frozenset() if chunk.digests else frozenset({SHA256}),
        completes=False,
    )
    return Append(key=key, write=write)


def read_behind(trailers: Mapping[str, str], chunk: Chunk, upload: Upload) -> dict[str, bytes]:
    """The checksum that came behind the file, if one did; an empty value else. Raises Malformed."""
    final = flag(trailers, "is_final") or False
    _check_final(chunk.index, final=final, total=cut_of(upload).total)
    return _sha256(trailers, "checksum") or {SHA256: b""}


def _check_final(index: int, *, final: bool, total: int) -> None:
    if final and index < total - 1:
        raise Malformed(
            "This is not the final chunk.",
            field="is_final",
            why=f"The session has {total} chunks; this one is number {index + 1}.",
            todo="Send is_final with the last chunk only.",
        )


def parse_resume(values: Mapping[str, object]) -> tuple[str, str | None]:
    """The session of POST /resume, and the client that goes on with it. Raises Malformed."""
    key, client = text(values, "session_id"), text(values, "client_id", most=200)
    size(values, "last_chunk_id")  # what the client believes; the answer says what is true
    if not key:
        raise missing("session_id", "Send the session_id that /initiate answered.")
    return key, client or None


def parse_reason(values: Mapping[str, object]) -> str:
    """Why POST /cancel gives the upload up. Raises Malformed."""
    return text(values, "reason", most=500) or ""


def _missing(upload: Upload, extent: Extent) -> Missing:
    return Missing() if is_whole(upload) else cut_of(upload).missing(extent)


def render_begun(upload: Upload, base: str) -> Reply:
    """The answer to POST /initiate."""
    return write_json(_session(upload, base))


def _session(upload: Upload, base: str) -> dict[str, object]:
    session = session_of(upload)
    return {
        "session_id": upload.id,
        "upload_url": f"{base}/chunk/{upload.id}",
        "chunk_size": session.chunk,
        "total_chunks": cut_of(upload).total,
        "expires_at": write_time(upload.expires_at),
        "websocket_room": f"upload_{upload.id}",
        "client_id": session.client,
        **({"upload_complete": True, "duplicate_of": upload.parts} if is_copy(upload) else {}),
    }


def render_chunk(chunk: Chunk, upload: Upload, extent: Extent) -> Reply:
    """The answer to POST /chunk: all of it is durable."""
    left, total = _missing(upload, extent), cut_of(upload).total
    said = f"{total - left.count} of {total} chunks are here."
    return write_json(
        {
            "success": True,
            "chunk_id": chunk.index,
            "next_chunk_id": left.first,
            "upload_complete": not left.count,
            "message": said if left.count else "All chunks are here; complete the session.",
        }
    )


def render_resumed(upload: Upload, extent: Extent, base: str) -> Reply:
    """The answer to POST /resume: the session, with what is missing."""
    left = _missing(upload, extent)
    return write_json(
        {
            "success": True,
            **_session(upload, base),
            "filename": session_of(upload).filename,
            "file_size": upload.length,
            **_progress(upload, extent),
            "missing_chunks": left.list(MOST_LISTED),
            "missing_count": left.count,
            "next_chunk_id": left.first,
            "upload_complete": not left.count,
        }
    )


def _progress(upload: Upload, extent: Extent) -> dict[str, object]:
    cut = cut_of(upload)
    durable = cut.length if is_whole(upload) else extent.total
    return {
        "total_size": cut.length,
        "uploaded_bytes": durable,
        "uploaded_chunks": cut.total - _missing(upload, extent).count,
        "total_chunks": cut.total,
        "progress_percentage": round(100 * durable / cut.length, 2) if cut.length else 100.0,
    }


def render_resumable(found: Iterable[tuple[Upload, Extent]], *, now: int) -> Reply:
    """The answer to GET /resumable. `now`: milliseconds since 1970."""
    return write_json(
        [
            {
                "session_id": upload.id,
                "filename": session_of(upload).filename,
                **_progress(upload, extent),
                "created_at": write_time(upload.created_at),
                "age_hours": round(max(now - upload.created_at, 0) / 3_600_000, 2),
            }
            for upload, extent in found
        ]
    )


def render_document(upload: Upload, made: Object) -> Reply:
    """The answer to POST /complete."""
    session = session_of(upload)
    sha256 = made.sha256 or parse_digests(upload.expects).get(SHA256)
    return write_json(
        {
            "success": True,
            "message": "The document is complete.",
            "document": {
                "id": made.id,
                "title": session.title,
                "filename": session.filename,
                "file_size": made.length,
                "is_file_available": not made.damaged,
                "created_at": write_time(made.created_at),
                "sha256": sha256.hex() if sha256 is not None else None,
            },
        }
    )


def render_cancelled(key: str) -> Reply:
    """The answer to POST /cancel."""
    return write_json(
        {"success": True, "session_id": key, "message": "The upload is cancelled; its bytes go."}
    )


def render_memory(memory: Memory) -> Reply:
    """The answer to GET /memory-stats."""
    return write_json(
        {
            "active_sessions": memory.sessions,
            "memory_usage_mb": _mb(memory.used),
            "peak_memory_mb": _mb(memory.peak),
            "temp_files_count": memory.files,
            "temp_files_size_mb": _mb(memory.files_size),
            "concurrent_uploads": memory.receiving,
            "memory_limit_mb": _mb(memory.limit),
            "disk_space_available_mb": None if memory.free is None else _mb(memory.free),
            "status": "warning" if weighs(memory.used, memory.bound, WARN_ABOVE) else "healthy",
        }
    )


def _mb(count: int) -> float:
    return round(count / MIB, 2)


def refuse(error: BaseException) -> Reply:
    """The reply to an error: success: false, and message says what happened and what to do."""
    return refuse_with(error, "message")
