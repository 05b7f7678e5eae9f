"""Requests that spare bytes: the map of an object's chunks, and copies of what is here already.

Rules: a range that is copied is never empty; one request copies from one object, and no more than
a server does while somebody waits for the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from towpath.codec.cdc import CUTS, Cut
from towpath.errors import Malformed, NotFound
from towpath.protocol.fields import LARGEST, read_key
from towpath.protocol.values import text

MOST_COPIES = 1000
"""Ranges of one request."""

MOST_COPIED = 1 << 30
"""Bytes of one request."""

MAP_TYPE = "application/octet-stream"

Run = tuple[int, int, int]
"""Bytes start <= b < end of the object, and where they go in the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Fill ranges of an upload with bytes of an object that the caller may read."""

    key: str
    source: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Tell where an object is cut by its content, and the SHA-256 of each chunk."""

    key: str
    cut: Cut


def parse_copy(key: str, values: Mapping[str, object]) -> Copy:
    """Raises Malformed."""
    try:
        source = read_key(text(values, "from", most=64) or "")
    except NotFound:
        raise _malformed("from", "It is no object's id.", "Name the object to copy from.") from None
    given = values.get("ranges")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_COPIES:
        raise _malformed(
            "ranges", f"It is not a list of 1 to {MOST_COPIES} ranges.", "Copy fewer at once."
        )
    runs = tuple(_read_run(each) for each in given)
    if sum(end - start for start, end, _ in runs) > MOST_COPIED:
        raise _malformed(
            "ranges", f"They have more than {MOST_COPIED} bytes.", "Copy fewer bytes at once."
        )
    return Copy(key=key, source=source, runs=runs)


def _read_run(value: object) -> Run:
    if isinstance(value, list) and len(value) == 3 and all(type(each) is int for each in value):
        start, end, at = value
        if 0 <= start < end <= LARGEST and 0 <= at <= LARGEST - (end - start):
            return start, end, at
    raise _malformed(
        "ranges",
        "A range is not [START, END, AT] with START < END.",
        "Send whole numbers: bytes START <= b < END of the object go to AT.",
    )


def parse_map(key: str, values: Mapping[str, object]) -> Map:
    """Raises Malformed."""
    name = text(values, "cut", most=64) or next(iter(CUTS))
    if name not in CUTS:
        raise _malformed("cut", f"It is none of {', '.join(CUTS)}.", "Choose one, or leave it out.")
    return Map(key=key, cut=CUTS[name])


def describe_copy(command: Copy) -> dict[str, object]:
    """The JSON that asks for it."""
    return {"from": command.source, "ranges": command.runs}


def _malformed(field: str, why: str, todo: str) -> Malformed:
    return Malformed(f"{field} cannot be read.", field=field, why=why, todo=todo)
