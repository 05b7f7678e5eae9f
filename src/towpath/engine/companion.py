"""What belongs to an encrypted object: the record of its keys, which goes wherever its name goes.

Rules: the record stands beside its object, as docs/reference/format.md has it; it is named, moved
and removed in the same commit, so that nobody sees one without the other; if its upload ends
without an object, it ends in that commit; nothing is taken for it that does not say itself that it
is for this very file. Functions block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from towpath.codec import SEALED
from towpath.codec.beside import file_id_of, record_name
from towpath.codec.compress import SKIPPED
from towpath.codec.container import FOOTER, Footer, Head
from towpath.codec.record import LONGEST_RECORD, KeyRecord
from towpath.core.metadata import read_metadata
from towpath.core.model import Name, Object, Segment, Upload
from towpath.engine.segments import segments
from towpath.errors import NotFound, StoreLost, Unreadable
from towpath.ledger.base import Add, Change, Ledger, Remove
from towpath.store.base import Store


@dataclass(frozen=True, slots=True)
class Companion:
    """The record of an object's keys, by the name that it has."""

    name: Name
    file_id: bytes

    def place(self, path: str) -> Name:
        """Its name beside an object that is called `path`."""
        return replace(self.name, path=record_name(path, self.file_id), version=0)

    def move(self, there: Name, *, now: int) -> list[Change]:
        """Changes that call it so."""
        if there.path == self.name.path:
            return []
        return [
            Remove(Name, self.name.key, self.name.version),
            Add(replace(there, updated_at=now)),
        ]


def companion_of(store: Store, ledger: Ledger, name: Name) -> Companion | None:
    """The record of the keys of what `name` points to; None if it is not encrypted, or has none."""
    made = ledger.get(Object, name.object)
    if made is None or made.media_type != SEALED:
        return None
    return find_companion(store, ledger, name.path, made, segments(ledger, made))


def find_companion(
    store: Store, ledger: Ledger, path: str, made: Object, places: Sequence[Segment]
) -> Companion | None:
    """The same of an object called `path` that need not be in the ledger; it is in `places`."""
    if made.media_type != SEALED:
        return None
    try:
        head = _head(store, made, places)
    except (NotFound, StoreLost, Unreadable):  # whatever it is: no keys open it
        return None
    found = ledger.get(Name, made.tenant, record_name(path, head.file_id))
    if found is None or not _is_for(store, ledger, found, head.file_id):
        return None
    return Companion(found, head.file_id)


def companion_of_upload(store: Store, ledger: Ledger, upload: Upload) -> Companion | None:
    """The record that an upload which never became an object leaves behind; None if it has none.

    It is its sender's own, and no object's.
    """
    if upload.media_type != SEALED or upload.name is None:
        return None
    file_id = file_id_of(read_metadata(upload.metadata))
    if file_id is None:
        return None
    found = ledger.get(Name, upload.tenant, record_name(upload.name, file_id))
    if found is None or found.owner != upload.owner or not _is_for(store, ledger, found, file_id):
        return None
    name = ledger.get(Name, upload.tenant, upload.name)
    used = None if name is None else companion_of(store, ledger, name)
    return None if used is not None and used.name.path == found.path else Companion(found, file_id)


def _head(store: Store, made: Object, places: Sequence[Segment]) -> Head:
    """What stands behind the chunks, in front of the table. Raises Unreadable, StoreError."""
    last = _bytes(store, places, max(0, made.length - FOOTER.size), made.length)
    footer = Footer.parse(last, made.length)
    start = footer.start + SKIPPED
    return Head.parse(_bytes(store, places, start, start + footer.head))


def _is_for(store: Store, ledger: Ledger, name: Name, file_id: bytes) -> bool:
    """Whether it is a record, and of this file."""
    made = ledger.get(Object, name.object)
    if made is None or made.length > LONGEST_RECORD:
        return False
    try:
        data = _bytes(store, segments(ledger, made), 0, made.length)
        return KeyRecord.parse(data).file_id == file_id
    except (NotFound, StoreLost, Unreadable):
        return False


def _bytes(store: Store, places: Sequence[Segment], start: int, end: int) -> bytes:
    """Bytes start <= b < end of an object, a few only."""
    found, at = bytearray(), 0
    for place in places:
        size = place.end - place.start
        first, stop = max(start - at, 0), min(end - at, size)
        if first < stop:
            reading = store.read(place.address, place.start + first, place.start + stop)
            try:
                for block in reading:
                    found += block
            finally:
                reading.close()
        at += size
    return bytes(found)
