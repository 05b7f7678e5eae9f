"""Requests and answers of tus 1.0, as the server reads and writes them."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from towpath.core.command import (
    Append,
    Cancel,
    Claim,
    Command,
    Concatenate,
    Create,
    Discover,
    Fetch,
    NewUpload,
)
from towpath.core.digest import CRC64NVME, crc_bytes, format_digests
from towpath.core.memo import recall
from towpath.core.metadata import read_pairs
from towpath.core.model import OnConflict, Upload
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import DigestMismatch, Malformed, TowpathError
from towpath.protocol.fields import (
    read_body_length,
    read_key,
    read_media_type,
    read_sha256,
    read_size,
    same_media_type,
    write_date,
    write_name,
)
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.problem import refuse as refuse_plainly
from towpath.protocol.tus.checksum import CHECKSUMS, read_checksum, read_trailing

NAME = "tus"
VERSION = "1.0.0"
EXTENSIONS = (
    "creation,creation-with-upload,creation-defer-length,expiration,termination,"
    "checksum,concatenation,concatenation-unfinished"
)
BODY = "application/offset+octet-stream"
ALWAYS = (("tus-resumable", VERSION),)
"""Fields of every answer, whatever it says."""

MOST_PARTS = 10_000

ATTEMPT = "attempt"
"""The key of metadata by which a sender tells one upload, with all tries of it, from all others."""

_KEY = re.compile(r"[0-9a-z]{8,64}\Z")


def speaks(head: Head) -> bool:
    """True if the request is in this dialect."""
    return "tus-resumable" in head.fields or head.method == "OPTIONS"


def parse(head: Head) -> Command | Reply:
    """The command, or the reply to what is no command here. Raises Malformed, NotFound."""
    key = head.path.strip("/")
    if head.method == "OPTIONS":
        return Discover()
    if head.method == "GET" and key:
        return Fetch(key=read_key(key))
    if head.method not in {"POST", "HEAD", "PATCH", "DELETE"}:
        return _wrong_method(head.method, key)
    if head.get("tus-resumable") != VERSION:
        if head.method == "HEAD" and key and "tus-resumable" not in head.fields:
            return Fetch(key=read_key(key))
        return _wrong_version(head)
    match head.method, bool(key):
        case "POST", False:
            return _parse_create(head)
        case "HEAD", True:
            return Claim(key=read_key(key))
        case "PATCH", True:
            return _parse_append(head, read_key(key))
        case "DELETE", True:
            return Cancel(key=read_key(key))
    return _wrong_method(head.method, key)


def _wrong_method(method: str, key: str) -> Reply:
    allow = "OPTIONS, GET, HEAD, PATCH, DELETE" if key else "OPTIONS, POST"
    return problem(
        405,
        f"{method} is not for this address.",
        why=f"Here it is {allow}.",
        todo="POST to create an upload; HEAD, PATCH or DELETE at the Location it answers.",
        code="method",
        fields=(("allow", allow),),
    )


def _parse_create(head: Head) -> Create | Concatenate | Reply:
    concat = _retold(head, "Upload-Concat").strip()
    if concat.startswith("final;"):
        return _parse_concatenate(head, concat)
    if concat not in {"", "partial"}:
        raise _bad_concat("It is neither partial nor final;<addresses>.")
    length = _length(head)
    new = _new(head, concat, length)
    if not head.has_body:
        return Create(new=new)
    if not same_media_type(head.get("content-type"), BODY):
        return _wrong_media_type(head)
    write = Write(
        offset=0,
        length=_content_length(head),
        digests=read_checksum(head),
        trailing=read_trailing(head),
        when_filled=True,
    )
    return Create(new=new, write=write)


def _new(head: Head, concat: str, length: int | None) -> NewUpload:
    """What the metadata says of a new upload, whether it gets bytes or is made of others."""
    metadata = _retold(head, "Upload-Metadata")
    values = read_metadata(metadata)
    return NewUpload(
        length=length,
        name=values.get("name") or values.get("filename") or None,
        on_conflict=_on_conflict(values.get("on-conflict")),
        media_type=read_media_type(values.get("filetype") or values.get("type")),
        metadata=metadata,
        dialect=NAME,
        digests=read_sha256(values.get("sha256"), field="Upload-Metadata"),
        shares=not head.has_body,
        once=bool(values.get(ATTEMPT)),
        partial=concat == "partial",
        memo=concat,
    )


def _retold(head: Head, name: str) -> str:
    """The value of a field that HEAD tells again as it is: nothing in it may end a line.

    RFC 9110 section 5.5; not every server that this runs in refuses such a field itself.
    """
    value = head.get(name.lower()) or ""
    if not value.isprintable():
        raise Malformed(
            f"{name} cannot be read.",
            field=name,
            why="It has a character that is not printable.",
            todo="Send it without tabs, line ends and other such characters.",
        )
    return value


def _parse_concatenate(head: Head, concat: str) -> Concatenate:
    """A final upload (Concatenation, Upload-Concat): its parts' addresses, in their order."""
    if "upload-length" in head.fields or "upload-defer-length" in head.fields or head.has_body:
        raise _bad_concat("A final upload has no length and no bytes of its own.")
    parts = tuple(_part(head, address) for address in concat.removeprefix("final;").split())
    if not 0 < len(parts) <= MOST_PARTS:
        raise _bad_concat(f"It names {len(parts)} uploads; it may name 1 to {MOST_PARTS}.")
    return Concatenate(new=_new(head, concat, None), parts=parts)


def _part(head: Head, address: str) -> str:
    """The id in the address of a part: absolute, relative, or percent-encoded; only of ours."""
    before, _, key = address.rpartition("/")
    if before == head.base and _KEY.match(key):  # as our Location says it, of perhaps a thousand
        return key
    if not (address.isascii() and address.isprintable()):
        raise _bad_concat("An address in it has characters that no address has.")
    try:
        path = unquote(urlsplit(address).path)
    except ValueError:  # a bracket that is no address of IPv6
        raise _bad_concat("An address in it cannot be read.") from None
    before, _, key = path.rstrip("/").rpartition("/")
    if before not in {"", head.base} or not _KEY.match(key):
        raise _bad_concat("An address in it is not that of an upload here.")
    return key


def _bad_concat(why: str) -> Malformed:
    return Malformed(
        "Upload-Concat cannot be read.",
        field="Upload-Concat",
        why=why,
        todo="Send partial, or final; and the addresses that the creations answered.",
    )


def _parse_append(head: Head, key: str) -> Append | Reply:
    if not same_media_type(head.get("content-type"), BODY):
        return _wrong_media_type(head)
    offset = head.get("upload-offset")
    if offset is None:
        raise Malformed(
            "The offset is missing.",
            field="Upload-Offset",
            why="A chunk says where it begins.",
            todo="Send Upload-Offset, as HEAD tells it.",
        )
    declared = head.get("upload-length")
    return Append(
        key=key,
        write=Write(
            offset=read_size(offset, field="Upload-Offset"),
            length=_content_length(head),
            declares=None if declared is None else read_size(declared, field="Upload-Length"),
            digests=read_checksum(head),
            trailing=read_trailing(head),
            when_filled=True,
        ),
    )


def _length(head: Head) -> int | None:
    length, deferred = head.get("upload-length"), head.get("upload-defer-length")
    if (length is None) == (deferred is None):
        raise Malformed(
            "The length of the upload is not clear.",
            field="Upload-Length",
            why="Exactly one of Upload-Length and Upload-Defer-Length: 1 is sent.",
            todo="Send Upload-Length, or Upload-Defer-Length: 1 if it is not known yet.",
        )
    if length is not None:
        return read_size(length, field="Upload-Length")
    if deferred != "1":
        raise Malformed(
            "Upload-Defer-Length cannot be read.",
            field="Upload-Defer-Length",
            why="Its only value is 1.",
            todo="Send Upload-Defer-Length: 1.",
        )
    return None


def _content_length(head: Head) -> int | None:
    """Body bytes that are announced; None for a chunked body, 0 when there is none."""
    return read_body_length(head.get("content-length"), head.get("transfer-encoding"))


def _on_conflict(text: str | None) -> OnConflict:
    if text is None:
        return OnConflict.KEEP_BOTH
    try:
        return OnConflict(text)
    except ValueError:
        raise Malformed(
            "on-conflict cannot be read.",
            field="Upload-Metadata",
            why=f"“{ascii(text[:40])[1:-1]}” is none of {', '.join(OnConflict)}.",
            todo="Leave it out, or send one of these.",
        ) from None


def read_metadata(field: str) -> dict[str, str]:
    """Keys and values of Upload-Metadata (Creation, Headers). A key without value gives "".

    Raises Malformed for a bad key, a repeated one, bad base64, or text that is not UTF-8.
    """
    try:
        return read_pairs(field)
    except ValueError as error:
        raise Malformed(
            "Upload-Metadata cannot be read.",
            field="Upload-Metadata",
            why=str(error),
            todo="Send pairs of an ASCII key and the base64 of its value, with commas between.",
        ) from None


def _wrong_version(head: Head) -> Reply:
    sent = head.get("tus-resumable")
    return problem(
        412,
        "This version of the protocol is not spoken here.",
        why=f"Tus-Resumable is {'missing' if sent is None else 'not ' + VERSION}.",
        todo=f"Send Tus-Resumable: {VERSION}.",
        code="version",
        fields=(("tus-version", VERSION),),
    )


def _wrong_media_type(head: Head) -> Reply:
    return problem(
        415,
        "The body's type is not that of a chunk.",
        why=f"Content-Type is {'missing' if head.get('content-type') is None else 'another'}.",
        todo=f"Send Content-Type: {BODY}.",
        code="media-type",
    )


def render(command: Command, upload: Upload | None, head: Head, *, most: int | None) -> Reply:
    """The answer to a command that was done. `most`: the largest upload taken, in bytes."""
    match command:
        case Discover():
            fields = [
                ("tus-version", VERSION),
                ("tus-extension", EXTENSIONS + (",checksum-trailer" if head.trailers else "")),
                ("cache-control", "no-store"),
            ]
            fields.append(("tus-checksum-algorithm", ",".join(CHECKSUMS)))
            if most is not None:
                fields.append(("tus-max-size", str(most)))
            return Reply(status=200, fields=(*fields, ("content-length", "0")))
        case Create() | Concatenate() if upload is not None:
            fields = [location(head, upload), *_progress(upload)]
            return Reply(status=201, fields=(*fields, ("content-length", "0")))
        case Append() if upload is not None:
            return Reply(status=204, fields=tuple(_progress(upload)))
        case Claim() if upload is not None:
            return Reply(status=200, fields=(("cache-control", "no-store"), *_facts(upload)))
        case _:
            return Reply(status=204)


def refuse(error: TowpathError) -> Reply:
    """The answer to an error, in this dialect: a mismatch is 460 (Checksum)."""
    if isinstance(error, DigestMismatch):
        return problem(460, error.what, why=error.why, todo=error.todo, code=error.code)
    return refuse_plainly(error)


def location(head: Head, upload: Upload) -> tuple[str, str]:
    """Where the upload lives: relative to the host, so that it is right behind any proxy."""
    return "location", f"{head.base}/{upload.id}"


def _progress(upload: Upload) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    if not upload.parts or upload.state is UploadState.COMPLETE:
        fields.append(("upload-offset", str(upload.offset)))
    if upload.expires_at is not None:
        fields.append(("upload-expires", write_date(upload.expires_at)))
    if upload.state is UploadState.COMPLETE:
        digest = format_digests({CRC64NVME: crc_bytes(upload.crc)})
        fields.append(("repr-digest", digest))
        if upload.name is not None:
            fields.append(("upload-name", write_name(upload.name)))
    return fields


def _facts(upload: Upload) -> list[tuple[str, str]]:
    fields = _progress(upload)
    if concat := recall(upload, NAME):
        fields.append(("upload-concat", concat))
    if upload.length is None:
        fields.extend([] if upload.parts else [("upload-defer-length", "1")])
    else:
        fields.append(("upload-length", str(upload.length)))
    if upload.metadata and upload.dialect == NAME:
        fields.append(("upload-metadata", upload.metadata))
    return fields
