"""Objects made of other objects' segments, without moving a byte: O(parts).

Rules: the bytes are shared, and go when the last object that has them goes; what is shared must
still be there when the new object is committed; a small object without
bytes stands in the store under the new one's own key, and carries its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towpath.core.caller import Caller
from towpath.core.digest import SHA256, combine, hasher
from towpath.core.model import Object, Segment, Upload, UploadState
from towpath.errors import NotFound, StateConflict
from towpath.ledger.base import Ledger, Query
from towpath.store.base import Store

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
    for key in keys:
        if key not in objects or objects[key].tenant != upload.tenant:
            raise _missing(ledger, upload, key)
    return _compose(ledger, keys, objects)


def _compose(ledger: Ledger, keys: Sequence[str], objects: Mapping[str, Object]) -> Composed:
    segments = _segments(ledger, set(keys))
    pieces: list[tuple[str, int, int]] = []
    length = crc = 0
    for key in keys:
        part = objects[key]
        pieces.extend((s.address, s.start, s.end) for s in segments[key] if s.end > s.start)
        crc = combine(crc, part.crc, part.length)
        length += part.length
    only = objects[keys[0]] if len(keys) == 1 else None
    return Composed(length, crc, tuple(pieces), None if only is None else only.sha256)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is of parts before they are made one."""

    length: int | None  # bytes of all; None while one's length is not known
    composed: Composed | None  # None while one of them is unfinished, or not there


def survey(ledger: Ledger, caller: Caller, parts: Sequence[str]) -> Survey:
    """Look at the caller's parts. Blocks."""
    objects = {
        key: made
        for key, made in _objects(ledger, set(parts)).items()
        if caller.owns(made.tenant, made.owner)
    }
    if len(objects) == len(set(parts)):
        composed = _compose(ledger, parts, objects)
        return Survey(composed.length, composed)
    lengths: dict[str, int | None] = {key: made.length for key, made in objects.items()}
    for some in _in_pages(sorted(set(parts) - lengths.keys())):
        for row in ledger.list(Upload, Query(where={"id": tuple(some)}, limit=len(some))):
            if caller.owns(row.tenant, row.owner):
                lengths[row.id] = row.length
    found = [lengths.get(key) for key in parts]
    known = [length for length in found if length is not None]
    return Survey(sum(known) if len(known) == len(found) else None, None)


def sha256_of(store: Store, composed: Composed) -> bytes:
    """SHA-256 of the bytes, which are all read for it. Blocks. Raises StoreError."""
    digest = hasher(SHA256)
    for address, start, end in composed.pieces:
        reading = store.read(address, start, end)
        try:
            for block in reading:
                digest.update(block)
        finally:
            reading.close()
    return digest.digest()


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


def _missing(ledger: Ledger, upload: Upload, key: str) -> NotFound | StateConflict:
    part = ledger.get(Upload, key)
    gone = part is None or part.state is UploadState.COMPLETE  # and its object was removed
    if part is None or gone or not _same_owner(part, upload):
        return NotFound(
            "A part of the upload is not there.",
            why="It never was, it was removed, or it is not yours.",
            todo="Upload the part again and name it by its own address.",
        )
    return StateConflict(
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
