"""Objects made of other objects' segments, without moving a byte: O(parts).

Rules: the bytes are shared, and go when the last object that has them goes; a small object without
bytes stands in the store under the new one's own key, and carries its manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from towpath.core.caller import Caller
from towpath.core.digest import combine
from towpath.core.model import Object, Segment, Upload
from towpath.errors import NotFound, StateConflict
from towpath.ledger.base import Ledger, Query

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Composed:
    """What an object made of others consists of."""

    length: int
    crc: int
    pieces: tuple[tuple[str, int, int], ...]  # address, start, end
    sha256: bytes | None = None  # known when there is one part, and it has one

    def as_text(self) -> str:
        """The pieces as a manifest keeps them."""
        return " ".join(f"{address}:{start}:{end}" for address, start, end in self.pieces)


def read_pieces(text: str) -> tuple[tuple[str, int, int], ...]:
    """The pieces that a manifest keeps. Raises ValueError."""
    found = []
    for word in text.split():
        address, start, end = word.rsplit(":", 2)
        found.append((address, int(start), int(end)))
    return tuple(found)


def compose(ledger: Ledger, upload: Upload) -> Composed:
    """What the upload's parts give, in their order; a part may come twice. Blocks.

    Raises NotFound when a part is gone or somebody else's, StateConflict when one is unfinished.
    """
    keys = upload.parts.split()
    objects = _objects(ledger, set(keys))
    segments = _segments(ledger, set(keys))
    pieces: list[tuple[str, int, int]] = []
    length = crc = 0
    for key in keys:
        part = objects.get(key)
        if part is None or part.tenant != upload.tenant:
            _refuse(ledger, upload, key)
            continue
        pieces.extend((s.address, s.start, s.end) for s in segments[key] if s.end > s.start)
        crc = combine(crc, part.crc, part.length)
        length += part.length
    only = objects.get(keys[0]) if len(keys) == 1 else None
    return Composed(length, crc, tuple(pieces), None if only is None else only.sha256)


def length_of(ledger: Ledger, caller: Caller, parts: Sequence[str]) -> int | None:
    """The bytes of the caller's parts together; None while one's length is not known. Blocks."""
    lengths: dict[str, int | None] = {
        key: made.length
        for key, made in _objects(ledger, set(parts)).items()
        if caller.owns(made.tenant, made.owner)
    }
    for some in _in_pages(sorted(set(parts) - lengths.keys())):
        for row in ledger.list(Upload, Query(where={"id": tuple(some)}, limit=len(some))):
            if caller.owns(row.tenant, row.owner):
                lengths[row.id] = row.length
    found = [lengths.get(key) for key in parts]
    known = [length for length in found if length is not None]
    return sum(known) if len(known) == len(found) else None


def segments_of(made: Object, address: str, composed: Composed) -> list[Segment]:
    """The rows: first the one without bytes that carries the manifest, then the pieces."""
    places = [(address, 0, 0), *composed.pieces]
    return [
        Segment(
            tenant=made.tenant,
            owner=made.owner,
            object=made.id,
            position=position,
            address=where,
            start=start,
            end=end,
        )
        for position, (where, start, end) in enumerate(places)
    ]


def _refuse(ledger: Ledger, upload: Upload, key: str) -> None:
    part = ledger.get(Upload, key)
    if part is None or not _same_owner(part, upload):
        raise NotFound(
            "A part of the upload is not there.",
            why="It never was, it was removed, or it is not yours.",
            todo="Upload the part again and name it by its own address.",
        )
    raise StateConflict(
        "A part of the upload is not complete yet.",
        why=f"One of them is {part.state.value}.",
        todo="Send what it is missing, then ask again.",
    )


def _same_owner(part: Upload, upload: Upload) -> bool:
    return (part.tenant, part.owner) == (upload.tenant, upload.owner)


def _objects(ledger: Ledger, keys: set[str]) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for some in _in_pages(sorted(keys)):
        rows = ledger.list(Object, Query(where={"id": tuple(some)}, limit=len(some)))
        found.update({row.id: row for row in rows})
    return found


def _segments(ledger: Ledger, keys: set[str]) -> dict[str, list[Segment]]:
    found: dict[str, list[Segment]] = {key: [] for key in keys}
    for some in _in_pages(sorted(keys)):
        query = Query(where={"object": tuple(some)}, limit=100_000)
        for row in ledger.list(Segment, query):
            found[row.object].append(row)
    return found


def _in_pages(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE)]
