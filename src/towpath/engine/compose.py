"""What others' objects give when they are made one, without moving a byte: O(parts).

Rules: the bytes are shared, and go when the last object that has them goes; an object never
changes, so what is known of a part stays true while it is there; that it is there is expected when
the whole is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from towpath.core.caller import Caller
from towpath.core.crc import combine
from towpath.core.digest import SHA256, hasher
from towpath.core.model import Object, Segment, Upload
from towpath.core.state import UploadState
from towpath.engine.segments import Piece, segments
from towpath.errors import NotFound, StateConflict
from towpath.ledger.base import Ledger, Query, every
from towpath.store.base import Store

_PAGE = 500


class Part(NamedTuple):
    """What is to be known of an object that others are made of."""

    tenant: str
    owner: str
    length: int
    crc: int
    sha256: bytes | None
    pieces: tuple[Piece, ...]


class Parts:
    """Complete uploads by their ids, as parts: the newest are remembered, others looked up."""

    def __init__(self, ledger: Ledger, *, most: int = 10_000) -> None:
        """`most`: how many are remembered."""
        self.ledger = ledger
        self._most = most
        self._known: dict[str, Part] = {}
        self._lock = threading.Lock()

    def remember(self, made: Object, address: str) -> None:
        """Keep in mind an object that has just become one, all of it at one address."""
        with self._lock:
            self._known[made.id] = _part(made, [(address, 0, made.length)])
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]

    def forget(self, keys: Collection[str]) -> None:
        """Look these up the next time: one of them is gone."""
        with self._lock:
            for key in keys:
                self._known.pop(key, None)

    def find(self, keys: Collection[str]) -> dict[str, Part]:
        """Those of them that are complete. One that was removed may be among them. Blocks."""
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        return found | self._look_up([key for key in keys if key not in found])

    def _look_up(self, keys: Sequence[str]) -> dict[str, Part]:
        found: dict[str, Part] = {}
        for some in _in_pages(sorted(set(keys))):
            objects = self.ledger.list(Object, Query(where={"id": tuple(some)}, limit=len(some)))
            pieces = self._pieces(some)
            for made in objects:
                part = _part(made, pieces[made.id])
                if sum(end - start for _, start, end in part.pieces) != made.length:
                    part = _part(made, [_piece(row) for row in segments(self.ledger, made)])
                found[made.id] = part
        return found

    def _pieces(self, keys: Sequence[str]) -> dict[str, list[Piece]]:
        found: dict[str, list[Piece]] = {key: [] for key in keys}
        for row in every(self.ledger, Segment, Query(where={"object": tuple(keys)})):
            found[row.object].append(_piece(row))
        return found


@dataclass(frozen=True, slots=True)
class Composed:
    """What an object made of others consists of."""

    length: int
    crc: int
    pieces: tuple[Piece, ...]
    sha256: bytes | None = None  # known when there is one part, and it has one


def compose(parts: Parts, upload: Upload) -> Composed:
    """What the upload's parts give, in their order; a part may come twice. Blocks.

    Raises NotFound when a part is gone or somebody else's, StateConflict when one is unfinished.
    """
    keys = upload.parts.split()
    found = parts.find(set(keys))
    for key in keys:
        if key not in found or found[key].tenant != upload.tenant:
            raise _missing(parts.ledger, upload, key)
    return _compose(keys, found)


def _compose(keys: Sequence[str], found: Mapping[str, Part]) -> Composed:
    pieces: list[Piece] = []
    length = crc = 0
    for key in keys:
        part = found[key]
        pieces.extend(part.pieces)
        crc = combine(crc, part.crc, part.length)
        length += part.length
    return Composed(length, crc, tuple(pieces), found[keys[0]].sha256 if len(keys) == 1 else None)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is of parts before they are made one."""

    length: int | None  # bytes of all; None while one's length is not known
    composed: Composed | None  # None while one of them is unfinished, or not there


def survey(parts: Parts, caller: Caller, keys: Sequence[str]) -> Survey:
    """Look at the caller's parts. Blocks."""
    wanted, owns = set(keys), cache(caller.owns)  # most have one owner
    found = {k: part for k, part in parts.find(wanted).items() if owns(part.tenant, part.owner)}
    if len(found) == len(wanted):
        composed = _compose(keys, found)
        return Survey(composed.length, composed)
    lengths: dict[str, int | None] = {key: part.length for key, part in found.items()}
    for some in _in_pages(sorted(wanted - lengths.keys())):
        for row in parts.ledger.list(Upload, Query(where={"id": tuple(some)}, limit=len(some))):
            if owns(row.tenant, row.owner):
                lengths[row.id] = row.length
    each = [lengths.get(key) for key in keys]
    known = [length for length in each if length is not None]
    return Survey(sum(known) if len(known) == len(each) else None, None)


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


def _part(made: Object, pieces: Sequence[Piece]) -> Part:
    filled = tuple(piece for piece in pieces if piece[2] > piece[1])
    return Part(made.tenant, made.owner, made.length, made.crc, made.sha256, filled)


def _piece(row: Segment) -> Piece:
    return row.address, row.start, row.end


def _in_pages(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE)]
