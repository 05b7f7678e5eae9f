"""Reading an object over HTTP: conditions, ranges, digests, and fields safe for any content.

RFC 9110 sections 8.8 (validators), 13 (conditional requests), 14 (range requests); RFC 9111;
RFC 9530. Ranges that overlap or nearly touch become one; several are sent as multipart/byteranges,
in the order in which they were asked for (RFC 9110 section 15.3.7.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from towpath.codec import SEALED
from towpath.core.digest import CRC64NVME, crc_bytes, format_digests, parse_digests
from towpath.core.model import Object, Upload
from towpath.protocol.fields import (
    read_date,
    read_tags,
    write_date,
    write_disposition,
    write_name,
)
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.structured import read_dictionary

MOST_RANGES = 64
"""Ranges that one request may ask for."""

NEAR = 80
"""Bytes between two ranges below which they are sent as one: what a part's head takes."""

REVALIDATE = "private, no-cache"
"""Cache-Control of what a name points to: it may be kept, and asked about before each use."""

SAFE = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("referrer-policy", "no-referrer"),
)
"""What makes content of strangers harmless in a browser, and keeps its address from others."""

_RANGE = re.compile(r"([0-9]{0,19})-([0-9]{0,19})\Z")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes start <= b < end of the object, behind `before`, which is sent as it is."""

    start: int
    end: int
    before: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is sent: the reply's head, then the pieces one after the other, then `after`."""

    reply: Reply
    pieces: tuple[Piece, ...] = ()
    after: bytes = b""


def etag(made: Object) -> str:
    """Strong: an object never changes, and an id never comes again."""
    return f'"{made.id}"'


def keys_beside(made: Object, name: str | None) -> tuple[tuple[str, str], ...]:
    """What is said of an encrypted object besides: its name, beside which its keys are."""
    return (("upload-name", write_name(name)),) if name and made.media_type == SEALED else ()


def cache_control(seconds: int, *, shared: bool) -> str:
    """Cache-Control of what never changes (RFC 9111 section 5.2.2, RFC 8246).

    `shared`: caches that many use may keep it, too. 0 seconds: it is asked about before each use.
    """
    who = "public" if shared else "private"
    return f"{who}, max-age={seconds}, immutable" if seconds > 0 else f"{who}, no-cache"


def deliver(
    head: Head,
    made: Object,
    name: str | None,
    *,
    boundary: str,
    cache: str = REVALIDATE,
    kind: str = "attachment",
) -> Delivery:
    """What a GET or HEAD of the object is answered with.

    `boundary` stands between several ranges: 1 to 70 letters and digits that nobody can guess.
    `cache`: the Cache-Control; `kind`: attachment or inline, what a browser does with it.
    """
    common = (
        ("etag", etag(made)),
        ("last-modified", write_date(made.created_at)),
        ("cache-control", cache),
        SAFE[0],
    )
    refused = _precondition(head, made)
    if refused == 304:
        return Delivery(reply=Reply(status=304, fields=common))
    if refused == 412:
        return Delivery(
            reply=problem(
                412,
                "The object is not the one that was expected.",
                why="If-Match or If-Unmodified-Since does not hold.",
                todo="Ask for its ETag again.",
                code="precondition",
                fields=common[:1],
            )
        )
    media_type = made.media_type or "application/octet-stream"
    fields = (
        *common,
        *SAFE[1:],
        ("accept-ranges", "bytes"),
        ("content-disposition", write_disposition(name or made.id, kind=kind)),
        ("repr-digest", _chosen(_digests(made), head.get("want-repr-digest"))),
    )
    spans = _spans(head, made)
    if spans is None:
        said = [("content-type", media_type), ("content-length", str(made.length))]
        if (wanted := head.get("want-content-digest")) is not None and head.method == "GET":
            said.append(("content-digest", _chosen(_digests(made), wanted)))  # it is all of it
        pieces = (Piece(0, made.length),) if made.length else ()
        return Delivery(reply=Reply(status=200, fields=(*fields, *said)), pieces=pieces)
    if not spans:
        return Delivery(reply=unsatisfiable(made.length).with_fields(*common[:1]))
    if len(spans) == 1:
        return _one(Reply(status=206, fields=fields), spans[0], made.length, media_type)
    return _several(Reply(status=206, fields=fields), spans, made.length, media_type, boundary)


def deliver_arriving(head: Head, upload: Upload) -> tuple[Reply, tuple[int, int | None]]:
    """What a GET of an upload is answered with whose rest is still arriving, and what to send.

    One range is heeded. Where the length is not known a range ends at the durable prefix, and
    without a range it ends where the upload will end: None. There is no validator: what is not
    complete can still be given up.
    """
    fields = (
        ("cache-control", "no-store"),
        *SAFE,
        ("content-type", upload.media_type or "application/octet-stream"),
        ("content-disposition", write_disposition(upload.name or upload.id)),
    )
    length = upload.length
    spans = None
    if head.method == "GET" and "if-range" not in head.fields:
        spans = read_ranges(head.get("range"), upload.offset if length is None else length)
    if spans == []:
        if length is not None:
            return unsatisfiable(length), (0, 0)
        return problem(
            416,
            "No byte of that range has arrived yet.",
            why=f"{upload.offset} bytes are durable, and the length is not known.",
            todo="Ask for bytes that are there, or without a range.",
            code="range",
        ), (0, 0)
    if spans is None or len(spans) > 1:
        said = () if length is None else (("content-length", str(length)),)
        return Reply(status=200, fields=(*fields, *said)), (0, length)
    start, end = spans[0]
    of = "*" if length is None else str(length)
    part = Reply(status=206, fields=fields).with_fields(
        ("content-range", f"bytes {start}-{end - 1}/{of}"), ("content-length", str(end - start))
    )
    return part, (start, end)


def unsatisfiable(length: int) -> Reply:
    """The reply to ranges none of which has a byte (RFC 9110 section 15.5.17)."""
    return problem(
        416,
        "The range is outside the object, or there are too many of them.",
        why=f"It has {length} bytes; at most {MOST_RANGES} ranges are sent at once.",
        todo="Ask for bytes that it has.",
        code="range",
        fields=(("content-range", f"bytes */{length}"),),
    )


def _one(reply: Reply, span: Span, length: int, media_type: str) -> Delivery:
    start, end = span
    said = (
        ("content-type", media_type),
        ("content-range", f"bytes {start}-{end - 1}/{length}"),
        ("content-length", str(end - start)),
    )
    return Delivery(reply=reply.with_fields(*said), pieces=(Piece(start, end),))


def _several(
    reply: Reply, spans: list[Span], length: int, media_type: str, boundary: str
) -> Delivery:
    """Several parts, each with its own Content-Range (RFC 9110 section 14.6)."""
    pieces = tuple(
        Piece(
            start,
            end,
            f"\r\n--{boundary}\r\n"
            f"content-type: {media_type}\r\n"
            f"content-range: bytes {start}-{end - 1}/{length}\r\n\r\n".encode("latin-1"),
        )
        for start, end in spans
    )
    after = f"\r\n--{boundary}--\r\n".encode()
    size = sum(len(each.before) + each.end - each.start for each in pieces) + len(after)
    said = (
        ("content-type", f"multipart/byteranges; boundary={boundary}"),
        ("content-length", str(size)),
    )
    return Delivery(reply=reply.with_fields(*said), pieces=pieces, after=after)


def digests_of(made: Object) -> str:
    """What is known of the whole, as a Repr-Digest field has it."""
    return format_digests(_digests(made))


def _digests(made: Object) -> dict[str, bytes]:
    return {CRC64NVME: crc_bytes(made.crc), **parse_digests(made.digests)}


def _chosen(known: Mapping[str, bytes], wanted: str | None) -> str:
    """Those digests that are wanted, the most wanted first; all if none of them is known.

    RFC 9530 section 4: a preference is from 0 (not acceptable) to 10, and only a hint.
    """
    weights = {
        name: weight
        for name, weight in (read_dictionary(wanted) or {}).items()
        if type(weight) is int and weight > 0
    }
    names = sorted(weights.keys() & known.keys(), key=lambda name: -weights[name])
    return format_digests({name: known[name] for name in names or known})


def _precondition(head: Head, made: Object) -> int | None:
    """304 or 412 when a condition says so, in the order of RFC 9110 section 13.2.2."""
    tag = etag(made)
    if (match := head.get("if-match")) is not None:
        if not any(given in {"*", tag} for given in read_tags(match)):
            return 412
    elif (unmodified := head.get("if-unmodified-since")) is not None:
        since = read_date(unmodified)
        if since is not None and made.created_at // 1000 * 1000 > since:
            return 412
    if (none := head.get("if-none-match")) is not None:
        if any(given in {"*", tag, f"W/{tag}"} for given in read_tags(none)):
            return 304
    elif (modified := head.get("if-modified-since")) is not None:
        since = read_date(modified)
        if since is not None and made.created_at // 1000 * 1000 <= since:
            return 304
    return None


def _spans(head: Head, made: Object) -> list[Span] | None:
    """The ranges to send; None: the whole; empty: none that was asked for has a byte."""
    if head.method != "GET" or not _holds(head, made):
        return None
    return read_ranges(head.get("range"), made.length)


def _holds(head: Head, made: Object) -> bool:
    """If-Range: the range counts only for this very object (RFC 9110 section 13.1.5)."""
    condition = head.get("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == etag(made)
    return read_date(condition) == made.created_at // 1000 * 1000


def read_ranges(field: str | None, length: int) -> list[Span] | None:
    """The spans that a Range field asks for, none of them overlapping or nearly touching another.

    None when there is no range that can be read: then it is as if it had not come (RFC 9110
    section 14.2). Empty when no byte of them exists, or they are too many.
    """
    unit, equals, text = (field or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs = [spec for spec in (part.strip(" \t") for part in text.split(",")) if spec]
    if len(specs) > MOST_RANGES:
        return []
    spans: list[Span] = []
    for spec in specs:
        span = _span(spec, length)
        if span is None:
            return None
        if span[0] < span[1]:
            spans.append(span)
    return _joined(spans) if specs else None


def _span(spec: str, length: int) -> Span | None:
    """Start and end of one range; equal if it has no byte; None if it is none."""
    match = _RANGE.match(spec)
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        return (length - min(int(last), length), length)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, length) if last else length
    return (start, end) if start < length else (length, length)


def _joined(spans: list[Span]) -> list[Span]:
    """Spans that overlap or nearly touch as one, each where the first of its own stood."""
    joined: list[tuple[int, Span]] = []
    for at, (start, end) in sorted(enumerate(spans), key=lambda each: each[1]):
        if joined and start <= joined[-1][1][1] + NEAR:
            place, (begun, reached) = joined[-1]
            joined[-1] = (min(place, at), (begun, max(reached, end)))
        else:
            joined.append((at, (start, end)))
    return [span for _, span in sorted(joined)]
