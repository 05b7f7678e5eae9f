"""A ledger made again from the manifests that stand beside the objects.

Rules: adds what is missing and changes nothing that is true; may be repeated; what was forgotten or
given up stays so; unfinished uploads cannot be rebuilt, their bytes stay where they are until a
sweep moves them to lost+found.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice

from towpath.core.digest import SHA256, parse_digests
from towpath.core.model import Island, Lease, Name, Object, Outbox, Segment, Upload
from towpath.core.names import alternatives
from towpath.core.state import UploadState
from towpath.engine.engine import GIVEN_UP
from towpath.engine.release import note_of
from towpath.engine.segments import read_pieces, rows, whole
from towpath.errors import Duplicate, StoreError
from towpath.ledger.base import Add, Change, Ledger, Query, Remove, Update, every
from towpath.store.base import Store, Stored

_MOST_ALTERNATIVES = 10_000
_LEFT_TO_SWEEP = GIVEN_UP | {UploadState.FILLED, UploadState.SEALING}


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found."""

    added: int = 0
    known: int = 0
    unreadable: list[str] = field(default_factory=list)


def rebuild(store: Store, ledger: Ledger) -> Rebuilt:
    """Add every object that has a manifest and no row. Blocks. Raises LedgerError, StoreError."""
    done = Rebuilt()
    after = ""
    while page := store.list(after):
        after = page[-1].at
        for stored in page:
            if stored.kind != "object":
                continue
            try:
                added = _add(ledger, stored)
            except (KeyError, TypeError, ValueError, StoreError):
                done.unreadable.append(stored.at)
                continue
            done.added += added
            done.known += not added
    return done


def _add(ledger: Ledger, stored: Stored) -> bool:
    if stored.manifest is None:
        raise ValueError(stored.at)
    made, asked = _object(stored)
    if ledger.get(Object, made.id) is not None:
        return False
    upload = ledger.get(Upload, made.id)
    if upload is not None and upload.state in _LEFT_TO_SWEEP:
        return False
    if ledger.get(Outbox, note_of(stored.at)) is not None:
        return False  # it was forgotten: its bytes are still to be removed
    facts: list[Change] = [Add(made), *(Add(segment) for segment in _segments(stored, made))]
    if upload is None:
        facts.append(Add(_upload(stored, made, asked)))
    elif upload.state is UploadState.OPEN:  # the ledger is older than the object
        done = replace(_upload(stored, made, asked), fence=upload.fence, version=upload.version)
        facts.append(Update(done))
        of_it = Query(where={"upload": upload.id})
        facts.extend(Remove(Island, row.key) for row in every(ledger, Island, of_it))
        facts.extend(Remove(Lease, row.key) for row in every(ledger, Lease, of_it))
    if asked is None:
        ledger.commit(facts)
        return True
    for path in islice(alternatives(asked), _MOST_ALTERNATIVES):
        if ledger.get(Name, made.tenant, path) is None:
            name = Name(
                tenant=made.tenant,
                owner=made.owner,
                path=path,
                object=made.id,
                updated_at=made.created_at,
            )
            try:
                ledger.commit([*facts, Add(name)])
            except Duplicate:
                continue
            return True
    return False


def _segments(stored: Stored, made: Object) -> list[Segment]:
    record = stored.manifest.record if stored.manifest is not None else {}
    pieces = record.get("pieces")
    if pieces is None:
        return [whole(made, stored.at)]
    return rows(made, stored.at, read_pieces(str(pieces)))


def _object(stored: Stored) -> tuple[Object, str | None]:
    record = stored.manifest.record if stored.manifest is not None else {}
    media_type, name = record["media_type"], record["name"]
    made = Object(
        tenant=str(record["tenant"]),
        owner=str(record["owner"]),
        id=str(record["id"]),
        length=int(record["length"] or 0),
        crc=int(str(record["crc64nvme"]), 16),
        digests=str(record["digests"]),
        sha256=parse_digests(str(record["digests"])).get(SHA256),
        media_type=None if media_type is None else str(media_type),
        metadata=str(record["metadata"]),
        created_at=int(record["completed_at"] or 0),
    )
    return made, None if name is None else str(name)


def _upload(stored: Stored, made: Object, name: str | None) -> Upload:
    record = stored.manifest.record if stored.manifest is not None else {}
    return Upload(
        tenant=made.tenant,
        owner=made.owner,
        id=made.id,
        state=UploadState.COMPLETE,
        length=made.length,
        offset=made.length,
        crc=made.crc,
        handle="",
        name=name,
        media_type=made.media_type,
        metadata=made.metadata,
        dialect=str(record["dialect"]),
        created_at=int(record["created_at"] or 0),
        updated_at=made.created_at,
        expires_at=None,
    )
