"""Reading an object over HTTP: conditions, ranges, and fields that are safe for any content.

RFC 9110 sections 8.8 (validators), 13 (conditional requests), 14 (range requests); RFC 9530.
One range is served; a request for several is answered with the whole (section 14.2 allows it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from towpath.core.digest import CRC64NVME, crc_bytes, format_digests
from towpath.core.model import Object
from towpath.protocol.fields import read_date, read_tags, write_date, write_disposition
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem

_RANGE = re.compile(r"([0-9]{0,19})-([0-9]{0,19})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is sent: the reply's head, and then the bytes start <= b < end."""

    reply: Reply
    start: int = 0
    end: int = 0


def etag(made: Object) -> str:
    """Strong: an object never changes, and an id never comes again."""
    return f'"{made.id}"'


def deliver(head: Head, made: Object, name: str | None) -> Delivery:
    """What a GET or HEAD of the object is answered with."""
    common = (
        ("etag", etag(made)),
        ("last-modified", write_date(made.created_at)),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
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
    fields = (
        *common,
        ("accept-ranges", "bytes"),
        ("content-type", made.media_type or "application/octet-stream"),
        ("content-disposition", write_disposition(name or made.id)),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("repr-digest", digests_of(made)),
    )
    wanted = _range(head, made)
    if wanted is None:
        whole = Reply(status=200, fields=(*fields, ("content-length", str(made.length))))
        return Delivery(reply=whole, start=0, end=made.length)
    start, end = wanted
    if start >= end:
        return Delivery(
            reply=problem(
                416,
                "The range is outside the object.",
                why=f"It has {made.length} bytes.",
                todo="Ask for bytes that it has.",
                code="range",
                fields=(("content-range", f"bytes */{made.length}"), *common[:1]),
            )
        )
    part = Reply(
        status=206,
        fields=(
            *fields,
            ("content-range", f"bytes {start}-{end - 1}/{made.length}"),
            ("content-length", str(end - start)),
        ),
    )
    return Delivery(reply=part, start=start, end=end)


def digests_of(made: Object) -> str:
    """What is known of the whole, as a Repr-Digest field has it."""
    always = format_digests({CRC64NVME: crc_bytes(made.crc)})
    return f"{always}, {made.digests}" if made.digests else always


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


def _range(head: Head, made: Object) -> tuple[int, int] | None:
    """Start and end of the one range asked for; None: the whole; start == end: none of it."""
    field = head.get("range")
    if field is None or head.method != "GET" or not _holds(head, made):
        return None
    unit, _, spec = field.partition("=")
    match = _RANGE.match(spec.strip())
    if unit.strip().lower() != "bytes" or match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        count = min(int(last), made.length)
        return (made.length - count, made.length)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, made.length) if last else made.length
    return (start, end) if start < made.length else (made.length, made.length)


def _holds(head: Head, made: Object) -> bool:
    """If-Range: the range counts only for this very object (RFC 9110 section 13.1.5)."""
    condition = head.get("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == etag(made)
    return read_date(condition) == made.created_at // 1000 * 1000
