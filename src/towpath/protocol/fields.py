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

from towpath.errors import Malformed

LARGEST = 2**63 - 1
"""The largest length or offset: what a file system and a database column can hold."""

_DIGITS = re.compile(r"[0-9]{1,19}\Z")
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


def read_media_type(text: str | None) -> str | None:
    """A media type without parameters, if it has the form of one; else None."""
    if text is None:
        return None
    plain = text.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.match(plain) else None


def same_media_type(text: str | None, wanted: str) -> bool:
    """True if the Content-Type is `wanted`, whatever its case and parameters."""
    return text is not None and text.partition(";")[0].strip().lower() == wanted


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


def write_name(name: str) -> str:
    """A name as a field value: percent-encoded UTF-8, slashes kept."""
    return urllib.parse.quote(name, safe="/")
