"""tus 1.0 and the control API as a client speaks them: fields out, numbers and errors in.

Rules: no I/O; a field's name stands here and nowhere else in the client.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import unquote

from towpath import errors
from towpath.errors import BadAnswer, TowpathError

Fields = Mapping[str, str]

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"
_KEY = re.compile(r"[!-+\--~]+")
ATTEMPT = "attempt"  # the key of metadata that tells an upload, in all tries of it, from others


def creation(length: int | None, metadata: Mapping[str, str]) -> dict[str, str]:
    """The fields that create an upload of `length` bytes (None: not known yet).

    Raises Malformed when a key of `metadata` cannot be sent.
    """
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    return {**TUS, **size, "Upload-Metadata": _metadata(metadata)}


def whole(length: int, metadata: Mapping[str, str], sha256: bytes | None) -> dict[str, str]:
    """The fields that create an upload whose bytes come along. Raises Malformed as `creation`.

    `sha256`: of the bytes; None to say none.
    """
    fields = creation(length, metadata)
    if length:
        fields["Content-Type"] = BYTES
    if sha256 is not None:
        fields["Upload-Checksum"] = f"sha256 {base64.b64encode(sha256).decode()}"
    return fields


def partial(length: int) -> dict[str, str]:
    """The fields that create an upload of `length` bytes that is to be joined with others."""
    return {**TUS, "Upload-Length": str(length), "Upload-Concat": "partial"}


def joined(parts: Iterable[str], metadata: Mapping[str, str]) -> dict[str, str]:
    """The fields that join uploads in this order into one; `parts`: their addresses.

    Raises Malformed as `creation`.
    """
    concat = f"final;{' '.join(parts)}"
    return {**TUS, "Upload-Concat": concat, "Upload-Metadata": _metadata(metadata)}


def extensions(fields: Fields) -> frozenset[str]:
    """What a server knows beyond the core of tus, as it answers OPTIONS."""
    return frozenset(name.strip() for name in fields.get("tus-extension", "").split(","))


def speaks_tus(fields: Fields) -> bool:
    """Whether a server that answered so knows tus."""
    return "tus-resumable" in fields or "tus-version" in fields


def _metadata(metadata: Mapping[str, str]) -> str:
    for key in metadata:
        if not _KEY.fullmatch(key):
            raise errors.Malformed(
                f"{key!r} cannot be the key of metadata.",
                field=key,
                why="A key is ASCII without spaces and commas.",
            )
    return ",".join(
        f"{key} {base64.b64encode(_utf8(key, value)).decode()}" if value else key
        for key, value in metadata.items()
    )


def _utf8(key: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise errors.Malformed(
            f"{value!a} cannot be sent as {key}: it is not UTF-8.", field=key
        ) from error


def chunk(offset: int, *, length: int | None = None) -> dict[str, str]:
    """The fields of a chunk at `offset`; `length` tells the whole upload's, once."""
    size = {} if length is None else {"Upload-Length": str(length)}
    return {**TUS, **size, "Upload-Offset": str(offset), "Content-Type": BYTES}


class Standing(NamedTuple):
    """What the server says of an upload."""

    offset: int  # bytes that are durable
    length: int | None = None
    crc: int | None = None  # CRC64NVME of all bytes; None while the server does not say
    name: str | None = None  # what the object is called in the end
    complete: bool | None = None  # whether the server knows that this is all; None: not said
    most: int | None = None  # bytes of one chunk, if it bounds them


def standing(fields: Fields) -> Standing:
    """Read the offset and what comes with it. Raises BadAnswer without a valid offset."""
    offset = number(fields, "upload-offset")
    if offset is None:
        raise BadAnswer("The server did not say how far the upload is.")
    return Standing(offset, number(fields, "upload-length"), crc_of(fields), name_of(fields))


def name_of(fields: Fields) -> str | None:
    """What the object is called, if the server says so."""
    name = fields.get("upload-name")
    return unquote(name) if name else None


def number(fields: Fields, name: str) -> int | None:
    """A field that holds a count of bytes; None when it is absent."""
    text = fields.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise BadAnswer(f"The server's {name} is {text!r}.", why="That is no count of bytes.")
    return int(text)


def crc_of(fields: Fields) -> int | None:
    """The CRC64NVME that the server announces for the whole object, if it does."""
    from towpath.core.digest import CRC64NVME, parse_digests  # noqa: PLC0415 - slow to import

    try:
        value = parse_digests(fields.get("repr-digest", "")).get(CRC64NVME)
    except errors.Malformed as error:
        raise BadAnswer("The server's digest cannot be read.", why=error.why) from error
    return None if value is None else int.from_bytes(value, "big")


def seconds_to_wait(fields: Fields) -> float | None:
    """What Retry-After asks for, in seconds; None when it does not stand there."""
    text = fields.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import

    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def kinds_below(root: type[TowpathError]) -> Iterator[type[TowpathError]]:
    """A kind of error and all that are of it."""
    yield root
    for child in root.__subclasses__():
        yield from kinds_below(child)


_BY_STATUS: dict[int, type[TowpathError]] = {
    400: errors.Malformed,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.StateConflict,
    410: errors.Expired,
    412: errors.NameConflict,
    413: errors.TooLarge,
    429: errors.LimitReached,
    460: errors.DigestMismatch,
    507: errors.StoreFull,
}
_NO_SUCH = frozenset({404, 405, 501})  # what a server answers that does not know the question
_STRANGER = {
    "title": "What answers is not a Towpath server.",
    "todo": "Check the address, and what a proxy in front does with it; `towpath doctor` looks on.",
}
_SAYS_LATER = frozenset({408, 423, 425, 500, 502, 503, 504})  # the same request may work later


def refusal(status: int, fields: Fields, body: bytes, *, api: bool = False) -> TowpathError:
    """The error that an answer other than success stands for.

    `api`: it was asked what only a Towpath server knows, not about an upload or an object.
    """
    problem = _problem(fields, body)
    if not problem and status in _NO_SUCH and (api or (body and not speaks_tus(fields))):
        problem = {**_STRANGER, "detail": f"It answered {status}, and not as one does."}
    what = problem.get("title") or f"The server answered {status}."
    why, todo = problem.get("detail", ""), problem.get("todo", "")
    kind = {kind.code: kind for kind in kinds_below(TowpathError)}.get(problem.get("code", ""))
    offset = number(fields, "upload-offset")
    if kind is None and status == 409 and offset is not None:
        kind = errors.OffsetConflict
    kind = kind or _BY_STATUS.get(status)
    if kind is errors.OffsetConflict:
        return errors.OffsetConflict(_sentence(what), offset=offset or 0, why=why, todo=todo)
    if kind is None or kind is TowpathError:
        kind = errors.TransferError if status in _SAYS_LATER else BadAnswer
    error = kind(_sentence(what), why=why, todo=todo)
    if isinstance(error, errors.TransferError):
        error.retryable = status in _SAYS_LATER
    if (wait := seconds_to_wait(fields)) is not None:
        error.retry_after = ceil(wait)
    return error


def stranger(why: str) -> BadAnswer:
    """The error for an answer that no Towpath server gives."""
    return BadAnswer(_STRANGER["title"], why=why, todo=_STRANGER["todo"])


def _problem(fields: Fields, body: bytes) -> dict[str, str]:
    """The texts of an RFC 9457 answer, or nothing."""
    if "json" not in fields.get("content-type", ""):
        return {}
    try:
        found: Any = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: _printable(value) for key, value in found.items() if isinstance(value, str)}


def _printable(text: str) -> str:
    """Text from a stranger, safe to show on a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def content_range(fields: Fields) -> tuple[int, int | None]:
    """First byte and total length of a partial answer. Raises BadAnswer."""
    unit, _, rest = fields.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit():
        raise BadAnswer("The server did not say which bytes these are.")
    return int(first), int(total) if total.isdigit() else None
