"""Answers of resumable uploads for HTTP, as the server writes them.

Rules: every answer to content says the completeness; an offset that is told is durable and will be
accepted; no interim answer for who did not ask, unless that is set.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath import errors
from towpath.core.command import Append, Claim, Command, Create, Discover
from towpath.core.digest import CRC64NVME, crc_bytes, format_digests
from towpath.core.memo import recall
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.core.transfer import has_lost_bytes
from towpath.errors import TowpathError
from towpath.protocol import problem as problems
from towpath.protocol.fields import write_name
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.protocol.rufh.versions import (
    ACCEPT_PATCH,
    COMPLETED,
    INCONSISTENT,
    MISMATCHING,
    NAME,
    VERSION,
    Interop,
    may_inform,
    version_of,
)
from towpath.protocol.structured import read_integer, write_dictionary

_TYPES = "https://iana.org/assignments/http-problem-types#"
_CREATING = {"POST", "PUT", "PATCH"}

Pairs = tuple[tuple[str, str], ...]


def render(
    command: Command,
    upload: Upload | None,
    head: Head,
    *,
    most: int | None,
    now: int | None = None,
    digests: str = "",
) -> Reply:
    """The answer to a command that was done.

    `most`: the largest upload taken, in bytes; `now`: milliseconds, to tell a lifetime with;
    `digests`: further ones of the finished object, as it keeps them.
    """
    spoken = version_of(head)
    if isinstance(command, Discover):
        fields = (ACCEPT_PATCH, *limits(head, None, most=most, now=now))
        return Reply(status=200, fields=(("cache-control", "no-store"), *fields))
    if upload is None or not isinstance(command, Create | Append | Claim):
        return Reply(status=204)
    if is_gone(upload):
        return _gone(spoken)
    facts = state(head, upload, most=most, now=now)
    done = upload.state is UploadState.COMPLETE
    if isinstance(command, Claim):
        return Reply(
            status=spoken.offset_statuses[0], fields=(("cache-control", "no-store"), *facts)
        )
    if done and (kept := recall(upload, NAME)):
        return replay(kept)
    fields = (location(head, upload), *facts, *(_result(upload, digests) if done else ()))
    if done or isinstance(command, Create):
        return Reply(status=201, fields=(*fields, ("content-length", "0")))
    empty = () if spoken.append_status == 204 else (("content-length", "0"),)
    return Reply(status=spoken.append_status, fields=(*facts, *empty))


def is_gone(upload: Upload) -> bool:
    """True if no interaction with the upload is allowed any more: invalid, or bytes were lost."""
    return upload.state is UploadState.FAILED or has_lost_bytes(upload)


def location(head: Head, upload: Upload) -> tuple[str, str]:
    """Where the upload lives: relative to the host, so that it is right behind any proxy."""
    return "location", f"{head.base}/{upload.id}"


def state(head: Head, upload: Upload, *, most: int | None, now: int | None = None) -> Pairs:
    """State: offset, completeness, length and limits of the upload."""
    spoken = version_of(head)
    done = upload.state is UploadState.COMPLETE
    length = () if upload.length is None else (("upload-length", str(upload.length)),)
    return (
        ("upload-offset", str(upload.offset)),
        spoken.write_completeness(done),
        *length,
        *limits(head, upload, most=most, now=now),
    )


def limits(head: Head, upload: Upload | None, *, most: int | None, now: int | None = None) -> Pairs:
    """Limits: Upload-Limit, which is never empty; no field where the version has none."""
    key = version_of(head).lifetime
    if key is None:
        return ()
    values = {} if most is None else {"max-size": most}
    if upload is not None and upload.expires_at is not None and now is not None:
        values[key] = max(upload.expires_at - now, 0) // 1000
    return (("upload-limit", write_dictionary(values or {"min-size": 0})),)


def _result(upload: Upload, digests: str) -> Pairs:
    """What the finished object is told to be."""
    always = format_digests({CRC64NVME: crc_bytes(upload.crc)})
    digest = ("repr-digest", f"{always}, {digests}" if digests else always)
    return (digest,) if upload.name is None else (digest, ("upload-name", write_name(upload.name)))


def informational(
    head: Head,
    upload: Upload,
    base: str | None,
    *,
    most: int | None,
    now: int | None = None,
    unasked: bool = False,
) -> Pairs | None:
    """Status Code 104: fields that announce the upload below `base`, or (None) its progress.

    None when the client did not ask for 104, or not for this one. `unasked`: who says no version
    is told too.
    """
    spoken = version_of(head)
    if not may_inform(head, unasked=unasked) or not (base is not None or spoken.progress):
        return None
    said = () if spoken.number is None else ((VERSION, str(spoken.number)),)
    if base is None:
        return (*said, ("upload-offset", str(upload.offset)))
    announced = location(replace(head, base=base), upload)
    return (*said, announced, *limits(head, upload, most=most, now=now))


# --- refusals ------------------------------------------------------------------------------------


def refuse(
    error: BaseException,
    head: Head,
    upload: Upload | None = None,
    *,
    most: int | None = None,
    now: int | None = None,
) -> Reply:
    """The reply to an error; `upload` as it is after it, where it is known."""
    spoken = version_of(head)
    fields: list[tuple[str, str]] = []
    if head.method in _CREATING:
        fields.append(spoken.write_completeness(_is_verdict(error, upload)))
        alive = upload is not None and not upload.state.is_final
        if upload is not None and alive and not is_gone(upload):
            fields.append(("upload-offset", str(upload.offset)))
    match error:
        case errors.Expired():
            reply = _gone(spoken)
        case errors.StateConflict() if upload is not None and is_gone(upload):
            reply = _gone(spoken)
        case errors.OffsetConflict() | errors.StateConflict() | errors.TooLarge() if (
            upload is not None and upload.state is UploadState.COMPLETE
        ):
            reply = _refuse_after_completion(error, head, upload)
        case errors.OffsetConflict():
            reply = _mismatch(error, head, error.offset)
        case errors.LengthConflict():
            reply = _typed(error, spoken, INCONSISTENT, 400)
        case errors.TooLarge() if upload is not None and upload.length is not None:
            reply = _typed(error, spoken, INCONSISTENT, 400)
        case errors.TooLarge():
            fields.extend(limits(head, upload, most=most, now=now))
            reply = problems.refuse(error)
        case _:
            reply = problems.refuse(error)
    return reply.with_fields(*fields)


def invalidates(error: BaseException, upload: Upload, head: Head) -> bool:
    """Length: True if the error ends the upload, because more came than it was to have."""
    overlong = isinstance(error, errors.TooLarge) and upload.length is not None
    return overlong and not upload.state.is_final and version_of(head).overlong_invalidates


def _is_verdict(error: BaseException, upload: Upload | None) -> bool:
    """True if the error is about the whole file: going on with the upload would not help."""
    failed = upload is not None and upload.state is UploadState.FAILED
    whole = isinstance(error, errors.DigestMismatch) and failed
    return whole or isinstance(error, errors.Vetoed | errors.NameConflict)


def _refuse_after_completion(error: TowpathError, head: Head, upload: Upload) -> Reply:
    """An append to what is complete already."""
    spoken = version_of(head)
    if INCONSISTENT in spoken.problems and COMPLETED not in spoken.problems:
        if read_integer(head.get("upload-offset")) != upload.offset:
            return _mismatch(error, head, upload.offset)
        return _typed(error, spoken, INCONSISTENT, 400)
    return _typed(error, spoken, COMPLETED, 400)


def _mismatch(error: TowpathError, head: Head, offset: int) -> Reply:
    """Mismatching Offset."""
    provided = read_integer(head.get("upload-offset"))
    extra: dict[str, str | int] = {"expected-offset": offset}
    if provided is not None:
        extra["provided-offset"] = provided
    reply = _typed(error, version_of(head), MISMATCHING, 409, extra)
    return reply.with_fields(("upload-offset", str(offset)))


def _typed(
    error: TowpathError,
    spoken: Interop,
    kind: str,
    status: int,
    extra: dict[str, str | int] | None = None,
) -> Reply:
    """A problem of the draft's own type, in versions that have it."""
    own: dict[str, str | int] = {"type": _TYPES + kind, **(extra or {})}
    return problem(
        status,
        error.what,
        why=error.why,
        todo=error.todo,
        code=error.code,
        extra=own if kind in spoken.problems else extra,
    )


def _gone(spoken: Interop) -> Reply:
    return problem(
        spoken.gone,
        "The upload is no more.",
        why="It expired, it became invalid, or bytes of it were lost.",
        todo="Begin a new upload.",
        code="expired",
    )


# --- a lost final response -----------------------------------------------------------------------


def remember(reply: Reply) -> str:
    """A final answer as text, for the upload's memo."""
    body = base64.b64encode(reply.body).decode("ascii")
    kept = {"status": reply.status, "fields": reply.fields, "body": body}
    return json.dumps(kept, separators=(",", ":"))


def replay(memo: str) -> Reply:
    """The answer that was remembered."""
    kept: Mapping[str, Any] = json.loads(memo)
    return Reply(
        status=kept["status"],
        fields=tuple((name, value) for name, value in kept["fields"]),
        body=base64.b64decode(kept["body"]),
    )
