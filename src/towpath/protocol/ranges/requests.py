"""Requests of our own dialect, as the server reads them and a client writes them.

Rules: what is composed is parsed back; digests in JSON are hexadecimal; a chunk that is to be
proven is proven, so that a digest which cannot be is refused, not left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from towpath.core.command import Append, Cancel, Complete, Create, NewUpload
from towpath.core.digest import CRC64NVME, SHA256, SIZES, format_digests, parse_digests
from towpath.core.model import OnConflict
from towpath.core.names import check_name
from towpath.core.transfer import Write
from towpath.errors import Malformed
from towpath.protocol.fields import LARGEST, read_body_length, read_key, read_media_type
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.ranges import wording
from towpath.protocol.ranges.reuse import Copy, Map, describe_copy, parse_copy, parse_map
from towpath.protocol.ranges.wording import MOST_RUNS
from towpath.protocol.values import size, text

NAME = "ranges"
PROVEN = (CRC64NVME, SHA256)
"""Digests that a whole upload is held to, or computed for it."""

MOST_ASKED = 500
"""Digests of one question."""

_RANGE = re.compile(r"bytes +(?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19}|\*)\Z", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Tell what is durable and what is missing, from the byte `after` on."""

    key: str
    after: int = 0
    limit: int = MOST_RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Have:
    """Tell which of these SHA-256 my tenant holds where I may read it."""

    digests: tuple[bytes, ...]


Command = Create | Append | Look | Complete | Cancel | Have | Copy | Map

_VERBS = {
    "collection": "POST",
    "have": "POST",
    "upload": "GET, PUT, DELETE",
    "complete": "POST",
    "copy": "POST",
    "chunks": "GET",
}


def place(head: Head) -> str | None:
    """Which of _VERBS the address is; None: there is nothing there."""
    match head.path.strip("/").split("/"):
        case [""]:
            return "collection"
        case ["have"]:
            return "have"
        case [_]:
            return "upload"
        case [_, "complete" | "copy" | "chunks" as word]:
            return word
    return None


def has_values(head: Head) -> bool:
    """True if the request's body is a JSON object."""
    return head.method == "POST" and place(head) in {"collection", "have", "copy"}


def asks(head: Head) -> bool:
    """True if the request asks what is here, and begins nothing."""
    return place(head) == "have"


def parse(head: Head, values: Mapping[str, object]) -> Command | Reply:
    """The command, or the reply to what is none. `values`: the JSON body, or the query of a GET.

    Raises Malformed, NotFound.
    """
    where = place(head)
    key = head.path.strip("/").partition("/")[0]
    match head.method, where:
        case "POST", "collection":
            return Create(new=_parse_new(values))
        case "POST", "have":
            return _parse_have(values)
        case "GET", "upload":
            return _parse_look(read_key(key), values)
        case "PUT", "upload":
            return Append(key=read_key(key), write=_parse_write(head))
        case "DELETE", "upload":
            return Cancel(key=read_key(key))
        case "POST", "complete":
            return Complete(key=read_key(key))
        case "POST", "copy":
            return parse_copy(read_key(key), values)
        case "GET", "chunks":
            return parse_map(read_key(key), values)
    return _wrong_address(head, where)


def _wrong_address(head: Head, where: str | None) -> Reply:
    if where is None:
        return problem(
            404,
            "There is nothing at this address.",
            why="Uploads live at /{id}; beside them there is /have.",
            todo="POST to create an upload and use the Location that is answered.",
            code="not-found",
        )
    return problem(
        405,
        f"{head.method} is not for this address.",
        why=f"Here it is {_VERBS[where]}.",
        todo="Use that method.",
        code="method",
        fields=(("allow", _VERBS[where]),),
    )


# --- requests, as the server reads them ----------------------------------------------------------


def _parse_new(values: Mapping[str, object]) -> NewUpload:
    name, replaces = text(values, "name", most=4096), text(values, "replaces", most=64)
    metadata = values.get("metadata")
    if not isinstance(metadata, dict | None):
        raise _malformed("metadata", "It is not a JSON object.", "Send an object, or leave it out.")
    return NewUpload(
        length=size(values, "length"),
        name=None if name is None else check_name(name, longest=4096),
        on_conflict=_on_conflict(values, replaces),
        replaces=replaces,
        media_type=_media_type(values),
        metadata="" if metadata is None else json.dumps(metadata),
        dialect=NAME,
        digests=_digests(values),
        wants=_wants(values),
    )


def _on_conflict(values: Mapping[str, object], replaces: str | None) -> OnConflict:
    word = text(values, "on_conflict")
    rules = [OnConflict.REPLACE] if replaces is not None else list(OnConflict)
    if word is None:
        return rules[0]
    if word not in rules:
        raise _malformed("on_conflict", f"It is not {' or '.join(rules)}.", "Leave it out.")
    return OnConflict(word)


def _media_type(values: Mapping[str, object]) -> str | None:
    given = text(values, "media_type")
    found = read_media_type(given)
    if given is not None and found is None:
        raise _malformed("media_type", "It has not the form type/subtype.", "Leave it out.")
    return found


def _digests(values: Mapping[str, object]) -> dict[str, bytes]:
    given = values.get("digests")
    if given is None:
        return {}
    if not isinstance(given, dict) or not given.keys() <= set(PROVEN):
        raise _malformed("digests", f"It may have {' and '.join(PROVEN)}.", "Leave others out.")
    return {name: _read_hex(value, name) for name, value in given.items()}


def _wants(values: Mapping[str, object]) -> tuple[str, ...]:
    given = values.get("wants")
    if given is None:
        return ()
    names = [name for name in PROVEN if isinstance(given, list) and name in given]
    if not isinstance(given, list) or len(names) != len(given):
        raise _malformed("wants", f"It is a list of {' and '.join(PROVEN)}.", "Leave it out.")
    return tuple(names)


def _parse_have(values: Mapping[str, object]) -> Have:
    given = values.get(SHA256)
    if not isinstance(given, list) or not 0 < len(given) <= MOST_ASKED:
        raise _malformed(
            SHA256, f"It is not a list of 1 to {MOST_ASKED} digests.", "Ask for fewer at once."
        )
    return Have(digests=tuple(_read_hex(value, SHA256) for value in given))


def _read_hex(value: object, name: str) -> bytes:
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if len(found) != SIZES[name] or len(str(value)) != 2 * SIZES[name]:
        raise _malformed(
            name, "A digest cannot be read.", f"Send {2 * SIZES[name]} hexadecimal digits."
        )
    return found


def _parse_look(key: str, values: Mapping[str, object]) -> Look:
    after, limit = size(values, "after"), size(values, "limit")
    if limit is not None and not 0 < limit <= MOST_RUNS:
        raise _malformed("limit", f"It is not from 1 to {MOST_RUNS}.", "Ask for fewer at once.")
    return Look(key=key, after=after or 0, limit=limit or MOST_RUNS)


def _parse_write(head: Head) -> Write:
    coding = (head.get("content-encoding") or "identity").strip().lower()
    if coding != "identity":
        raise _malformed(
            "Content-Encoding",
            "It speaks of the whole upload, and ranges are cut from what is stored.",
            "Send the bytes as they are, or say Chunk-Coding of a chunk that is coded by itself.",
        )
    body = read_body_length(head.get("content-length"), head.get("transfer-encoding"))
    start, end, total = _read_range(head.get("content-range"), body)
    digests = _read_chunk_digests(head.get("content-digest"))
    coded = head.get("chunk-coding")
    if coded is not None and not _TOKEN.match(coded):
        raise _malformed("Chunk-Coding", "It is not one word.", "Send the name of one coding.")
    if coded is not None and not digests:
        raise _malformed(
            "Content-Digest",
            "A coded chunk is of use only whole, and nothing says what whole is.",
            "Send the digest of the chunk's coded bytes.",
        )
    return Write(
        offset=start,
        length=end - start,
        sequential=False,
        declares=total,
        digests=digests,
        when_filled=True,
    )


def _read_range(field: str | None, body: int | None) -> tuple[int, int, int | None]:
    """Start, end and the whole's length. `bytes */N` without a body says the length alone."""
    match = _RANGE.match((field or "").strip())
    why = "It is missing, or not bytes FIRST-LAST/LENGTH." if match is None else ""
    first, last, whole = match.groups() if match is not None else (None, None, "*")
    total = None if whole == "*" else int(whole)
    if first is None or last is None:
        start = end = total or 0
        why = why or ("It says nothing." if total is None else "")
    else:
        start, end = int(first), int(last) + 1
        why = why or ("LAST is before FIRST." if end <= start else "")
    if not why and total is not None and end > total:
        why = "The range ends behind the whole."
    if not why and max(end, total or 0) > LARGEST:
        why = f"At most {LARGEST} bytes can be counted."
    if not why and body is not None and body != end - start:
        why = f"It is {end - start} bytes long, and the body has {body}."
    if why:
        raise _malformed(
            "Content-Range", why, "Send bytes FIRST-LAST/LENGTH, LAST included; LENGTH may be *."
        )
    return start, end, total


def _read_chunk_digests(field: str | None) -> dict[str, bytes]:
    """A chunk that is to be proven is proven: names that are not known here are refused."""
    if field is None:
        return {}
    try:
        found, why = parse_digests(field), f"None of {', '.join(SIZES)} is in it."
    except Malformed as error:
        found, why = {}, error.why
    if not found:
        raise _malformed("Content-Digest", why, "Send sha-256=:<base64>:, or leave it out.")
    return found


def _malformed(field: str, why: str, todo: str) -> Malformed:
    return Malformed(f"{field} cannot be read.", field=field, why=why, todo=todo)


# --- requests, as a client writes them -----------------------------------------------------------


def compose(command: Command, *, base: str = "", coding: str | None = None) -> tuple[Head, bytes]:
    """The request for a command, and its JSON body; a chunk's bytes are the caller's to send.

    `coding`: how the bytes of the chunk are coded.
    """
    method, path, query = "POST", "/", ""
    fields: dict[str, str] = {}
    body = b""
    match command:
        case Create():
            body = json.dumps(_describe(command.new)).encode()
        case Have():
            path, body = "/have", json.dumps({SHA256: [d.hex() for d in command.digests]}).encode()
        case Append():
            method, path, fields = "PUT", f"/{command.key}", _content(command.write, coding)
        case Look():
            method, path = "GET", f"/{command.key}"
            query = wording.look(command.after, command.limit)
        case Complete():
            path = f"/{command.key}/complete"
        case Cancel():
            method, path = "DELETE", f"/{command.key}"
        case Copy():
            path, body = f"/{command.key}/copy", json.dumps(describe_copy(command)).encode()
        case Map():
            method, path, query = "GET", f"/{command.key}/chunks", f"cut={command.cut.name}"
    if body:
        fields = {"content-type": "application/json", "content-length": str(len(body))}
    return Head(method=method, path=path, fields=fields, base=base, query=query), body


def _describe(new: NewUpload) -> dict[str, object]:
    return wording.describe(
        new.length,
        new.name,
        new.on_conflict.value,
        json.loads(new.metadata) if new.metadata else None,
        replaces=new.replaces,
        media_type=new.media_type,
        digests=new.digests,
        wants=new.wants,
    )


def _content(write: Write, coding: str | None) -> dict[str, str]:
    place = wording.content_range(write.offset, write.length, write.declares)
    fields = {"content-range": place, "content-length": str(write.length)}
    if write.digests:
        fields["content-digest"] = format_digests(write.digests)
    if coding is not None:
        fields["chunk-coding"] = coding
    return fields
