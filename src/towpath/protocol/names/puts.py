"""PUT of a name: the file, its digests, and what must be there for it to take the name.

RFC 9110 sections 9.3.4 (PUT) and 13 (conditions), RFC 9530 (digests), RFC 1864 (Content-MD5).

Rules: PUT replaces unless a condition says what must be there; what was judged before the bytes
came is a condition of their completion, too.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from towpath.core.command import Create, NewUpload
from towpath.core.digest import CRC64NVME, SHA256, SIZES, hasher, parse_digests
from towpath.core.model import OnConflict
from towpath.core.names import check_name
from towpath.core.transfer import Write
from towpath.errors import BadAnswer, DigestMismatch, Malformed
from towpath.protocol.fields import (
    read_body_length,
    read_date,
    read_media_type,
    read_tags,
    write_name,
)
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem

NAME = "names"
LONGEST = 4096
"""Bytes of a name that are read at all; the engine's own limit is told by it."""

_WHOLE = {CRC64NVME, SHA256}  # what the engine holds a whole to


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must be true of the name's object: its entity tags and time, as they were sent."""

    match: tuple[str, ...] | None = None
    none: tuple[str, ...] = ()
    unmodified_since: int | None = None  # milliseconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What the name points to now."""

    key: str
    tag: str
    changed_at: int  # milliseconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A file for a name."""

    create: Create
    condition: Condition = field(default_factory=Condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the answer to a PUT says."""

    path: str
    tag: str
    created: bool
    digests: Mapping[str, bytes] = field(default_factory=dict)


def path_of(head: Head) -> str:
    """The name that the address says, or the folder's, which is empty or ends with a slash."""
    return head.path.removeprefix("/")


def name_of(head: Head) -> str | None:
    """The name that the address says; None if nothing can have it."""
    try:
        return check_name(path_of(head), longest=LONGEST)
    except Malformed:
        return None


def parse_put(head: Head) -> Put | Reply:
    """What a PUT asks for. Raises Malformed."""
    coding = (head.get("content-encoding") or "identity").strip().lower()
    if coding != "identity":
        return problem(
            415,
            "The content's coding is not kept here.",
            why="Whoever downloads the file would not be told of it.",
            todo="Upload the file as it is, without Content-Encoding.",
            code="content-coding",
            fields=(("accept-encoding", "identity"),),
        )
    if "content-range" in head.fields:
        raise Malformed(
            "A name takes no part of a file.",
            field="Content-Range",
            why="A PUT replaces the whole (RFC 9110 section 14.5).",
            todo="Send all of it, or POST to /ranges/ and PUT the ranges there.",
        )
    body = read_body_length(head.get("content-length"), head.get("transfer-encoding"))
    digests = _digests(head)
    new = NewUpload(
        length=body,
        name=check_name(path_of(head), longest=LONGEST),
        on_conflict=OnConflict.REPLACE,
        media_type=read_media_type(head.get("content-type")),
        dialect=NAME,
        digests={name: value for name, value in digests.items() if name in _WHOLE},
        # Who does not wait for our word sends its bytes in any case.
        shares=head.holds_back,
    )
    proofs = {name: value for name, value in digests.items() if name not in _WHOLE}
    if body == 0:
        _prove_nothing(proofs)
    write = None if body == 0 else Write(offset=0, length=body, digests=proofs)
    return Put(create=Create(new=new, write=write), condition=read_condition(head))


def _prove_nothing(proofs: Mapping[str, bytes]) -> None:
    """No bytes will come to be held against these. Raises DigestMismatch."""
    for name, value in proofs.items():
        if hasher(name).digest() != value:
            raise DigestMismatch(
                "The file is not the one that was announced.",
                why=f"It is empty, and its {name} digest is another.",
                todo="Send the file with its own digest.",
            )


def _digests(head: Head) -> dict[str, bytes]:
    """Of a whole that is not coded, all three fields say the same."""
    found: dict[str, bytes] = {}
    for name in ("Content-Digest", "Repr-Digest"):
        try:
            said = parse_digests(head.get(name.lower()) or "")
        except Malformed as error:
            raise Malformed(error.what, field=name, why=error.why, todo=error.todo) from None
        _agree(found, said, name)
    if (md5 := head.get("content-md5")) is not None:
        try:
            value = base64.b64decode(md5.strip(), validate=True)
        except ValueError:
            value = b""
        if len(value) != SIZES["md5"]:
            raise Malformed(
                "Content-MD5 cannot be read.",
                field="Content-MD5",
                why=f"It is not the base64 of {SIZES['md5']} bytes (RFC 1864).",
                todo="Correct it or leave it out.",
            )
        _agree(found, {"md5": value}, "Content-MD5")
    return found


def _agree(found: dict[str, bytes], said: Mapping[str, bytes], name: str) -> None:
    for algorithm, value in said.items():
        if found.setdefault(algorithm, value) != value:
            raise Malformed(
                f"{name} contradicts another field.",
                field=name,
                why=f"The {algorithm} digest of a file that is not coded is one.",
                todo="Send the right one.",
            )


def read_condition(head: Head) -> Condition:
    """The conditions of a request that changes something (RFC 9110 section 13.1)."""
    match = head.get("if-match")
    since = head.get("if-unmodified-since") if match is None else None
    return Condition(
        match=None if match is None else tuple(read_tags(match)),
        none=tuple(read_tags(head.get("if-none-match") or "")),
        unmodified_since=None if since is None else read_date(since),
    )


def judge(condition: Condition, current: Current | None) -> Reply | None:
    """412 if what is there now is not as it must be (RFC 9110 section 13.2.2); weak tags fail."""
    holds = True
    if condition.match is not None:
        holds = current is not None and not {"*", current.tag}.isdisjoint(condition.match)
    elif condition.unmodified_since is not None and current is not None:
        holds = current.changed_at // 1000 * 1000 <= condition.unmodified_since
    if holds and current is not None:
        holds = {"*", current.tag, f"W/{current.tag}"}.isdisjoint(condition.none)
    return None if holds else moved(current)


def bind(put: Put, current: Current | None) -> Create:
    """The command with what `judge` saw made a condition of its completion, too."""
    new, condition = put.create.new, put.condition
    if "*" in condition.none:
        new = replace(new, on_conflict=OnConflict.FAIL)
    elif current is not None and (condition.match or condition.unmodified_since is not None):
        new = replace(new, replaces=current.key)
    return replace(put.create, new=new)


def moved(current: Current | None) -> Reply:
    """The reply when a condition does not hold, or holds no more."""
    return problem(
        412,
        "The name is not as it was expected to be.",
        why="If-Match, If-None-Match or If-Unmodified-Since does not hold.",
        todo="Ask for its ETag again, and decide again.",
        code="precondition",
        fields=() if current is None else (("etag", current.tag),),
    )


def render_put(base: str, path: str, tag: str, digests: str, *, created: bool) -> Reply:
    """The answer to a PUT. `digests`: of the object, as it keeps them."""
    return Reply(
        status=201 if created else 204,
        fields=(
            ("location", f"{base}/{write_name(path)}"),
            ("etag", tag),
            ("repr-digest", digests),
            *((("content-length", "0"),) if created else ()),
        ),
    )


def read_put(reply: Reply, *, base: str) -> Stored:
    """What the answer to a PUT says. Raises BadAnswer."""
    fields = {name.lower(): value for name, value in reply.fields}
    where, tag = unquote(fields.get("location", "")), fields.get("etag", "")
    if reply.status not in {201, 204} or not where.startswith(f"{base}/") or not tag:
        raise BadAnswer(
            "The answer cannot be read.",
            why=f"It is {reply.status}, or says neither Location nor ETag.",
            todo="Look whether that address is a Towpath server's.",
        )
    return Stored(
        path=where.removeprefix(f"{base}/"),
        tag=tag,
        created=reply.status == 201,
        digests=parse_digests(fields.get("repr-digest", "")),
    )
