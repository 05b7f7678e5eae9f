"""Resumable uploads for HTTP, as a client writes requests and reads what is answered.

Rules: what is composed says all that is known; an answer that says less is believed no more than
it says. Names travel without folders, since Content-Disposition has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath.core.command import (
    Append,
    Cancel,
    Claim,
    Command,
    Create,
    Discover,
    Fetch,
    NewUpload,
)
from towpath.core.digest import format_digests
from towpath.core.transfer import Write
from towpath.protocol.fields import write_disposition
from towpath.protocol.message import Head, Reply
from towpath.protocol.rufh.versions import FINAL, VERSION, VERSIONS, Interop
from towpath.protocol.structured import (
    read_dictionary,
    read_integer,
    write_dictionary,
)

_NEWEST = 8  # that servers are known to speak
_LIMITS = {"max-size", "min-size", "max-append-size", "min-append-size", "max-age", "expires"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says of an upload; None: nothing."""

    location: str | None = None
    offset: int | None = None
    complete: bool | None = None
    length: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)


def compose(command: Command, *, version: int | None = _NEWEST, base: str = "") -> Head:
    """The request for a command; `version` None is the form that the RFC will have.

    Raises ValueError for a command that this dialect has no words for.
    """
    spoken = FINAL if version is None else VERSIONS[version]
    fields = {} if spoken.number is None else {VERSION: str(spoken.number)}
    match command:
        case Discover():
            method, key = "OPTIONS", ""
        case Create():
            method, key = "POST", ""
            write = command.write or Write(offset=0, length=0, completes=False)
            fields |= _describe(command.new) | _content(write, spoken)
        case Append():
            method, key = "PATCH", command.key
            fields |= {"upload-offset": str(command.write.offset)} | _content(command.write, spoken)
            if spoken.append_type:
                fields["content-type"] = spoken.append_type
            if command.write.declares is not None:
                fields["upload-length"] = str(command.write.declares)
        case Claim():
            method, key = "HEAD", command.key
        case Cancel():
            method, key = "DELETE", command.key
        case Fetch():
            method, key = "GET", command.key
        case _:
            raise ValueError(f"{type(command).__name__} cannot be said in this dialect")
    return Head(method=method, path=f"/{key}", fields=fields, base=base)


def _describe(new: NewUpload) -> dict[str, str]:
    """Representation metadata of a new upload."""
    fields = {}
    if new.length is not None:
        fields["upload-length"] = str(new.length)
    if new.name is not None:
        fields["content-disposition"] = write_disposition(new.name, kind="inline")
    if new.media_type is not None:
        fields["content-type"] = new.media_type
    if new.digests:
        fields["repr-digest"] = format_digests(new.digests)
    if new.wants:
        weights = range(len(new.wants), 0, -1)
        fields["want-repr-digest"] = write_dictionary(dict(zip(new.wants, weights, strict=True)))
    return fields


def _content(write: Write, spoken: Interop) -> dict[str, str]:
    """How the content is framed, what it must be, and whether it is the last."""
    name, value = spoken.write_completeness(bool(write.completes))
    fields = {name: value}
    if write.length is None:
        fields["transfer-encoding"] = "chunked"
    else:
        fields["content-length"] = str(write.length)
    if write.digests:
        fields["content-digest"] = format_digests(write.digests)
    return fields


def read(command: Command, reply: Reply, *, version: int | None = _NEWEST) -> Told:
    """What an answer to the command says, final or interim."""
    spoken = FINAL if version is None else VERSIONS[version]
    fields = {name.lower(): value for name, value in reply.fields}
    answer = Head(method="", path="", fields=fields)
    complete = spoken.read_completeness(answer)
    if complete is None and spoken.silence_completes and 200 <= reply.status < 300:
        # Upload Append of the early versions: a success is complete unless it says otherwise.
        write = command.write if isinstance(command, Create | Append) else None
        complete = True if write is not None and write.completes else None
    return Told(
        location=fields.get("location"),
        offset=_count(fields.get("upload-offset")),
        complete=complete,
        length=_count(fields.get("upload-length")),
        limits=_limits(fields.get("upload-limit")),
    )


def _count(text: str | None) -> int | None:
    number = read_integer(text)
    return None if number is None or number < 0 else number


def _limits(text: str | None) -> dict[str, int]:
    """Limits: keys that are unknown are left out; one that is no Integer makes all void."""
    found = read_dictionary(text) or {}
    known = {key: value for key, value in found.items() if key in _LIMITS}
    numbers = {key: value for key, value in known.items() if type(value) is int}
    return numbers if len(numbers) == len(known) else {}
