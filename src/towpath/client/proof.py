"""Whether a file is still what an upload of it began with, where size and time do not tell.

Rules: another size or time means other bytes; another device, inode or moment of change may be the
same bytes (a restart, a copy, `chmod`), or bytes that were written in place and given the old time:
then all that is remembered of them is read again and compared, before another byte leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from towpath.client.resume import Note, Source
from towpath.errors import SourceChanged

Spans = Iterable[tuple[int, int, int]]
"""Ranges start <= byte < end that were read before, with their CRC64NVME."""

Crc = Callable[[int, int], int]
"""Reads a range of the file, and gives its CRC64NVME."""


def recognised(note: Note, now: Source, *, known: Spans | None, crc: Crc) -> Note:
    """The note, for the file as it stands `now`. Raises SourceChanged.

    `known`: what is remembered of its bytes; None: no checksums were computed, so that nobody can
    tell. What is not among it is read by the upload itself, which is compared at its end.
    """
    before = note.source
    if before is None or before.is_surely(now):
        return note
    before.insist_alike(now, note.path)
    if known is None:
        raise _changed(note.path, "It may have been, and no checksums were computed of it.")
    for start, end, value in known:
        if crc(start, end) != value:
            raise _changed(note.path, "It has the same size and time, and other bytes.")
    return replace(note, source=now)


def remembered(note: Note) -> Spans:
    """What a note of a plain upload tells of bytes."""
    if note.spans:
        return note.spans
    return [(0, *max(note.marks))] if note.marks else ()


def _changed(path: str, why: str) -> SourceChanged:
    return SourceChanged(
        f"{path} has changed since this transfer began.",
        why=why,
        todo="To send the file as it is now, start over (--restart).",
    )
