"""From a filled upload to an object with a name.

Rules: the store seals first, with a manifest that says everything the ledger will; then object,
segment, name, upload and outbox row become true in one commit. Every step may be repeated.
"""

from __future__ import annotations

from dataclasses import replace

from towpath.core.model import Name, Object, OnConflict, Outbox, Segment, Upload, UploadState
from towpath.core.names import alternatives
from towpath.core.transfer import move
from towpath.engine.live import Live
from towpath.engine.release import forget_name, unlink
from towpath.errors import Duplicate, NameConflict, NotFound, Stale, StateConflict
from towpath.ledger.base import Add, Change, Ledger, Update
from towpath.store.base import Manifest, Store

_MOST_TRIES = 10_000


def publish(store: Store, ledger: Ledger, live: Live, *, now: int) -> Object:
    """Make the object of a filled upload, or find the one it has. Blocks.

    Raises StateConflict while bytes are missing, NameConflict, StoreError.
    """
    upload = live.upload
    if upload.state is UploadState.COMPLETE:
        done = ledger.get(Object, upload.id)
        if done is None:
            raise NotFound("The object is gone.", why="It was removed.", todo="Upload it again.")
        return done
    if upload.state not in {UploadState.FILLED, UploadState.SEALING} or upload.length is None:
        raise StateConflict(
            "The upload cannot be completed yet.",
            why=f"It is {upload.state.value}; {live.extent.offset} bytes are durable.",
            todo="Send what is missing.",
        )
    fails = upload.name is not None and upload.on_conflict is OnConflict.FAIL
    if fails and ledger.get(Name, upload.tenant, upload.name or "") is not None:
        raise _name_is_taken(upload.name or "")
    length = upload.length
    if not store.properties.seals_quickly and upload.state is UploadState.FILLED:
        live.change(ledger, lambda filled: move(filled, UploadState.SEALING, now=now))
        upload = live.upload
    made = object_of(upload, now=now)
    address = store.seal(upload.handle, length, manifest_of(upload, made))
    return _commit(store, ledger, live, made, address, now=now)


def object_of(upload: Upload, *, now: int) -> Object:
    """The object that a filled upload becomes."""
    return Object(
        tenant=upload.tenant,
        owner=upload.owner,
        id=upload.id,
        length=upload.offset,
        crc=upload.crc,
        media_type=upload.media_type,
        metadata=upload.metadata,
        created_at=now,
    )


def manifest_of(upload: Upload, made: Object) -> Manifest:
    """What stands beside the object, enough for `ledger rebuild`."""
    return Manifest(
        record={
            "format": 1,
            "id": made.id,
            "tenant": made.tenant,
            "owner": made.owner,
            "length": made.length,
            "crc64nvme": f"{made.crc:016x}",
            "digests": made.digests,
            "media_type": made.media_type,
            "metadata": made.metadata,
            "name": upload.name,
            "dialect": upload.dialect,
            "created_at": upload.created_at,
            "completed_at": made.created_at,
        }
    )


def _commit(
    store: Store, ledger: Ledger, live: Live, made: Object, address: str, *, now: int
) -> Object:
    """Object, segment, name, upload and outbox row, together; the name is chosen until one fits."""
    upload = live.upload
    facts: list[Change] = [
        Add(made),
        Add(_segment(made, address)),
        Add(_completed(upload, now=now)),
    ]
    if upload.state is UploadState.FILLED:
        upload = move(upload, UploadState.SEALING, now=now)
    done = replace(move(upload, UploadState.COMPLETE, now=now), expires_at=None, handle="")
    if upload.name is None:
        live.end(ledger, done, facts)
        return replace(made, version=1)
    paths = alternatives(upload.name)
    path = next(paths)
    for _ in range(_MOST_TRIES):
        taken = ledger.get(Name, upload.tenant, path)
        if taken is not None and upload.on_conflict is OnConflict.FAIL:
            raise _name_is_taken(path)
        if taken is not None and upload.on_conflict is OnConflict.KEEP_BOTH:
            path = next(paths)
            continue
        naming, leftovers = _naming(ledger, upload, path, taken, now=now)
        try:
            live.end(ledger, replace(done, name=path), [*facts, *naming])
        except (Duplicate, Stale):
            if ledger.get(Upload, upload.id) != live.upload or ledger.get(Object, made.id):
                raise
            continue  # what has the name moved in between: look at it again
        for leftover in leftovers:
            unlink(store, ledger, leftover)
        return replace(made, version=1)
    raise NameConflict(
        "No free name was found.",
        why=f"Too many objects are called like “{upload.name}”.",
        todo="Complete it under another name.",
    )


def _naming(
    ledger: Ledger, upload: Upload, path: str, taken: Name | None, *, now: int
) -> tuple[list[Change], list[Outbox]]:
    """Changes that give `path` to the upload, and what must be removed after."""
    name = Name(
        tenant=upload.tenant, owner=upload.owner, path=path, object=upload.id, updated_at=now
    )
    if taken is None:
        return [Add(name)], []
    gone, leftovers = forget_name(ledger, taken, now=now)
    return [Update(replace(name, version=taken.version)), *gone], leftovers


def _name_is_taken(path: str) -> NameConflict:
    return NameConflict(
        f"The name “{path}” is taken.",
        why="An object has it, and the upload said to fail then.",
        todo="Remove that object, or begin an upload with another name.",
    )


def _segment(made: Object, address: str) -> Segment:
    return Segment(
        tenant=made.tenant,
        owner=made.owner,
        object=made.id,
        position=0,
        address=address,
        start=0,
        end=made.length,
    )


def _completed(upload: Upload, *, now: int) -> Outbox:
    return Outbox(
        tenant=upload.tenant,
        owner=upload.owner,
        id=f"completed:{upload.id}",
        kind="completed",
        subject=upload.id,
        created_at=now,
        due_at=now,
    )
