"""Readers and writers of field values that several dialects share. One owner per format.

Readers raise Malformed naming the field; none trusts its text: `int()` would take "+5", "1_000"
and the digits of every script.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from towpath.core.digest import SHA256
from towpath.errors import Malformed, NotFound

LARGEST = 2**63 - 1
"""The largest length or offset: what a file system and a database column can hold."""

_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_KEY = re.compile(r"[0-9a-z]{8,64}\Z")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*)')
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}\Z")


def read_size(text: str, *, field: str) -> int:
    """A number of bytes: ASCII digits only, at most 2**63 - 1. Raises Malformed."""
    if _DIGITS.match(text) and int(text) <= LARGEST:
        return int(text)
    raise Malformed(
        f"{field} cannot be read.",
        field=field,
        why=f"“{ascii(text[:40])[1:-1]}” is not a whole number from 0 to {LARGEST}.",
        todo="Send it as ASCII digits, without sign, point, space or underscore.",
    )


def read_key(path: str) -> str:
    """The upload that a path names, relative to where uploads live. Raises NotFound."""
    key = path.strip("/")
    if _KEY.match(key):
        return key
    raise NotFound(
        "There is no such upload.",
        why="This cannot be the address of one.",
        todo="Use the Location that the creation answered.",
    )


def read_body_length(length: str | None, coding: str | None) -> int | None:
    """Body bytes that Content-Length and Transfer-Encoding announce: 0: none, None: not said.

    Raises Malformed for a coding other than chunked.
    """
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise Malformed(
                "The body's coding is not undone here.",
                field="Transfer-Encoding",
                why="Only chunked is.",
                todo="Send the bytes as they are.",
            )
        return None
    return 0 if length is None else read_size(length, field="Content-Length")


def read_media_type(text: str | None) -> str | None:
    """A media type without parameters, if it has the form of one; else None."""
    if text is None:
        return None
    plain = text.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.match(plain) else None


def same_media_type(text: str | None, wanted: str) -> bool:
    """True if the Content-Type is `wanted`, whatever its case and parameters."""
    return text is not None and text.partition(";")[0].strip().lower() == wanted


def read_sha256(text: str | None, *, field: str) -> dict[str, bytes]:
    """A SHA-256 in hexadecimal by its name, `sha256:` before it or not; {} if there is none.

    Raises Malformed.
    """
    if not text:
        return {}
    digits = text.lower().removeprefix("sha256:")
    if not _SHA256.match(digits):
        raise Malformed(
            f"{field} cannot be read.",
            field=field,
            why="There is no SHA-256 in hexadecimal where one is to be.",
            todo="Send 64 hexadecimal digits, or leave it out.",
        )
    return {SHA256: bytes.fromhex(digits)}


def write_date(milliseconds: int) -> str:
    """An IMF-fixdate, in GMT (RFC 9110 section 5.6.7)."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return format_datetime(moment, usegmt=True)


def read_date(text: str) -> int | None:
    """Milliseconds since 1970 of an HTTP date; None if it is none (RFC 9110 section 5.6.7)."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp()) * 1000
    except (OverflowError, ValueError):
        return None


def read_tags(text: str) -> Iterator[str]:
    """The entity tags of If-Match and If-None-Match, weak ones as W/"..."; "*" as itself."""
    if text.strip() == "*":
        yield "*"
        return
    yield from re.findall(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"', text)


def write_disposition(name: str, *, kind: str = "attachment") -> str:
    """A Content-Disposition that no name can break out of (RFC 6266, RFC 8187)."""
    last = name.rpartition("/")[2] or "download"
    plain = re.sub(r"[^A-Za-z0-9 !#$&()+,.;=@^_`{}~\[\]-]", "_", last)[:150].strip() or "download"
    value = f'{kind}; filename="{plain}"'
    if plain != last:
        value += f"; filename*=UTF-8''{urllib.parse.quote(last, safe='')}"
    return value


def read_disposition(text: str | None) -> str | None:
    """The file name in a Content-Disposition (RFC 6266 section 4.3), without any folders.

    `filename*` (RFC 8187) counts before `filename`; what cannot be read is as if not there.
    """
    found = {name.lower(): value for name, value in _PARAMETER.findall(text or "")}
    name = _read_extended(found.get("filename*", ""))
    if name is None and (plain := found.get("filename")) is not None:
        if plain.startswith('"'):
            plain = re.sub(r"\\(.)", r"\1", plain[1:-1])
        name = _read_utf_8(plain)
    return None if name is None else re.split(r"[/\\]", name)[-1].strip() or None


def _read_utf_8(latin: str) -> str:
    """Field values are Latin-1; what many senders put there is UTF-8."""
    try:
        return latin.encode("latin-1").decode()
    except ValueError:
        return latin


def _read_extended(value: str) -> str | None:
    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote or charset.lower() not in {"utf-8", "iso-8859-1"}:
        return None
    try:
        return urllib.parse.unquote(encoded, encoding=charset, errors="strict")
    except ValueError:
        return None


def write_name(name: str) -> str:
    """A name as a field value: percent-encoded UTF-8, slashes kept."""
    return urllib.parse.quote(name, safe="/")
