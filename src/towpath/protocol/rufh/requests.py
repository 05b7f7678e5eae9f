"""Requests of resumable uploads for HTTP, as the server reads them.

Rules: a field that is not of its type is as if not there; what would have to be guessed is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from towpath.core.command import Append, Cancel, Claim, Command, Create, Discover, Fetch, NewUpload
from towpath.core.digest import CRC64NVME, SHA256, SIZES, parse_digests
from towpath.core.transfer import Write
from towpath.errors import LengthConflict, Malformed
from towpath.protocol.fields import (
    read_body_length,
    read_disposition,
    read_key,
    read_media_type,
    same_media_type,
)
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.rufh.versions import (
    ACCEPT_PATCH,
    FINAL,
    NAME,
    PARTIAL,
    VERSION,
    VERSIONS,
    Interop,
    version_of,
)
from towpath.protocol.structured import read_dictionary, read_integer
from towpath.protocol.trailers import announced, missing

_CONTENT, _WHOLE = "content-digest", "repr-digest"
_BEHIND = frozenset({SHA256, "sha-512", CRC64NVME})
"""Digests that may come behind the content: all are computed, since none is named before."""

_TELLTALES = {VERSION, FINAL.completeness, VERSIONS[3].completeness}


def speaks(head: Head) -> bool:
    """True if the request's own fields say that it is in this dialect.

    Offset Retrieval and Upload Cancellation may have none: then the upload's dialect decides.
    """
    if "tus-resumable" in head.fields:
        return False
    partial = same_media_type(head.get("content-type"), PARTIAL)
    return not _TELLTALES.isdisjoint(head.fields) or ("upload-offset" in head.fields and partial)


def parse(head: Head) -> Command | Reply:
    """The command, or the reply to what is none. Raises Malformed, LengthConflict, NotFound."""
    spoken, there = version_of(head), bool(head.path.strip("/"))
    match head.method, there:
        case "OPTIONS", _:
            return Discover()
        case ("GET", True):
            return Fetch(key=read_key(head.path))
        case ("HEAD", True):
            _refuse_fields(head, spoken.query_forbids)
            return Claim(key=read_key(head.path))
        case ("DELETE", True):
            _refuse_fields(head, spoken.cancel_forbids)
            return Cancel(key=read_key(head.path))
        case ("PATCH", True):
            return _parse_append(head, spoken)
        case (("POST" | "PUT" | "PATCH"), False):
            return _parse_create(head, spoken)
    allow = "OPTIONS, GET, HEAD, PATCH, DELETE" if there else "OPTIONS, POST, PUT, PATCH"
    return problem(
        405,
        f"{head.method} is not for this address.",
        why=f"Here it is {allow}.",
        todo="POST to create an upload; HEAD, PATCH or DELETE at the Location it answers.",
        code="method",
        fields=(("allow", allow),),
    )


def _parse_create(head: Head, spoken: Interop) -> Create | Reply:
    """Upload Creation."""
    complete = _completes(head, spoken, silence=None)
    if read_integer(head.get("upload-offset")):
        raise Malformed(
            "A new upload does not begin in its middle.",
            field="Upload-Offset",
            why="There is nothing before its first byte.",
            todo="PATCH the upload's own address to go on with it.",
        )
    coding = head.get("content-encoding")
    if coding is not None and coding.strip().lower() not in {"", "identity"}:
        return _wrong_coding()
    body = read_body_length(head.get("content-length"), head.get("transfer-encoding"))
    length = _length(head, 0, body, complete=complete)
    if length is not None and body is not None and body > length:
        raise _inconsistent(length, body)
    digests = _digests(head, _WHOLE)
    # Who sends no byte yet and says what all of them are is done if the same object is here.
    shares = SHA256 in digests and length != 0 and (body == 0 or head.holds_back)
    new = NewUpload(
        length=length,
        name=read_disposition(head.get("content-disposition")),
        media_type=read_media_type(head.get("content-type")),
        dialect=NAME,
        # Not even by all of its bytes, but by an object that has them: each request says by itself
        # whether it is the last one.
        completes=shares,
        shares=shares,
        digests=digests,
        wants=_wants(head.get("want-repr-digest")),
    )
    if body == 0 and not complete:
        return Create(new=new)
    write = Write(
        offset=0,
        length=body,
        digests=_digests(head, _CONTENT),
        trailing=_trailing(head, whole=complete),
        completes=complete,
    )
    return Create(new=new, write=write)


def _parse_append(head: Head, spoken: Interop) -> Append | Reply:
    """Upload Append."""
    if spoken.append_type and not same_media_type(head.get("content-type"), spoken.append_type):
        return problem(
            415,
            "The body's type is not that of a part of an upload.",
            why=f"Content-Type is {'another' if head.get('content-type') else 'missing'}.",
            todo=f"Send Content-Type: {spoken.append_type}.",
            code="media-type",
            fields=(ACCEPT_PATCH, spoken.write_completeness(complete=False)),
        )
    offset = read_integer(head.get("upload-offset"))
    if offset is None or offset < 0:
        raise Malformed(
            "The offset is missing.",
            field="Upload-Offset",
            why="It is no whole number of at most 15 digits, or not there.",
            todo="Send Upload-Offset, as HEAD tells it.",
        )
    complete = _completes(head, spoken, silence=spoken.silence_completes or None)
    body = read_body_length(head.get("content-length"), head.get("transfer-encoding"))
    return Append(
        key=read_key(head.path),
        write=Write(
            offset=offset,
            length=body,
            declares=_length(head, offset, body, complete=complete),
            digests=_digests(head, _CONTENT),
            trailing=_trailing(head, whole=complete and offset == 0),
            completes=complete,
        ),
    )


def _completes(head: Head, spoken: Interop, *, silence: bool | None) -> bool:
    """Completeness: `silence` is what a missing field means; None: it must be there.

    One that cannot be read is refused: whoever meant `false` must not have its upload completed.
    """
    complete = spoken.read_completeness(head)
    if complete is None and spoken.completeness not in head.fields:
        complete = silence
    if complete is None:
        name = spoken.completeness.title()
        raise Malformed(
            f"{name} cannot be read.",
            field=name,
            why="It says whether the upload is complete with this request: ?1 or ?0.",
            todo=f"Send {name}: ?0 or {name}: ?1.",
        )
    return complete


def _length(head: Head, offset: int, body: int | None, *, complete: bool) -> int | None:
    """Length: said, or inferred from the last request. Raises LengthConflict if they differ."""
    said = read_integer(head.get("upload-length"))
    if said is None or said < 0:
        said = None
    inferred = offset + body if complete and body is not None else None
    if said is not None and inferred is not None and said != inferred:
        raise _inconsistent(said, inferred)
    return inferred if said is None else said


def _refuse_fields(head: Head, names: tuple[str, ...]) -> None:
    for name in names:
        if name in head.fields:
            raise Malformed(
                f"{name.title()} does not belong in this request.",
                field=name.title(),
                why=f"A {head.method} must not have it in this version of the draft.",
                todo="Leave it out.",
            )


def _digests(head: Head, name: str) -> dict[str, bytes]:
    """A digest field of RFC 9530."""
    try:
        return parse_digests(head.get(name) or "")
    except Malformed as error:
        raise Malformed(error.what, field=name.title(), why=error.why, todo=error.todo) from None


def _trailing(head: Head, *, whole: bool) -> frozenset[str]:
    """What the digests may be of that are to come behind the content. Raises Malformed.

    `whole`: the content is all of the representation, so that both have the same digest.
    """
    behind = announced(head, _CONTENT, _WHOLE)
    if _WHOLE in behind and not whole:
        raise Malformed(
            "Repr-Digest cannot come as a trailer here.",
            field="Trailer",
            why="The content is only a part of the upload.",
            todo="Send Repr-Digest with the creation, or Content-Digest behind the content.",
        )
    return _BEHIND if behind else frozenset()


def read_behind(trailers: Mapping[str, str]) -> dict[str, bytes]:
    """The digests that came behind the content; empty values of the others. Raises Malformed."""
    found: dict[str, bytes] = {}
    for name in (_WHOLE, _CONTENT):
        said = parse_digests(trailers.get(name) or "")
        if any(found.get(each, value) != value for each, value in said.items()):
            raise Malformed(
                "The digests contradict one another.",
                field=name.title(),
                why="Content and representation are the same here.",
                todo="Send one of them.",
            )
        found |= said
    known = {name: value for name, value in found.items() if name in _BEHIND}
    if not known:
        raise missing(_CONTENT)
    return {**dict.fromkeys(_BEHIND, b""), **known}


def _wants(text: str | None) -> tuple[str, ...]:
    """Algorithms of Want-Repr-Digest that are known, the most wanted first (RFC 9530 section 4)."""
    wanted = read_dictionary(text) or {}
    weights = {name: value for name, value in wanted.items() if type(value) is int and value > 0}
    return tuple(sorted(weights.keys() & SIZES.keys(), key=lambda name: (-weights[name], name)))


def _inconsistent(said: int, found: int) -> LengthConflict:
    return LengthConflict(
        "The lengths in this request contradict one another.",
        why=f"Upload-Length says {said}; the content ends at {found}.",
        todo="Send the length of the whole file, and no more than that.",
    )


def _wrong_coding() -> Reply:
    return problem(
        415,
        "The content's coding is not kept here.",
        why="Whoever downloads the file would not be told of it.",
        todo="Upload the file as it is, without Content-Encoding.",
        code="content-coding",
        fields=(("accept-encoding", "identity"),),
    )
