"""From a filled upload to an object with a name.

Rules: the store seals first, with a manifest that says everything the ledger will; then object,
segment, name, upload and outbox row become true in one commit. Every step may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from towpath.core.digest import CRC64NVME, SHA256, crc_bytes, format_digests, parse_digests
from towpath.core.model import Name, Object, OnConflict, Outbox, Segment, Upload
from towpath.core.names import alternatives
from towpath.core.state import UploadState
from towpath.core.transfer import move
from towpath.engine.companion import find_companion
from towpath.engine.compose import Parts, compose, sha256_of
from towpath.engine.live import Live
from towpath.engine.release import forget_name, unlink
from towpath.engine.segments import composed as composed_of
from towpath.engine.segments import whole, write_pieces
from towpath.errors import (
    DigestMismatch,
    Duplicate,
    LengthConflict,
    NameConflict,
    NotFound,
    Stale,
    StateConflict,
)
from towpath.ledger.base import Add, Change, Expect, Ledger, Update
from towpath.store.base import Manifest, Store

_MOST_TRIES = 10_000


def publish(store: Store, parts: Parts, live: Live, *, now: int) -> Object:
    """Make the object of a filled upload, or find the one it has. Blocks.

    Raises StateConflict while bytes are missing, NameConflict, StoreError.
    """
    ledger, upload = parts.ledger, live.upload
    if upload.state is UploadState.COMPLETE:
        done = ledger.get(Object, upload.id)
        if done is None:
            raise NotFound("The object is gone.", why="It was removed.", todo="Upload it again.")
        return done
    if upload.parts and not upload.state.is_final:
        return _publish_composed(store, parts, live, now=now)
    if upload.state not in {UploadState.FILLED, UploadState.SEALING} or upload.length is None:
        raise StateConflict(
            "The upload cannot be completed yet.",
            why=f"It is {upload.state.value}; {live.extent.offset} bytes are durable.",
            todo="Send what is missing.",
        )
    check_free(ledger, upload)
    length = upload.length
    if not store.properties.seals_quickly and upload.state is UploadState.FILLED:
        live.change(ledger, lambda filled: move(filled, UploadState.SEALING, now=now))
        upload = live.upload
    made = _proven(ledger, live, object_of(upload, now=now))
    address = store.seal(upload.handle, length, manifest_of(upload, made))
    facts = [Add(whole(made, address))]
    done = commit_object(store, ledger, live, live.upload, made, facts, now=now)
    if upload.partial:
        parts.remember(done, address)
    return done


def check_free(ledger: Ledger, upload: Upload) -> None:
    """Look before anything is sealed; the commit looks again. Raises NameConflict."""
    if upload.name is None or not (upload.replaces or upload.on_conflict is OnConflict.FAIL):
        return
    _refuse_name(upload, upload.name, ledger.get(Name, upload.tenant, upload.name))


def _refuse_name(upload: Upload, path: str, taken: Name | None) -> None:
    """Raises NameConflict if the upload may not have the name, or not take it from who has it."""
    if taken is not None and upload.on_conflict is OnConflict.FAIL:
        raise NameConflict(
            f"The name “{path}” is taken.",
            why="An object has it, and the upload said to fail then.",
            todo="Remove that object, or begin an upload with another name.",
        )
    if upload.replaces is not None and (taken is None or taken.object != upload.replaces):
        raise NameConflict(
            f"The name “{path}” is not what it was.",
            why="It was removed, or points to another object than the upload was to replace.",
            todo="Look at what it points to now, and decide again.",
        )


def _publish_composed(store: Store, parts: Parts, live: Live, *, now: int) -> Object:
    """Make the object of an upload that is made of others. Raises StateConflict, NotFound."""
    ledger, upload = parts.ledger, live.upload
    composed = live.composed or compose(parts, upload)
    check_free(ledger, upload)
    if upload.length is not None and upload.length != composed.length:
        raise LengthConflict(
            "The parts are not as long as the whole is to be.",
            why=f"They have {composed.length} bytes; {upload.length} were declared.",
            todo="Name the right parts.",
        )
    upload = replace(upload, length=composed.length, offset=composed.length, crc=composed.crc)
    wanted = parse_digests(upload.expects)
    sha256 = composed.sha256
    if SHA256 in wanted and sha256 is None:
        sha256 = sha256_of(store, composed)
    known = {CRC64NVME: crc_bytes(composed.crc)} | ({} if sha256 is None else {SHA256: sha256})
    _require_digests(wanted, known)
    made = _with_sha256(object_of(upload, now=now), sha256)
    handle = store.create(upload.id, 0)
    address = store.seal(handle, 0, manifest_of(upload, made, pieces=write_pieces(composed.pieces)))
    if upload.state is UploadState.OPEN:
        upload = move(upload, UploadState.FILLED, now=now)
    facts = composed_of(made, address, composed.pieces)
    keys = dict.fromkeys(upload.parts.split())
    shared = Expect(Object, [(key,) for key in keys])
    try:
        return commit_object(store, ledger, live, upload, made, facts, shared, now=now)
    except Stale:
        parts.forget(keys)
        try:
            compose(parts, upload)
        except NotFound:  # a part was removed meanwhile: of the whole, nothing stays
            store.remove(address)
            raise
        raise


def _proven(ledger: Ledger, live: Live, made: Object) -> Object:
    """The object with the digests that were computed on the way. Raises DigestMismatch."""
    found = {CRC64NVME: crc_bytes(made.crc)}
    if live.frontier is not None:
        found[SHA256] = live.frontier.finish(made.length)
        # Once it is sealed, nothing can be read by the handle: a restart goes on from this.
        hasher = live.frontier.save(made.length)
        if hasher != live.upload.hasher:
            live.change(ledger, lambda upload: replace(upload, hasher=hasher))
    _require_digests(parse_digests(live.upload.expects), found)
    return _with_sha256(made, found.get(SHA256))


def _require_digests(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> None:
    """Raises DigestMismatch unless all that was announced and is known agrees."""
    for name, value in wanted.items():
        if found.get(name, value) != value:
            raise DigestMismatch(
                "The file that arrived is not the one that was announced.",
                why=f"Its {name} digest differs.",
                todo="Upload it again; what arrived was removed.",
            )


def _with_sha256(made: Object, sha256: bytes | None) -> Object:
    if sha256 is None:
        return made
    return replace(made, sha256=sha256, digests=format_digests({SHA256: sha256}))


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


def manifest_of(upload: Upload, made: Object, *, pieces: str | None = None) -> Manifest:
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
            "pieces": pieces,
        }
    )


def commit_object(
    store: Store,
    ledger: Ledger,
    live: Live,
    upload: Upload,
    made: Object,
    bytes_: Sequence[Change],
    shared: Expect | None = None,
    *,
    now: int,
) -> Object:
    """Object, segment, name, upload and outbox row, together; the name is chosen until one fits.

    `upload` is what of the row is to stand; `bytes_`: where the object's are; `shared`: with whom
    it has them in common. Raises Stale, and Duplicate if `live` guesses and its
    name is not free.
    """
    facts: list[Change] = [Add(made), *bytes_]
    if shared is not None:
        facts.insert(0, shared)
    if not upload.partial:
        facts.append(Add(_completed(upload, now=now)))
    if upload.state is UploadState.FILLED:
        upload = move(upload, UploadState.SEALING, now=now)
    kept = upload.expires_at if upload.partial else None
    done = replace(move(upload, UploadState.COMPLETE, now=now), expires_at=kept, handle="")
    if upload.name is None:
        live.end(ledger, done, facts)
        return replace(made, version=1)
    paths = alternatives(upload.name)
    path = next(paths)
    for _ in range(_MOST_TRIES):
        taken = None if live.guesses else ledger.get(Name, upload.tenant, path)
        _refuse_name(upload, path, taken)
        if taken is not None and upload.on_conflict is OnConflict.KEEP_BOTH:
            path = next(paths)
            continue
        naming, leftovers = _naming(store, ledger, upload, path, taken, now=now)
        if path != upload.name:
            naming += _keys(store, ledger, upload, path, made, bytes_)
        try:
            live.end(ledger, replace(done, name=path), [*facts, *naming])
        except (Duplicate, Stale):
            if live.guesses or not live.stands(ledger) or ledger.get(Object, made.id):
                raise
            if shared and any(ledger.get(shared.kind, *key) is None for key in shared.keys):
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
    store: Store, ledger: Ledger, upload: Upload, path: str, taken: Name | None, *, now: int
) -> tuple[list[Change], list[Outbox]]:
    """Changes that give `path` to the upload, and what must be removed after."""
    name = Name(
        tenant=upload.tenant, owner=upload.owner, path=path, object=upload.id, updated_at=now
    )
    if taken is None:
        return [Add(name)], []
    gone, leftovers = forget_name(store, ledger, taken, now=now)
    return [Update(replace(name, version=taken.version)), *gone], leftovers


def _keys(
    store: Store, ledger: Ledger, upload: Upload, path: str, made: Object, changes: Sequence[Change]
) -> list[Change]:
    """Changes that bring the record of its keys beside `path`, where another name was asked for."""
    rows = [each.row for each in changes if isinstance(each, Add)]
    places = [row for row in rows if isinstance(row, Segment)]
    found = find_companion(store, ledger, upload.name or "", made, places)
    if found is None or ledger.get(Name, *found.place(path).key) is not None:
        return []
    return found.move(found.place(path), now=made.created_at)


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
