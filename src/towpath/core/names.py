"""Names of objects: paths of a tenant, never paths of a disk.

A name is UTF-8 text of segments joined by "/". It has no empty, "." or ".." segment, no
backslash, no control character, no lone surrogate, and does not begin with "/": so that it can be
shown, copied and downloaded anywhere without meaning anything to a shell or a file system.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import count

from towpath.errors import Malformed

_HIDDEN = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_LONGEST_SEGMENT = 255  # bytes, as file systems have it
_LONGEST_SUFFIX = 64  # bytes; what is longer is part of the stem


def check_name(name: str, *, longest: int = 1024, field: str = "name") -> str:
    """`name` in Unicode's NFC form, if it can be a name of at most `longest` bytes.

    Raises Malformed saying what is wrong with it.
    """
    name = unicodedata.normalize("NFC", name)  # first, since it may make a name longer
    wrong = _what_is_wrong(name)
    if not wrong and len(name.encode()) > longest:
        wrong = f"it is longer than {longest} bytes"
    if wrong:
        raise Malformed(
            "This cannot be a name.",
            field=field,
            why=f"In “{ascii(name[:80])[1:-1]}” {wrong}.",
            todo="Use a relative path such as folder/file.bin.",
        )
    return name


def _what_is_wrong(name: str) -> str:
    if not name:
        return "there is nothing"
    if "\\" in name:
        return "there is a backslash"
    if any(unicodedata.category(c) in _HIDDEN or c in _DIRECTION for c in name):
        return "there is a control character"
    for segment in name.split("/"):
        if segment in {"", ".", ".."}:
            return f"there is the segment “{segment}”"
        if len(segment.encode()) > _LONGEST_SEGMENT:
            return f"a segment is longer than {_LONGEST_SEGMENT} bytes"
    return ""


def alternatives(name: str) -> Iterator[str]:
    """Names to try when `name` is taken: a/b.tar.gz, a/b (2).tar.gz, a/b (3).tar.gz, ...

    Where a segment would become too long, the stem gives way.
    """
    folder, slash, last = name.rpartition("/")
    stem, dot, suffix = last.partition(".")
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX:  # .hidden, or no suffix at all
        stem, dot, suffix = last, "", ""
    yield name
    for number in count(2):
        end = f" ({number}){dot}{suffix}"
        room = _LONGEST_SEGMENT - len(end.encode())
        yield f"{folder}{slash}{_cut(stem, room)}{end}"


def _cut(text: str, size: int) -> str:
    """As much of the text as fits into `size` bytes."""
    return text.encode()[:size].decode(errors="ignore")
